"""A relay that knows one user and checks the login by every mechanism itself.

    relay = LoginRelay(sink, 'joe', 'secret')
    relay.good, relay.bad       # (mechanism, user) of each login
"""
import base64
import hashlib
import hmac

MECHANISMS = ('PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'XOAUTH2')


def encoded(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def decoded(text):
    return base64.b64decode(text)


class LoginRelay:
    def __init__(self, sink, user, password):
        self.user, self.password = user, password
        self.good, self.bad = [], []
        sink.extensions.append('AUTH ' + ' '.join(MECHANISMS))
        sink.script['auth'] = self.begin
        sink.script['mail'] = self.mail
        sink.fallback = self.go_on

    def mail(self, session, _):
        return None if getattr(session, 'user', None) else '530 5.7.0 log in first'

    def begin(self, session, line):
        mechanism, _, initial = line.partition(' ')[2].partition(' ')
        session.logging_in = True
        session.login = getattr(self, mechanism.lower().replace('-', '_'))()
        session.mechanism = mechanism
        challenge = next(session.login)
        return self.go_on(session, initial) if initial else '334 ' + encoded(challenge)

    def go_on(self, session, line):
        try:
            return '334 ' + encoded(session.login.send(b'' if line == '=' else decoded(line)))
        except StopIteration as end:
            user, right = end.value
            session.logging_in = False
            (self.good if right else self.bad).append((session.mechanism, user))
            if not right:
                return '535 5.7.8 wrong user or password'
            session.user = user
            return '235 2.7.0 welcome'

    # Each yields its challenges and returns (user, whether it was right).

    def plain(self):
        _, user, password = (yield b'').decode().split('\0')
        return user, (user, password) == (self.user, self.password)

    def login(self):
        user = (yield b'Username:').decode()
        password = (yield b'Password:').decode()
        return user, (user, password) == (self.user, self.password)

    def cram_md5(self):
        challenge = b'<17.42@relay.example>'
        user, _, digest = (yield challenge).decode().rpartition(' ')
        return user, (user, digest) == (self.user, hmac.new(self.password.encode(), challenge, 'md5').hexdigest())

    def scram_sha_256(self):
        first = (yield b'').decode()
        bare = first.split(',', 2)[2]
        fields = dict(part.split('=', 1) for part in bare.split(','))
        salt, rounds = b'salt and pepper', 4096
        challenge = f'r={fields["r"]}relay,s={encoded(salt)},i={rounds}'
        final = (yield challenge.encode()).decode()
        without_proof, _, proof = final.rpartition(',p=')
        salted = hashlib.pbkdf2_hmac('sha256', self.password.encode(), salt, rounds)

        def mac(key, text):
            return hmac.new(key, text, 'sha256').digest()
        client_key = mac(salted, b'Client Key')
        whole = ','.join((bare, challenge, without_proof)).encode()
        signature = mac(hashlib.sha256(client_key).digest(), whole)
        right = bytes(a ^ b for a, b in zip(client_key, signature)) == decoded(proof) and fields['n'] == self.user
        if right:
            yield b'v=' + encoded(mac(mac(salted, b'Server Key'), whole)).encode()
        return fields['n'], right

    def xoauth2(self):
        fields = dict(part.split('=', 1) for part in (yield b'').decode().strip('\1').split('\1'))
        right = (fields['user'], fields['auth']) == (self.user, 'Bearer ' + self.password)
        if not right:
            yield b'{"status":"401"}'
        return fields['user'], right
