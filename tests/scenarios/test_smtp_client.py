#!/usr/bin/env python3
"""The SMTP client against servers that lack or demand something."""
import email
import email.policy
import re

import scenario

ENGLISH = 'Some words of plain text, and grün.\r\n'.encode()
PARTS = (b'Subject: gr\xc3\xbcn\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="outer"\r\n'
         b'Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--outer\r\n'
         b'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n' + ENGLISH * 5 +
         b'\r\n--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n'
         b'Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
         + 'Привет'.encode('koi8-r') + b'\r\n--inner\r\nContent-Type: text/html\r\n\r\n<p>plain</p>\r\n--inner--\r\n'
         b'\r\n--outer\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
         b'Subject: inside\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n'
         b'Content-Transfer-Encoding: 8bit\r\n\r\n' + ENGLISH * 2 + b'\r\n--outer--\r\n')


def contents(data):
    """Type and decoded content of each leaf, as python's email package finds them."""
    message = email.message_from_bytes(data, policy=email.policy.SMTP)
    return [(part.get_content_type(), part.get_content()) for part in message.walk()
            if not part.is_multipart()]


class SmtpClient(scenario.Scenario):
    def relay(self, extensions, **settings):
        system, sink = self.system('a'), self.sink(extensions=extensions)
        system['a'].relay_to(sink.port)
        system['a'].config |= settings
        system.start()
        return system['a'], sink

    def send(self, a, text, parameters=' BODY=8BITMIME'):
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.command(f'MAIL FROM:<s@client.example>{parameters}')[0], 250)
            self.assertEqual(connection.command('RCPT TO:<r@dest.example>')[0], 250)
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send(text + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)

    def test_8bit_text_for_a_7bit_server(self):
        a, sink = self.relay(['PIPELINING'])
        self.send(a, PARTS)
        data = sink.wait(1)[0].data
        data.decode('ascii')
        self.assertEqual(contents(data), contents(PARTS))
        self.assertEqual(email.message_from_bytes(data, policy=email.policy.SMTP)['Subject'], 'grün')
        self.assertNotIn(b'8bit', data)
        self.assertNotIn('BODY=', sink.messages[0].parameters)

    def test_8bit_text_as_it_is(self):
        a, sink = self.relay(['PIPELINING'], disable_mime_output_conversion='yes')
        self.send(a, PARTS)
        self.assertIn(ENGLISH, sink.wait(1)[0].data)
        a, sink = self.relay(['8BITMIME'])
        self.send(a, PARTS)
        self.assertIn(ENGLISH, sink.wait(1)[0].data)
        self.assertIn('BODY=8BITMIME', sink.messages[0].parameters)

    def test_ehlo_keywords_to_overlook(self):
        a, sink = self.relay(['PIPELINING', 'SIZE 1000000'],
                             smtp_discard_ehlo_keyword_address_maps='inline:{{127.0.0.1 = size, pipelining}}')
        self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
        sink.wait(1)
        self.assertNotIn('SIZE=', sink.messages[0].parameters)

    def test_replies_are_filtered(self):
        a, sink = self.relay(['PIPELINING'], smtp_reply_filter='inline:{{550 5.1.1 busy = 450 4.1.1 busy}}')
        sink.script['rcpt'] = '550 5.1.1 busy'
        self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
        self.assert_log(a, r'dsn=4\.1\.1, status=deferred \(host .* said: 450 4\.1\.1 busy \(in reply to RCPT TO command\)\)')

    def test_the_postmaster_gets_transcripts(self):
        a, sink = self.relay(['PIPELINING'], notify_classes='protocol', error_notice_recipient='errors@dest.example',
                             minimal_backoff_time='1000s', maximal_backoff_time='1000s')
        sink.script['rcpt'] = lambda _, line: '503 5.5.1 out of order' if '<r@' in line else None
        self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
        report = sink.wait_for(lambda each: each.recipients == ['errors@dest.example'])
        self.assertIsNotNone(report, a.log_text())
        self.assertEqual(report.sender, 'double-bounce@a.example')
        notice = email.message_from_bytes(report.data, policy=email.policy.SMTP)
        self.assertEqual(notice['Subject'], 'Bulkhead SMTP client: errors from 127.0.0.1[127.0.0.1]')
        self.assertRegex(notice.get_content().replace('\r\n', '\n'),
                         r'(?s)\n In:  220 .*\n Out: MAIL FROM:<s@client\.example>.*\n In:  503 5\.5\.1 out of order\n')

    def test_a_notice_has_no_notice(self):
        a, sink = self.relay(['PIPELINING'], notify_classes='protocol', error_notice_recipient='r@dest.example')
        sink.script['rcpt'] = lambda _, line: '503 5.5.1 out of order' if '<r@' in line else None
        self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
        self.assert_log(a, r'from=<double-bounce@a\.example>')
        a.wait_empty()
        self.assertEqual(len([line for line in a.log_text().splitlines() if 'from=<double-bounce@' in line]), 1)

    def test_sessions_of_chosen_peers_are_shown(self):
        a, sink = self.relay(['PIPELINING'], debug_peer_list='!quiet.example, 10.0.0.1, 127.0.0.0/8', debug_peer_level='1',
                             smtpd_authorized_xclient_hosts='mail.example, 127.0.0.1')
        with a.client() as connection:
            self.assertIn('XCLIENT', str(connection.greet()))
        self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
        sink.wait(1)
        for pattern in (r'smtpd\[\d+\]: < unknown\[127\.0\.0\.1\]: MAIL FROM:<s@client\.example>',
                        r'smtpd\[\d+\]: > unknown\[127\.0\.0\.1\]: 250 2\.1\.5 Ok',
                        r'smtp\[\d+\]: > 127\.0\.0\.1\[127\.0\.0\.1\]: RCPT TO:<r@dest\.example>',
                        r'smtp\[\d+\]: < 127\.0\.0\.1\[127\.0\.0\.1\]: 354 '):
            self.assert_log(a, pattern)
        self.assertNotIn('connecting to', a.log_text())     # of level 2

    def test_the_server_is_told_who_the_client_was(self):
        for log in ('yes', 'no'):
            a, sink = self.relay(['PIPELINING', 'XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE'], commit_log=log,
                                 smtp_send_xforward_command='yes')
            sink.script['xforward'] = '250 2.0.0 Ok'
            self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
            sink.wait(1)
            told = [line for line in sink.sessions[0].commands if line.startswith('XFORWARD')]
            self.assertRegex(' '.join(told), r'^XFORWARD NAME=\S+ ADDR=127\.0\.0\.1 PORT=\d+ '
                                             r'XFORWARD PROTO=ESMTP HELO=\S+ IDENT=\w+ SOURCE=LOCAL$')
            self.assert_log(a, re.search(r'IDENT=(\w+)', told[1]).group(1) + ': to=<r@dest.example>')

    def test_pix(self):
        a, sink = self.relay(['PIPELINING'], smtp_pix_workaround_threshold_time='0', smtp_pix_workaround_delay_time='1')
        sink.script['connect'] = '220 ********************'
        self.send(a, b'Subject: x\r\n\r\nx\r\n', '')
        sink.wait(1)
        self.assert_log(a, r'enabling PIX workarounds: disable_esmtp delay_dotcrlf for 127\.0\.0\.1\[127\.0\.0\.1\]:\d+')
        self.assertFalse([line for line in sink.sessions[0].commands if 'EHLO' in str(line).upper()])


if __name__ == '__main__':
    scenario.main()
