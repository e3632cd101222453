#!/usr/bin/env python3
"""Nothing that got its 250 is lost, whoever is killed whenever.

Clients with a ledger send while workers, and now and then the master with all of them,
get SIGKILL.  `--minutes N` or $BULKHEAD_KILL_SECONDS says how long, $BULKHEAD_SEED
which random choices.  With --minutes only the test with everything at once runs: full load, deferrals, bounces,
kills of workers and now and then of all processes.  The verdict counts each acknowledged message.  A duplicate needs a
kill between its delivery and the mark that it was delivered; a message that arrives
although its client was told 4xx needs a kill between its commit and the answer.
"""
import json
import os
import random
import re
import signal
import smtplib
import sys
import time

import client
import environment
import processes
import scenario

SECONDS = float(os.environ.get('BULKHEAD_KILL_SECONDS', '10'))
SEED = int(os.environ.get('BULKHEAD_SEED', time.time_ns() % 1000000))
# A delivery is in doubt from the sink's 250 until the mark in the queue file is on disk.
IN_DOUBT = 2.0


class Ledger(scenario.Scenario):
    """Kills, and the account of what came of each message."""
    deaths_expected = True

    def setUp(self):
        self.random = random.Random(SEED)
        self.kills = []                 # (when, program)
        self.system_, self.a, self.received = self.relaying(
            smtpd_client_connection_count_limit='0', maximal_queue_lifetime='1d', service_throttle_time='1s')

    def kill_one(self):
        workers = [(pid, name) for pid in self.a.workers() if (name := processes.name_of(pid)) != 'postlogd']
        if workers:
            pid, name = self.random.choice(workers)
            processes.kill([pid])
            self.kills.append((time.time(), name))

    def kill_all(self):
        self.kills.append((time.time(), 'everything'))
        self.system_.kill_everything()
        self.system_.start()

    def unexplained(self, identities):
        """Those messages without a kill near one of their deliveries."""
        arrivals = {}
        for message in self.received.messages:
            arrivals.setdefault(message.id, []).append(message.when)
        return [identity for identity in identities
                if not any(-IN_DOUBT <= kill - when <= IN_DOUBT for kill, _ in self.kills for when in arrivals[identity])]

    def moody(self, _, line):
        """Of those to whom the load writes, some are told to come later, and some are not there."""
        if 'dest.example' not in line or self.random.random() < 0.6:
            return None
        return self.random.choice(['450 4.2.0 later', '450 4.2.0 later', '550 5.1.1 nobody'])

    def judge(self, loads, returned=False):
        self.received.script.clear()
        self.a.command('postqueue', '-f')
        ledger = client.verdict(loads, self.received, 60 * environment.SLOWER)
        killed = {}
        for _, name in self.kills:
            killed[name] = killed.get(name, 0) + 1
        print(json.dumps({'seed': SEED, 'killed': killed, 'returned': self.a.log_text().count('status=bounced'),
                          'put off': self.a.log_text().count('status=deferred'), **{
            name: value if isinstance(value, int) else len(value) for name, value in ledger.items()}}))
        self.assertEqual(ledger['lost'], [], 'acknowledged messages were lost')
        self.assertEqual(ledger['strangers'], [], 'messages that nobody sent')
        if returned:    # what is put off, and notices, arrive long after the kill that doubled them
            self.assertLessEqual(len(ledger['duplicates']), 2 * len(self.kills))
            self.assertLessEqual(len(ledger['arrived though refused']), 2 * len(self.kills))
        else:
            self.assertEqual(self.unexplained(ledger['duplicates']), [], 'duplicates without a kill')
            self.assertEqual(self.unexplained(ledger['arrived though refused']), [], 'refused, delivered, and nobody was killed')
        self.assertGreater(ledger['acknowledged'], 50)
        self.a.wait_empty(30)
        # A new file without a name of its own is left alone for some seconds.
        self.wait(lambda: not self.a.queue_files(), 15, f'orphans in the spool: {self.a.queue_files()}')
        # Now and then one is written down when the message has been delivered on another way: what an agent asked for
        # before it died, or what came of a request of a queue manager that is dead.
        orphans = self.a.queue_files('bounce', 'defer', 'trace')
        limit = 1 + len(self.kills) // 200 if returned else 0
        self.assertLessEqual(len(orphans), limit, f'logs without a message: {orphans}')
        if not returned:
            self.assertNotIn('status=bounced', self.a.log_text())


class Kills(Ledger):
    def test_random_workers(self):
        load = client.Load(self.a.port, clients=6, seconds=SECONDS, pause=0.01, prefix='worker').start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.kill_one()
            time.sleep(0.2)
        load.join()
        self.assertIsNone(self.system_.master.poll(), 'the master died of its workers')
        self.judge([load])

    def test_deferrals_and_bounces(self):
        # What is returned arrives too: the notice has the id of the message.
        self.received.script['rcpt'] = self.moody
        load = client.Load(self.a.port, clients=6, seconds=SECONDS, pause=0.01, prefix='moody').start()
        end, next_of_all = time.monotonic() + SECONDS, time.monotonic() + min(20, SECONDS / 2)
        while time.monotonic() < end - 1:
            self.kill_one()
            time.sleep(0.2)
            if time.monotonic() > next_of_all:
                self.kill_all()
                next_of_all += 20
        load.join(SECONDS + 120)
        self.judge([load], returned=True)

    def test_everything_at_once(self):
        # Not faster than the next hop takes it, or the verdict would wait for a long queue.
        load = client.Load(self.a.port, clients=6, seconds=SECONDS, pause=0.02, prefix='all').start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end - 1:
            time.sleep(self.random.uniform(0.5, 2.0))
            self.kill_all()
        load.join()
        self.judge([load])


class Kill(Kills):
    def test_only_the_master(self):
        # Its workers notice and leave; the new master finds everything as it should be.
        load = client.Load(self.a.port, clients=4, seconds=SECONDS / 2, prefix='master').start()
        for _ in range(3):
            time.sleep(SECONDS / 10)
            self.kills.append((time.time(), 'master'))
            processes.kill([self.system_.master.pid])
            self.system_.master.wait(10)
            self.wait(lambda: not self.a.workers(), message='workers outlive their master')
            self.system_.start()
        load.join()
        self.judge([load])

    def test_an_agent_that_has_bounced_one_of_two(self):
        # The next agent is asked at once, and sees a mark, not what became of the recipient.
        self.received.script['rcpt'] = ['450 4.2.0 later']
        client.Load(self.a.port, clients=1, total=1).start().join()
        self.assertTrue(self.received.wait(1))      # the connection to this agent is kept
        defer = self.a.workers('bounce')
        processes.kill(defer, signal.SIGSTOP)
        self.addCleanup(processes.kill, defer, signal.SIGCONT)
        self.received.script['rcpt'] = ['550 5.1.1 nobody', '450 4.2.0 later']
        with smtplib.SMTP('127.0.0.1', self.a.port) as connection:
            connection.sendmail('sender@client.example', ['gone@dest.example', 'there@dest.example'], client.message('two'))
        log, = self.wait(lambda: self.a.queue_files('bounce'), message='nothing was bounced')
        time.sleep(0.5)                             # now it wants to tell what is put off
        processes.kill(self.a.workers('smtp'))
        processes.kill(defer, signal.SIGCONT)
        self.assertTrue(self.received.wait_for(lambda message: message.recipients == ['there@dest.example']))
        self.assertTrue(self.received.wait_for(lambda message: message.recipients == ['sender@client.example']),
                        'the sender is not told')
        self.wait(lambda: not log.exists(), message='a log without a message')

    def test_mail_that_was_never_announced(self):
        # Cleanup has died between its answer and its word to the queue manager.
        self.a.config['queue_run_delay'] = '300s'
        self.a.write()
        self.a.control('reload')
        self.received.script['rcpt'] = lambda *_: '450 4.2.0 hold it'
        client.Load(self.a.port, clients=1, total=1).start().join()
        self.a.wait_spool('deferred=1,active=0')
        self.a.command('postsuper', '-h', 'ALL')
        held, = self.a.queue_files('hold')
        self.received.script.clear()
        for _ in range(2):              # it comes once more when the deferred message would be due
            self.wait(lambda: not self.a.workers('qmgr'), 15, 'the queue manager stays without work')
            time.sleep(2)
        self.assertEqual(self.a.workers('qmgr'), [])
        os.utime(held)
        held.rename(self.a.spool / 'incoming' / held.name)
        processes.kill(self.a.workers('cleanup'))
        self.assertTrue(self.received.wait(1, 5), 'nobody looked into incoming')

    def test_the_log_writer(self):
        # No worker and not the master may wait for a logger.
        load = client.Load(self.a.port, clients=4, seconds=5, prefix='log').start()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            processes.kill(self.a.workers('postlogd'))
            self.kills.append((time.time(), 'postlogd'))
            time.sleep(0.1)
        load.join()
        self.assertGreater(len(load.acknowledged), 50)
        self.judge([load])

    def test_a_log_writer_that_hangs(self):
        stopped = self.wait(lambda: self.a.workers('postlogd'))
        processes.kill(stopped, signal.SIGSTOP)
        self.addCleanup(processes.kill, stopped, signal.SIGCONT)
        load = client.Load(self.a.port, clients=4, total=400, prefix='stop').start().join(60)
        self.assertEqual(len(load.acknowledged), 400, load.refused)
        self.judge([load])
        processes.kill(stopped, signal.SIGCONT)
        after = client.Load(self.a.port, clients=1, total=5, prefix='after').start().join()
        self.judge([load, after])
        self.wait(lambda: re.search(r'after-\d+', self.a.log_text()), 10, 'the log writer does not go on')


def main(name):
    """Runs the tests of the class that the program defines."""
    global SECONDS
    if sys.argv[1:2] == ['--minutes']:
        SECONDS = 60 * float(sys.argv[2])
        sys.argv[1:] = [name + '.test_deferrals_and_bounces']
    scenario.main()


if __name__ == '__main__':
    main('Kill')
