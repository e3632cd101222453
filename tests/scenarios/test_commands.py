#!/usr/bin/env python3
"""The administrator's commands, on a running and on a stopped system."""
import environment
import processes
import scenario

KEPT = {'minimal_backoff_time': '600s', 'maximal_backoff_time': '600s'}


class Commands(scenario.Scenario):
    def holding(self, **settings):
        """A system whose sink takes nothing for now."""
        system, a, sink = self.relaying(**(KEPT | settings))
        sink.script['rcpt'] = lambda *_: '450 4.2.0 try later'
        return system, a, sink

    def deferred(self, a, count):
        for number in range(count):
            answer = a.sendmail('-f', f's{number}@client.example', f'r{number}@dest.example', input=f'Subject: {number}\n\ntext\n')
            self.assertEqual(answer.returncode, 0, answer.stderr)
        a.wait_spool(f'deferred={count},active=0,incoming=0,maildrop=0')
        return {entry['sender']: entry['queue_id'] for entry in a.queue()}

    def arrived(self, sink, subject):
        message = sink.wait_for(lambda message: f'\r\nSubject: {subject}\r\n'.encode() in message.header,
                                15 * environment.SLOWER)
        self.assertIsNotNone(message, f'"{subject}" did not arrive')
        return message

    # sendmail

    def test_sendmail_takes_recipients_from_the_header(self):
        _, a, sink = self.relaying()
        text = ('From: Me <me@a.example>\nTo: One <one@dest.example>, two@dest.example\nCc: three@dest.example\n'
                'Bcc: four@dest.example\nSubject: header-rcpt\n\nhello\n')
        answer = a.sendmail('-t', '-i', '-f', 'me@a.example', input=text)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.arrived(sink, 'header-rcpt')
        a.wait_empty()
        recipients = {recipient for message in sink.messages for recipient in message.recipients}
        self.assertEqual(recipients, {f'{name}@dest.example' for name in ('one', 'two', 'three', 'four')})
        for message in sink.messages:
            self.assertNotIn(b'four@', message.header)

    def test_sendmail_names_and_null_sender(self):
        _, a, sink = self.relaying()
        self.assertEqual(a.sendmail('-F', 'Full Name', '-f', 'me@a.example', 'r@dest.example',
                                    input='Subject: full-name\n\nx\n').returncode, 0)
        self.assertIn(b'\r\nFrom: Full Name <me@a.example>\r\n', self.arrived(sink, 'full-name').header)
        self.assertEqual(a.sendmail('-f', '', 'r@dest.example', input='Subject: null-sender\n\nx\n').returncode, 0)
        self.assertEqual(self.arrived(sink, 'null-sender').sender, '')

    def test_sendmail_and_the_dot(self):
        _, a, sink = self.relaying()
        text = 'Subject: {}\n\nbefore\n.\nafter\n'
        for option in ('-i', '-oi'):
            self.assertEqual(a.sendmail(option, 'r@dest.example', input=text.format('kept' + option)).returncode, 0)
            self.assertEqual(self.arrived(sink, 'kept' + option).body, b'before\r\n.\r\nafter\r\n')
        self.assertEqual(a.sendmail('r@dest.example', input=text.format('ended')).returncode, 0)
        self.assertEqual(self.arrived(sink, 'ended').body, b'before\r\n')

    def test_sendmail_without_last_line_end_and_with_crlf(self):
        _, a, sink = self.relaying()
        self.assertEqual(a.sendmail('r@dest.example', input='Subject: no-lf\n\nend').returncode, 0)
        self.assertEqual(self.arrived(sink, 'no-lf').body, b'end\r\n')
        self.assertEqual(a.sendmail('r@dest.example', input=b'Subject: crlf\r\n\r\none\r\ntwo\r\n', text=False).returncode, 0)
        self.assertEqual(self.arrived(sink, 'crlf').body, b'one\r\ntwo\r\n')

    def test_sendmail_exit_statuses(self):
        _, a, _ = self.relaying(message_size_limit='100000')
        self.assertEqual(a.sendmail(input='Subject: x\n\nx\n').returncode, 75)
        self.assertEqual(a.sendmail('-t', input='Subject: nobody\n\nx\n').returncode, 75)
        self.assertEqual(a.sendmail('-Z', 'r@dest.example', input='x\n').returncode, 75)
        self.assertNotEqual(a.sendmail('r@dest.example', input='Subject: big\n\n' + 'x' * 70 * 3000).returncode, 0)
        self.assertEqual(a.queue_files('maildrop'), [])
        nowhere = environment.run(environment.COMMANDS / 'sendmail', '-C', '/nonexistent', 'r@dest.example', input='x\n')
        self.assertIn(nowhere.returncode, range(64, 79))
        self.assertEqual(len(nowhere.stderr.splitlines()), 1, nowhere.stderr)

    def test_sendmail_by_an_ordinary_user(self):
        _, a, sink = self.relaying()
        answer = a.command_as('nobody', 'sendmail', '-f', 'u@a.example', 'r@dest.example', input='Subject: by-user\n\nx\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        message = self.arrived(sink, 'by-user')
        self.assertRegex(message.header.decode(), r'Received: by mx\.a\.example \([^)]*, from userid \d+\)')
        self.assert_log(a, r'pickup\[\d+\]: \w+: uid=\d+ from=<u@a\.example>$')

    def test_sendmail_while_the_system_is_stopped(self):
        system, a, sink = self.relaying()
        self.assertEqual(system.stop(), [])
        answer = a.sendmail('r@dest.example', input='Subject: offline\n\nx\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(len(a.queue_files('maildrop')), 1)
        system.start()
        self.arrived(sink, 'offline')
        a.wait_empty()

    def test_sendmail_bs_speaks_smtp(self):
        _, a, sink = self.relaying()
        dialogue = ('EHLO me.example\r\nMAIL FROM:<s@client.example>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\n'
                    'Subject: by-bs\r\n\r\nx\r\n.\r\nQUIT\r\n')
        answer = a.sendmail('-bs', input=dialogue.encode(), text=False)
        codes = [line[:3] for line in answer.stdout.decode().splitlines() if line[3:4] == ' ']
        self.assertEqual(codes, ['220', '250', '250', '250', '354', '250', '221'], answer.stdout)
        self.arrived(sink, 'by-bs')

    # mailq, postqueue

    def test_empty_queue(self):
        _, a, _ = self.relaying()
        for command, arguments in (('mailq', ()), ('postqueue', ('-p',)), ('sendmail', ('-bp',))):
            answer = a.command(command, *arguments)
            self.assertEqual((answer.returncode, answer.stdout), (0, 'Mail queue is empty\n'), (command, answer.stderr))
        answer = a.command('postqueue', '-j')
        self.assertEqual((answer.returncode, answer.stdout), (0, ''))

    def test_list_of_the_queue(self):
        _, a, _ = self.holding()
        ids = self.deferred(a, 2)
        first = ids['s0@client.example']
        self.assertEqual(a.command('postsuper', '-h', first).returncode, 0)
        table = a.command('mailq').stdout
        lines = table.splitlines()
        self.assertEqual(lines[0], '-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------')
        self.assertRegex(table, rf'(?m)^{first}! +\d+ \w{{3}} \w{{3}} [ \d]\d \d\d:\d\d:\d\d  s0@client\.example$')
        self.assertRegex(table, r'(?m)^ *\(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 450 4\.2\.0 try later \(in reply to RCPT TO command\)\)$')
        self.assertRegex(table, r'(?m)^ {41}r0@dest\.example$')
        self.assertRegex(lines[-1], r'^-- \d+ Kbytes in 2 Requests\.$')
        self.assertEqual({entry['queue_name'] for entry in a.queue()}, {'hold', 'deferred'})
        for entry in a.queue():
            self.assertEqual(list(entry), ['queue_name', 'queue_id', 'arrival_time', 'message_size', 'forced_expire',
                                           'sender', 'recipients'])

    def test_list_while_stopped(self):
        system, a, _ = self.holding()
        self.deferred(a, 1)
        running = a.command('postqueue', '-p').stdout
        self.assertEqual(system.stop(), [])
        answer = a.command('postqueue', '-p')
        self.assertEqual((answer.returncode, answer.stdout), (0, running))
        self.assertIn('Mail system is down', answer.stderr)
        self.assertEqual(a.command_as('nobody', 'postqueue', '-p').returncode, 69)

    def test_flush_by_sendmail_q(self):
        _, a, sink = self.holding()
        self.deferred(a, 1)
        sink.script.clear()
        self.assertEqual(a.sendmail('-q').returncode, 0)
        self.arrived(sink, '0')
        a.wait_empty()

    def test_wrong_usage(self):
        _, a, _ = self.relaying()
        for command, arguments in (('postqueue', ()), ('postqueue', ('-Z',)), ('postqueue', ('-p', '-f'))):
            self.assertIn(a.command(command, *arguments).returncode, (64, 69), (command, arguments))
        for command, arguments in (('postsuper', ('-Z',)), ('postcat', ('-q', 'NOSUCH1')), ('bulkhead', ('frobnicate',))):
            self.assertNotEqual(a.command(command, *arguments).returncode, 0, (command, arguments))

    def test_flush_of_a_site(self):
        _, a, sink = self.holding(fast_flush_domains='dest.example')
        self.deferred(a, 1)
        sink.script.clear()
        answer = a.command('postqueue', '-s', 'other.example')
        self.assertEqual(answer.returncode, 69)
        self.assertIn('Flush service is not configured for destination "other.example"', answer.stderr)
        for wrong in ('bad domain', '[dest.example]', 'dest.example:25', ''):
            answer = a.command('postqueue', '-s', wrong)
            self.assertEqual(answer.returncode, 69, wrong)
            self.assertIn('invalid destination', answer.stderr)
        self.assertEqual(a.command('postqueue', '-s', 'DEST.example').returncode, 0)
        a.wait_empty()

    # postsuper

    def test_hold_and_release(self):
        _, a, sink = self.holding()
        ids = self.deferred(a, 2)
        first = ids['s0@client.example']
        answer = a.command('postsuper', '-h', first)
        self.assertEqual(answer.returncode, 0)
        self.assertIn(f'postsuper: {first}: placed on hold\n', answer.stderr)
        self.assertIn('postsuper: Placed on hold: 1 message\n', answer.stderr)
        sink.script.clear()
        a.command('postqueue', '-f')
        self.arrived(sink, '1')
        a.wait_spool('hold=1,deferred=0,active=0,incoming=0')
        answer = a.command('postsuper', '-H', first)
        self.assertIn('postsuper: Released from hold: 1 message\n', answer.stderr)
        a.command('postqueue', '-f')
        self.arrived(sink, '0')
        a.wait_empty()

    def test_delete(self):
        _, a, _ = self.holding()
        ids = self.deferred(a, 4)
        first = ids['s0@client.example']
        answer = a.command('postsuper', '-d', first)
        self.assertEqual((answer.returncode, 'postsuper: Deleted: 1 message\n' in answer.stderr), (0, True), answer.stderr)
        self.assertNotIn(first, [entry['queue_id'] for entry in a.queue()])
        self.assertEqual([path for path in (a.spool / 'defer').rglob(first)], [])
        answer = a.command('postsuper', '-d', '-', input=ids['s1@client.example'] + '\n')
        self.assertIn('postsuper: Deleted: 1 message\n', answer.stderr)
        answer = a.command('postsuper', '-d', 'NOSUCH1')
        self.assertEqual(answer.returncode, 0)
        answer = a.command('postsuper', '-d', 'ALL')
        self.assertIn('postsuper: Deleted: 2 messages\n', answer.stderr)
        a.wait_empty()
        self.assertEqual(a.queue_files(), [])

    def test_requeue(self):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= KEPT
        a.pickup_wakeup = 1
        system.start()
        sink.script['rcpt'] = lambda *_: '450 4.2.0 try later'
        old = self.deferred(a, 1)['s0@client.example']
        sink.script.clear()
        answer = a.command('postsuper', '-r', old)
        self.assertIn('postsuper: Requeued: 1 message\n', answer.stderr)
        message = self.arrived(sink, '0')
        self.assertEqual(message.sender, 's0@client.example')
        self.assert_log(a, rf'pickup\[\d+\]: \w+: uid=\d+ from=<s0@client\.example> orig_id={old}$')
        a.wait_empty()
        self.assertEqual(len(sink.messages), 1)

    def test_only_root_may_use_postsuper(self):
        _, a, _ = self.relaying()
        self.assertNotEqual(a.command_as('nobody', 'postsuper', '-d', 'ALL').returncode, 0)

    # postcat, postlog

    def test_postcat(self):
        _, a, _ = self.holding()
        queue_id = self.deferred(a, 1)['s0@client.example']
        text = a.command('postcat', '-q', queue_id).stdout
        self.assertRegex(text, rf'\A\*\*\* ENVELOPE RECORDS deferred/\w/{queue_id} \*\*\*\n')
        self.assertIn('\nsender: s0@client.example\n', text)
        self.assertIn('\nrecipient: r0@dest.example\n', text)
        self.assertIn(f'*** MESSAGE FILE END deferred/{queue_id[0]}/{queue_id} ***', text)
        self.assertEqual(a.command('postcat', '-q', '-b', queue_id).stdout, '\ntext\n')
        header = a.command('postcat', '-q', '-h', queue_id).stdout
        self.assertIn('\nSubject: 0\n', header)
        self.assertNotIn('***', header)

    def test_postlog(self):
        _, a, _ = self.relaying()
        self.assertEqual(a.command('postlog', '-t', 'mytag', '-p', 'warn', 'hello log').returncode, 0)
        self.assert_log(a, r'mytag\[\d+\]: warning: hello log$')

    # bulkhead

    def test_start_stop_status(self):
        system = self.system('a')
        a = system['a']
        system.write()
        self.assertEqual(a.control('status').returncode, 1)
        self.assertNotEqual(a.control('stop').returncode, 0)
        self.assertNotEqual(a.control('reload').returncode, 0)
        answer = a.control('start')
        self.addCleanup(a.control, 'stop')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(a.control('status').returncode, 0)
        pids = [int(word) for word in a.control('status', '--pids').stdout.split()]
        self.assertTrue(processes.alive(pids[0]))
        again = a.control('start')
        self.assertNotEqual(again.returncode, 0)
        self.assertRegex(again.stderr, 'already running')
        with a.client() as connection:
            self.assertEqual(connection.reply()[0], 220)
        self.assertEqual(a.control('check').returncode, 0)
        self.assertEqual(a.control('flush').returncode, 0)
        self.assertEqual(a.control('reload').returncode, 0)
        self.assertEqual(a.control('stop').returncode, 0)
        self.wait(lambda: not any(map(processes.alive, pids)))
        self.assertEqual(a.control('status').returncode, 1)

    def test_abort(self):
        system = self.system('a')
        a = system['a']
        system.write()
        self.assertEqual(a.control('start').returncode, 0)
        self.addCleanup(a.control, 'stop')
        pids = [int(word) for word in a.control('status', '--pids').stdout.split()]
        self.assertEqual(a.control('abort').returncode, 0)
        self.wait(lambda: not any(map(processes.alive, pids)))

    def test_start_after_a_crash(self):
        system, a, _ = self.relaying()
        self.assertTrue((a.spool / 'pid' / 'master.pid').exists())
        system.kill_everything()
        system.start()
        with a.client() as connection:
            self.assertEqual(connection.reply()[0], 220)
        self.deaths_expected = True

    def test_logrotate(self):
        _, a, _ = self.relaying()
        with a.client() as connection:
            connection.greet()
        self.assert_log(a, 'connect from')
        answer = a.control('logrotate')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        with a.client() as connection:
            connection.greet()
        self.assert_log(a, 'connect from')
        self.assertEqual(len([path for path in a.log.parent.iterdir() if path.name.startswith(a.log.name)]), 2)

    def test_spool_inspector(self):
        system, a, sink = self.holding()
        queue_id = self.deferred(a, 1)['s0@client.example']
        text = a.spool_report()
        self.assertEqual(text.returncode, 0, text.stderr)
        self.assertIn(queue_id, text.stdout)
        report = a.spool_report('--json')
        self.assertEqual(report.returncode, 0, report.stderr)
        self.assertIn(queue_id, report.stdout)
        self.assertEqual(a.spool_report('--wait', 'deferred=1,active=0', '--timeout', '5').returncode, 0)
        self.assertNotEqual(a.spool_report('--wait', 'deferred=7', '--timeout', '1').returncode, 0)
        self.assertEqual(a.spool_report('--wait', 'nonsense', '--timeout', '1').returncode, 64)


if __name__ == '__main__':
    scenario.main()
