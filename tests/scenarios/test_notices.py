#!/usr/bin/env python3
"""Notices in their less common forms: own texts, threads, VERP, SMTPUTF8, reports that were asked for, cleared delays."""
import email
import email.policy
import re

import client
import environment
import scenario

SINK_UTF8 = ('PIPELINING', 'SIZE 104857600', '8BITMIME', 'ENHANCEDSTATUSCODES', 'SMTPUTF8')


def parse(message):
    return email.message_from_bytes(message.data, policy=email.policy.default)


class Notices(scenario.Scenario):
    def refusing(self, **settings):
        system, a, sink = self.relaying(**settings)
        sink.script['rcpt'] = lambda _, line: '550 5.1.1 no such user' if '@bad.example>' in line else None
        return system, a, sink

    def send(self, a, sender, *recipients, identity='n-1'):
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope(sender, *recipients)[0], 354)
            connection.send(client.message(identity) + b'.\r\n')
            code, text = connection.reply()
            self.assertEqual(code, 250, text)
            return text.rpartition(' ')[2]

    def notice(self, sink, to=None):
        message = sink.wait_for(lambda each: each.sender == '' and (to is None or each.recipients == [to]), 20 * environment.SLOWER)
        self.assertIsNotNone(message, 'no notice came')
        return message

    def test_own_texts(self):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        sink.script['rcpt'] = lambda _, line: '550 5.1.1 no such user' if '@bad.example>' in line else None
        texts = a.folder / 'bounce.cf'
        texts.write_text('failure_template = <<END\nCharset: utf-8\nFrom: Post <post@a.example>\nSubject: Zurück\n'
                         'Postmaster-Subject: Kopie\n\nHier ist $myhostname, nach $maximal_queue_lifetime_hours Stunden '
                         '($delay_warning_time_minutes).\nGrüße\nEND\n')
        a.config |= {'bounce_template_file': texts, 'maximal_queue_lifetime': '2d', 'delay_warning_time': '3h'}
        system.start()
        self.send(a, 's@client.example', 'x@bad.example')
        notice = parse(self.notice(sink))
        self.assertEqual(notice['From'], 'Post <post@a.example>')
        text = notice.get_payload()[0]
        self.assertEqual((text.get_content_charset(), text['Content-Transfer-Encoding']), ('utf-8', '8bit'))
        self.assertIn('Hier ist mx.a.example, nach 48 Stunden (180).\nGrüße\n', text.get_content().replace('\r\n', '\n'))
        self.assertIn('<x@bad.example>', text.get_content())

    def test_bad_texts_do_not_stop_notices(self):
        _, a, sink = self.refusing(bounce_template_file='/does/not/exist')
        self.send(a, 's@client.example', 'x@bad.example')
        self.assertEqual(parse(self.notice(sink))['Subject'], 'Undelivered Mail Returned to Sender')
        self.assert_log(a, r'warning: .*main\.cf, line \d+: .*/does/not/exist.* -- using the built-in texts')

    def test_threads(self):
        _, a, sink = self.refusing(enable_threaded_bounces='yes')
        self.send(a, 's@client.example', 'x@bad.example')
        notice = parse(self.notice(sink))
        original = notice.get_payload()[2].get_payload()[0]
        self.assertTrue(original['Message-ID'])
        self.assertEqual((notice['References'], notice['In-Reply-To']), (original['Message-ID'],) * 2)

    def test_verp(self):
        _, a, sink = self.refusing()
        answer = a.sendmail('-XV', '-f', 'list@client.example', 'x@bad.example', 'y@bad.example', 'z@good.example', 'w@good.example',
                            input='Subject: verp\n\nhello\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        for user in 'xy':
            notice = parse(self.notice(sink, f'list+{user}=bad.example@client.example'))
            status = notice.get_payload()[1].get_payload()
            self.assertEqual([part['Final-Recipient'] for part in status[1:]], [f'rfc822; {user}@bad.example'])
        a.wait_empty()
        delivered = {message.sender: message.recipients for message in sink.messages if message.sender}
        self.assertEqual(delivered, {f'list+{user}=good.example@client.example': [f'{user}@good.example'] for user in 'zw'})

    def test_verp_by_smtp(self):
        _, a, sink = self.refusing(smtpd_authorized_verp_clients='127.0.0.0/8', verp_delimiter_filter='#=')
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.command('MAIL FROM:<list@client.example> XVERP=+=')[0], 501)
            self.assertEqual(connection.command('MAIL FROM:<> XVERP')[0], 503)
            self.assertEqual(connection.command('MAIL FROM:<list@client.example> XVERP=#=')[0], 250)
            for user in 'zw':
                self.assertEqual(connection.command(f'RCPT TO:<{user}@good.example>')[0], 250)
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send(b'Subject: verp\r\n\r\nhello\r\n.\r\n')
            self.assertEqual(connection.reply()[0], 250)
        a.wait_empty()
        self.assertEqual({message.sender: message.recipients for message in sink.messages},
                         {f'list#{user}=good.example@client.example': [f'{user}@good.example'] for user in 'zw'})

    def test_xverp_is_for_few(self):
        _, a, _ = self.refusing(smtpd_authorized_verp_clients='192.0.2.0/24')
        with a.client() as connection:
            connection.greet()
            self.assertNotIn('XVERP', connection.command('EHLO client.example')[1])
            self.assertEqual(connection.command('MAIL FROM:<list@client.example> XVERP')[0], 555)

    def test_verp_bounces_can_be_disabled(self):
        _, a, sink = self.refusing(disable_verp_bounces='yes')
        a.sendmail('-XV', '-f', 'list@client.example', 'x@bad.example', 'y@bad.example', input='Subject: verp\n\nhello\n')
        notice = parse(self.notice(sink, 'list@client.example'))
        self.assertEqual(len(notice.get_payload()[1].get_payload()), 3)
        a.wait_empty()
        self.assertEqual(len(sink.messages), 1)

    def test_smtputf8(self):
        system, a = self.system('a'), None
        a, sink = system['a'], self.sink(extensions=SINK_UTF8)
        a.relay_to(sink.port)
        system.start()
        sink.script['rcpt'] = lambda _, line: '550 5.1.1 no such user' if 'bad.example>' in line else None
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.command('MAIL FROM:<jürgen@client.example> SMTPUTF8')[0], 250)
            self.assertEqual(connection.command('RCPT TO:<zoë@bad.example>')[0], 250)
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send('Subject: größer\r\n\r\ntext\r\n.\r\n'.encode())
            self.assertEqual(connection.reply()[0], 250)
        message = self.notice(sink)
        self.assertIn('SMTPUTF8', message.parameters)
        notice = parse(message)
        self.assertEqual(notice.get_param('report-type'), 'global-delivery-status')
        text, status, original = notice.get_payload()
        self.assertEqual(status.get_content_type(), 'message/global-delivery-status')
        self.assertEqual(original.get_content_type(), 'message/global')
        self.assertIn('Final-Recipient: utf-8; zoë@bad.example', message.data.decode())
        self.assertIn('<zoë@bad.example>', text.get_content())

    def test_report_of_what_would_happen(self):
        _, a, sink = self.refusing()
        answer = a.sendmail('-bv', '-f', 's@client.example', 'ok@good.example', 'x@bad.example')
        self.assertIn('Mail Delivery Status Report will be mailed to <s@client.example>', answer.stdout + answer.stderr)
        notice = parse(self.notice(sink, 's@client.example'))
        self.assertEqual(notice['Subject'], 'Mail Delivery Status Report')
        found = {part['Final-Recipient']: part['Action'] for part in notice.get_payload()[1].get_payload()[1:]}
        self.assertEqual(found, {'rfc822; ok@good.example': 'deliverable', 'rfc822; x@bad.example': 'undeliverable'})
        a.wait_empty()
        self.assertEqual(len(sink.messages), 1, 'a probe was delivered or returned')
        self.assertEqual(a.queue_files('bounce', 'defer', 'trace'), [])

    def test_report_of_a_delivery_comes_once(self):
        _, a, sink = self.refusing(minimal_backoff_time='1s', maximal_backoff_time='1s')
        sink.script['rcpt'] = lambda _, line: '450 4.2.1 busy' if 'late' in line and not self.released else None
        self.released = False
        a.sendmail('-v', '-f', 's@client.example', 'ok@good.example', 'late@good.example', input='Subject: x\n\nhello\n')
        notice = parse(self.notice(sink, 's@client.example'))
        found = {part['Final-Recipient']: part['Action'] for part in notice.get_payload()[1].get_payload()[1:]}
        self.assertEqual(found, {'rfc822; ok@good.example': 'relayed', 'rfc822; late@good.example': 'delayed'})
        self.released = True
        a.wait_empty()
        self.assertEqual(sum(message.sender == '' for message in sink.messages), 1)

    def test_a_cleared_delay(self):
        _, a, sink = self.refusing(confirm_delay_cleared='yes', delay_warning_time='1s')
        released = []
        sink.script['rcpt'] = lambda _, line: '450 4.2.1 busy' if 'late' in line and not released else None
        self.send(a, 's@client.example', 'late@good.example')
        self.assertEqual(parse(self.notice(sink))['Subject'], 'Delayed Mail (still being retried)')
        released.append(True)
        self.wait(lambda: sum(message.sender == '' for message in sink.messages) == 2, 20)
        last = parse([message for message in sink.messages if message.sender == ''][-1])
        self.assertEqual(last['Subject'], 'Successful Mail Delivery Report')
        a.wait_empty()

    def test_redirected_mail_goes_out_once(self):
        _, a, sink = self.refusing(smtpd_recipient_restrictions='check_recipient_access inline:{{x@good.example=REDIRECT else@good.example}}, permit')
        self.send(a, 's@client.example', 'w@good.example', 'x@good.example', 'y@good.example')
        a.wait_empty()
        self.assertEqual([message.recipients for message in sink.messages], [['else@good.example']])
        self.assertTrue(re.search(r'to=<else@good\.example>, orig_to=', a.log_text()))

    def test_the_postmaster_gets_transcripts(self):
        _, a, sink = self.refusing(notify_classes='protocol, policy', error_notice_recipient='errors@good.example',
                                   smtpd_recipient_restrictions='check_recipient_access inline:{no@good.example=REJECT}, permit')
        with a.client() as connection:
            connection.greet()
            connection.command('AUTH PLAIN AHNlY3JldABzZWNyZXQ=')
            connection.command('FROB nicate')
            connection.command('QUIT')
        report = sink.wait_for(lambda each: each.recipients == ['errors@good.example'], 10 * environment.SLOWER)
        self.assertIsNotNone(report, 'no transcript')
        self.assertEqual(report.sender, 'double-bounce@a.example')
        notice = parse(report)
        self.assertRegex(notice['Subject'], r'SMTP server: errors from .*\[127\.0\.0\.1\]')
        text = notice.get_content().replace('\r\n', '\n')
        self.assertRegex(text, r'(?s)Transcript of session follows\.\n\n Out: 220 .* In:  EHLO .* In:  FROB nicate\n Out: 50')
        self.assertNotIn('AHNlY3', text)
        before = len(sink.messages)
        with a.client() as connection:
            connection.greet()
            connection.command('MAIL FROM:<s@client.example>')
            self.assertEqual(connection.command('RCPT TO:<no@good.example>')[0], 554)
        self.wait(lambda: len(sink.messages) > before)
        self.assertIn('lost connection', parse(sink.messages[-1]).get_content())

    def test_sessions_that_go_well_are_nobodys_affair(self):
        _, a, sink = self.refusing(notify_classes='bounce, 2bounce, data, delay, policy, protocol, resource, software')
        self.send(a, 's@client.example', 'ok@good.example')
        a.wait_empty()
        self.assertEqual([message.recipients for message in sink.messages], [['ok@good.example']])


if __name__ == '__main__':
    scenario.main()
