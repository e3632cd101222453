#!/usr/bin/env python3
"""Address verification: probes go out, are never delivered, returned or kept, and their results stay."""
import client
import environment
import inner
import processes
import scenario

DELIVERABLE, DEFERRED, UNDELIVERABLE, PENDING = '0', '1', '2', '3'


class Verify(scenario.Scenario):
    def probing(self, **settings):
        system, a, sink = self.relaying(**settings)
        sink.script['rcpt'] = lambda _, line: (
            '550 5.1.1 no such user' if 'bad' in line else '450 4.2.1 busy' if 'busy' in line else None)
        return system, a, sink

    def ask(self, a, address):
        kind, answer = inner.ask(a.spool / 'private/verify', inner.VERIFY_QUERY, address=address)
        self.assertEqual(kind, inner.OK, answer)
        return answer

    def verdict(self, a, address, state):
        return self.wait(lambda: (answer := self.ask(a, address))['state'] == state and answer, 15,
                         f'{address} never was in state {state}')

    def assert_no_trace(self, a, sink):
        a.wait_empty()
        self.assertEqual(sink.messages, [], 'a probe was delivered, or somebody was told of it')
        self.assertEqual(a.queue_files('bounce', 'defer', 'trace'), [])

    def test_three_results(self):
        _, a, sink = self.probing()
        first = self.ask(a, 'good@dest.example')
        self.assertEqual((first['state'], first['text']), (PENDING, 'Address verification in progress'))
        self.verdict(a, 'good@dest.example', DELIVERABLE)
        bad = self.verdict(a, 'bad@dest.example', UNDELIVERABLE)
        self.assertEqual(bad['dsn'], '5.1.1')
        self.assertIn('said: 550 5.1.1 no such user', bad['text'])
        self.assertEqual(self.verdict(a, 'busy@dest.example', DEFERRED)['dsn'], '4.2.1')
        self.assert_log(a, r'to=<good@dest\.example>, .*dsn=2\.\d\.\d, status=deliverable \(')
        self.assert_log(a, r'to=<bad@dest\.example>, .*dsn=5\.1\.1, status=undeliverable \(')
        self.assert_log(a, r'to=<busy@dest\.example>, .*dsn=4\.2\.1, status=undeliverable \(')
        senders = {command for session in sink.sessions for command in session.commands if command.startswith('MAIL')}
        self.assertTrue(all('<double-bounce@a.example>' in command for command in senders), senders)
        self.assert_no_trace(a, sink)

    def test_an_answer_is_kept_over_a_restart_and_a_crash(self):
        system, a, sink = self.probing()
        self.ask(a, 'good@dest.example')
        self.verdict(a, 'good@dest.example', DELIVERABLE)
        a.wait_empty()
        processes.kill(a.workers('verify'))
        self.deaths_expected = True
        self.assertEqual(self.ask(a, 'GOOD@dest.example')['state'], PENDING, 'local parts differ in their case')
        self.assertEqual(self.ask(a, 'good@DEST.example')['state'], DELIVERABLE)
        system.kill_everything()
        system.start()
        probes = sum(len(session.commands) for session in sink.sessions)
        self.assertEqual(self.ask(a, 'good@dest.example')['state'], DELIVERABLE)
        a.wait_empty()
        self.assertEqual(sum('<good@' in command for session in sink.sessions for command in session.commands), 1, probes)
        self.assertTrue((a.data / 'verify_cache.lmdb').exists())

    def test_without_a_negative_cache_a_failure_is_told_once(self):
        _, a, sink = self.probing(address_verify_negative_cache='no', address_verify_map='')
        self.ask(a, 'bad@dest.example')
        self.verdict(a, 'bad@dest.example', UNDELIVERABLE)
        self.assertEqual(self.ask(a, 'bad@dest.example')['state'], PENDING)
        self.verdict(a, 'bad@dest.example', UNDELIVERABLE)
        self.assert_no_trace(a, sink)

    def test_old_results_are_probed_again(self):
        _, a, sink = self.probing(address_verify_positive_refresh_time='1s', address_verify_sender='<>')
        self.ask(a, 'good@dest.example')
        self.verdict(a, 'good@dest.example', DELIVERABLE)

        def probes():
            return sum('<good@' in command for session in sink.sessions for command in session.commands)
        self.wait(lambda: self.ask(a, 'good@dest.example')['state'] == DELIVERABLE and probes() > 1, 15)
        self.assertTrue(any(command.startswith('MAIL FROM:<>') for session in sink.sessions for command in session.commands))
        self.assert_no_trace(a, sink)

    def test_a_probe_may_go_on_until_data(self):
        _, a, sink = self.probing(smtp_address_verify_target='data', smtp_destination_concurrency_limit='1')
        sink.script['data'] = lambda session, _: '554 5.7.1 not wanted' if any('<spam@' in each for each in session.commands) else None
        self.ask(a, 'good@dest.example')
        self.assertEqual(self.verdict(a, 'good@dest.example', DELIVERABLE)['dsn'], '2.1.5')
        self.ask(a, 'spam@dest.example')
        self.assertIn('said: 554 5.7.1 not wanted (in reply to DATA command)',
                      self.verdict(a, 'spam@dest.example', UNDELIVERABLE)['text'])
        self.verdict(a, 'bad@dest.example', UNDELIVERABLE)
        self.assert_no_trace(a, sink)

    def test_an_alias_is_probed_under_its_own_name(self):
        _, a, sink = self.probing(virtual_alias_maps='inline:{{alias@dest.example=bad@other.example,good@other.example}}')
        self.ask(a, 'alias@dest.example')
        self.verdict(a, 'alias@dest.example', DELIVERABLE)
        self.assert_no_trace(a, sink)

    def test_probes_may_go_another_way(self):
        probes = self.sink()
        probes.script['rcpt'] = lambda _, line: '550 5.1.1 not here' if 'bad' in line else None
        system, a, sink = self.probing(address_verify_relayhost=f'[127.0.0.1]:{probes.port}',
                                       address_verify_transport_maps='inline:{{table.example=error:5.1.9 by the table}}')
        bad = [self.verdict(a, f'bad@{domain}.example', UNDELIVERABLE)['text'] for domain in ('dest', 'table')]
        self.assertRegex(bad[0], 'said: 550 5.1.1 not here')
        self.assertRegex(bad[1], 'by the table')
        self.assertEqual((len(probes.sessions), sink.sessions), (1, []))
        with a.client() as connection:      # other mail does not
            connection.greet()
            identity = client.new_id('way')
            self.assertEqual(connection.message('s@client.example', 'r@table.example', client.message(identity))[0], 250)
        self.assertTrue(sink.wait_for(lambda message: message.id == identity))
        self.assertEqual(probes.messages, [])

    def test_mail_to_the_sender_of_probes_ends_here(self):
        _, a, sink = self.probing(mydestination='$mydomain', local_transport='smtp:[127.0.0.1]:1', local_recipient_maps='')
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', 'double-bounce@a.example', client.message('end-1'))[0], 250)
        self.assert_log(a, r'to=<double-bounce@a\.example>, relay=none, .*status=sent \(undeliverable postmaster')
        self.assert_no_trace(a, sink)


if __name__ == '__main__':
    scenario.main()
