#!/usr/bin/env python3
"""Mail filters that answer in every way, change everything, hang, lie and die."""
import smtplib

import milter
import scenario


class MilterTest(scenario.Scenario):
    def prepared(self, *filters, **settings):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= {'smtpd_milters': ', '.join(one.endpoint for one in filters)} | settings
        for one in filters:
            self.addCleanup(one.stop)
        system.start()
        return a, sink

    @staticmethod
    def told(one):
        """The sessions with mail: not that of who looked whether the server listens."""
        return [session for session in one.sessions if 'M' in session.order]

    def connect(self, a):
        connection = smtplib.SMTP('127.0.0.1', a.port, local_hostname='client.example', timeout=20)
        self.addCleanup(connection.close)
        return connection

    def send(self, a, connection=None, recipients=('r@c.example',), body='text\r\n'):
        connection = connection or self.connect(a)
        connection.ehlo_or_helo_if_needed()
        code, text = connection.mail('s@b.example')
        if code != 250:
            connection.rset()
            return code, text
        for recipient in recipients:
            code, text = connection.rcpt(recipient)
            if code != 250:
                connection.rset()
                return code, text
        try:
            return connection.data(f'X-Ledger-Id: one\r\nSubject: hello\r\nX-Two:  a\r\n\tb\r\n\r\n{body}'.encode())
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code, refused.smtp_error

    def test_what_a_filter_sees(self):
        one = milter.Milter()
        a, sink = self.prepared(one)
        self.assertEqual(self.send(a, body='one\r\n.two\r\n')[0], 250)
        self.assertTrue(sink.wait(1))
        session = self.told(one)[0]
        self.assertRegex(session.order.replace('D', ''), '^OCHMRTL{3,6}NBE')
        self.assertEqual(session.headers[0], ('X-Ledger-Id', 'one'))
        self.assertEqual(session.headers[2], ('X-Two', ' a\n\tb'))
        self.assertEqual(session.body, b'one\r\n.two\r\n')
        self.assertEqual((session.sender, session.recipients), ('<s@b.example>', ['<r@c.example>']))
        self.assertEqual(session.macros['C']['j'], 'mx.a.example')
        self.assertEqual(session.macros['M']['{mail_addr}'], 's@b.example')
        self.assertRegex(session.macros['E']['i'], '^[0-9A-F]+$')

    def test_changes_reach_the_mail(self):
        one = milter.Milter(edits=[
            milter.insert_header(1, 'X-Below', 'second'), milter.insert_header(0, 'X-Top', 'first'),
            milter.add_header('X-End', 'a\n\tb'), milter.change_header('Subject', 1, 'new'),
            milter.change_header('X-Two', 1, ''), b'b' + b'new body\r\n' * 2, b'b' + b'last\r\n',
            b'+' + milter.text('<added@c.example>'), b'-' + milter.text('<gone@c.example>'),
            b'e' + milter.text('<from@d.example>')])
        two = milter.Milter()
        a, sink = self.prepared(one, two)
        for big in ('text\r\n', 'x' * 70 + '\r\n' + 'y' * 70 + '\r\n' * 8000):
            del sink.messages[:]
            self.assertEqual(self.send(a, recipients=('r@c.example', 'gone@c.example'), body=big)[0], 250)
            got = lambda: sorted(r for m in sink.messages for r in m.recipients)  # noqa: E731
            self.wait(lambda: got() == ['added@c.example', 'r@c.example'])
            message = sink.messages[0]
            self.assertEqual(message.sender, 'from@d.example')
            self.assertTrue(message.header.startswith(b'X-Top: first\r\nReceived:'))
            lines = message.header.decode().split('\r\n')
            self.assertEqual(lines[lines.index('X-Below: second') + 1], 'X-Ledger-Id: one')
            self.assertIn('Subject: new', lines)
            self.assertIn(b'X-End: a\r\n\tb\r\n', message.header)
            self.assertNotIn(b'X-Two', message.header)
            self.assertEqual(message.body, b'new body\r\nnew body\r\nlast\r\n')
            self.assertIn(('X-End', 'a\n\tb'), self.told(two)[-1].headers)
            self.assertEqual(self.told(two)[-1].body, b'new body\r\nnew body\r\nlast\r\n')
        a.wait_empty()
        self.assertEqual(a.queue_files('corrupt'), [])

    def test_answers(self):
        answers = {}
        one = milter.Milter(answers)
        a, sink = self.prepared(one)
        for command, answer, reply in (
                ('M', b'r', (550, b'5.7.1 Command rejected')),
                ('R', b't', (451, b'4.7.1 Service unavailable - try again later')),
                ('R', b'y553 5.9.9 custom\0', (553, b'5.9.9 custom')),
                ('T', b'r', (550, b'5.7.1 Command rejected')),
                ('L', b'r', (550, b'5.7.1 Command rejected')),
                ('B', b't', (451, b'4.7.1 Service unavailable - try again later')),
                ('E', b'y552-5.9.1 one\r\n552 5.9.1 two\0', (552, b'5.9.1 one\n5.9.1 two')),
                ('E', b'd', None)):
            with self.subTest(command=command, answer=answer):
                answers.clear()
                answers[command] = answer
                got = self.send(a)
                self.assertEqual(got if reply else got[0], reply or 250)
        self.assert_log(a, r'NOQUEUE: milter-reject: MAIL from unknown\[127\.0\.0\.1\]: 550 5\.7\.1 Command rejected;')
        self.assert_log(a, r'[0-9A-F]+: milter-reject: END-OF-MESSAGE from unknown\[127\.0\.0\.1\]: 5\.9\.1 one two;')
        self.assertEqual(sink.messages, [])

    def test_bad_replies_never_reach_the_client(self):
        answers = {}
        one = milter.Milter(answers)
        a, _ = self.prepared(one, milter_command_timeout='2s', milter_content_timeout='2s')
        for command, answer in (
                ('M', b'y550 5.7.1 no end'), ('M', b'y250 2.0.0 fine\0'), ('M', b'y550-5.7.1 a\r\n250 2.0.0 b\0'),
                ('R', b'y550 5.7.1 a\x01b\0'), ('R', b'Z'), ('R', None), ('E', None), ('E', b'h' + b'no end'),
                ('E', [b'h' + milter.text('Bad Name', 'x'), b'c']), ('L', b'yok\0'), ('T', lambda *_: [])):
            with self.subTest(command=command, answer=answer):
                answers.clear()
                answers[command] = answer
                self.assertEqual(self.send(a), (451, b'4.7.1 Service unavailable - try again later'))

    def test_default_actions(self):
        for action, reply in (('accept', 250), ('tempfail', 451), ('reject', 550), ('quarantine', 250)):
            with self.subTest(action):
                a, _ = self.prepared(smtpd_milters=f'{{ inet:127.0.0.1:1, default_action={action} }}')
                try:
                    code = self.send(a)[0]
                except smtplib.SMTPConnectError as refused:
                    code = refused.smtp_code
                self.assertEqual(code, reply)
                self.assertEqual(len(a.queue_files('hold')), action == 'quarantine')
                self.assert_log(a, r'warning: connect to Milter service inet:127\.0\.0\.1:1: Connection refused')

    def test_messages_of_one_session_do_not_meet(self):
        answers = {'M': lambda session, _: b'a' if session.order.count('M') == 1 else b'c'}
        one = milter.Milter(answers, edits=[milter.add_header('X-Seen', 'yes')])
        a, sink = self.prepared(one)
        connection = self.connect(a)
        for count, seen in ((1, False), (2, True), (3, True)):
            self.assertEqual(self.send(a, connection)[0], 250)
            self.assertTrue(sink.wait(count))
            self.assertEqual(b'X-Seen: yes' in sink.messages[-1].header, seen)
        self.assertEqual(len(self.told(one)), 1)

    def test_local_mail(self):
        one = milter.Milter(edits=[milter.add_header('X-Local', 'yes')])
        a, sink = self.prepared(non_smtpd_milters=one.endpoint, smtpd_milters='')
        self.addCleanup(one.stop)
        a.sendmail('r@c.example', input='Subject: x\n\nbody\n')
        self.assertTrue(sink.wait(1))
        self.assertIn(b'\r\nX-Local: yes\r\n', sink.messages[0].header)
        self.assertEqual(one.sessions[0].order.replace('D', '')[:6], 'OCHMRT')


if __name__ == '__main__':
    scenario.main()
