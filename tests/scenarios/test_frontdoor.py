#!/usr/bin/env python3
"""One port for two environments: every deciding step, what stays true behind it, and what goes wrong."""
import base64
import os
import re
import signal
import ssl
import tempfile

import certificates
import client
import environment
import ports
import scenario
import smtp_raw

PASSWORDS = {'alice@a.example': 'alpha-secret', 'bob@b.example': 'beta-secret'}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def plain(user, password=None):
    return encoded(f'\0{user}\0{PASSWORDS[user] if password is None else password}')


class Behind(scenario.Scenario):
    """Two environments with their own relays, behind as many doors as the test opens."""

    def prepare(self, **settings):
        self.doors = {}
        system = self.system('a', 'b')
        self.sinks = {name: self.sink() for name in 'ab'}
        for name in 'ab':
            here = system[name]
            here.relay_to(self.sinks[name].port)
            here.extra_services += 'frontdoor pass - - y - - smtpd\nanvil unix - - y - 1 anvil\n'
            here.config['smtpd_relay_restrictions'] = 'permit_mynetworks, permit_sasl_authenticated, reject'
            here.config |= settings
        return system

    def door(self, system, name, **settings):
        self.doors[name] = ports.free_port()
        options = ''.join(f' -o {key}={value}' for key, value in settings.items())
        system['a'].extra_services += f'127.0.0.1:{self.doors[name]} inet n - y - - frontdoor{options}\n'

    def knock(self, name, **options):
        raw = smtp_raw.RawClient(self.doors[name], timeout=30, **options)
        self.addCleanup(raw.close)
        return raw

    def arrives(self, where, identity):
        found = self.sinks[where].wait_for(lambda one: one.id == identity, 20 * environment.SLOWER)
        self.assertIsNotNone(found, f'{identity} did not arrive by {where}')
        return found

    def sends(self, raw, where, identity, sender='s@x.example', recipient='r@x.example'):
        reply = raw.message(sender, recipient, client.message(identity))
        self.assertEqual(reply[0], 250, reply)
        return self.arrives(where, identity)


class Plain(Behind):
    def setUp(self):
        self.system_ = system = self.prepare(smtpd_authorized_xclient_hosts='127.0.0.1',
                                             mynetworks='127.0.0.0/8 192.0.2.0/24')
        self.door(system, 'client', frontdoor_client_maps='inline:{127.0.0.2=b,127.0.0.3=-,127.0.0.4=nobody}')
        self.door(system, 'sender', frontdoor_sender_maps='inline:{b.example=b,boss@b.example=-}',
                  frontdoor_default_environment='-')
        self.door(system, 'recipient', frontdoor_recipient_maps='inline:{b.example=b,boss@b.example=-,a.example=-}')
        self.door(system, 'broken', frontdoor_sender_maps='texthash:/nonexistent/table',
                  frontdoor_client_maps='inline:{127.0.0.2=b}')
        self.door(system, 'nonsense', frontdoor_client_maps='inline:{127.0.0.1=../b}')
        self.door(system, 'proxy', frontdoor_client_maps='inline:{192.0.2.7=b}',
                  smtpd_upstream_proxy_protocol='haproxy')
        self.door(system, 'claims', frontdoor_client_maps='inline:{192.0.2.9=b}',
                  frontdoor_sender_maps='inline:{b.example=b}')
        self.doors['listener'] = ports.free_port()
        system['a'].extra_services += (
            f'127.0.0.1:{self.doors["listener"]} inet n - y - - frontdoor '
            f'-o frontdoor_listener_maps=inline:{{127.0.0.1:{self.doors["listener"]}=b}}\n')
        system.start()

    def test_steps_in_clear(self):
        system = self.system_
        # A listener or a client is known before the greeting, which is the chosen one's own.
        code, text = self.knock('listener').reply()
        self.assertEqual((code, text.split()[0]), (220, 'mx.b.example'))
        for source, name in (('127.0.0.2', 'b'), ('127.0.0.3', 'a')):
            raw = self.knock('client', source=source)
            code, text = raw.reply()
            self.assertEqual((code, text.split()[0]), (220, f'mx.{name}.example'))
            self.assertEqual(raw.command('EHLO client.example')[0], 250)
            message = self.sends(raw, name, f'client-{name}')
            self.assertRegex(message.header.decode(), rf'from client\.example \(unknown \[{re.escape(source)}\]\)')
            self.assert_log(system[name], rf' {name}/smtpd\[\d+\]: connect from unknown\[{re.escape(source)}\]')
            self.assert_log(system['a'], rf' a/frontdoor\[\d+\]: unknown\[{re.escape(source)}\]: handed over to '
                                         rf'environment {"-" if name == "a" else name} by client')
        # Nobody has this client.
        self.assertEqual(self.knock('client', source='127.0.0.5').reply()[0], 421)

        for sender, name in (('s@b.example', 'b'), ('boss@b.example', 'a'), ('s@other.example', 'a'), ('', 'a')):
            with self.subTest(sender=sender):
                raw = self.knock('sender')
                raw.greet()
                message = self.sends(raw, name, f'sender-{sender}', sender=sender)
                self.assertIn(f'by mx.{name}.example', message.header.decode())

        for recipient, name in (('r@b.example', 'b'), ('boss@b.example', 'a'), ('r@a.example', 'a')):
            raw = self.knock('recipient')
            raw.greet()
            self.sends(raw, name, f'recipient-{recipient}', recipient=recipient)
            self.assertEqual(raw.command('QUIT')[0], 221)
            self.assert_log(system[name], r'disconnect from unknown\[127\.0\.0\.1\] ehlo=1 mail=1 rcpt=1 data=1 quit=1')
        raw = self.knock('recipient')
        raw.greet()
        self.assertEqual(raw.command('MAIL FROM:<s@x.example>')[0], 250)
        self.assertEqual(raw.command('RCPT TO:<r@unknown.example>')[0], 451)
        self.assertEqual(raw.command('RCPT TO:<r@b.example>')[0], 250)

    def test_recipients_of_two_environments_and_pipelining(self):
        raw = self.knock('recipient')
        self.assertIn('PIPELINING', raw.greet())
        raw.send(b'MAIL FROM:<s@x.example>\r\nRCPT TO:<one@b.example>\r\nRCPT TO:<two@a.example>\r\n'
                 b'RCPT TO:<three@b.example>\r\nDATA\r\n')
        replies = [raw.reply() for _ in range(5)]
        self.assertEqual([reply[0] for reply in replies], [250, 250, 452, 250, 354], replies)
        self.assertIn('separately', replies[2][1])
        raw.send(client.message('pipelined') + b'.\r\n')
        self.assertEqual(raw.reply()[0], 250)
        self.assertEqual(len(self.arrives('b', 'pipelined').recipients), 2)
        # Another transaction of the same session comes here again.
        self.assertEqual(raw.command('MAIL FROM:<s@x.example>')[0], 250)
        self.assertEqual(raw.command('RCPT TO:<two@a.example>')[0], 421)
        self.assertTrue(raw.closed_within(5))
        # The refusal of a MAIL that the door has accepted answers what depends on it.
        raw = self.knock('recipient')
        raw.greet()
        self.assertEqual(raw.command('MAIL FROM:<s@x.example> SIZE=99999999')[0], 250)
        self.assertEqual(raw.command('RCPT TO:<one@b.example>')[0], 552)
        self.assertEqual(raw.command('RCPT TO:<three@b.example>')[0], 552)
        self.assertEqual(raw.command('DATA')[0], 552)
        self.assertEqual(raw.command('RSET')[0], 250)
        self.sends(raw, 'b', 'after-refusal', recipient='one@b.example')

    def test_what_a_proxy_claims(self):
        raw = self.knock('claims')
        self.assertIn('XCLIENT', raw.greet())
        code, text = raw.command('XCLIENT ADDR=192.0.2.9 NAME=joe.example')
        self.assertEqual((code, text.split()[0]), (220, 'mx.b.example'))
        raw.command('EHLO client.example')
        self.assertIn('(joe.example [192.0.2.9])', self.sends(raw, 'b', 'claimed-by-address').header.decode())
        raw = self.knock('claims')
        raw.greet()
        code, text = raw.command('XCLIENT ADDR=192.0.2.10 NAME=jim.example')
        self.assertEqual((code, text.split()[0]), (220, 'mx.a.example'))
        raw.command('EHLO client.example')
        message = self.sends(raw, 'b', 'claimed', sender='s@b.example')
        self.assertIn('(jim.example [192.0.2.10])', message.header.decode())
        raw = self.knock('claims', source='127.0.0.2')
        self.assertNotIn('XCLIENT', raw.greet())
        self.assertEqual(raw.command('XCLIENT ADDR=192.0.2.9')[0], 550)

    def test_what_is_offered_is_what_they_offer(self):
        system, b = self.system_, self.system_['b']
        offered = self.knock('sender').greet()
        self.assertEqual(offered['SIZE'], ['10240000'])
        self.assertIn('DSN', offered)
        b.config |= {'message_size_limit': '5000', 'smtpd_discard_ehlo_keywords': 'dsn'}
        b.write()
        self.assertEqual(b.control('reload').returncode, 0)
        self.wait(lambda: self.knock('sender').greet().get('SIZE') == ['5000'])
        self.assertNotIn('DSN', self.knock('sender').greet())

    def test_what_goes_wrong(self):
        system, b = self.system_, self.system_['b']
        raw = self.knock('broken')
        raw.greet()
        self.assertEqual(raw.command('MAIL FROM:<s@x.example>')[0], 451)
        self.assertEqual(raw.command('QUIT')[0], 221)
        self.assert_log(system['a'], r'a/frontdoor\[\d+\]: warning: sender s@x\.example: ')
        self.assertEqual(self.knock('nonsense').reply()[0], 421)
        self.assert_log(system['a'], r"\"\.\./b\" is no environment's name")
        # An environment that is not there.
        code, text = self.knock('client', source='127.0.0.4').reply()
        self.assertEqual(code, 421)
        self.assertIn('does not run', text)
        # Garbage, and a client that speaks no SMTP.
        raw = self.knock('sender')
        raw.greet()
        self.assertEqual(raw.command(b'WHAT\xff\x00\x01')[0], 500)
        self.assertEqual(raw.command('RCPT TO:<r@x.example>')[0], 503)
        self.assertEqual(raw.command('DATA')[0], 503)
        self.assertEqual(raw.command('AUTH PLAIN')[0], 503)
        self.assertEqual(raw.command('X' * 5000)[0], 500)
        self.assertEqual(raw.command('GET / HTTP/1.0')[0], 221)
        self.assertTrue(raw.closed_within(5))
        # The header of a load balancer says who the client is.
        raw = self.knock('proxy')
        raw.send(b'PROXY TCP4 192.0.2.7 198.51.100.1 4242 25\r\n')
        raw.greet()
        self.assert_log(b, r'connect from unknown\[192\.0\.2\.7\]')
        raw = self.knock('proxy')
        raw.send(b'HELO x\r\n')
        self.assertEqual(raw.reply()[0], 421)
        # Asleep: woken.  Drained or disabled: refused with the reason, at once.
        self.assertEqual(b.control('stop').returncode, 0)
        self.wait(lambda: not b.workers(), message='b did not stop')
        code, text = self.knock('client', source='127.0.0.2').reply()
        self.assertEqual((code, 'does not run' in text), (421, True), text)
        self.assertEqual(self.knock('client', source='127.0.0.3').reply()[0], 220)
        primary = dict(os.environ, MAIL_CONFIG=str(system['a'].folder))   # whose master starts it
        self.assertEqual(b.control('start', env=primary).returncode, 0)
        self.wait(lambda: self.knock('client', source='127.0.0.2').reply()[0] == 220)

    def test_a_crashing_environment_harms_nobody_else(self):
        self.deaths_expected = True
        system, b = self.system_, self.system_['b']
        b.config['smtpd_sasl_type'], b.config['smtpd_sasl_auth_enable'] = 'nonsense', 'yes'   # fatal at its start
        system['a'].config['frontdoor_handover_timeout'] = '2s'
        system.write()
        self.assertEqual(system['a'].control('reload').returncode, 0)
        # Whoever has been handed over does not need the door any more.
        kept = self.knock('client', source='127.0.0.3')
        kept.greet()
        for pid in system['a'].workers('frontdoor'):
            os.kill(pid, signal.SIGKILL)
        self.sends(kept, 'a', 'without-the-door')
        waiting = self.knock('client', source='127.0.0.2')
        code, text = self.knock('client', source='127.0.0.3').reply()
        self.assertEqual((code, text.split()[0]), (220, 'mx.a.example'))
        code, text = waiting.reply()
        self.assertEqual((code, 'no answer' in text), (421, True), text)
        self.assertTrue(waiting.closed_within(5))


class Logins(Behind):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='bulkhead-door.')
        self.addCleanup(self.folder.cleanup)
        self.authority = certificates.Authority(self.folder.name)
        system = self.system_ = self.prepare(smtpd_sasl_auth_enable='yes', smtpd_sasl_type='gsasl', mynetworks='',
                                             smtpd_sasl_authenticated_header='yes',
                                             smtpd_tls_received_header='yes', smtpd_tls_loglevel='1')
        for name in 'ab':
            made = self.authority.issue(name, f'mx.{name}.example')
            system[name].config |= {'smtpd_tls_security_level': 'may', 'smtpd_tls_chain_files': made.chain}
        made = self.authority.issue('door', 'door.example')
        logins = 'inline:{@a.example=-,bob@b.example=b}'
        self.door(system, 'login', frontdoor_login_maps=logins, smtpd_tls_chain_files='',
                  smtpd_tls_security_level='none')
        self.door(system, 'name', frontdoor_sni_maps='inline:{mx.a.example=-,.b.example=b}', smtpd_tls_chain_files='')
        self.door(system, 'carried', frontdoor_login_maps=logins, smtpd_tls_auth_only='yes',
                  frontdoor_recipient_maps='inline:{a.example=-,b.example=b}', smtpd_tls_chain_files=made.chain)
        system.start()
        for user, password in PASSWORDS.items():
            answer = system[user.partition('@')[2][0]].command('bulkhead', 'user', 'add', user, input=password + '\n')
            self.assertEqual(answer.returncode, 0, answer.stderr)

    def context(self):
        made = ssl.create_default_context(cafile=str(self.authority.certificate))
        return made

    def secured(self, raw, name):
        """STARTTLS; the raw client speaks through it."""
        self.assertEqual(raw.command('STARTTLS')[0], 220)
        raw.socket = self.context().wrap_socket(raw.socket, server_hostname=name)
        return raw

    def test_the_chosen_one_authenticates(self):
        for user, name in (('alice@a.example', 'a'), ('bob@b.example', 'b')):
            here = self.system_[name]
            with self.subTest(user=user):
                raw = self.knock('login')
                self.assertEqual(raw.greet()['AUTH'], ['PLAIN', 'LOGIN'])
                self.assertEqual(raw.command(f'AUTH PLAIN {plain(user)}')[0], 235)
                message = self.sends(raw, name, f'plain-{name}')
                self.assertIn(f'(Authenticated sender: {user})', message.header.decode())
                raw = self.knock('login')
                raw.greet()
                self.assertEqual(raw.command('AUTH PLAIN'), (334, ''))
                self.assertEqual(raw.command(plain(user))[0], 235)
                raw = self.knock('login')
                raw.greet()
                self.assertEqual(raw.command('AUTH LOGIN'), (334, encoded('Username:')))
                self.assertEqual(raw.command(encoded(user)), (334, encoded('Password:')))
                self.assertEqual(raw.command(encoded(PASSWORDS[user]))[0], 235)
                self.sends(raw, name, f'login-{name}')
                # A wrong password is the environment's matter, and no reason to ask another one.
                raw = self.knock('login')
                raw.greet()
                self.assertEqual(raw.command(f'AUTH PLAIN {plain(user, "wrong")}')[0], 535)
                self.assert_log(here, rf'{name}/smtpd\[\d+\]: warning: unknown\[127\.0\.0\.1\]: SASL PLAIN '
                                      rf'authentication failed: .*sasl_username={user}')
        raw = self.knock('login')
        raw.greet()
        self.assertEqual(raw.command('AUTH CRAM-MD5')[0], 535)
        self.assertEqual(raw.command('AUTH PLAIN ' + encoded('\0eve@other.example\0x'))[0], 454)
        self.assertEqual(raw.command('AUTH PLAIN !!!')[0], 535)
        self.assertEqual(raw.command('AUTH PLAIN')[0], 334)
        self.assertEqual(raw.command('*')[0], 501)
        self.assertEqual(raw.command('AUTH LOGIN ' + encoded('bob@b.example')), (334, encoded('Password:')))
        self.assertEqual(raw.command(encoded(PASSWORDS['bob@b.example']))[0], 235)
        for name in 'ab':
            for secret in PASSWORDS.values():
                self.assertNotIn(secret, self.system_[name].log_text())
                self.assertNotIn(encoded(secret), self.system_[name].log_text())

    def test_the_chosen_one_shows_its_certificate(self):
        for host, name in (('mx.a.example', 'a'), ('mx.b.example', 'b')):
            raw = self.knock('name')
            self.assertIn('STARTTLS', raw.greet())
            self.secured(raw, host)
            subject = dict(field[0] for field in raw.socket.getpeercert()['subject'])
            self.assertEqual(subject['commonName'], host)
            self.assertNotIn('STARTTLS', raw.command('EHLO client.example')[1])
            user = {'a': 'alice@a.example', 'b': 'bob@b.example'}[name]
            self.assertEqual(raw.command(f'AUTH PLAIN {plain(user)}')[0], 235)
            message = self.sends(raw, name, f'name-{name}')
            self.assertIn('(using TLSv1.3 with cipher', message.header.decode())
            self.assert_log(self.system_[name], rf'{name}/smtpd\[\d+\]: Anonymous TLS connection established from '
                                                r'unknown\[127\.0\.0\.1\]')
        # A name that nobody has, no name, and no TLS at all.
        for host in ('other.example', None):
            raw = self.knock('name')
            raw.greet()
            self.assertEqual(raw.command('STARTTLS')[0], 220)
            context = self.context()
            context.check_hostname = False
            with self.assertRaises((ssl.SSLError, OSError)):
                context.wrap_socket(raw.socket, server_hostname=host)
        raw = self.knock('name')
        raw.greet()
        self.assertEqual(raw.command('STARTTLS')[0], 220)
        raw.send(b'EHLO client.example\r\n')
        self.assertTrue(raw.closed_within(5))

    def test_carried_sessions(self):
        raw = self.knock('carried')
        self.assertNotIn('AUTH', raw.greet())
        self.assertEqual(raw.command(f'AUTH PLAIN {plain("bob@b.example")}')[0], 538)
        self.secured(raw, 'door.example')
        self.assertIn('AUTH PLAIN LOGIN', raw.command('EHLO client.example')[1])
        self.assertEqual(raw.command(f'AUTH PLAIN {plain("bob@b.example")}')[0], 235)
        message = self.sends(raw, 'b', 'carried')
        self.assertIn('(using TLSv1.3 with cipher', message.header.decode())
        self.assertIn('from client.example (unknown [127.0.0.1])', message.header.decode())
        big = client.message('big') + (b'x' * 998 + b'\r\n') * 4000
        self.assertEqual(raw.message('s@x.example', 'r@x.example', big)[0], 250)
        self.assertGreater(len(self.arrives('b', 'big').data), 4_000_000)
        self.assertEqual(raw.command('QUIT')[0], 221)
        self.assertTrue(raw.closed_within(5))
        # Without a login the first recipient decides, inside TLS too; others are asked for at the door.
        system = self.system_
        raw = self.secured(self.greeted('carried'), 'door.example')
        raw.command('EHLO client.example')
        self.assertEqual(raw.command('MAIL FROM:<s@x.example>')[0], 250)
        code, text = raw.command('RCPT TO:<r@b.example>')
        self.assertEqual(code, 554, text)   # b relays for logins only: its own rules
        self.assert_log(system['b'], r'b/smtpd\[\d+\]: NOQUEUE: reject: RCPT from unknown\[127\.0\.0\.1\]')

    def greeted(self, door):
        raw = self.knock(door)
        raw.greet()
        return raw


if __name__ == '__main__':
    scenario.main()
