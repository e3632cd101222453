#!/usr/bin/env python3
"""The LMTP client: against the real dovecot, and against a server that answers as told."""
import socket
import threading
import unittest

import dovecot_lmtp
import scenario

SERVICE = 'lmtp      unix  -       -       {chroot}       -       -       lmtp\n'


class LmtpServer:
    """Speaks LMTP; `ends` has the replies to the text, one for each accepted recipient, or None: it hangs up."""

    def __init__(self, ends, *, refused=(), offer='PIPELINING', path=None):
        self.ends, self.refused, self.offer = ends, refused, offer
        self.heard, self.texts = [], []
        if path:
            self.listening = socket.socket(socket.AF_UNIX)
            self.listening.bind(str(path))
            path.chmod(0o666)
            self.listening.listen(20)
        else:
            self.listening = socket.create_server(('127.0.0.1', 0), backlog=20)
            self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(connection,), daemon=True).start()

    def session(self, connection):
        connection.settimeout(30)
        try:
            with connection:
                self.converse(connection)
        except OSError:
            pass

    def converse(self, connection):
        lines = connection.makefile('rb')
        connection.sendall(b'220 lmtp.example LMTP\r\n')
        accepted = []
        while line := lines.readline():
            self.heard.append(line.decode().rstrip())
            verb = line[:4].upper()
            if verb == b'LHLO':
                connection.sendall(f'250-lmtp.example\r\n250-{self.offer}\r\n250 8BITMIME\r\n'.encode())
            elif verb == b'RCPT':
                recipient = line.split(b'<')[1].split(b'>')[0].decode()
                if recipient in self.refused:
                    connection.sendall(b'550 5.1.1 no such user\r\n')
                else:
                    accepted.append(recipient)
                    connection.sendall(b'250 2.1.5 ok\r\n')
            elif verb == b'DATA':
                if not accepted:
                    connection.sendall(b'503 5.5.1 no recipients\r\n')
                    continue
                connection.sendall(b'354 go\r\n')
                text = b''
                while (line := lines.readline()) != b'.\r\n':
                    text += line
                self.texts.append(text)
                for recipient in accepted:
                    answer = self.ends.get(recipient, '250 2.0.0 kept')
                    if answer is None:
                        return
                    connection.sendall(answer.encode() + b'\r\n')
                accepted = []
            elif verb == b'QUIT':
                connection.sendall(b'221 bye\r\n')
                return
            else:
                if verb in (b'MAIL', b'RSET'):
                    accepted = []
                connection.sendall(b'250 2.0.0 ok\r\n')

    def stop(self):
        self.listening.close()


class Lmtp(scenario.Scenario):
    def environment(self, nexthop, **settings):
        system = self.system('a')
        a = system['a']
        a.extra_services = SERVICE.format(chroot=a.chroot)
        a.config |= {'default_transport': f'lmtp:{nexthop}', 'lmtp_host_lookup': 'native'} | settings
        return system, a

    def send(self, a, *recipients, text=b'Subject: x\r\n\r\nbody\r\n'):
        with a.client() as connection:
            connection.greet()
            connection.envelope('', *recipients)
            connection.send(text + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)

    def server(self, ends=None, **options):
        server = LmtpServer(ends or {}, **options)
        self.addCleanup(server.stop)
        return server

    @unittest.skipUnless(dovecot_lmtp.AVAILABLE, 'dovecot-lmtpd is not installed')
    def test_dovecot_over_a_socket(self):
        system, a = self.environment('unix:private/dovecot-lmtp')
        (a.spool / 'private').mkdir(exist_ok=True)
        server = dovecot_lmtp.Dovecot(a.user, a.spool / 'private' / 'dovecot-lmtp')
        self.addCleanup(server.stop)
        system.start()
        self.send(a, 'ann@d.example', 'nobody@d.example', 'full@d.example', 'bob@d.example',
                  text=b'Subject: x\r\n\r\n' + b'a line of text\r\n' * 100)
        relay = r'relay=mx\.a\.example\[private/dovecot-lmtp\], delay'
        for who in ('ann', 'bob'):
            self.assert_log(a, rf'to=<{who}@d\.example>, {relay}.*, dsn=2\.0\.0, status=sent '
                               rf'\(250 2\.0\.0 <{who}@d\.example> \S+ Saved\)')
            self.assertEqual(len(server.mailbox(who)), 1, server.log())
            self.assertIn(b'a line of text\n', server.mailbox(who)[0])
        self.assert_log(a, rf'to=<nobody@d\.example>, {relay}.*, dsn=5\.1\.1, status=bounced \(host .* said: 550 5\.1\.1 '
                           r'.*\(in reply to RCPT TO command\)\)')
        self.assert_log(a, rf'to=<full@d\.example>, {relay}.*, dsn=5\.2\.2, status=bounced \(host .* said: 552 5\.2\.2 '
                           r'.*\(in reply to end of DATA command\)\)')
        a.wait_empty()

    @unittest.skipUnless(dovecot_lmtp.AVAILABLE, 'dovecot-lmtpd is not installed')
    def test_dovecot_over_tcp(self):
        system, a = self.environment('')
        server = dovecot_lmtp.Dovecot(a.user, a.top / 'lmtp')
        self.addCleanup(server.stop)
        a.config['default_transport'] = f'lmtp:inet:localhost:{server.port}'
        system.start()
        for _ in range(3):
            self.send(a, 'ann@d.example')
            a.wait_empty()
        self.assertEqual(len(server.mailbox('ann')), 3, server.log())
        self.assert_log(a, rf'relay=localhost\[127\.0\.0\.1\]:{server.port}, conn_use=2, delay=')

    def test_a_socket_that_has_gone_is_noticed_at_once(self):
        """No connection outlives a delivery on demand; one that is always kept takes what comes."""
        for kept in (False, True):
            system, a = self.environment('unix:private/lmtp-test', maximal_queue_lifetime='1d', **(
                {'lmtp_connection_cache_destinations': 'private/lmtp-test unix:private/lmtp-test'} if kept else {}))
            (a.spool / 'private').mkdir(exist_ok=True)
            path = a.spool / 'private' / 'lmtp-test'
            server = self.server(path=path)
            system.start()
            self.send(a, 'first@d.example')
            a.wait_empty()
            path.unlink()
            self.send(a, 'second@d.example')
            if kept:
                self.assert_log(a, r'to=<second@d\.example>, .*conn_use=2, .*status=sent')
            else:
                self.assert_log(a, r'to=<second@d\.example>, .*status=deferred \(connect to .*lmtp-test.*: No such file')
            self.assertEqual(len(server.texts), 1 + kept)
            system.stop()

    def test_one_reply_for_each_recipient(self):
        server = self.server({'b@d.example': '452 4.2.2 full', 'c@d.example': '550 5.7.1 never'}, refused=['x@d.example'])
        system, a = self.environment(f'inet:[127.0.0.1]:{server.port}', lmtp_lhlo_name='me.example',
                                     maximal_queue_lifetime='1d')
        system.start()
        self.send(a, 'a@d.example', 'x@d.example', 'b@d.example', 'c@d.example', 'd@d.example')
        for who, answer in (('a', r'dsn=2\.0\.0, status=sent \(250 2\.0\.0 kept\)'),
                            ('b', r'dsn=4\.2\.2, status=deferred \(host .* said: 452 4\.2\.2 full \(in reply to end of DATA'),
                            ('c', r'dsn=5\.7\.1, status=bounced \(host .* said: 550 5\.7\.1 never \(in reply to end of DATA'),
                            ('d', r'dsn=2\.0\.0, status=sent'),
                            ('x', r'dsn=5\.1\.1, status=bounced \(host .* \(in reply to RCPT TO')):
            self.assert_log(a, rf'to=<{who}@d\.example>.*, {answer}')
        self.assertEqual(server.heard[0], 'LHLO me.example')
        self.assertFalse([line for line in server.heard if line.startswith(('EHLO', 'HELO'))])

    def test_a_server_that_leaves_between_two_replies(self):
        server = self.server({'b@d.example': None})
        system, a = self.environment(f'inet:[127.0.0.1]:{server.port}')
        system.start()
        self.send(a, 'a@d.example', 'b@d.example')
        self.assert_log(a, r'to=<a@d\.example>.*status=sent')
        self.assert_log(a, r'to=<b@d\.example>.*dsn=4\.4\.2, status=deferred \(lost connection with .* while sending end of data')
        self.assertNotRegex(a.log_text(), r'to=<b@d\.example>.*status=sent')

    def test_nobody_is_left(self):
        server = self.server(refused=['a@d.example'])
        system, a = self.environment(f'inet:[127.0.0.1]:{server.port}')
        system.start()
        self.send(a, 'a@d.example')
        self.assert_log(a, r'to=<a@d\.example>.*dsn=5\.1\.1, status=bounced')
        self.assertEqual(server.texts, [])
        self.send(a, 'b@d.example')
        self.assert_log(a, r'to=<b@d\.example>.*status=sent')

    def test_no_socket(self):
        system, a = self.environment('unix:private/nobody')
        system.start()
        self.send(a, 'a@d.example')
        self.assert_log(a, r'to=<a@d\.example>, relay=none, .*dsn=4\.4\.1, status=deferred '
                           r'\(connect to mx\.a\.example\[private/nobody\]: No such file or directory\)')


if __name__ == '__main__':
    scenario.main()
