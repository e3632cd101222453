#!/usr/bin/env python3
"""Environments that come, change, fail and go below a running master, while others have clients and deliveries."""
import json
import os
import pwd
import signal
import socket
import subprocess
import threading
import time

import client
import environment
import postmulti
import processes
import scenario
import smtp_raw


class Held(scenario.Delay):
    """A reply that the test lets go."""

    def __init__(self):
        super().__init__(0.05)
        self.let_go = threading.Event()

    @property
    def then(self):
        return None if self.let_go.is_set() else self

    @then.setter
    def then(self, _):
        pass


class Bystander:
    """What goes on in environment a all the time: a session in the middle of DATA, a delivery under way."""

    def __init__(self, test, system, sink):
        self.test, self.here, self.sink, self.system = test, system['a'], sink, system
        self.master = system.master.pid
        self.held = Held()
        sink.script['end'] = lambda *_: self.held
        with self.here.client() as other:
            other.greet()
            other.message('s@client.example', 'r@dest.example', client.message('delivery-1'))
        test.wait(lambda: sink.sessions and 'DATA' in sink.sessions[0].commands, message='no delivery')
        self.session = self.here.client()
        test.addCleanup(self.session.close)
        self.session.greet()
        for line, code in (('MAIL FROM:<s@client.example>', 250), ('RCPT TO:<r@dest.example>', 250), ('DATA', 354)):
            test.assertEqual(self.session.command(line)[0], code)
        self.session.send(client.message('session-1'))
        self.workers = set(self.here.workers())
        self.before = self.settled_counters()
        test.assertEqual(self.before['sessions'], 1)

    def counters(self):
        answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', self.here.folder, 'status', '--json')
        [counters] = [each for each in json.loads(answer.stdout)['environments'] if each['name'] == '-']
        counters.pop('oldest_seconds')
        return counters

    def settled_counters(self):
        """Workers tell the master of sessions once a second."""
        seen = [(time.monotonic(), self.counters())]

        def settled():
            now = self.counters()
            if now != seen[-1][1]:
                seen.append((time.monotonic(), now))
            return time.monotonic() - seen[-1][0] > 1.5
        self.test.wait(settled, message='counters do not settle')
        return seen[-1][1]

    def untouched(self, what):
        with self.test.subTest(what):
            self.session.send(f'after {what}\r\n'.encode())
            self.test.assertEqual(self.counters(), self.before)
            self.test.assertEqual(set(self.here.workers()), self.workers)
            self.test.assertEqual(self.sink.open_sessions, 1)
            self.test.assertEqual(int((self.here.spool / 'pid/master.pid').read_text()), self.master)

    def finishes(self, steps):
        self.session.send(b'.\r\n')
        self.test.assertEqual(self.session.reply()[0], 250)
        self.held.let_go.set()
        self.test.assertTrue(self.sink.wait_for(lambda message: message.id == 'delivery-1'))
        found = self.sink.wait_for(lambda message: message.id == 'session-1')
        self.test.assertEqual(found.body.count(b'after '), steps)
        self.test.assertEqual(set(self.sink.count_by_id().values()), {1})


class LifeCycle(postmulti.Scenario):
    def test_nothing_done_to_one_touches_another(self):
        self.deaths_expected = True
        system, sink = self.primary()
        system['a'].config['max_idle'] = '100s'
        system.start()
        bystander = Bystander(self, system, sink)
        done = []

        def step(what):
            bystander.untouched(what)
            done.append(what)

        top, _ = self.create(system)
        config = top / 'config'
        step('create')
        port = self.with_listener(top)

        def edit(assignment):
            self.command(system, 'postconf', '-c', config, '-e', assignment)

        def control(verb, *arguments):
            return self.command(system, 'bulkhead', '-c', config, verb, *arguments)

        edit('master_service_disable=')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'enable')
        self.assertEqual(self.say_hello(port), 220)
        step('enable')
        edit('smtpd_banner=$myhostname changed')
        self.assertEqual(control('reload').returncode, 0)
        with smtp_raw.RawClient(port) as connection:
            self.assertIn('changed', connection.reply()[1])
        step('reload')
        edit('message_size_limit=much')
        refused = control('reload')
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, r'main\.cf, line \d+: message_size_limit')
        self.assertEqual(self.say_hello(port), 220)
        step('failed reload')
        edit('message_size_limit=10240000')
        for number in (signal.SIGSEGV, signal.SIGKILL):
            self.crash(system, port, number)
            step(f'crashes by {number.name}')
        for verb, listens in (('stop', False), ('start', True), ('drain', False), ('start', True), ('abort', False),
                              ('start', True)):
            answer = control(verb)
            self.assertEqual(answer.returncode, 0, f'{verb}: {answer.stderr}')
            self.assertEqual(can_connect(port), listens, verb)
            step(verb)
        self.assertEqual(control('start').returncode, 1)
        self.postmulti(system, '-i', 'postfix-x', '-e', 'disable')
        self.assertFalse(can_connect(port))
        step('disable')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'destroy')
        self.assertFalse((top / 'spool').exists())
        step('destroy')
        bystander.finishes(len(done))

    def crash(self, system, port, number):
        uid = str(pwd.getpwnam('bh-x').pw_uid)
        for _ in range(6):
            processes.kill([pid for pid in processes.descendants(system.master.pid)
                            if processes.status_of(pid).get('Uid', '').split()[:1] == [uid]], number)
            try:
                self.say_hello(port)
            except (OSError, AssertionError, ValueError, smtp_raw.Closed):
                pass

    def test_status_tells_everything(self):
        system, sink = self.primary('b')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        system.start()
        top, _ = self.create(system)
        with system['b'].client() as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('status-1'))[0], 250)
            system['b'].wait_spool('deferred=1')
            answer = self.command(system, 'bulkhead', 'status', '--json')
        found = json.loads(answer.stdout)
        self.assertEqual(found['pid'], system.master.pid)
        states = {each['name']: each for each in found['environments']}
        self.assertEqual({name: each['state'] for name, each in states.items()},
                         {'-': 'running', 'b': 'running', 'postfix-x': 'disabled'})
        self.assertEqual(states['b']['queue']['deferred'], 1)
        self.assertLess(states['b']['oldest_seconds'], 60)
        self.assertGreater(states['b']['processes'], 0)
        self.assertEqual(states['-']['queue']['deferred'], 0)
        text = self.command(system, 'bulkhead', 'status').stdout
        self.assertRegex(text, r'(?m)^b +running .* deferred=1 oldest=\d+s')
        self.assertRegex(text, r'(?m)^postfix-x +disabled ')

    def test_drain_finishes_what_runs(self):
        system, sink = self.primary('b')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        system.start()
        with system['b'].client() as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('left-1'))[0], 250)
        system['b'].wait_spool('deferred=1')
        with system['b'].client() as connection, system['a'].client() as other:
            connection.greet()
            other.greet()
            self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
            drain = subprocess.Popen([environment.COMMANDS / 'bulkhead', '-c', system['b'].folder, 'drain', '20'],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.wait(lambda: not can_connect(system['b'].port), message='b still accepts')
            self.assertEqual(connection.command('RCPT TO:<r@dest.example>')[0], 250)
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send(client.message('drained-1') + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)
            connection.command('QUIT')
            output = drain.communicate(timeout=30)[0]
            self.assertEqual(drain.returncode, 0, output)
            self.assertRegex(output, r'environment b: 2 messages are left: .*deferred 2')
            self.assertEqual(other.command('NOOP')[0], 250)
        self.assertTrue(can_connect(system['a'].port))


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


if __name__ == '__main__':
    scenario.main()
