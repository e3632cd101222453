#!/usr/bin/env python3
"""Two environments below one master: what one may see of the other, and what reaches it."""
import os
import pathlib
import pwd
import signal

import client
import environment
import processes
import scenario
import smtp_raw


class TwoEnvironments(scenario.Scenario):
    def two(self, **config):
        system = self.system('a', 'b')
        sinks = {}
        for name in 'ab':
            system[name].config |= config
            sinks[name] = self.sink()
            system[name].relay_to(sinks[name].port)
        return system.start(), sinks

    def send(self, where, identity, code=250):
        with where.client() as connection:
            connection.greet()
            reply = connection.message('s@client.example', 'r@dest.example', client.message(identity))
            self.assertEqual(reply[0], code, reply[1])

    def test_mail_takes_its_own_environments_way(self):
        system, sinks = self.two()
        for name in 'ab':
            self.send(system[name], f'way-{name}')
        for name in 'ab':
            self.assertTrue(sinks[name].wait_for(lambda message: message.id == f'way-{name}'))
            self.assertEqual([message.id for message in sinks[name].messages], [f'way-{name}'])
            self.assertIn(f'mx.{name}.example'.encode(), sinks[name].messages[0].header)
            self.assertRegex(system[name].log_text(), rf' {name}/smtpd\[\d+\]: ')
            other = {'a': 'b', 'b': 'a'}[name]
            self.assertNotRegex(system[name].log_text(), rf' {other}/')

    def test_every_worker_is_in_its_jail(self):
        system, sinks = self.two()
        for name in 'ab':
            sinks[name].script['connect'] = [scenario.Delay(3 * environment.SLOWER)]
            self.send(system[name], f'jail-{name}')
        for name in 'ab':
            here, account = system[name], pwd.getpwnam(system[name].user)
            # A worker that has connected has entered its jail.
            self.wait(lambda: sinks[name].open_sessions and here.workers('smtp'), message='smtp did not connect')
            workers = here.workers()
            names = {processes.name_of(pid) for pid in workers}
            for program in ('smtpd', 'cleanup', 'qmgr', 'smtp'):
                self.assertIn(program, names)
            for pid in workers:
                program, status = processes.name_of(pid), processes.status_of(pid)
                if not status or program == 'postlogd':
                    continue
                with self.subTest(environment=name, program=program):
                    self.assertEqual(status['Uid'].split(), [str(account.pw_uid)] * 4)
                    self.assertEqual(status['Gid'].split(), [str(account.pw_gid)] * 4)
                    self.assertIn(status['Groups'].split(), ([], [str(account.pw_gid)]))
                    self.assertEqual(os.readlink(f'/proc/{pid}/root'), str(here.spool))
                    for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
                        self.assertEqual(int(status[kind], 16), 0, kind)
                    self.assertEqual(status['NoNewPrivs'], '1')
                    # A sanitizer's run-time needs more calls than the filter allows.
                    self.assertEqual(status['Seccomp'], '0' if environment.SANITIZED else '2', 'the system-call filter')

    def test_workers_hold_no_descriptor_of_the_other(self):
        system, sinks = self.two()
        for name in 'ab':
            sinks[name].script['connect'] = [scenario.Delay(2)]
            self.send(system[name], f'fd-{name}')
        for name, other in ('ab', 'ba'):
            for pid in system[name].workers():
                for descriptor in pathlib.Path(f'/proc/{pid}/fd').glob('*'):
                    try:
                        target = os.readlink(descriptor)
                    except OSError:
                        continue
                    self.assertFalse(target.startswith(str(system[other].top)), f'{processes.name_of(pid)}: {target}')

    def test_one_user_cannot_read_the_others_spool(self):
        system, sinks = self.two()
        sinks['b'].script['rcpt'] = lambda *_: '450 4.2.0 later'
        self.send(system['b'], 'secret-1')
        system['b'].wait_spool('deferred=1')
        [path] = system['b'].queue_files('deferred')
        for target in (path, system['b'].spool / 'private', system['b'].spool / 'deferred', system['b'].data):
            answer = environment.run('cat' if target == path else 'ls', target, user=system['a'].user)
            self.assertNotEqual(answer.returncode, 0, f'{system["a"].user} can read {target}')

    def test_idle_environment_has_no_process(self):
        system, sinks = self.two(max_idle='1s')
        self.send(system['b'], 'idle-0')
        self.assertTrue(sinks['b'].wait(1))
        self.wait(lambda: not [pid for pid in system['b'].workers() if processes.name_of(pid) != 'postlogd'],
                  message='an environment without work has workers')
        self.send(system['a'], 'idle-1')
        self.assertEqual([processes.name_of(pid) for pid in system['b'].workers()
                          if processes.name_of(pid) != 'postlogd'], [])
        self.send(system['b'], 'idle-2')     # and it wakes up

    def test_idle_again_after_work(self):
        system = self.system('a')
        sink = self.sink()
        system['a'].relay_to(sink.port)
        system['a'].config |= {'max_idle': '1s'}
        system.start()
        self.send(system['a'], 'again-1')
        self.assertTrue(sink.wait(1))
        self.wait(lambda: not [pid for pid in system['a'].workers() if processes.name_of(pid) != 'postlogd'], 20,
                  'workers stay although max_idle is over')
        self.send(system['a'], 'again-2')
        self.assertEqual(len(sink.wait(2)), 2)

    def test_reload_of_one_leaves_sessions_alone(self):
        system, sinks = self.two()
        with system['a'].client() as open_a, system['b'].client() as open_b:
            for connection in (open_a, open_b):
                connection.greet()
                self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
            master = system.master.pid
            system['a'].config['smtpd_banner'] = '$myhostname changed'
            system['a'].write()
            answer = system['a'].control('reload')
            self.assertEqual(answer.returncode, 0, answer.stderr)

            def new_banner():
                with system['a'].client() as connection:
                    return 'changed' in connection.reply()[1]
            self.wait(new_banner, message='the new configuration is not used')
            for connection, name in ((open_a, 'a'), (open_b, 'b')):
                self.assertEqual(connection.command('RCPT TO:<r@dest.example>')[0], 250)
                self.assertEqual(connection.command('DATA')[0], 354)
                connection.send(client.message(f'reload-{name}') + b'.\r\n')
                self.assertEqual(connection.reply()[0], 250)
                self.assertTrue(sinks[name].wait_for(lambda message: message.id == f'reload-{name}'))
            self.assertEqual(system.master.pid, master)
            self.assertIsNone(system.master.poll())

    def test_bad_reload_keeps_the_running_generation(self):
        system, sinks = self.two()
        system['a'].config['message_size_limit'] = 'much'
        system['a'].write()
        answer = system['a'].control('reload')
        self.assertNotEqual(answer.returncode, 0)
        self.assertRegex(answer.stderr, r'main\.cf.*line \d+.*message_size_limit|message_size_limit.*main\.cf')
        for name in 'ab':
            self.send(system[name], f'kept-{name}')
            self.assertTrue(sinks[name].wait_for(lambda message: message.id == f'kept-{name}'))

    def test_sighup_reloads(self):
        system, _ = self.two()
        system['b'].config['smtpd_banner'] = '$myhostname after-hup'
        system['b'].write()
        system.master.send_signal(signal.SIGHUP)

        def new_banner():
            with system['b'].client() as connection:
                return 'after-hup' in connection.reply()[1]
        self.wait(new_banner)

    def test_crash_loop_of_one_does_not_reach_the_other(self):
        self.deaths_expected = True
        system, sinks = self.two()
        with system['b'].client() as open_b:
            open_b.greet()
            for _ in range(20):
                processes.kill(system['a'].workers())
                try:
                    with system['a'].client(timeout=1) as connection:
                        connection.reply()
                except (OSError, AssertionError, ValueError, smtp_raw.Closed):
                    pass
            self.assertEqual(open_b.message('s@client.example', 'r@dest.example', client.message('calm-b'))[0], 250)
        self.assertTrue(sinks['b'].wait_for(lambda message: message.id == 'calm-b'))
        self.assertIsNone(system.master.poll())

        def recovered():
            with system['a'].client(timeout=5) as connection:
                return connection.reply()[0] == 220
        self.wait(recovered, 30, 'a did not recover')
        self.send(system['a'], 'recovered-a')
        self.assertTrue(sinks['a'].wait_for(lambda message: message.id == 'recovered-a', 30))

    def test_dead_relay_of_one_does_not_delay_the_other(self):
        system, sinks = self.two()
        sinks['a'].script['connect'] = lambda *_: scenario.Delay(60)
        for number in range(20):
            self.send(system['a'], f'stuck-{number}')
        self.send(system['b'], 'free-b')
        self.assertTrue(sinks['b'].wait_for(lambda message: message.id == 'free-b', 5 * environment.SLOWER))

    def test_stop_ends_all_within_two_seconds(self):
        system, sinks = self.two()
        for name in 'ab':
            self.send(system[name], f'stop-{name}')
            sinks[name].wait(1)
        pids = system.pids()
        with system['a'].client() as connection:      # a session that says nothing
            connection.greet()
            system.master.send_signal(signal.SIGTERM)
            system.master.wait(2 * environment.SLOWER)
        self.assertEqual([processes.name_of(pid) for pid in pids if processes.alive(pid)], [])
        self.assertEqual([pid for name in 'ab' for pid in system[name].workers()], [])

    def test_status_names_master_and_workers(self):
        system, sinks = self.two()
        self.send(system['a'], 'status-a')
        sinks['a'].wait(1)
        answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', system.primary.folder, 'status', '--pids')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        pids = [int(word) for word in answer.stdout.split()]
        self.assertEqual(pids[0], system.master.pid)
        self.assertTrue(set(system['a'].workers('smtpd')) <= set(pids), (pids, system['a'].workers()))
        self.assertTrue(set(pids) <= set(system.pids()) | set(pids[:1]))


if __name__ == '__main__':
    scenario.main()
