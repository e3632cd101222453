#!/usr/bin/env python3
"""Logins at the SMTP server: the embedded users, tables, the real Dovecot, real clients, bad input."""
import base64
import hmac
import pathlib
import shutil
import smtplib
import socket
import subprocess
import tempfile
import unittest

import certificates
import client
import dovecot
import environment
import ports
import scenario
import smtp_raw

USER, PASSWORD = 'joe', 'sesam öffne dich'
FAILED = r'warning: \S+\[127\.0\.0\.1\]: SASL {} authentication failed: {}, sasl_username={}$'


def encoded(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(user=USER, password=PASSWORD, other=''):
    return encoded(f'{other}\0{user}\0{password}')


class SaslServer(scenario.Scenario):
    def prepare(self, **settings):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= {'mynetworks': '', 'smtpd_sasl_auth_enable': 'yes', 'smtpd_sasl_type': 'gsasl',
                     'smtpd_relay_restrictions': 'permit_sasl_authenticated, reject_unauth_destination'} | settings
        return system, a, sink

    def add(self, a, *options, user=USER, password=PASSWORD):
        return a.command('bulkhead', 'user', 'add', user, *options, input=password + '\n')

    def serving(self, *options, **settings):
        system, a, sink = self.prepare(**settings)
        system.start()
        answer = self.add(a, *options)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return a, sink

    def greeted(self, a):
        raw = a.client(timeout=30)
        self.addCleanup(raw.close)
        return raw, raw.greet()

    def arrived(self, sink, identity):
        message = sink.wait_for(lambda one: one.id == identity, 20 * environment.SLOWER)
        self.assertIsNotNone(message, f'{identity} did not arrive')
        return message

    def send(self, a, sink, raw, identity):
        self.assertEqual(raw.message('s@a.example', 'r@dest.example', client.message(identity))[0], 250)
        return self.arrived(sink, identity)

    # The embedded users

    def test_smtplib_with_every_mechanism(self):
        a, sink = self.serving('--plain', smtpd_sasl_authenticated_header='yes')
        for name, method in (('PLAIN', 'auth_plain'), ('LOGIN', 'auth_login'), ('CRAM-MD5', 'auth_cram_md5')):
            with smtplib.SMTP('127.0.0.1', a.port, local_hostname='client.example', timeout=30) as connection:
                connection.ehlo()
                self.assertIn(name, connection.esmtp_features['auth'].split())
                connection.user, connection.password = USER, PASSWORD
                if name != 'CRAM-MD5':   # smtplib knows only ASCII passwords: by hand
                    first = plain() if name == 'PLAIN' else encoded(USER)
                    code, _ = connection.docmd('AUTH', f'{name} {first}')
                    if code == 334:
                        code, _ = connection.docmd(encoded(PASSWORD))
                else:
                    code, challenge = connection.docmd('AUTH', name)
                    digest = hmac.new(PASSWORD.encode(), base64.b64decode(challenge), 'md5').hexdigest()
                    code, _ = connection.docmd(encoded(f'{USER} {digest}'))
                self.assertEqual(code, 235, name)
                connection.sendmail('s@a.example', ['r@dest.example'], client.message('smtplib-' + name))
            header = self.arrived(sink, 'smtplib-' + name).header.decode()
            self.assertRegex(header, r'\r\n\t\(Authenticated sender: joe\)\r\n\tby mx\.a\.example \(Bulkhead\) with ESMTPA id')
            self.assert_log(a, rf'client=\S+\[127\.0\.0\.1\], sasl_method={name}, sasl_username=joe$')
        self.assertNotIn('sesam', a.log_text())
        self.assertNotIn(plain(), a.log_text())

    def test_swaks_curl_msmtp(self):
        a, sink = self.serving('--plain')
        for method in ('PLAIN', 'LOGIN', 'CRAM-MD5'):
            answer = environment.run('swaks', '--server', '127.0.0.1', '--port', a.port, '--from', 's@a.example', '--to',
                                     'r@dest.example', '--auth', method, '--auth-user', USER, '--auth-password', PASSWORD,
                                     '--header', f'X-Ledger-Id: swaks-{method}')
            self.assertEqual(answer.returncode, 0, answer.stdout)
            self.arrived(sink, 'swaks-' + method)
        answer = environment.run('curl', '-sS', f'smtp://127.0.0.1:{a.port}', '--user', f'{USER}:{PASSWORD}', '--mail-from',
                                 's@a.example', '--mail-rcpt', 'r@dest.example', '-T', '-',
                                 input=client.message('curl-auth'), text=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.arrived(sink, 'curl-auth')
        for method in ('scram-sha-256', 'scram-sha-1', 'plain', 'login', 'cram-md5'):
            account = a.top / 'msmtprc'
            account.write_text(f'host 127.0.0.1\nport {a.port}\nfrom s@a.example\nauth {method}\nuser {USER}\n'
                               f'password "{PASSWORD}"\ntls off\ndomain client.example\n')
            account.chmod(0o600)
            answer = environment.run('msmtp', '-C', account, 'r@dest.example', text=False,
                                     input=client.message('msmtp-' + method))
            self.assertEqual(answer.returncode, 0, (method, answer.stderr))
            self.arrived(sink, 'msmtp-' + method)

    def test_fail2ban_matches_failed_logins_and_refusals(self):
        a, _ = self.serving(syslog_name='postfix')
        raw, _ = self.greeted(a)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain(password="wrong")}')[0], 535)
        raw.command('MAIL FROM:<s@a.example>')
        self.assertEqual(raw.command('RCPT TO:<r@dest.example>')[0], 554)
        raw.command('QUIT')
        self.assert_log(a, r'Relay access denied')
        log = a.top / 'for-fail2ban'
        log.write_text(a.log_text())
        for mode, line in (('auth', 'SASL PLAIN authentication failed'), ('normal', 'Relay access denied')):
            answer = environment.run('fail2ban-regex', '--print-all-matched', log, f'postfix[mode={mode}]', timeout=60)
            self.assertEqual(answer.returncode, 0, answer.stderr)
            matched = answer.stdout.split('Matched line(s):')[-1].split('Missed line(s)')[0]
            self.assertIn(line, matched, mode)

    def test_relay_is_for_those_who_log_in(self):
        a, _ = self.serving()
        raw, offers = self.greeted(a)
        self.assertEqual(offers['AUTH'], ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'LOGIN'])
        raw.command('MAIL FROM:<s@a.example>')
        self.assertEqual(raw.command('RCPT TO:<r@dest.example>')[0], 554)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}'), (503, '5.5.1 Error: MAIL transaction in progress'))
        raw.command('RSET')
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}'), (235, '2.7.0 Authentication successful'))
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}'), (503, '5.5.1 Error: already authenticated'))
        raw.command('RSET')
        raw.command('EHLO again.example')
        raw.command('MAIL FROM:<s@a.example> AUTH=boss@a.example')
        self.assertEqual(raw.command('RCPT TO:<r@dest.example>')[0], 250)
        self.assert_log(a, r'client=\S+, sasl_method=PLAIN, sasl_username=joe, sasl_sender=<boss@a\.example>$')

    def test_senders_belong_to_logins(self):
        table = pathlib.Path(tempfile.mkstemp(prefix='bulkhead-owners-')[1])
        self.addCleanup(table.unlink)
        table.write_text('boss@a.example jane, JOE\n@b.example jane\n')
        table.chmod(0o644)
        foreign = '553 5.7.1 <{}>: Sender address rejected: not owned by user joe'
        for word, logged_in, answers in (
                ('reject_sender_login_mismatch', True, ('250', foreign, foreign)),
                ('reject_authenticated_sender_login_mismatch', True, ('250', foreign, foreign)),
                ('reject_known_sender_login_mismatch', True, ('250', foreign, '250')),
                ('reject_sender_login_mismatch', False, ('553 5.7.1 <{}>: Sender address rejected: not logged in',) * 2 + ('250',)),
                ('reject_unauthenticated_sender_login_mismatch', True, ('250', '250', '250'))):
            with self.subTest(word=word, logged_in=logged_in):
                a, _ = self.serving(smtpd_sender_restrictions=word, smtpd_sender_login_maps=f'texthash:{table}',
                                    smtpd_delay_reject='no', mynetworks='127.0.0.0/8')
                raw, _ = self.greeted(a)
                if logged_in:
                    self.assertEqual(raw.command(f'AUTH PLAIN {plain()}')[0], 235)
                for sender, answer in zip(('boss@a.example', 'x@b.example', 'x@c.example'), answers):
                    code, text = raw.command(f'MAIL FROM:<{sender}>')
                    self.assertTrue(f'{code} {text}'.startswith(answer.format(sender)), (sender, text))
                    raw.command('RSET')
                self.assertEqual(raw.command('MAIL FROM:<>')[0], 250)

    def test_failures(self):
        a, _ = self.serving()
        raw, _ = self.greeted(a)
        bad = (535, '5.7.8 Error: authentication failed: (reason unavailable)')
        self.assertEqual(raw.command(f'AUTH PLAIN {plain(password="wrong")}'), bad)
        self.assert_log(a, FAILED.format('PLAIN', r'\(reason unavailable\)', 'joe'))
        self.assertEqual(raw.command(f'AUTH PLAIN {plain(user="nobody")}'), bad)
        self.assert_log(a, FAILED.format('PLAIN', r'\(reason unavailable\)', 'nobody'))
        self.assertEqual(raw.command('AUTH LOGIN'), (334, encoded('Username:')))
        self.assertEqual(raw.command(encoded('joe')), (334, encoded('Password:')))
        self.assertEqual(raw.command('*'), (501, '5.7.0 Authentication aborted'))
        self.assert_log(a, r'warning: \S+\[127\.0\.0\.1\]: SASL LOGIN authentication aborted$')
        self.assertEqual(raw.command('AUTH NTLM')[1], '5.7.8 Error: authentication failed: Invalid authentication mechanism')
        self.assert_log(a, FAILED.format('NTLM', 'Invalid authentication mechanism', r'\(unavailable\)'))
        self.assertEqual(raw.command('AUTH'), (501, '5.5.4 Syntax: AUTH mechanism'))
        self.assertEqual(raw.command('AUTH PLAIN a b'), (501, '5.5.4 Syntax: AUTH mechanism'))
        self.assertEqual(raw.command(f'AUTH PLAIN {plain(other="root")}')[0], 535)
        # The session is as good as new.
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}')[0], 235)
        raw.command('QUIT')
        self.assert_log(a, r'disconnect from \S+ ehlo=1 auth=1/8 quit=1')

    def test_bad_input(self):
        a, _ = self.serving()
        raw, _ = self.greeted(a)
        invalid = '5.7.8 Error: authentication failed: Invalid base64 data in {} response'
        self.assertEqual(raw.command('AUTH PLAIN ***'), (535, invalid.format('initial')))
        self.assertEqual(raw.command('AUTH PLAIN'), (334, ''))
        self.assertEqual(raw.command('no base64'), (535, invalid.format('continued')))
        for text in ('', '\0', '\0\0', '\0joe', 'joe\0', f'\0joe\0{PASSWORD}\0', '\0' * 100, '\0joe\r\nX: y\0x', '\0j\0' + 'x' * 600):
            raw.send(f'AUTH PLAIN\r\n{encoded(text)}\r\n'.encode())
            self.assertEqual(raw.reply()[0], 334)
            self.assertIn(raw.reply()[0], (535, 421), repr(text))
            raw.close()
            raw, _ = self.greeted(a)
        raw.command('AUTH PLAIN')
        self.assertEqual(raw.command('A' * 20000)[0], 500)
        raw.command('AUTH PLAIN')
        self.assertEqual(raw.command(encoded('x' * 9000))[0], 535)
        # What a client sends ahead is never shown.
        raw.send(b'AUTH LOGIN\r\nam9l\r\nc2VjcmV0\r\n')
        self.assertEqual([raw.reply()[0] for _ in range(3)], [334, 334, 535])
        self.assert_log(a, r'improper command pipelining after AUTH from \S+: \*\*\*$')
        self.assertNotIn('c2VjcmV0', a.log_text())

    def test_guessing_ends_the_session_and_gets_slow(self):
        a, _ = self.serving()
        raw, _ = self.greeted(a)
        codes = [raw.command('AUTH NTLM')[0] for _ in range(10)]
        self.assertEqual(codes, [535] * 9 + [421])
        self.assertTrue(raw.closed_within(10))

    def test_before_and_without(self):
        a, _ = self.serving(smtpd_sasl_exceptions_networks='127.0.0.1')
        raw, offers = self.greeted(a)
        self.assertNotIn('AUTH', offers)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}'), (503, '5.5.1 Error: authentication not enabled'))

    def test_options(self):
        a, _ = self.serving(broken_sasl_auth_clients='yes', smtpd_sasl_mechanism_filter='!login, static:rest',
                            smtpd_sasl_security_options='noanonymous, mutual_auth')
        raw = a.client()
        self.addCleanup(raw.close)
        raw.reply()
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}'), (503, '5.5.1 Error: send HELO/EHLO first'))
        text = raw.command('EHLO x.example')[1].split('\n')
        self.assertIn('AUTH SCRAM-SHA-256 SCRAM-SHA-1', text)
        self.assertIn('AUTH=SCRAM-SHA-256 SCRAM-SHA-1', text)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}')[0], 535)
        self.assertEqual(raw.command('MAIL FROM:<s@a.example> AUTH=<>'), (503, '5.5.4 Error: send AUTH command first'))

    def test_tls_only(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-sasl-'))
        self.addCleanup(shutil.rmtree, folder, True)
        server = certificates.Authority(folder).issue('server', 'mx.a.example')
        a, sink = self.serving(smtpd_tls_security_level='may', smtpd_tls_chain_files=server.chain, smtpd_tls_auth_only='yes')
        raw, offers = self.greeted(a)
        self.assertNotIn('AUTH', offers)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}')[0], 538)
        answer = environment.run('swaks', '--tls', '--server', '127.0.0.1', '--port', a.port, '--from', 's@a.example',
                                 '--to', 'r@dest.example', '--auth', 'PLAIN', '--auth-user', USER, '--auth-password', PASSWORD,
                                 '--header', 'X-Ledger-Id: in-tls')
        self.assertEqual(answer.returncode, 0, answer.stdout)
        self.assertIn(b' with ESMTPSA id', self.arrived(sink, 'in-tls').header)

    def test_users_in_a_table_and_tokens(self):
        system, a, sink = self.prepare()
        table, tokens = a.top / 'users', a.top / 'tokens'
        table.write_text('joe@a.example {PLAIN}geheim wort\njane {CRYPT}nonsense\nbad geheim\n')
        tokens.write_text('Token.1 joe@a.example\n')
        a.config |= {'smtpd_sasl_path': f'texthash:{table}', 'smtpd_sasl_local_domain': 'a.example',
                     'smtpd_sasl_token_maps': f'texthash:{tokens}', 'saslauth_mechanisms': 'PLAIN CRAM-MD5 XOAUTH2 OAUTHBEARER'}
        system.start()
        self.assertNotEqual(self.add(a).returncode, 0)
        for line, code in ((f'PLAIN {plain("joe", "geheim wort")}', 235), (f'PLAIN {plain("JOE@a.example", "geheim wort")}', 235),
                           (f'PLAIN {plain("jane", "nonsense")}', 535), (f'PLAIN {plain("bad", "geheim")}', 454),
                           (f'XOAUTH2 {encoded("user=joe@a.example" + chr(1) + "auth=Bearer Token.1" + chr(1) + chr(1))}', 235),
                           (f'OAUTHBEARER {encoded("n,a=joe@a.example," + chr(1) + "auth=Bearer Token.1" + chr(1) + chr(1))}', 235),
                           (f'OAUTHBEARER {encoded("n,a=jane," + chr(1) + "auth=Bearer Token.1" + chr(1) + chr(1))}', 334)):
            raw, _ = self.greeted(a)
            self.assertEqual(raw.command('AUTH ' + line)[0], code, line)
            if code == 334:
                self.assertEqual(raw.command(encoded('\1'))[0], 535)
        self.assertNotIn('Token.1', a.log_text())

    def test_the_service_dies_and_comes_back(self):
        self.deaths_expected = True
        a, _ = self.serving()
        raw, _ = self.greeted(a)
        raw.command('AUTH LOGIN')
        for pid in a.workers('saslauth'):
            subprocess.run(['kill', '-KILL', str(pid)], check=True)
        self.assertEqual(raw.command(encoded('joe'))[0], 454)
        self.wait(lambda: raw.command(f'AUTH PLAIN {plain()}')[0] == 235, 20, 'saslauth did not come back')

    # bulkhead user

    def test_managing_users(self):
        system, a, _ = self.prepare()
        system.write()
        def user(*words, password=''):
            return a.command('bulkhead', 'user', *words, input=password)
        self.assertEqual(user('add', 'Joe', password='one\n').returncode, 0)
        self.assertNotEqual(user('add', 'joe', password='two\n').returncode, 0)
        self.assertEqual(user('add', 'jane@b.example', '--method', 'bcrypt', password='two\n').returncode, 0)
        self.assertNotEqual(user('add', 'empty', password='\n').returncode, 0)
        self.assertNotEqual(user('add', 'a b', password='x\n').returncode, 0)
        self.assertNotEqual(user('add', password='x\n').returncode, 0)
        self.assertNotEqual(user('passwd', 'nobody', password='x\n').returncode, 0)
        listed = user('list').stdout
        self.assertRegex(listed, r'^jane@b\.example +\S+ CRYPT SCRAM-SHA-256 SCRAM-SHA-1\njoe ')
        self.assertNotIn('$', listed)
        file = a.data / 'users.sqlite'
        self.assertEqual((file.stat().st_mode & 0o777, file.owner()), (0o600, a.user))
        system.start()
        def code(name, password):
            raw, _ = self.greeted(a)
            return raw.command(f'AUTH PLAIN {plain(name, password)}')[0]
        self.assertEqual(code('joe', 'one'), 235)
        self.assertEqual(code('jane@b.example', 'two'), 235)
        self.assertEqual(user('passwd', 'joe', password='three\n').returncode, 0)
        self.assertEqual((code('joe', 'one'), code('joe', 'three')), (535, 235))
        self.assertEqual(user('delete', 'joe').returncode, 0)
        self.assertEqual(code('joe', 'three'), 535)
        self.assertNotEqual(user('delete', 'joe').returncode, 0)

    def test_each_environment_has_its_own_users(self):
        system = self.system('a', 'b')
        for each in (system['a'], system['b']):
            each.config |= {'smtpd_sasl_auth_enable': 'yes', 'smtpd_sasl_type': 'gsasl'}
        system.start()
        answer = system['a'].command('bulkhead', 'user', 'add', USER, '--env', 'b', input='only b\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertNotEqual(system['a'].command('bulkhead', 'user', 'list', '--env', 'c').returncode, 0)
        codes = {}
        for each in (system['a'], system['b']):
            raw, _ = self.greeted(each)
            codes[each.name] = raw.command(f'AUTH PLAIN {plain(USER, "only b")}')[0]
        self.assertEqual(codes, {'a': 535, 'b': 235})

    # Dovecot

    def with_dovecot(self, **settings):
        if not shutil.which('dovecot') and not pathlib.Path(dovecot.PROGRAM).exists():
            raise unittest.SkipTest('dovecot-core is not installed')
        system, a, sink = self.prepare(smtpd_sasl_type='dovecot', smtpd_sasl_path='private/auth', **settings)
        port = ports.free_port()
        if settings:
            a.config['smtpd_sasl_path'] = f'inet:127.0.0.1:{port}'
        system.start()
        server = dovecot.Dovecot(a.top / 'dovecot', a.spool / 'private/auth', a.user, port, {USER: '{PLAIN}' + PASSWORD})
        self.addCleanup(server.stop)
        server.start()
        return server, a, sink

    def test_dovecot(self):
        server, a, sink = self.with_dovecot()
        raw, offers = self.greeted(a)
        self.assertEqual(set(offers['AUTH']), {'PLAIN', 'LOGIN', 'CRAM-MD5', 'SCRAM-SHA-256'})
        self.assertEqual(raw.command(f'AUTH PLAIN {plain(password="wrong")}')[0], 535, server.log())
        self.assert_log(a, FAILED.format('PLAIN', r'\(reason unavailable\)', 'joe'))
        self.assertEqual(raw.command('AUTH LOGIN')[0], 334)
        self.assertEqual(raw.command('*')[0], 501)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}')[0], 235, server.log())
        self.send(a, sink, raw, 'dovecot')
        for method in ('PLAIN', 'LOGIN', 'CRAM-MD5'):
            answer = environment.run('swaks', '--server', '127.0.0.1', '--port', a.port, '--from', 's@a.example', '--to',
                                     'r@dest.example', '--auth', method, '--auth-user', USER, '--auth-password', PASSWORD,
                                     '--quit-after', 'RCPT')
            self.assertEqual(answer.returncode, 0, answer.stdout)
        # Its restart is noticed, and forgiven.
        def code():
            fresh, _ = self.greeted(a)
            return fresh.command(f'AUTH PLAIN {plain()}')[0]
        server.stop()
        self.wait(lambda: code() == 454, 20)
        server.start()
        self.wait(lambda: code() == 235, 20, server.log())

    def test_dovecot_by_tcp(self):
        server, a, _ = self.with_dovecot(smtpd_sasl_security_options='noanonymous')
        raw, _ = self.greeted(a)
        self.assertEqual(raw.command(f'AUTH PLAIN {plain()}')[0], 235, server.log())

    def test_a_service_that_talks_nonsense(self):
        system, a, _ = self.prepare(smtpd_sasl_type='dovecot', smtpd_sasl_path='private/auth')
        system.start()
        path = a.spool / 'private/auth'
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(str(path))
        path.chmod(0o666)
        listening.listen()
        greeting = b'VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nDONE\n'
        for words, code in ((b'VERSION\t2\t0\n', None), (b'\0\xff\n' * 100 + b'MECH\t\n', None), (b'x' * 40000 + b'\n', None),
                            (greeting + b'OK\tx\n', 454), (greeting + b'OK\t1\n', 535), (greeting + b'CONT\t1\t!!\n', 454)):
            raw = a.client(timeout=30)
            self.addCleanup(raw.close)
            raw.reply()
            raw.send(b'EHLO x.example\r\n')
            peer, _ = listening.accept()
            peer.sendall(words if code is None else greeting)
            offers = raw.reply()[1]
            self.assertEqual('AUTH' in offers, code is not None, words)
            if code is not None:
                raw.send(f'AUTH PLAIN {plain()}\r\n'.encode())
                request = b''
                while b'AUTH\t' not in request or not request.endswith(b'\n'):
                    request += peer.recv(4096)
                number = request.split(b'AUTH\t')[1].split(b'\t')[0]
                peer.sendall(words[len(greeting):].replace(b'\t1', b'\t' + number))
                self.assertEqual(raw.reply()[0], code, words)
            peer.close()
            raw.close()
            for pid in a.workers('smtpd'):    # forgets what the last service offered
                subprocess.run(['kill', '-TERM', str(pid)], check=False)
            self.wait(lambda: not a.workers('smtpd'), 20)


if __name__ == '__main__':
    scenario.main()
