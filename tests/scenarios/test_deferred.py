#!/usr/bin/env python3
"""Mail that cannot be delivered now: kept, tried again, flushed, and given up in the end."""
import time

import client
import environment
import scenario


class Deferred(scenario.Scenario):
    SLOW = {'queue_run_delay': '1s', 'minimal_backoff_time': '600s', 'maximal_backoff_time': '600s'}

    def send(self, a, identity, sender='s@client.example', recipient='r@dest.example'):
        with a.client() as connection:
            connection.greet()
            code, text = connection.message(sender, recipient, client.message(identity))
            self.assertEqual(code, 250, text)
            return text.rpartition(' ')[2]

    def test_tried_again_until_it_works(self):
        _, a, sink = self.relaying()
        sink.script['rcpt'] = ['450 4.2.0 later', '450 4.2.0 later']
        queue_id = self.send(a, 'again-1')
        self.assertTrue(sink.wait_for(lambda message: message.id == 'again-1', 20 * environment.SLOWER))
        self.assert_log(a, rf'{queue_id}: to=<r@dest\.example>, relay=\S+, delay=\S+, delays=\S+, dsn=4\.2\.0, '
                        r'status=deferred \(host 127\.0\.0\.1\[127\.0\.0\.1\] said: 450 4\.2\.0 later \(in reply to RCPT TO command\)\)$')
        self.assert_log(a, rf'{queue_id}: removed$')
        self.assertEqual(a.log_text().count('status=deferred'), 2)
        a.wait_empty()
        self.assertEqual([path for path in (a.spool / 'defer').rglob('*') if path.is_file()], [])

    def test_waits_in_deferred_with_reason_and_time(self):
        _, a, sink = self.relaying(**self.SLOW)
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        before = time.time()
        queue_id = self.send(a, 'wait-1')
        a.wait_spool('deferred=1,active=0,incoming=0')
        [path] = a.queue_files('deferred')
        self.assertEqual(path.name, queue_id)
        self.assertEqual(path.stat().st_mode & 0o777, 0o700)
        self.assertAlmostEqual(path.stat().st_mtime, before + 600, delta=30)
        [entry] = a.queue()
        self.assertEqual((entry['queue_name'], entry['queue_id'], entry['sender']), ('deferred', queue_id, 's@client.example'))
        self.assertEqual(entry['recipients'][0]['address'], 'r@dest.example')
        self.assertIn('450 4.2.0 later', entry['recipients'][0]['delay_reason'])

    def test_flush_does_not_wait(self):
        _, a, sink = self.relaying(**self.SLOW)
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        self.send(a, 'flush-1')
        a.wait_spool('deferred=1,active=0,incoming=0')
        sink.script.clear()
        answer = a.command('postqueue', '-f')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'flush-1'))
        a.wait_empty()

    def test_found_after_the_hash_settings_have_changed(self):
        system, a, sink = self.relaying(hash_queue_depth='2', **self.SLOW)
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        queue_id = self.send(a, 'hash-1')
        a.wait_spool('deferred=1,active=0,incoming=0')
        self.assertTrue((a.spool / 'deferred' / queue_id[0] / queue_id[1] / queue_id).is_file())
        system.stop()
        a.config |= {'hash_queue_depth': '1'}
        system.start()
        self.assertEqual(a.command('postqueue', '-f').returncode, 0)
        self.assert_log(a, 'hash_queue_depth has changed: 2 files put in place')
        a.wait_log(rf'(?s)put in place.*{queue_id}: to=.*status=deferred')
        a.wait_spool('deferred=1,active=0,incoming=0')
        for queue in ('deferred', 'defer'):
            self.assertTrue((a.spool / queue / queue_id[0] / queue_id).is_file(), f'not put in place in {queue}')
        self.assertIn('450 4.2.0 later', a.queue()[0]['recipients'][0]['delay_reason'])
        sink.script.clear()
        self.assertEqual(a.command('postqueue', '-f').returncode, 0)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'hash-1'))
        a.wait_empty()

    def test_waits_while_the_configuration_is_wrong(self):
        wrong = {'transport_maps': 'texthash:/nonexistent', 'smtpd_recipient_restrictions': 'permitt', 'virtual_alias_maps': 'nosuch:x'}
        for name, value in wrong.items():
            with self.subTest(name):
                system, a, sink = self.relaying(**{name: value})
                with a.client() as connection:
                    connection.greet()
                    code, text = connection.message('s@client.example', 'r@dest.example', client.message(f'{name}-1'))
                    self.assertEqual(code, 451, text)
                self.assert_log(a, 'nonexistent|permitt|nosuch')
                a.config.pop(name)
                a.write()
                self.assertEqual(a.control('reload').returncode, 0)
                self.send(a, f'{name}-2')
                self.assertTrue(sink.wait_for(lambda message: message.id == f'{name}-2'))
                system.stop()

    def test_flush_of_one_message(self):
        _, a, sink = self.relaying(**self.SLOW)
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        first, _ = self.send(a, 'one-1'), self.send(a, 'one-2')
        a.wait_spool('deferred=2,active=0,incoming=0')
        sink.script.clear()
        answer = a.command('postqueue', '-i', first)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'one-1'))
        a.wait_spool('deferred=1,active=0,incoming=0')
        self.assertEqual([message.id for message in sink.messages], ['one-1'])

    def test_only_the_failed_recipients_are_tried_again(self):
        _, a, sink = self.relaying()
        refusals = ['450 4.2.0 later'] * 2
        sink.script['rcpt'] = lambda _, line: refusals.pop() if 'slow@' in line and refusals else None
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope('s@client.example', 'fast@dest.example', 'slow@dest.example')[0], 354)
            connection.send(client.message('part-1') + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)
        self.assertTrue(sink.wait_for(lambda message: 'slow@dest.example' in message.recipients, 20 * environment.SLOWER))
        a.wait_empty()
        recipients = [recipient for message in sink.messages for recipient in message.recipients]
        self.assertEqual(sorted(recipients), ['fast@dest.example', 'slow@dest.example'])

    def test_each_way_to_fail_is_temporary(self):
        _, a, sink = self.relaying(smtp_connection_cache_on_demand='no', smtp_helo_timeout='2s', smtp_connect_timeout='2s', smtp_data_done_timeout='2s',
                                   smtp_mail_timeout='2s', smtp_rcpt_timeout='2s', smtp_data_init_timeout='2s',
                                   maximal_backoff_time='1s')
        ways = {
            'greeting-4xx': ('connect', '421 4.3.2 not now'),
            'closed-at-once': ('connect', scenario.Close()),
            'reset-in-mail': ('mail', scenario.Reset()),
            'mail-4xx': ('mail', '451 4.3.0 later'),
            'data-4xx': ('data', '451 4.3.0 later'),
            'silent-in-rcpt': ('rcpt', scenario.Delay(4)),
            'end-4xx': ('end', '452 4.3.1 full'),
            'closed-at-end': ('end', scenario.Close()),
        }
        for name, (phase, action) in ways.items():
            with self.subTest(name):
                sink.script[phase] = [action]
                queue_id = self.send(a, name)
                self.assert_log(a, rf'{queue_id}: to=<r@dest\.example>, .*dsn=4\.\d+\.\d+, status=deferred \(')
                self.assertTrue(sink.wait_for(lambda message: message.id == name, 30 * environment.SLOWER))
                a.wait_empty()
        self.assertEqual({count for count in sink.count_by_id().values()}, {1})
        self.assertNotIn('status=bounced', a.log_text())

    def test_relay_that_is_down(self):
        system = self.system('a')
        sink = self.sink()
        port = sink.port
        sink.stop()
        system['a'].relay_to(port)
        system.start()
        queue_id = self.send(system['a'], 'down-1')
        self.assert_log(system['a'], rf'{queue_id}: to=<r@dest\.example>, relay=none, .*dsn=4\.4\.1, status=deferred '
                        rf'\(connect to 127\.0\.0\.1\[127\.0\.0\.1\]:{port}: Connection refused\)$')
        again = self.sink(port=port)
        self.assertTrue(again.wait_for(lambda message: message.id == 'down-1', 30 * environment.SLOWER))

    def test_given_up_after_its_lifetime(self):
        _, a, sink = self.relaying(maximal_queue_lifetime='3s')
        sink.script['rcpt'] = lambda _, line: '450 4.2.0 later' if 'r@dest' in line else None
        queue_id = self.send(a, 'old-1')
        message = sink.wait_for(lambda message: message.sender == '', 30 * environment.SLOWER)
        self.assertIsNotNone(message, 'no notice')
        self.assertEqual(message.recipients, ['s@client.example'])
        self.assertIn(b'Status: 4.2.0', message.data)
        self.assertIn(b'Action: failed', message.data)
        self.assert_log(a, rf'qmgr\[\d+\]: {queue_id}: from=<s@client\.example>, status=expired, returned to sender$')
        a.wait_empty()

    def test_zero_lifetime_means_one_attempt(self):
        _, a, sink = self.relaying(maximal_queue_lifetime='0')
        sink.script['rcpt'] = lambda _, line: '450 4.2.0 later' if 'r@dest' in line else None
        self.send(a, 'once-1')
        self.assertTrue(sink.wait_for(lambda message: message.sender == '', 20 * environment.SLOWER))
        self.assertEqual(a.log_text().count('status=deferred'), 1)

    def test_survives_a_restart(self):
        system, a, sink = self.relaying(**self.SLOW)
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        for number in range(5):
            self.send(a, f'restart-{number}')
        a.wait_spool('deferred=5,active=0,incoming=0')
        self.assertEqual(system.stop(), [])
        sink.script.clear()
        system.start()
        a.command('postqueue', '-f')
        self.assertEqual(len(sink.wait(5, 20 * environment.SLOWER)), 5)
        a.wait_empty()
        self.assertEqual(set(sink.count_by_id().values()), {1})

    def test_a_hanging_destination_delays_nobody_else(self):
        system, a, sink = self.relaying()
        hanging = self.sink()
        hanging.script['connect'] = lambda *_: scenario.Delay(60)
        a.config['transport_maps'] = f'inline:{{hang.example=smtp:[127.0.0.1]:{hanging.port}}}'
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        for number in range(50):
            self.send(a, f'hang-{number}', recipient=f'r{number}@hang.example')
        self.assertTrue(self.wait(lambda: hanging.sessions))
        self.send(a, 'quick-1')
        self.assertTrue(sink.wait_for(lambda message: message.id == 'quick-1', 5 * environment.SLOWER))


if __name__ == '__main__':
    scenario.main()
