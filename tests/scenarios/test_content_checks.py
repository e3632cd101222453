#!/usr/bin/env python3
"""header_checks and its relatives, with real mail: what is refused, kept, changed and logged."""
import smtplib

import scenario

MULTIPART = ('MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="b"')
NESTED = ('--b\r\nContent-Type: text/plain\r\nX-Part: yes\r\n\r\npart\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
          'Subject: inside\r\n\r\nattached\r\n--b--\r\n')


class ContentChecks(scenario.Scenario):
    def prepared(self, checks=None, **settings):
        """checks: parameter -> lines of a regexp table."""
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        for name, lines in (checks or {}).items():
            (a.folder / name).write_text('\n'.join(lines) + '\n')
            (a.folder / name).chmod(0o644)
            settings[name] = f'regexp:{a.folder / name}'
        a.config |= settings
        system.start()
        return a, sink

    def send(self, a, subject='hello', body='text\r\n', headers=()):
        lines = ['X-Ledger-Id: one', 'From: s@b.example', f'Subject: {subject}', *headers]
        with smtplib.SMTP('127.0.0.1', a.port, local_hostname='client.example', timeout=20) as connection:
            connection.ehlo()
            connection.mail('s@b.example')
            connection.rcpt('r@c.example')
            return connection.data(('\r\n'.join(lines) + '\r\n\r\n' + body).encode('latin-1'))

    def test_a_refused_header(self):
        a, sink = self.prepared({'header_checks': ['/^subject: bad/ REJECT header said no', '/^subject: later/ REJECT 4.2.1 wait']})
        self.assertEqual(self.send(a, 'bad one'), (550, b'5.7.1 header said no'))
        self.assertEqual(self.send(a, 'later\r\n on')[0], 450)
        self.assertEqual(self.send(a)[0], 250)
        self.assertTrue(sink.wait(1))
        self.assert_log(a, r': reject: header Subject: bad one from unknown\[127\.0\.0\.1\]; from=<s@b\.example> '
                           r'to=<r@c\.example> proto=ESMTP helo=<client\.example>: 5\.7\.1 header said no')
        self.assert_log(a, r'reject: header Subject: later on from')

    def test_changes(self):
        a, sink = self.prepared({
            'header_checks': ['/^X-Drop:/ IGNORE', '/^X-Old:/ REPLACE X-New: value', '/^Subject:/ PREPEND X-Before: yes',
                              '/^X-Strip:/ STRIP'],
            'body_checks': ['/^secret/ IGNORE', '/^old/ REPLACE new', '/^mark/ PREPEND front']})
        self.send(a, body='secret\r\nold\r\nmark\r\nend\r\n',
                  headers=('X-Drop: a\r\n b', 'X-Old: x', 'X-Strip: y'))
        self.assertTrue(sink.wait(1))
        message = sink.messages[0]
        self.assertIn(b'\r\nX-Before: yes\r\nSubject: hello\r\n', message.header)
        self.assertIn(b'\r\nX-New: value\r\n', message.header)
        for gone in (b'X-Drop', b'X-Old', b'X-Strip'):
            self.assertNotIn(gone, message.header)
        self.assertEqual(message.body, b'new\r\nfront\r\nmark\r\nend\r\n')
        self.assert_log(a, r': strip: header X-Strip: y from ')

    def test_parts_and_attached_messages_have_rules_of_their_own(self):
        a, sink = self.prepared({'mime_header_checks': ['/^X-Part:/ REPLACE X-Seen: part'],
                                 'nested_header_checks': ['/^Subject: (.*)/ REPLACE Subject: was $1']})
        self.send(a, headers=MULTIPART, body=NESTED)
        self.assertTrue(sink.wait(1))
        self.assertIn(b'\r\nSubject: hello\r\n', sink.messages[0].header)
        self.assertIn(b'\r\nX-Seen: part\r\n\r\npart\r\n', sink.messages[0].body)
        self.assertIn(b'\r\nSubject: was inside\r\n\r\nattached\r\n--b--\r\n', sink.messages[0].body)

    def test_body_checks_see_the_front_of_each_part(self):
        a, _ = self.prepared({'body_checks': ['/^bad/ REJECT body no']}, body_checks_size_limit='100')
        filler = 'x' * 60 + '\r\n'
        self.assertEqual(self.send(a, body='bad\r\n'), (550, b'5.7.1 body no'))
        self.assertEqual(self.send(a, body=filler * 3 + 'bad\r\n')[0], 250)
        second = '--b\r\n\r\n' + filler * 3 + '--b\r\n\r\nbad\r\n--b--\r\n'
        self.assertEqual(self.send(a, headers=MULTIPART, body=second)[0], 550)

    def test_hold_discard_redirect_and_copies(self):
        a, sink = self.prepared({'header_checks': [
            '/^Subject: hold/ HOLD look at it', '/^Subject: drop/ DISCARD', '/^Subject: else/ REDIRECT other@c.example',
            '/^Subject: copy/ BCC third@c.example']})
        self.assertEqual(self.send(a, 'drop')[0], 250)
        self.assertEqual(self.send(a, 'hold')[0], 250)
        self.assertEqual(len(a.queue_files('hold')), 1)
        self.send(a, 'else')
        self.assertTrue(sink.wait(1))
        self.assertEqual(sink.messages[0].recipients, ['other@c.example'])
        self.send(a, 'copy')
        recipients = lambda: sorted(r for m in sink.messages[1:] for r in m.recipients)  # noqa: E731
        self.wait(lambda: recipients() == ['r@c.example', 'third@c.example'])
        self.assert_log(a, r': hold: header Subject: hold from .*: look at it')

    def test_mail_that_is_nested_too_deep_is_refused(self):
        a, _ = self.prepared(mime_nesting_limit='3')

        def nested(depth):
            text = 'end\r\n'
            for i in reversed(range(depth)):
                text = f'--{i}x\r\nContent-Type: multipart/mixed; boundary={i + 1}x\r\n\r\n{text}'
            return self.send(a, headers=('Content-Type: multipart/mixed; boundary=0x',), body=text)
        self.assertEqual(nested(2)[0], 250)
        self.assertEqual(nested(5), (550, b'5.6.0 message nesting exceeds safety limit'))

    def test_8_bit_text_must_be_declared(self):
        a, _ = self.prepared(strict_8bitmime='yes')
        self.assertEqual(self.send(a, body='gr\xfcn\r\n')[0], 550)
        self.assertEqual(self.send(a, body='gr\xfcn\r\n', headers=('Content-Transfer-Encoding: 8bit',))[0], 250)
        self.assertEqual(self.send(a, subject='gr\xfcn')[0], 550)

    def test_masquerading(self):
        a, sink = self.prepared(masquerade_domains='b.example', masquerade_exceptions='root')
        with smtplib.SMTP('127.0.0.1', a.port, timeout=20) as connection:
            connection.sendmail('joe@host.b.example', ['r@h.b.example'], 'From: joe@host.b.example\r\n\r\nx\r\n')
            connection.sendmail('root@host.b.example', ['r@c.example'], 'Subject: x\r\n\r\nx\r\n')
        self.assertTrue(sink.wait(2))
        self.assertEqual({m.sender for m in sink.messages}, {'joe@b.example', 'root@host.b.example'})
        self.assertEqual([m.recipients for m in sink.messages if m.sender.startswith('joe')], [['r@h.b.example']])

    def test_changes_on_the_way_out(self):
        a, sink = self.prepared({'smtp_header_checks': ['/^X-Drop:/ IGNORE', '/^X-Old:/ REPLACE X-New: value',
                                                        '/^Subject: keep/ REJECT is no action here'],
                                 'smtp_nested_header_checks': ['/^Subject: inside/ STRIP'],
                                 'smtp_body_checks': ['/^part/ REPLACE other']})
        self.send(a, headers=('X-Drop: a\r\n b', 'X-Old: x', *MULTIPART), body=NESTED)
        self.send(a, subject='keep')
        self.assertTrue(sink.wait(2))
        message = next(m for m in sink.messages if b'Subject: hello' in m.header)
        self.assertNotIn(b'X-Drop', message.header)
        self.assertIn(b'\r\nX-New: value\r\n', message.header)
        self.assertIn(b'\r\n\r\nother\r\n--b\r\n', message.body)
        self.assertIn(b'message/rfc822\r\n\r\n\r\nattached\r\n--b--\r\n', message.body)
        self.assert_log(a, r'/smtp\[\d+\]: [0-9A-F]+: replace: header X-Old: x: X-New: value')

    def test_generic_addresses(self):
        a, sink = self.prepared(smtp_generic_maps='inline:{s@b.example=out@d.example, @c.example=@e.example}')
        self.send(a, headers=('To: "R" <r@c.example>, other@f.example',))
        self.assertTrue(sink.wait(1))
        message = sink.messages[0]
        self.assertEqual((message.sender, message.recipients), ('out@d.example', ['r@e.example']))
        self.assertIn(b'\r\nFrom: out@d.example\r\n', message.header)
        self.assertIn(b'\r\nTo: "R" <r@e.example>, other@f.example\r\n', message.header)
        self.assert_log(a, r'to=<r@c\.example>, .*status=sent')

    def test_a_broken_table_refuses_nothing_for_good(self):
        a, _ = self.prepared(header_checks='socketmap:inet:127.0.0.1:1:none')
        self.assertEqual(self.send(a)[0], 451)
        self.assert_log(a, r'header_checks map lookup problem -- message not accepted, try again later')


if __name__ == '__main__':
    scenario.main()
