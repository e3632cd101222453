#!/usr/bin/env python3
"""Where one message ends and the next command begins: only CR LF . CR LF, for everybody."""
import itertools

import client
import scenario
import smtp_raw

# Every odd way to write an end of data that some server somewhere takes for one.
FALSE_ENDS = {
    'LF . LF': b'\n.\n',
    'LF . CR LF': b'\n.\r\n',
    'CR LF . LF': b'\r\n.\n',
    'CR . CR': b'\r.\r',
    'CR LF . CR': b'\r\n.\r',
    'CR . CR LF': b'\r.\r\n',
    'CR . LF': b'\r.\n',
    'LF . CR': b'\n.\r',
    'CR CR LF . CR CR LF': b'\r\r\n.\r\r\n',
    'CR LF . CR CR LF': b'\r\n.\r\r\n',
    'CR LF NUL . CR LF': b'\r\n\0.\r\n',
    'CR LF . NUL CR LF': b'\r\n.\0\r\n',
    'CR LF . SPACE CR LF': b'\r\n. \r\n',
    'LF LF . CR LF': b'\n\n.\r\n',
}

SMUGGLED = (b'MAIL FROM:<admin@dest.example>\r\nRCPT TO:<victim@dest.example>\r\nDATA\r\n'
            b'X-Ledger-Id: smuggled\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n')


class Smuggling(scenario.Scenario):
    def begin(self, connection):
        connection.greet()
        self.assertEqual(connection.envelope('s@client.example', 'r@dest.example')[0], 354)

    def test_no_false_end_of_data_ends_it(self):
        _, a, sink = self.relaying()
        for number, (name, end) in enumerate(FALSE_ENDS.items()):
            with self.subTest(name), a.client() as connection:
                self.begin(connection)
                connection.send(f'X-Ledger-Id: outer-{number}\r\nSubject: x\r\n\r\nbefore'.encode() + end + SMUGGLED)
                try:
                    code, text = connection.reply()
                except smtp_raw.Closed:
                    continue
                # One reply for one end of data: 250 for the whole, or a refusal; nothing for what was inside.
                self.assertTrue(code == 250 or code >= 500, f'{code} {text}')
                try:
                    self.assertEqual(connection.command('NOOP')[0], 250)
                    self.assertEqual(connection.command('QUIT')[0], 221)
                except (smtp_raw.Closed, ConnectionError):
                    self.assertNotEqual(code, 250, 'accepted, and then closed')
        a.wait_empty()
        identities = [message.id for message in sink.messages]
        self.assertNotIn('smuggled', identities)
        for message in sink.messages:
            self.assertEqual(message.recipients, ['r@dest.example'])
            self.assertEqual(message.session.broken_commands, [])

    def test_nothing_that_we_send_can_be_read_otherwise(self):
        # What leaves us holds no bare CR and no bare LF: a lax next server sees the same end.
        _, a, sink = self.relaying()
        for end in FALSE_ENDS.values():
            with a.client() as connection:
                self.begin(connection)
                connection.send(b'Subject: x\r\n\r\nbefore' + end + b'after\r\n.\r\n')
                try:
                    connection.reply()
                except smtp_raw.Closed:
                    pass
        a.wait_empty()
        for message in sink.messages:
            self.assertNotIn(b'\n', message.data.replace(b'\r\n', b''))
            self.assertNotIn(b'\r', message.data.replace(b'\r\n', b''))

    def test_end_of_data_cut_at_every_byte(self):
        _, a, sink = self.relaying()
        text = client.message('cut', 300) + b'.\r\n'
        for cut in range(len(text) - 6, len(text)):
            with a.client() as connection:
                self.begin(connection)
                connection.send(text[:cut])
                self.assertFalse(connection.closed_within(0.05))
                connection.send(text[cut:])
                self.assertEqual(connection.reply()[0], 250)
        self.assertEqual(len(sink.wait(6)), 6)
        for message in sink.messages:
            self.assertEqual(message.body, text[:-3].partition(b'\r\n\r\n')[2])

    def test_commands_with_bare_line_ends(self):
        _, a, sink = self.relaying()
        for line in (b'MAIL FROM:<s@client.example>\n', b'RSET\rQUIT\r\n', b'NOOP\r\r\n', b'NOOP\0\r\n'):
            with self.subTest(line), a.client() as connection:
                connection.greet()
                connection.send(line)
                connection.send(b'NOOP\r\n')
                try:
                    replies = [connection.reply()[0]]
                    connection.socket.settimeout(1)
                    replies.append(connection.reply()[0])
                except (smtp_raw.Closed, TimeoutError):
                    pass
                self.assertNotIn(221, replies, 'a command hid behind a bare CR')
                self.assertLessEqual(len(replies), 2)

    def test_pipelined_data_and_content_in_one_packet(self):
        _, a, sink = self.relaying()
        with a.client() as connection:
            connection.greet()
            connection.send(b'MAIL FROM:<s@client.example>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\n')
            self.assertEqual([connection.reply()[0] for _ in range(3)], [250, 250, 354])
            connection.send(client.message('one') + b'.\r\nMAIL FROM:<s@client.example>\r\nRCPT TO:<q@dest.example>\r\nDATA\r\n')
            self.assertEqual([connection.reply()[0] for _ in range(4)], [250, 250, 250, 354])
            connection.send(client.message('two') + b'.\r\nQUIT\r\n')
            self.assertEqual([connection.reply()[0] for _ in range(2)], [250, 221])
        messages = {message.id: message for message in sink.wait(2)}
        self.assertEqual(messages['one'].recipients, ['r@dest.example'])
        self.assertEqual(messages['two'].recipients, ['q@dest.example'])

    def test_refused_recipients_then_content_that_looks_like_commands(self):
        # DATA is refused when no recipient was taken; what follows is commands again and is read as such.
        _, a, sink = self.relaying(
            mynetworks='127.0.0.2/32', smtpd_relay_restrictions='permit_mynetworks, reject_unauth_destination')
        with a.client() as connection:
            connection.greet()
            connection.send(b'MAIL FROM:<s@client.example>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\n')
            codes = [connection.reply()[0] for _ in range(3)]
            self.assertEqual((codes[0], codes[1]), (250, 554))
            self.assertIn(codes[2], (503, 554))
            self.assertEqual(connection.command('QUIT')[0], 221)
        self.assertEqual(sink.messages, [])

    def test_a_transaction_ends_in_one_place(self):
        # After RSET, EHLO, end of data (accepted or refused) no recipient and no sender is left.
        _, a, sink = self.relaying(message_size_limit='100000')

        def finished(connection, how):
            if how in ('RSET', 'EHLO client.example', 'HELO client.example'):
                connection.command('MAIL FROM:<s@client.example>')
                connection.command('RCPT TO:<r@dest.example>')
                self.assertEqual(connection.command(how)[0], 250)
            elif how == 'accepted':
                self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('done'))[0], 250)
            else:
                code, _ = connection.message('s@client.example', 'r@dest.example', client.message('refused', 200000))
                self.assertEqual(code, 552)

        for how, then in itertools.product(('RSET', 'EHLO client.example', 'HELO client.example', 'accepted', 'refused'),
                                           ('RCPT TO:<r@dest.example>', 'DATA')):
            with self.subTest(how=how, then=then), a.client() as connection:
                connection.greet()
                finished(connection, how)
                self.assertIn(connection.command(then)[0], (503, 554))
        a.wait_empty()
        self.assertNotIn('refused', sink.count_by_id())

    def test_limits_hold(self):
        _, a, _ = self.relaying(smtpd_hard_error_limit='5', smtpd_recipient_limit='10', smtpd_error_sleep_time='0')
        with a.client() as connection:
            connection.greet()
            connection.command('MAIL FROM:<s@client.example>')
            codes = [connection.command(f'RCPT TO:<r{n}@dest.example>')[0] for n in range(11)]
            self.assertEqual(codes, [250] * 10 + [452])
        with a.client() as connection:
            connection.greet()
            codes = []
            try:
                for _ in range(10):
                    codes.append(connection.command('NONSENSE')[0])
            except (smtp_raw.Closed, OSError):
                pass
            self.assertEqual(codes[-1], 421, codes)
            self.assertLessEqual(len(codes), 6)
        with a.client() as connection:
            connection.greet()
            # An endless line is cut or refused; either way it is one line and gets one reply.
            connection.send(b'NOOP ' + b'x' * 100000 + b'\r\n')
            self.assertIn(connection.reply()[0], (250, 421, 500, 501))
            self.assertIn(connection.command('RSET')[0], (250, 421))

    def test_silent_client_is_let_go(self):
        _, a, _ = self.relaying(smtpd_timeout='2s')
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.reply()[0], 421)
            self.assertTrue(connection.closed_within(2))
        self.assert_log(a, r'timeout after EHLO from \S+\[127\.0\.0\.1\]')


if __name__ == '__main__':
    scenario.main()
