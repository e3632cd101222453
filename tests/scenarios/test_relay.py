#!/usr/bin/env python3
"""Mail from ordinary clients, through one environment, to a real SMTP server."""
import os
import smtplib

import client
import environment
import scenario


class Relay(scenario.Scenario):
    def send_raw(self, a, text, expected=250):
        with a.client(timeout=60) as connection:
            connection.greet()
            code, answer = connection.message('s@client.example', 'r@dest.example', text)
            self.assertEqual(code, expected, answer)
            return answer

    def arrived(self, sink, identity):
        message = sink.wait_for(lambda message: message.id == identity, 20 * environment.SLOWER)
        self.assertIsNotNone(message, f'{identity} did not arrive')
        return message

    def body(self, identity, body):
        return f'X-Ledger-Id: {identity}\r\nFrom: s@client.example\r\nSubject: x\r\n\r\n'.encode() + body

    def test_curl(self):
        _, a, sink = self.relaying()
        mail = client.message('curl-1', 500)
        answer = environment.run('curl', '-sS', f'smtp://127.0.0.1:{a.port}', '--mail-from', 's@client.example',
                                 '--mail-rcpt', 'r1@dest.example', '--mail-rcpt', 'r2@dest.example', '-T', '-',
                                 input=mail, text=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        message = self.arrived(sink, 'curl-1')
        self.assertEqual(message.sender, 's@client.example')
        self.assertEqual(sorted(message.recipients), ['r1@dest.example', 'r2@dest.example'])
        self.assertEqual(message.body, mail.partition(b'\r\n\r\n')[2])
        a.wait_empty()

    def test_swaks(self):
        _, a, sink = self.relaying()
        answer = environment.run('swaks', '--server', '127.0.0.1', '--port', a.port, '--from', 's@client.example',
                                 '--to', 'r@dest.example', '--header', 'X-Ledger-Id: swaks-1', '--body', 'line one\n.line two\n')
        self.assertEqual(answer.returncode, 0, answer.stdout)
        self.assertIn('queued as', answer.stdout)
        self.assertIn(b'.line two\r\n', self.arrived(sink, 'swaks-1').body)

    def test_smtplib(self):
        _, a, sink = self.relaying()
        with smtplib.SMTP('127.0.0.1', a.port, local_hostname='client.example') as connection:
            refused = connection.sendmail('s@client.example', ['r1@dest.example', 'r2@other.example'],
                                          client.message('smtplib-1'))
        self.assertEqual(refused, {})
        recipients = set()
        self.wait(lambda: recipients.update(*(m.recipients for m in sink.messages if m.id == 'smtplib-1')) or
                  recipients == {'r1@dest.example', 'r2@other.example'})

    def test_smtp_source(self):
        peers = scenario.required_environment('BULKHEAD_PEERS') + '/postfix'
        _, a, sink = self.relaying(smtpd_client_connection_count_limit='0')
        answer = environment.run(f'{peers}/usr/sbin/smtp-source', '-s', '10', '-m', '100', '-l', '4096', '-N',
                                 '-f', 's@client.example', '-t', 'r@dest.example', f'127.0.0.1:{a.port}', timeout=60,
                                 env=os.environ | {'LD_LIBRARY_PATH': f'{peers}/usr/lib/postfix'})
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(len(sink.wait(100, 30 * environment.SLOWER)), 100)
        a.wait_empty()

    def test_sendmail(self):
        _, a, sink = self.relaying()
        mail = b'X-Ledger-Id: sendmail-1\nSubject: x\n\nhello\n.dot\n'
        answer = a.command_as('nobody', 'sendmail', '-i', '-f', 'me@a.example', 'r@dest.example', input=mail, text=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        message = self.arrived(sink, 'sendmail-1')
        self.assertEqual(message.sender, 'me@a.example')
        self.assertEqual(message.body, b'hello\r\n.dot\r\n')
        header = b'\r\n' + message.header.lower()
        for name in (b'date: ', b'message-id: ', b'from: ', b'received: '):
            self.assertIn(b'\r\n' + name, header)

    def test_content_is_kept_byte_by_byte(self):
        _, a, sink = self.relaying()
        bodies = {
            'dots': b'.\r\n..\r\n.x\r\nx.\r\n...\r\n',
            'only-dot': b'.\r\n',
            'empty-lines': b'\r\n\r\n\r\nend\r\n\r\n',
            'latin': bytes(range(0x80, 0x100)) + b'\r\n',
            'utf8': 'Grüße aus Köln, 你好\r\n'.encode(),
            'blanks': b'  leading\r\ntrailing  \r\n\ttab\t\r\n',
            'from': b'From the start\r\n>From here\r\n',
            'line-998': b'x' * 998 + b'\r\n',
            'megabyte': (b'0123456789' * 7 + b'\r\n') * 14000,
        }
        for name, body in bodies.items():
            with self.subTest(name):
                self.send_raw(a, self.body(name, body))
                self.assertEqual(self.arrived(sink, name).body, body)

    def test_long_lines_are_folded_and_nothing_is_lost(self):
        # smtp_line_length_limit: longer lines get CR LF SPACE in them.
        _, a, sink = self.relaying()
        line = b''.join(b'%07d,' % n for n in range(2500))
        self.send_raw(a, self.body('long', line + b'\r\n'))
        body = self.arrived(sink, 'long').body
        self.assertEqual(body.replace(b'\r\n ', b''), line + b'\r\n')
        self.assertLessEqual(max(map(len, body.split(b'\r\n'))), 998)

    def test_nothing_is_added_to_a_complete_header_but_received(self):
        _, a, sink = self.relaying()
        mail = client.message('header-1')
        self.send_raw(a, mail)
        message = self.arrived(sink, 'header-1')
        received, rest = message.data[:message.data.index(b'X-Ledger-Id')], message.data[message.data.index(b'X-Ledger-Id'):]
        self.assertEqual(rest, mail)
        self.assertRegex(received.decode(), r'\AReceived: from client\.example \(\S+ \[127\.0\.0\.1\]\)\r\n'
                         r'\tby mx\.a\.example \([^)]+\) with ESMTP id \w+\r\n\tfor <r@dest\.example>; [^\r]+\r\n\Z')

    def test_too_large_is_refused(self):
        _, a, sink = self.relaying(message_size_limit='10240000')
        with a.client(timeout=60) as connection:
            self.assertEqual(connection.greet()['SIZE'], ['10240000'])
            self.assertEqual(connection.command('MAIL FROM:<s@client.example> SIZE=30000000')[0], 552)
            self.assertEqual(connection.command('MAIL FROM:<s@client.example> SIZE=1000')[0], 250)
            self.assertEqual(connection.command('RSET')[0], 250)
            # One that does not tell its size is read to the end and refused there.
            code, _ = connection.message('s@client.example', 'r@dest.example', self.body('big', b'x' * 70 + b'\r\n') +
                                         (b'y' * 70 + b'\r\n') * 420000)
            self.assertEqual(code, 552)
            # The session goes on.
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('small-1'))[0], 250)
        self.arrived(sink, 'small-1')
        self.assertNotIn('big', sink.count_by_id())
        a.wait_empty()
        self.assertEqual(a.queue_files(), [])

    def test_large_message_within_the_limit(self):
        _, a, sink = self.relaying(message_size_limit='40000000')
        body = (b'z' * 76 + b'\r\n') * 384615
        self.send_raw(a, self.body('large', body))
        self.assertEqual(self.arrived(sink, 'large').body, body)

    def test_one_connection_carries_a_burst(self):
        _, a, sink = self.relaying()
        load = client.Load(a.port, clients=4, total=200).start().join()
        self.assertEqual(len(load.acknowledged), 200, load.refused)
        ledger = client.verdict([load], sink, 30 * environment.SLOWER)
        self.assertEqual((ledger['lost'], ledger['duplicates']), ([], {}))
        a.wait_empty()
        self.assertLess(len(sink.sessions), 200, 'no connection was used twice')

    def test_relaying_for_strangers_is_refused(self):
        _, a, sink = self.relaying(
            mynetworks='127.0.0.2/32', smtpd_relay_restrictions='permit_mynetworks, reject_unauth_destination')
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
            code, text = connection.command('RCPT TO:<r@dest.example>')
            self.assertEqual(code, 554)
            self.assertIn('5.7.1 <r@dest.example>: Relay access denied', text)
        self.assert_log(a, r'NOQUEUE: reject: RCPT from \S+\[127\.0\.0\.1\]: 554 5\.7\.1 <r@dest\.example>: Relay access '
                        r'denied; from=<s@client\.example> to=<r@dest\.example> proto=ESMTP helo=<client\.example>$')
        self.assertEqual(sink.messages, [])

    def test_a_filter_without_next_hop(self):
        for setting, hop in (('', 'dest.example'), ('5.7.1 filtered', 'filtered')):
            _, a, _ = self.relaying(content_filter='error:', default_filter_nexthop=setting)
            with a.client() as connection:
                connection.greet()
                connection.message('', 'r@Dest.example', b'Subject: x\r\n\r\ntext\r\n')
            self.assert_log(a, rf'to=<r@Dest\.example>.* status=bounced \({hop}\)')

    def test_log_tells_the_whole_way(self):
        _, a, sink = self.relaying()
        answer = self.send_raw(a, client.message('log-1'))
        queue_id = answer.rpartition(' ')[2]
        self.arrived(sink, 'log-1')
        self.assert_log(a, rf'qmgr\[\d+\]: {queue_id}: removed$')
        stamp = r'^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ a/'
        for pattern in (rf'smtpd\[\d+\]: connect from \S+\[127\.0\.0\.1\]$',
                        rf'smtpd\[\d+\]: {queue_id}: client=\S+\[127\.0\.0\.1\]$',
                        rf'cleanup\[\d+\]: {queue_id}: message-id=<log-1@client\.example>$',
                        rf'qmgr\[\d+\]: {queue_id}: from=<s@client\.example>, size=\d+, nrcpt=1 \(queue active\)$',
                        rf'smtp\[\d+\]: {queue_id}: to=<r@dest\.example>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:{sink.port}, '
                        r'delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent '
                        r'\(250 2\.0\.0 Ok: queued as \w+\)$'):
            self.assert_log(a, stamp + pattern)

    def test_log_has_addresses_in_the_form_that_is_wanted(self):
        quoted, raw = r'"odd one"@', r'odd one@'
        _, a, _ = self.relaying(smtpd_recipient_restrictions='check_recipient_access inline:{no@b.example=REJECT}, permit')
        for form, sender, recipient in (('external', quoted, quoted), ('internal', raw, raw)):
            with self.subTest(form=form):
                a.config['info_log_address_format'] = form
                a.write()
                self.assertEqual(a.control('reload').returncode, 0)
                with a.client() as connection:
                    connection.greet()
                    connection.envelope('"odd one"@client.example', f'"odd one"@{form}.example')
                    connection.send(client.message(form).replace(b'\n', b'\r\n') + b'.\r\n')
                    self.assertEqual(connection.reply()[0], 250)
                self.assert_log(a, rf'from=<{sender}client\.example>, size=\d+, nrcpt=1')
                self.assert_log(a, rf'to=<{recipient}{form}\.example>, relay=')
                with a.client() as connection:
                    connection.greet()
                    connection.send(b'MAIL FROM:<"odd one"@client.example>\r\nRCPT TO:<no@b.example>\r\n')
                    self.assertEqual(connection.reply()[0], 250)
                    self.assertGreaterEqual(connection.reply()[0], 400)
                self.assert_log(a, rf'reject: .* from=<{sender}client\.example> to=<no@b')
        a.config['info_log_address_format'] = 'quoted'
        a.write()
        answer = a.control('reload')
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn('info_log_address_format = quoted: must be external or internal', answer.stderr)

    def test_delivery_into_a_maildir(self):
        system = self.system('a')
        system['a'].deliver_to_maildir()
        system.start()
        mail = client.message('maildir-1')
        self.send_raw(system['a'], mail)
        self.wait(lambda: system['a'].mailbox())
        text = system['a'].mailbox()[0]
        self.assertIn(b'X-Ledger-Id: maildir-1\n', text)
        self.assertTrue(text.startswith(b'Return-Path: <s@client.example>\nDelivered-To: r@dest.example\n') or
                        b'Delivered-To: r@dest.example\n' in text, text[:300])
        self.assertTrue(text.endswith(mail.partition(b'\r\n\r\n')[2].replace(b'\r\n', b'\n')))
        system['a'].wait_empty()


if __name__ == '__main__':
    scenario.main()
