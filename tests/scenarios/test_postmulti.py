#!/usr/bin/env python3
"""postmulti, and environments that come, change and go below a running master while others have clients."""
import json
import os
import pwd
import re
import signal
import socket
import subprocess

import client
import environment
import ports
import processes
import scenario
import smtp_raw

ACTIONS = {'config': 'config_directory', 'spool': 'queue_directory', 'data': 'data_directory'}


class Postmulti(scenario.Scenario):
    def setUp(self):
        self.users = []
        self.addCleanup(self.remove_users)

    def remove_users(self):
        for user in self.users:
            subprocess.run(['userdel', user], capture_output=True, check=False)

    def primary(self, *names):
        system, sink = self.system('a', *names), self.sink()
        for each in system.environments.values():
            each.relay_to(sink.port)
        system.write()
        return system, sink

    def command(self, system, program, *arguments, **options):
        return environment.run(environment.COMMANDS / program, *arguments,
                               env={**os.environ, 'MAIL_CONFIG': str(system.primary.folder)}, **options)

    def postmulti(self, system, *arguments, status=0):
        answer = self.command(system, 'postmulti', *arguments)
        self.assertEqual(answer.returncode, status, f'{arguments}: {answer.stdout}{answer.stderr}')
        return answer

    def create(self, system, name='postfix-x', *more, status=0):
        top = system.top / name
        top.mkdir(exist_ok=True)
        self.users.append('bh-' + name.split('-', 1)[1])
        answer = self.postmulti(system, '-e', 'create', '-I', name, '-G', 'mta',
                                *(f'{parameter}={top}/{part}' for part, parameter in ACTIONS.items()), *more, status=status)
        return top, answer

    def listed(self, system):
        return [line.split() for line in self.postmulti(system, '-l').stdout.splitlines()]

    def with_listener(self, top):
        port = ports.free_port()
        path = top / 'config/master.cf'
        path.write_text(re.sub(r'(?m)^127\.0\.0\.1:\d+ ', f'127.0.0.1:{port} ', path.read_text()))
        return port

    def say_hello(self, port):
        with smtp_raw.RawClient(port) as connection:
            return connection.reply()[0]

    # ---- on a system that is stopped

    def test_create_makes_all_of_it(self):
        system, _ = self.primary()
        self.postmulti(system, '-e', 'init')
        top, _ = self.create(system)
        main_cf = (top / 'config/main.cf').read_text()
        for line in ('multi_instance_name = postfix-x', 'multi_instance_group = mta', 'multi_instance_enable = no',
                     'master_service_disable = inet', 'authorized_submit_users =', 'mail_owner = bh-x'):
            self.assertRegex(main_cf, rf'(?m)^{re.escape(line)}$')
        self.assertNotIn('syslog_name', main_cf)
        account = pwd.getpwnam('bh-x')
        self.assertEqual(((top / 'data').stat().st_uid, (top / 'data').stat().st_mode & 0o777), (account.pw_uid, 0o700))
        self.assertEqual((top / 'spool/deferred').stat().st_uid, account.pw_uid)
        self.assertEqual((top / 'config').stat().st_uid, 0)
        self.assertEqual(self.listed(system), [['-', '-', 'y', str(system['a'].folder)],
                                               ['postfix-x', 'mta', 'n', str(top / 'config')]])
        answer = self.postmulti(system, '-l', '-j', '-i', 'postfix-x')
        self.assertEqual(json.loads(answer.stdout), {'name': 'postfix-x', 'group': 'mta', 'enabled': False,
                                                     'config_directory': str(top / 'config')})

    def test_create_that_fails_leaves_nothing(self):
        system, _ = self.primary()
        before = (system['a'].folder / 'main.cf').read_text()
        top = system.top / 'postfix-x'
        top.mkdir()
        (top / 'spool').symlink_to('/nonexistent/place')
        _, answer = self.create(system, status=1)
        self.assertIn('spool', answer.stderr)
        self.assertEqual(sorted(path.name for path in top.iterdir()), ['spool'])
        self.assertRaises(KeyError, pwd.getpwnam, 'bh-x')
        self.assertEqual((system['a'].folder / 'main.cf').read_text(), before)

    def test_what_is_taken_is_refused_with_the_other_name(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        for more in (f'queue_directory={top}/spool', f'data_directory={top}/data', 'mail_owner=bh-x',
                     f'mail_owner={system["a"].user}'):
            with self.subTest(more):
                _, answer = self.create(system, 'postfix-y', more, status=1)
                self.assertRegex(answer.stderr, 'already used by environment (postfix-x|-) ')
        _, answer = self.create(system, 'postfix-x', status=1)
        self.assertIn('already used by environment postfix-x', answer.stderr)
        self.assertRaises(KeyError, pwd.getpwnam, 'bh-y')

    def test_bad_names(self):
        system, _ = self.primary()
        for name in ('nopostfixprefix', 'postfix-', 'postfix-a/b', 'postfix-a b', 'postfix-' + 80 * 'x', 'postfix-\n'):
            with self.subTest(name):
                self.postmulti(system, '-e', 'create', '-I', name, status=1)
        self.assertEqual(len(self.listed(system)), 1)

    def test_deport_import_assign_destroy(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        self.postmulti(system, '-i', 'postfix-x', '-e', 'enable')
        for action in ('deport', 'destroy'):
            self.assertIn('enabled', self.postmulti(system, '-i', 'postfix-x', '-e', action, status=1).stderr)
        self.postmulti(system, '-i', 'postfix-x', '-e', 'disable')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'deport')
        self.assertEqual(len(self.listed(system)), 1)
        self.postmulti(system, '-I', 'postfix-z', '-e', 'import', f'config_directory={top}/config')
        self.postmulti(system, '-i', 'postfix-z', '-I', 'postfix-w', '-G', '-', '-e', 'assign')
        self.assertEqual(self.listed(system)[1], ['postfix-w', '-', 'n', str(top / 'config')])
        (top / 'spool/hold/4F2C1').write_text('x')
        (top / 'spool/hold/4F2C1').chmod(0o700)
        self.assertIn('hold', self.postmulti(system, '-i', 'postfix-w', '-e', 'destroy', status=1).stderr)
        (top / 'spool/hold/4F2C1').unlink()
        self.postmulti(system, '-i', 'postfix-w', '-e', 'destroy')
        self.assertEqual(list(top.iterdir()), [])
        self.assertEqual(len(self.listed(system)), 1)
        self.assertRaises(KeyError, pwd.getpwnam, 'bh-x')

    def test_commands_run_in_the_chosen_ones(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        both = [str(system['a'].folder), str(top / 'config')]
        self.assertEqual(self.postmulti(system, '-x', 'sh', '-c', 'echo $MAIL_CONFIG').stdout.split(), both)
        self.assertEqual(self.postmulti(system, '-R', '-x', 'sh', '-c', 'echo $config_directory').stdout.split(), both[::-1])
        self.assertEqual(self.postmulti(system, '-g', 'mta', '-x', 'postconf', '-h', 'queue_directory').stdout.strip(),
                         str(top / 'spool'))
        self.assertEqual(self.postmulti(system, '-i', '-', '-x', 'false', status=1).stdout, '')
        self.assertIn('no matching', self.postmulti(system, '-i', 'postfix-no', '-l', status=1).stderr)
        for bad in (['-l', '-p', 'start'], ['-a', '-g', 'mta', '-l'], ['-p'], ['-e', 'nosuch'], ['-x', '-j', 'true'], []):
            with self.subTest(bad):
                self.postmulti(system, *bad, status=1)

    def test_one_alone_starts_with_a_master_of_its_own(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        port = self.with_listener(top)
        self.command(system, 'postconf', '-c', top / 'config', '-e', 'master_service_disable=')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'enable')
        self.postmulti(system, '-i', 'postfix-x', '-p', 'start')
        try:
            self.assertEqual(self.say_hello(port), 220)
        finally:
            self.postmulti(system, '-i', 'postfix-x', '-p', 'stop')
        self.assertRaises(OSError, self.say_hello, port)

    # ---- on the running master

    def test_sessions_of_others_outlive_every_action(self):
        self.deaths_expected = True
        system, sink = self.primary('b')
        system.start()
        master = system.master.pid
        sessions = []
        for name in 'ab':
            connection = system[name].client()
            self.addCleanup(connection.close)
            connection.greet()
            self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
            sessions.append(connection)

        def step(what):
            for connection in sessions:
                self.assertEqual(connection.command(f'RCPT TO:<{len(done)}@dest.example>')[0], 250, what)
            self.assertEqual(int((system['a'].spool / 'pid/master.pid').read_text()), master, what)
            done.append(what)

        done = []
        workers = {name: set(system[name].workers('smtpd')) for name in 'ab'}
        top, _ = self.create(system)
        step('create')
        port = self.with_listener(top)
        self.command(system, 'postconf', '-c', top / 'config', '-e', 'master_service_disable=')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'enable')
        self.assertEqual(self.say_hello(port), 220)
        step('enable')
        self.command(system, 'postconf', '-c', top / 'config', '-e', 'smtpd_banner=$myhostname changed')
        self.assertEqual(self.command(system, 'bulkhead', '-c', top / 'config', 'reload').returncode, 0)
        with smtp_raw.RawClient(port) as connection:
            self.assertIn('changed', connection.reply()[1])
        step('reload')
        doomed = [pid for pid in processes.descendants(master) if processes.status_of(pid).get('Uid', '').split()[:1]
                  == [str(pwd.getpwnam('bh-x').pw_uid)]]
        self.assertTrue(doomed)
        for _ in range(6):
            processes.kill(doomed, signal.SIGSEGV)
            try:
                self.say_hello(port)
            except (OSError, AssertionError, ValueError, smtp_raw.Closed):
                pass
        step('crash')
        for verb, listens in (('stop', False), ('start', True), ('drain', False), ('start', True)):
            answer = self.command(system, 'bulkhead', '-c', top / 'config', verb)
            self.assertEqual(answer.returncode, 0, f'{verb}: {answer.stderr}')
            self.assertEqual(can_connect(port), listens, verb)
            step(verb)
        self.assertEqual(self.command(system, 'bulkhead', '-c', top / 'config', 'start').returncode, 1)
        self.postmulti(system, '-i', 'postfix-x', '-e', 'disable')
        step('disable')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'destroy')
        step('destroy')
        self.assertFalse((top / 'spool').exists())
        for name, connection in zip('ab', sessions):
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send(client.message(f'kept-{name}') + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)
            self.assertTrue(sink.wait_for(lambda message: message.id == f'kept-{name}'))
            self.assertTrue(workers[name] & set(system[name].workers('smtpd')), 'the worker of the session was replaced')

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

    def test_two_with_one_user_are_refused(self):
        system, _ = self.primary('b')
        system['b'].config['mail_owner'] = system['a'].user
        os.chown(system['b'].data, pwd.getpwnam(system['a'].user).pw_uid, -1)
        system.start('a')
        said = re.compile(r'mail_owner .* already used by environment - \(.*\); environment b cannot')
        self.wait(lambda: said.search(system.output()), message='no refusal that names both')

    def test_control_socket_knows_its_friends(self):
        system, _ = self.primary('b')
        system.start()
        path = system['b'].spool / 'pid/control'
        self.wait(path.exists)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        for request in (b'nonsense\n', b'start /nowhere\n', b'drain x y\n', b'\0\0\0\n', b'reload', b'x' * 100_000, b'\n'):
            with self.subTest(request[:20]):
                answer = ask(path, request)
                self.assertFalse(answer.startswith(b'ok'), answer)
        as_other = environment.run('python3', '-c', ASK_AS_OTHER, path, user=system['b'].user)
        self.assertNotIn('ok', as_other.stdout)
        for name in 'ab':
            with system[name].client() as connection:
                connection.greet()


ASK_AS_OTHER = '''
import socket, sys
try:
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"status\\n"); print(s.recv(100))
except OSError as problem:
    print(problem)
'''


def ask(path, request):
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(15)
        door.connect(str(path))
        try:
            door.sendall(request)
            door.shutdown(socket.SHUT_WR)
            return door.recv(4096)
        except OSError:
            return b''


def can_connect(port):
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


if __name__ == '__main__':
    scenario.main()
