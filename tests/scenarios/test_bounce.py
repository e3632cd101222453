#!/usr/bin/env python3
"""Notices about mail that could not be delivered: RFC 3464, and who gets none."""
import email
import email.policy

import client
import environment
import scenario


def parse(message):
    return email.message_from_bytes(message.data, policy=email.policy.default)


class Bounce(scenario.Scenario):
    def refusing(self, **settings):
        """An environment whose sink refuses every recipient in bad.example."""
        system, a, sink = self.relaying(**settings)
        sink.script['rcpt'] = lambda _, line: (
            '550 5.1.1 <x@bad.example>: no such user' if '@bad.example>' in line else None)
        return system, a, sink

    def send(self, a, sender, recipient, identity, **options):
        with a.client() as connection:
            connection.greet()
            code, text = connection.message(sender, recipient, client.message(identity, **options))
            self.assertEqual(code, 250, text)
            return text.rpartition(' ')[2]

    def notice(self, sink, timeout=20):
        message = sink.wait_for(lambda message: message.sender == '', timeout * environment.SLOWER)
        self.assertIsNotNone(message, 'no notice came')
        return message

    def test_notice_has_the_three_parts(self):
        _, a, sink = self.refusing()
        queue_id = self.send(a, 's@client.example', 'x@bad.example', 'bounce-1')
        message = self.notice(sink)
        self.assertEqual(message.recipients, ['s@client.example'])
        notice = parse(message)
        self.assertEqual(notice.get_content_type(), 'multipart/report')
        self.assertEqual(notice.get_param('report-type'), 'delivery-status')
        self.assertEqual(notice['Subject'], 'Undelivered Mail Returned to Sender')
        self.assertEqual(notice['Auto-Submitted'], 'auto-replied')
        self.assertIn('MAILER-DAEMON@', notice['From'])
        self.assertEqual(notice['To'], 's@client.example')
        for name in ('Date', 'Message-ID', 'MIME-Version'):
            self.assertTrue(notice[name], name)
        text, status, original = notice.get_payload()
        self.assertEqual(text.get_content_type(), 'text/plain')
        self.assertIn('<x@bad.example>', text.get_content())
        self.assertIn('no such user', ' '.join(text.get_content().split()))
        self.assertEqual(status.get_content_type(), 'message/delivery-status')
        per_message, per_recipient = status.get_payload()
        self.assertEqual(per_message['Reporting-MTA'], 'dns; mx.a.example')
        self.assertTrue(per_message['Arrival-Date'])
        self.assertTrue(any(value == queue_id for value in per_message.values()), per_message.items())
        self.assertEqual(per_recipient['Final-Recipient'], 'rfc822; x@bad.example')
        self.assertEqual(per_recipient['Original-Recipient'], 'rfc822;x@bad.example')
        self.assertEqual(per_recipient['Action'], 'failed')
        self.assertEqual(per_recipient['Status'], '5.1.1')
        self.assertEqual(per_recipient['Remote-MTA'], 'dns; 127.0.0.1')
        self.assertRegex(per_recipient['Diagnostic-Code'], r'^smtp; 550 5\.1\.1 <x@bad\.example>: no such user$')
        self.assertEqual(original.get_content_type(), 'message/rfc822')
        self.assertEqual(original.get_payload()[0]['X-Ledger-Id'], 'bounce-1')
        self.assert_log(a, rf'smtp\[\d+\]: {queue_id}: to=<x@bad\.example>, .*dsn=5\.1\.1, status=bounced \(host '
                        r'127\.0\.0\.1\[127\.0\.0\.1\] said: 550 5\.1\.1 .*\(in reply to RCPT TO command\)\)$')
        self.assert_log(a, rf'bounce\[\d+\]: {queue_id}: sender non-delivery notification: \w+$')
        self.assert_log(a, rf'qmgr\[\d+\]: {queue_id}: removed$')
        a.wait_empty()
        self.assertEqual([path for path in (a.spool / 'bounce').rglob('*') if path.is_file()], [])

    def test_one_notice_for_all_failed_recipients(self):
        _, a, sink = self.refusing()
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope('s@client.example', 'x@bad.example', 'y@bad.example', 'ok@dest.example')[0], 354)
            connection.send(client.message('several') + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)
        message = self.notice(sink)
        a.wait_empty()
        self.assertEqual(sum(1 for each in sink.messages if each.sender == ''), 1)
        self.assertEqual([each.recipients for each in sink.messages if each.id == 'several' and each.sender],
                         [['ok@dest.example']])
        recipients = [part['Final-Recipient'] for part in parse(message).get_payload()[1].get_payload()[1:]]
        self.assertEqual(sorted(recipients), ['rfc822; x@bad.example', 'rfc822; y@bad.example'])

    def test_large_original_is_cut(self):
        _, a, sink = self.refusing(bounce_size_limit='10000')
        self.send(a, 's@client.example', 'x@bad.example', 'large', size=200000)
        message = self.notice(sink)
        self.assertLess(len(message.data), 60000)
        self.assertEqual(parse(message).get_payload()[2].get_content_type(), 'text/rfc822-headers')

    def test_null_sender_never_bounces(self):
        _, a, sink = self.refusing(notify_classes='resource, software')
        queue_id = self.send(a, '', 'x@bad.example', 'null-1')
        self.assert_log(a, rf'{queue_id}: to=<x@bad\.example>, .*status=bounced')
        self.assert_log(a, rf'{queue_id}: removed$')
        a.wait_empty()
        self.assertEqual(sink.messages, [])

    def test_double_bounce_goes_to_the_postmaster(self):
        _, a, sink = self.refusing(notify_classes='2bounce', **{'2bounce_notice_recipient': 'postmaster@dest.example'})
        # The sender cannot be reached either: the notice itself fails.
        self.send(a, 'nobody@bad.example', 'x@bad.example', 'double-1')
        message = sink.wait_for(lambda message: message.recipients == ['postmaster@dest.example'], 20 * environment.SLOWER)
        self.assertIsNotNone(message, 'the postmaster got nothing')
        self.assertEqual(message.sender.partition('@')[0], 'double-bounce')
        self.assertEqual(parse(message).get_content_type(), 'multipart/report')
        a.wait_empty()
        self.assertEqual(len(sink.messages), 1)

    def test_failing_postmaster_ends_it(self):
        _, a, sink = self.refusing(notify_classes='2bounce', **{'2bounce_notice_recipient': 'postmaster@bad.example'})
        self.send(a, 'nobody@bad.example', 'x@bad.example', 'endless-1')
        a.wait_empty(20)
        self.assertEqual(sink.messages, [])
        self.assertLess(a.log_text().count('status=bounced'), 6)

    def test_non_ascii_and_odd_addresses_in_notices(self):
        _, a, sink = self.refusing()
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope('"odd sender"@client.example', '"x y"@bad.example')[0], 354)
            connection.send(client.message('odd-1') + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)
        message = self.notice(sink)
        self.assertEqual(message.recipients, ['"odd sender"@client.example'])
        status = parse(message).get_payload()[1].get_payload()[1]
        self.assertEqual(status['Final-Recipient'], 'rfc822; "x y"@bad.example')

    def test_refused_at_each_phase(self):
        _, a, sink = self.refusing()
        phases = {'mail': 'MAIL FROM command', 'data': 'DATA command', 'end': 'end of DATA command'}
        for phase, words in phases.items():
            with self.subTest(phase):
                before = sum(1 for message in sink.messages if message.sender == '')
                sink.script[phase] = ['554 5.6.0 not at this place']
                queue_id = self.send(a, 's@client.example', 'r@dest.example', f'phase-{phase}')
                self.assert_log(a, rf'{queue_id}: to=<r@dest\.example>, .*dsn=5\.6\.0, status=bounced \(.*in reply to {words}\)\)')
                self.wait(lambda: sum(1 for message in sink.messages if message.sender == '') > before)


if __name__ == '__main__':
    scenario.main()
