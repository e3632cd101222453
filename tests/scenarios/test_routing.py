#!/usr/bin/env python3
"""The newsletter: mail of one sender for one provider goes its own way, slowly, and nothing else is slowed."""
import threading

import client
import environment
import processes
import scenario

READERS, READERS_OF_A_DELIVERY = 40, 2    # a limit of 1 would make each reader a destination of his own
DELIVERIES = READERS // READERS_OF_A_DELIVERY
SLOW = 'slow.example'


class Counting:
    """What a sink has seen: the most sessions at a time, and when each message came."""

    def __init__(self, sink):
        self.sink, self.most = sink, 0
        self.lock = threading.Lock()
        sink.script['mail'] = self.look

    def look(self, *_):
        with self.lock:
            self.most = max(self.most, self.sink.open_sessions)

    def spread(self):
        times = sorted(message.when for message in self.sink.messages)
        return times[-1] - times[0]


class Newsletter(scenario.Scenario):
    def send(self, a, identity, sender, *recipients):
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope(sender, *recipients)[0], 354)
            connection.send(client.message(identity) + b'.\r\n')
            code, text = connection.reply()
            self.assertEqual(code, 250, text)
            return text.rpartition(' ')[2]

    def arrives(self, sink, identity, timeout=10):
        message = sink.wait_for(lambda one: one.id == identity, timeout * environment.SLOWER)
        self.assertIsNotNone(message, f'{identity} did not arrive')
        return message

    def slow_service(self, a, helo):
        a.extra_services += f'news unix - - y - - smtp -o smtp_helo_name={helo} -o smtp_bind_address=127.0.0.5\n'
        a.config |= {'news_destination_rate_delay': '10/s', 'news_destination_concurrency_limit': '1',
                     'news_destination_recipient_limit': str(READERS_OF_A_DELIVERY)}

    def newsletter(self, where, counting, others):
        """Sends the newsletter, then other mail, which must be there while the newsletter still goes out."""
        readers = [f'reader-{number}@{SLOW}' for number in range(READERS)]
        issue = self.send(where, 'issue', 'news@example.org', *readers)
        self.wait(lambda: counting.sink.messages, message='the newsletter does not begin')
        for sink, a, identity, sender, recipient in others:
            self.send(a, identity, sender, recipient)
        for sink, _, identity, _, recipient in others:
            self.assertEqual(self.arrives(sink, identity).recipients, [recipient])
        self.assertLess(len(counting.sink.messages), DELIVERIES, 'the newsletter was over before the other mail')
        where.wait_empty()
        self.assert_log(where, rf'{issue}: removed')
        self.assertEqual(sorted(one for message in counting.sink.messages for one in message.recipients), sorted(readers))
        self.assertGreater(counting.spread(), (DELIVERIES - 1) * 0.1 * 0.85)
        self.assertEqual(counting.most, 1)
        for session in counting.sink.sessions:
            self.assertIn('EHLO news.example.org', session.commands)
            self.assertEqual(session.source, '127.0.0.5')

    def test_four_ways_in_one_environment(self):
        system, main, alternative = self.system('a'), self.sink(), self.sink()
        a = system['a']
        a.relay_to(main.port)
        a.config['sender_recipient_transport_maps'] = \
            f'inline:{{example.org>{SLOW}=news:[127.0.0.1]:{alternative.port}}}'
        self.slow_service(a, 'news.example.org')
        system.start()
        self.newsletter(a, Counting(alternative), [
            (main, a, 'any-any', 's@client.example', 'r@any.example'),
            (main, a, 'any-slow', 's@client.example', f'r@{SLOW}'),
            (main, a, 'org-any', 'news@example.org', 'r@any.example'),
        ])
        self.assertEqual({message.id for message in main.messages}, {'any-any', 'any-slow', 'org-any'})
        self.assertEqual({message.id for message in alternative.messages}, {'issue'})

    def test_two_environments_do_the_same(self):
        """The comparison: the newsletter has an environment of its own, and tables by recipient do."""
        system, main, alternative = self.system('a', 'b'), self.sink(), self.sink()
        a, b = system['a'], system['b']
        a.relay_to(main.port)
        b.relay_to(main.port)
        b.config['transport_maps'] = f'inline:{{{SLOW}=news:[127.0.0.1]:{alternative.port}}}'
        self.slow_service(b, 'news.example.org')
        system.start()
        self.newsletter(b, Counting(alternative), [
            (main, a, 'any-any', 's@client.example', 'r@any.example'),
            (main, a, 'any-slow', 's@client.example', f'r@{SLOW}'),
            (main, b, 'org-any', 'news@example.org', 'r@any.example'),
        ])
        self.assertEqual({message.id for message in alternative.messages}, {'issue'})

    def test_one_message_for_both_kinds_of_recipients(self):
        system, main, alternative = self.system('a'), self.sink(), self.sink()
        a = system['a']
        a.relay_to(main.port)
        pairs = a.top / 'pairs'
        pairs.write_text(f'example.org>{SLOW} news:[127.0.0.1]:{alternative.port}\n<>>* error:no notices\n')
        a.config |= {'sender_recipient_transport_maps': f'texthash:{pairs}', 'soft_bounce': 'no'}
        self.slow_service(a, 'news.example.org')
        system.start()
        self.send(a, 'mixed', 'news@example.org', 'r@any.example', f'r@{SLOW}')
        self.assertEqual(self.arrives(main, 'mixed').recipients, ['r@any.example'])
        self.assertEqual(self.arrives(alternative, 'mixed').recipients, [f'r@{SLOW}'])
        # qmgr remembers routes for a moment: the same recipient, another sender, another way.
        self.send(a, 'other', 's@client.example', f'r@{SLOW}')
        self.assertEqual(self.arrives(main, 'other').recipients, [f'r@{SLOW}'])

    def test_a_table_that_fails_makes_mail_wait(self):
        _, a, sink = self.relaying(sender_recipient_transport_maps='fail:down', transport_maps='inline:{any.example=discard:}')
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope('s@client.example', 'r@any.example')[0], 451)
        answer = a.sendmail('-f', 's@client.example', 'r@any.example', input=client.message('waits').decode())
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assert_log(a, r'to=<r@any\.example>, .*dsn=4\.3\.0, status=deferred \(address resolver failure\)')
        self.assertEqual(sink.messages, [])
        a.config |= {'sender_recipient_transport_maps': '', 'transport_maps': ''}
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        self.arrives(sink, 'waits')


class OwnOptions(scenario.Scenario):
    """What trivial-rewrite alone is told counts for all: nobody else answers in its place."""

    def test_a_next_hop_of_its_own(self):
        system, main, other = self.system('a'), self.sink(), self.sink()
        a = system['a']
        a.relay_to(main.port)
        a.config['rewrite_service_name'] = 'own_rewrite'
        a.extra_services = f'own_rewrite unix - - y - - trivial-rewrite -o relayhost=[127.0.0.1]:{other.port}\n'
        system.start()
        load = client.Load(a.port, clients=2, total=40, prefix='own')
        load.start()
        load.join()
        a.wait_empty()
        self.assertEqual(sorted(other.count_by_id()), sorted(load.acknowledged))
        self.assertEqual(main.messages, [])

    def test_without_tables_it_is_asked_once(self):
        """By each process; after a table has come, for each recipient again."""
        _, a, sink = self.relaying()
        self.deliver(a, 'plain')
        switches = self.switches(a)
        self.deliver(a, 'more')
        self.assertLess(self.switches(a) - switches, 10)
        a.config['transport_maps'] = 'inline:{elsewhere.example=discard:}'
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        self.deliver(a, 'table')
        switches = self.switches(a)
        self.deliver(a, 'asked')
        self.assertGreater(self.switches(a) - switches, 20)
        self.assertEqual(len(sink.messages), 4 * 20)

    def deliver(self, a, prefix):
        """20 messages, each for another recipient."""
        with a.client() as connection:
            connection.greet()
            for number in range(20):
                identity = f'{prefix}-{number}'
                self.assertEqual(connection.envelope('s@client.example', f'{identity}@dest.example')[0], 354)
                connection.send(client.message(identity) + b'.\r\n')
                self.assertEqual(connection.reply()[0], 250)
        a.wait_empty()

    def switches(self, a):
        return sum(int(processes.status_of(pid)['voluntary_ctxt_switches']) for pid in a.workers('trivial-rewrite'))


if __name__ == '__main__':
    scenario.main()
