#!/usr/bin/env python3
"""Logins of the SMTP client: every mechanism and failure with a scripted server, and at our own server."""
import base64
import hmac

import client
import environment
import scenario

USER, PASSWORD = 'joe', 'sesam öffne dich'


def encoded(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def decoded(text):
    return base64.b64decode(text).decode()


class LoginServer:
    """The part of a sink that answers AUTH; `heard` is what the client has sent."""

    def __init__(self, sink, *mechanisms, script=()):
        self.heard, self.replies = [], list(script)
        sink.extensions += ['AUTH ' + ' '.join(mechanisms)]
        sink.script['auth'] = self.first
        sink.fallback = self.next

    def first(self, session, line):
        session.logging_in = True
        return self.next(session, line)

    def next(self, session, line):
        self.heard.append(line)
        reply = self.replies.pop(0) if self.replies else '235 2.7.0 welcome'
        if not reply.startswith('334'):
            session.logging_in = False
        return reply


class SaslClient(scenario.Scenario):
    def prepare(self, *mechanisms, script=(), **settings):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        passwords = a.top / 'passwords'
        passwords.write_text(f'[127.0.0.1]:{sink.port} {USER}:{PASSWORD}\n')
        a.config |= {'smtp_sasl_auth_enable': 'yes', 'smtp_sasl_password_maps': f'texthash:{passwords}',
                     'smtp_sasl_security_options': 'noanonymous'} | settings
        server = LoginServer(sink, *mechanisms, script=script) if mechanisms else None
        system.start()
        return a, sink, server

    def send(self, a, identity, sender='s@client.example'):
        with a.client() as raw:
            raw.greet()
            reply = raw.message(sender, 'r@dest.example', client.message(identity))
        self.assertEqual(reply[0], 250, reply)

    def arrived(self, sink, identity):
        message = sink.wait_for(lambda one: one.id == identity, 20 * environment.SLOWER)
        self.assertIsNotNone(message, f'{identity} did not arrive')
        return message

    def secret_is_kept(self, a):
        for secret in ('sesam', encoded(f'\0{USER}\0{PASSWORD}'), encoded(PASSWORD)):
            self.assertNotIn(secret, a.log_text())

    def test_plain(self):
        a, sink, server = self.prepare('PLAIN', 'LOGIN')
        self.send(a, 'plain')
        self.arrived(sink, 'plain')
        self.assertEqual(server.heard, ['AUTH PLAIN ' + encoded(f'\0{USER}\0{PASSWORD}')])
        self.send(a, 'again')       # on the kept connection
        self.arrived(sink, 'again')
        self.assertEqual(len(server.heard), len(sink.sessions))
        self.secret_is_kept(a)

    def test_a_refused_login_is_remembered(self):
        a, sink, server = self.prepare('PLAIN', script=['535 5.7.8 no such user'] * 5,
                                       smtp_sasl_auth_cache_name='btree:${data_directory}/sasl_cache',
                                       minimal_backoff_time='1000s', maximal_backoff_time='1000s')
        self.send(a, 'first')
        self.assert_log(a, r'dsn=4\.7\.8, status=deferred \(SASL authentication failed; server .* said: 535 5\.7\.8 no such user\)')
        stored = a.data / 'sasl_cache.lmdb'
        self.wait(lambda: b'no such user' in stored.read_bytes())
        self.assertNotIn(b'sesam', stored.read_bytes())
        self.send(a, 'second')
        self.assert_log(a, r'relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*dsn=4\.7\.8, status=deferred '
                           r'\(SASL \[CACHED\] authentication failed; server .* said: 535 5\.7\.8 no such user\)')
        self.assertEqual(len(sink.sessions), 1)
        passwords = a.top / 'passwords'
        server.replies.clear()
        passwords.write_text(passwords.read_text().replace(PASSWORD, 'another'))
        a.control('reload')
        self.wait(lambda: 'reload' in a.log_text())
        self.send(a, 'third')                   # another password is tried at once
        self.arrived(sink, 'third')

    def test_login_dialogue(self):
        a, sink, server = self.prepare('LOGIN', script=['334 ' + encoded('Username:'), '334 ' + encoded('Password:')])
        self.send(a, 'login')
        self.arrived(sink, 'login')
        self.assertEqual(server.heard, ['AUTH LOGIN', encoded(USER), encoded(PASSWORD)])
        self.secret_is_kept(a)

    def test_cram_md5(self):
        challenge = '<1.2@sink.example>'
        a, sink, server = self.prepare('PLAIN', 'CRAM-MD5', script=['334 ' + encoded(challenge)])
        self.send(a, 'cram')
        self.arrived(sink, 'cram')
        digest = hmac.new(PASSWORD.encode(), challenge.encode(), 'md5').hexdigest()
        self.assertEqual([decoded(server.heard[1])], [f'{USER} {digest}'])

    def test_tokens(self):
        a, sink, server = self.prepare('PLAIN', 'XOAUTH2', smtp_sasl_mechanism_filter='xoauth2')
        self.send(a, 'token')
        self.arrived(sink, 'token')
        self.assertEqual(decoded(server.heard[0].split()[2]), f'user={USER}\1auth=Bearer {PASSWORD}\1\1')

    def test_refused_token_is_answered(self):
        a, _, server = self.prepare('XOAUTH2', script=['334 ' + encoded('{"status":"401"}'), '535 5.7.8 no'] * 20)
        self.send(a, 'token')
        self.assert_log(a, r'dsn=4\.7\.8, status=deferred \(SASL authentication failed; server 127\.0\.0\.1\[127\.0\.0\.1\] '
                           r'said: 535 5\.7\.8 no\)')
        self.assertEqual(server.heard[1], '')

    def test_refused_password(self):
        a, _, server = self.prepare('PLAIN', script=['535 5.7.8 go away'] * 50)
        self.send(a, 'refused')
        self.assert_log(a, r'relay=127\.0\.0\.1\[127\.0\.0\.1\]:\d+, .*dsn=4\.7\.8, status=deferred \(SASL authentication '
                           r'failed; server 127\.0\.0\.1\[127\.0\.0\.1\] said: 535 5\.7\.8 go away\)')
        self.secret_is_kept(a)

    def test_refused_for_good(self):
        a, _, _ = self.prepare('PLAIN', script=['535 5.7.8 go away'] * 50, smtp_sasl_auth_soft_bounce='no')
        self.send(a, 'refused')
        self.assert_log(a, r'dsn=5\.7\.8, status=bounced \(SASL authentication failed; server')

    def test_no_mechanism(self):
        a, _, server = self.prepare('PLAIN', 'LOGIN', smtp_sasl_security_options='noplaintext, noanonymous')
        self.send(a, 'none')
        self.assert_log(a, r'dsn=4\.7\.0, status=deferred \(SASL authentication failed; cannot authenticate to server '
                           r'127\.0\.0\.1\[127\.0\.0\.1\]: no mechanism available\)')
        self.assertEqual(server.heard, [])

    def test_servers_that_do_not_behave(self):
        for number, (mechanism, script, reason) in enumerate((
                ('PLAIN', ['334 ***', '501 aborted'], 'bad base64 in challenge'),
                ('PLAIN', ['334 '] * 30, 'asks for more than the mechanism has'),
                ('SCRAM-SHA-256', ['235 come in'], 'has not proved that it knows the password'),
                ('SCRAM-SHA-256', ['334 ' + encoded('r=x,s=eA==,i=4000000000'), '501 aborted'], 'too many iterations'),
                ('CRAM-MD5', ['454 4.7.0 later'], '454 4.7.0 later'))):
            with self.subTest(mechanism=mechanism, script=script):
                a, _, _ = self.prepare(mechanism, script=script * 20)
                self.send(a, f'bad-{number}')
                self.assert_log(a, rf'status=deferred \(SASL authentication failed; .*{reason}')

    def test_without_offer_or_password(self):
        a, sink, _ = self.prepare()
        self.send(a, 'no-offer')
        self.arrived(sink, 'no-offer')
        a, sink, server = self.prepare('PLAIN', smtp_sasl_password_maps='')
        self.send(a, 'no-password')
        self.arrived(sink, 'no-password')
        self.assertEqual(server.heard, [])

    def test_by_sender(self):
        a, sink, server = self.prepare('PLAIN', smtp_sender_dependent_authentication='yes')
        (a.top / 'passwords').write_text(f'one@a.example u1:p1\n@b.example u2:p2\n[127.0.0.1]:{sink.port} u3:p3\n')
        a.control('reload')
        for number, sender in enumerate(('one@a.example', 'x@b.example', 'two@a.example', 'one@a.example')):
            self.send(a, f'by-{number}', sender)
            self.arrived(sink, f'by-{number}')
        users = [decoded(line.split()[2]).split('\0')[1] for line in server.heard]
        self.assertEqual(sorted(set(users)), ['u1', 'u2', 'u3'])
        for session in sink.sessions:    # nobody's mail goes by another's login
            senders = {line.split('<')[1].split('>')[0] for line in session.commands if line.startswith('MAIL')}
            self.assertLessEqual(len(senders), 1, session.commands)

    def test_broken_table_makes_mail_wait(self):
        a, _, server = self.prepare('PLAIN', smtp_sasl_password_maps='fail:x')
        self.send(a, 'waits')
        self.assert_log(a, r'status=deferred \(SASL password lookup failure: ')
        self.assertEqual(server.heard, [])

    def test_our_own_server_with_every_mechanism(self):
        system, sink = self.system('a', 'b'), self.sink()
        a, b = system['a'], system['b']
        a.relay_to(b.port)
        b.relay_to(sink.port)
        b.config |= {'smtpd_sasl_auth_enable': 'yes', 'smtpd_sasl_type': 'gsasl', 'mynetworks': '',
                     'smtpd_relay_restrictions': 'permit_sasl_authenticated, reject_unauth_destination'}
        passwords = a.top / 'passwords'
        passwords.write_text(f'[127.0.0.1]:{b.port} {USER}:{PASSWORD}\n')
        a.config |= {'smtp_sasl_auth_enable': 'yes', 'smtp_sasl_password_maps': f'texthash:{passwords}',
                     'smtp_sasl_security_options': 'noanonymous', 'smtp_connection_cache_on_demand': 'no'}
        system.start()
        answer = b.command('bulkhead', 'user', 'add', USER, '--plain', input=PASSWORD + '\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        for mechanism in ('SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5', 'PLAIN', 'LOGIN'):
            a.config['smtp_sasl_mechanism_filter'] = mechanism
            a.write()
            self.assertEqual(a.control('reload').returncode, 0)
            self.send(a, mechanism)
            self.arrived(sink, mechanism)
            self.assert_log(b, rf'sasl_method={mechanism}, sasl_username=joe')


if __name__ == '__main__':
    scenario.main()
