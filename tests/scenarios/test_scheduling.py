#!/usr/bin/env python3
"""The scheduler at work: refill, preemption, rates, and what a bad setting gives."""
import os
import re
import socket
import time

import client
import ports
import scenario
from scenario import Delay


class Scheduling(scenario.Scenario):
    def send(self, a, identity, *recipients):
        with a.client() as connection:
            connection.greet()
            connection.envelope('s@client.example', *recipients)
            connection.send(client.message(identity).replace(b'\n', b'\r\n').replace(b'\r\r\n', b'\r\n') + b'\r\n.\r\n')
            code, text = connection.reply()
            self.assertEqual(code, 250, text)
            return text.rpartition(' ')[2]

    def test_more_recipients_than_fit_into_memory(self):
        """They are read in portions, each is delivered once, and the mail is logged as active once."""
        _, a, sink = self.relaying(qmgr_message_active_limit='20', qmgr_message_recipient_limit='20',
                                   qmgr_message_recipient_minimum='3', default_recipient_refill_limit='7',
                                   default_destination_recipient_limit='2')
        recipients = [f'r{number}@d{number % 7}.example' for number in range(150)]
        queue_id = self.send(a, 'many-1', *recipients)
        a.wait_empty()
        self.assertEqual(sorted(address for message in sink.messages for address in message.recipients),
                         sorted(recipients))
        self.assert_log(a, rf'{queue_id}: removed')
        self.assertEqual(a.log_text().count(f'{queue_id}: from=<s@client.example>, size='), 1)
        self.assertRegex(a.log_text(), rf'{queue_id}: from=<s@client.example>, size=\d+, nrcpt=150 \(queue active\)')

    def test_a_letter_passes_a_mailing(self):
        _, a, sink = self.relaying(default_destination_recipient_limit='2', default_destination_concurrency_limit='2',
                                   transport_maps='inline:{quick.example=smtp:[127.0.0.1]:%d}')
        a.config['transport_maps'] = a.config['transport_maps'] % sink.port
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        gate = []
        sink.script['rcpt'] = lambda *_: None if gate else '450 4.2.0 not yet'
        mailing = self.send(a, 'mailing', *(f'r{number}@slow.example' for number in range(100)))
        a.wait_log(rf'{mailing}: to=<r\d+@slow')
        gate.append('open')
        letter = self.send(a, 'letter', 'one@quick.example')
        self.assertTrue(sink.wait_for(lambda message: message.id == 'letter'))
        self.assert_log(a, rf'{letter}: removed')

    def test_a_rate_for_a_destination(self):
        _, a, sink = self.relaying(default_destination_recipient_limit='2', smtp_destination_rate_delay='10/s')
        self.send(a, 'rate-1', *(f'r{number}@dest.example' for number in range(40)))
        a.wait_empty()
        times = sorted(message.when for message in sink.messages)
        self.assertEqual(len(times), 20)
        self.assertGreater(times[-1] - times[0], 1.4)  # 19 intervals of 0.1 s, and the first may come late
        self.assertLess(times[-1] - times[0], 6)

    def test_a_delay_for_a_destination(self):
        _, a, sink = self.relaying(default_destination_recipient_limit='2', default_destination_rate_delay='1s')
        self.send(a, 'delay-1', *(f'r{number}@dest.example' for number in range(6)))
        a.wait_empty()
        times = sorted(message.when for message in sink.messages)
        self.assertEqual(len(times), 3)
        self.assertTrue(all(later - earlier > 0.9 for earlier, later in zip(times, times[1:])), times)

    def test_a_message_on_its_way_out_is_completed_once(self):
        """Its end takes longer than the time between two looks at what is read in portions."""
        _, a, sink = self.relaying(qmgr_message_active_limit='20', qmgr_message_recipient_limit='20',
                                   flush_service_name='hangs', fast_flush_domains='dest.example',
                                   smtpd_client_restrictions='check_client_access static:{REDIRECT one@dest.example}')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 not yet'
        with socket.socket(socket.AF_UNIX) as hanging:
            path = a.spool / 'public' / 'hangs'
            hanging.bind(str(path))
            os.chmod(path, 0o666)
            hanging.listen(5)
            queue_id = self.send(a, 'redirected', *(f'r{number}@dest.example' for number in range(50)))
            hanging.settimeout(10)
            asked, _ = hanging.accept()
            with asked:
                hanging.settimeout(2.5)
                with self.assertRaises(TimeoutError, msg='the same message ends a second time'):
                    hanging.accept()
        sink.script.clear()
        self.assert_log(a, rf'{queue_id}: removed')
        a.wait_empty()
        self.assertEqual(sink.count_by_id(), {'redirected': 1})
        self.assertEqual(a.log_text().count(f'{queue_id}: removed'), 1)

    def test_a_second_queue_manager(self):
        """With workers of its own for another port, as a watchdog has them, beside the first on the same spool."""
        _, a, sink = self.relaying(minimal_backoff_time='3s', maximal_backoff_time='3s')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 not yet'
        other, port = self.sink(), ports.free_port()
        a.extra_services = (
            f'127.0.0.1:{port} inet n - y - - smtpd -o cleanup_service_name=second_cleanup\n'
            'second_cleanup unix n - y - 0 cleanup -o queue_service_name=second_qmgr -o syslog_name=second\n'
            'second_qmgr unix n - y 300 1 qmgr -o rewrite_service_name=second_rewrite'
            ' -o syslog_name=second\n'
            f'second_rewrite unix - - y - - trivial-rewrite -o relayhost=[127.0.0.1]:{other.port}\n')
        self.send(a, 'before', 'r@dest.example')   # put off: it is not the business of the second
        a.wait_spool('deferred=1,active=0')
        sink.script.clear()
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        loads = [client.Load(a.port, clients=2, total=100, prefix='first'), client.Load(port, clients=2, total=100, prefix='second')]
        for load in loads:
            load.start()
        for load in loads:
            load.join()
        self.assertEqual([len(load.acknowledged) for load in loads], [100, 100])
        a.wait_empty()
        # The first looks through the queues now and then, and takes what it finds there.
        arrived = [message.id for message in sink.messages + other.messages]
        self.assertEqual(sorted(arrived), sorted(['before', *loads[0].acknowledged, *loads[1].acknowledged]))
        self.assertLessEqual(set(other.count_by_id()), set(loads[1].acknowledged), 'not the business of the second')
        self.assertTrue(re.search(r'second/qmgr\[\d+\]: \w+: from=.*queue active', a.log_text()))

    def test_mail_that_comes_faster_than_it_leaves(self):
        """A message is a little late while others wait for room in the active queue, and is not when none do."""
        _, a, sink = self.relaying(qmgr_message_active_limit='1', in_flow_delay='2s')

        def seconds(identity):
            begun = time.monotonic()
            self.send(a, identity, 'r@dest.example')
            return time.monotonic() - begun

        self.assertLess(seconds('wakes'), 1.5)
        a.wait_empty()
        sink.script['data'] = Delay(6)     # nothing leaves meanwhile
        self.assertLess(seconds('active'), 1.5)
        a.wait_spool('active=1')
        self.assertLess(seconds('waits'), 1.5)
        self.assertGreater(seconds('late-1'), 1.9)
        sink.script.clear()
        a.wait_empty()
        self.assertLess(seconds('in-time'), 1.5)
        a.wait_empty()
        self.assertLess(seconds('in-time-too'), 1.5)
        self.assertEqual(len(sink.wait(6)), 6)

    def test_settings_that_cannot_be_read(self):
        system, a, sink = self.relaying()
        for name, value, reason in (('slow_destination_rate_delay', '20/fortnight', 'bad delay or rate: "20/fortnight"'),
                                    ('default_transport_rate_delay', 'soon', 'bad delay or rate: "soon"'),
                                    ('slow_destination_concurrency_positive_feedback', '1/x', 'bad feedback value: "1/x"'),
                                    ('slow_delivery_slot_cost', 'much', 'bad numerical value "much"')):
            with self.subTest(name=name):
                a.config[name] = value
                a.write()
                answer = a.control('reload')
                self.assertNotEqual(answer.returncode, 0)
                self.assertRegex(answer.stderr, rf'main\.cf, line \d+: {name}: {reason}')
                del a.config[name]
                a.write()
                self.send(a, 'bad-' + name, 'r@dest.example')  # the running configuration goes on
                self.assertTrue(sink.wait_for(lambda message: message.id == 'bad-' + name))


if __name__ == '__main__':
    scenario.main()
