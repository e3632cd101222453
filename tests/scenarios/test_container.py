#!/usr/bin/env python3
"""start-fg as the first process of a PID namespace: what a container asks of it; and the rootless form."""
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import tempfile
import shutil

import client
import environment
import ports
import processes
import scenario
import smtp_raw


class Container(scenario.Scenario):
    def contain(self, system, script='', variables=None):
        """The master as PID 1, in mount and PID namespaces of its own; `script` runs there before."""
        system.write()
        command = f'{script}\nexec {environment.COMMANDS}/bulkhead -c {system.primary.folder} start-fg'
        self.output = open(system.top / 'stdout', 'a+b')     # noqa: SIM115, ends with the test
        self.addCleanup(self.output.close)
        system.master = subprocess.Popen(
            ['unshare', '--pid', '--fork', '--mount', '--mount-proc', '--kill-child', 'sh', '-ec', command],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, cwd='/',
            env={**os.environ, **(variables or {})})
        self.addCleanup(self.end_inside, system)     # unshare itself is deaf to signals
        for each in system.environments.values():
            system.wait_listening(each)
        return system

    def end_inside(self, system):
        processes.kill(self.first_of(system), signal.SIGTERM)

    @staticmethod
    def first_of(system):
        """Number 1 inside.  A worker that is just being started has the master's name for a moment."""
        return [pid for pid in processes.descendants(system.master.pid)
                if processes.status_of(pid).get('NSpid', '').split()[1:] == ['1']]

    def first_process(self, system):
        [pid] = self.first_of(system)
        self.assertEqual(processes.name_of(pid), 'master')
        return pid

    def lines(self, system):
        return (system.top / 'stdout').read_text().splitlines()

    def test_orphans_are_buried(self):
        system = self.system('a')
        self.contain(system)
        first = self.first_process(system)
        subprocess.run(['nsenter', '-t', str(first), '-p', 'sh', '-c', '(sleep 0.2 &) ; (sleep 0.3 &)'], check=True)
        self.wait(lambda: len(processes.descendants(first)) == len(system['a'].workers()), message='orphans live')
        states = [processes.stat_fields(pid) for pid in map(int, filter(str.isdigit, os.listdir('/proc')))]
        self.assertEqual([fields for fields in states if fields and fields[1] == str(first) and fields[0] == 'Z'], [])

    def test_log_lines_are_objects(self):
        system, sink = self.system('a'), self.sink()
        system['a'].relay_to(sink.port)
        self.contain(system, variables={'BULKHEAD_maillog_file': '/dev/stdout', 'BULKHEAD_maillog_format': 'json',
                                        'BULKHEAD_maillog_file_prefixes': '/dev/stdout'})
        with system['a'].client() as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', '"quo ted"@dest.example', client.message('json-1'))[0], 250)
        self.assertTrue(sink.wait(1))
        self.wait(lambda: any('status=sent' in line for line in self.lines(system)), message='nothing on stdout')
        objects = [json.loads(line) for line in self.lines(system)]
        for each in objects:
            self.assertLessEqual({'time', 'host', 'name', 'program', 'pid', 'severity', 'message'}, set(each))
        [sent] = [each for each in objects if 'status=sent' in each['message']]
        self.assertEqual((sent['program'], sent['severity'], sent['queue_id']),
                         ('smtp', 'info', sent['message'].split(':')[0]))
        self.assertIn('master', {each['program'] for each in objects})

    def test_sigterm_finishes_sessions_and_ends_with_0(self):
        system, sink = self.system('a', 'b'), self.sink()
        for name in 'ab':
            system[name].relay_to(sink.port)
        self.contain(system, variables={'POSTFIX_shutdown_drain_time': '20s'})
        with system['b'].client() as connection:
            connection.greet()
            self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
            os.kill(self.first_process(system), signal.SIGTERM)

            def refuses():
                with socket.socket() as probe:
                    return probe.connect_ex(('127.0.0.1', system['a'].port)) != 0
            self.wait(refuses, message='still accepts')
            self.assertEqual(connection.command('RCPT TO:<r@dest.example>')[0], 250)
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send(client.message('last-1') + b'.\r\n')
            self.assertEqual(connection.reply()[0], 250)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'last-1'))
        self.assertEqual(system.master.wait(20), 0)

    def test_sigterm_ends_a_silent_session_in_time(self):
        system = self.system('a')
        self.contain(system, variables={'BULKHEAD_shutdown_drain_time': '1s'})
        with system['a'].client() as connection:
            connection.greet()
            os.kill(self.first_process(system), signal.SIGTERM)
            self.assertEqual(system.master.wait(8), 0)

    def test_sighup_takes_in_a_new_environment(self):
        system = self.system('a', 'b')
        system['a'].config['multi_instance_directories'] = ''
        system.write()
        environments = dict(system.environments)
        del system.environments['b']
        self.contain(system)
        system.environments = environments
        system['a'].config['multi_instance_directories'] = system['b'].folder
        system.write()
        os.kill(self.first_process(system), signal.SIGHUP)
        system.wait_listening(system['b'])

    def test_folder_of_environments_is_followed(self):
        """A mounted folder: what appears there starts, what changes is read, what goes leaves; nobody asks."""
        system, sink = self.system('a', 'b'), self.sink()
        a, b = system['a'], system['b']
        folder = system.top / 'environments'
        folder.mkdir()
        a.config |= {'multi_instance_directories': '', 'multi_instance_folder': folder}
        b.relay_to(sink.port)
        system.write()
        del system.environments['b']
        self.contain(system)
        system.environments['b'] = b

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(('127.0.0.1', b.port)) == 0

        def banner():
            with b.client() as connection:
                return connection.reply()[1]
        with a.client() as bystander:
            bystander.greet()
            shutil.copytree(b.folder, folder / 'b')
            self.wait(listens, message='a new folder is not taken in')
            b.folder = folder / 'b'
            b.config['smtpd_banner'] = '$myhostname changed'
            b.write()
            self.wait(lambda: 'changed' in banner(), message='a change is not seen')
            b.config['smtpd_banner'] = '$myhostname broken'
            b.config['message_size_limit'] = 'much'
            b.write()
            self.wait(lambda: re.search('reload is refused, the old configuration stays: .*message_size_limit', a.log_text()),
                      message='a mistake is not told')
            self.assertIn('changed', banner())
            (folder / 'b').rename(folder / '.b')
            self.wait(lambda: not listens(), message='a folder that is gone still serves')
            self.assertEqual(bystander.command('NOOP')[0], 250)
        self.assertNotRegex(a.log_text(), f'reload -- .*{a.folder}$')     # nobody but b was read again

    def test_root_file_system_may_be_read_only(self):
        system, sink = self.system('a'), self.sink()
        system['a'].relay_to(sink.port)
        top = system['a'].top
        system['a'].config |= {'maillog_file': '/dev/stdout', 'maillog_file_prefixes': '/dev/stdout'}
        for part in ('spool/pid', 'spool/private'):            # what a killed one leaves
            (top / part).mkdir(parents=True, exist_ok=True)
        (top / 'spool/pid/master.pid').write_text(f'{1:32}\n')
        script = (f'mount --bind {top}/spool {top}/spool; mount --bind {top}/data {top}/data\n'
                  'mount -o remount,bind,ro /\n')
        self.contain(system, script)
        with system['a'].client() as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('ro-1'))[0], 250)
        self.assertTrue(sink.wait(1))

    def test_variables_and_files(self):
        system = self.system('a', 'b')
        secret = system.top / 'secret'
        secret.write_text('$myhostname from-file\n')
        self.contain(system, variables={'BULKHEAD_ENV_b__smtpd_banner_FILE': str(secret),
                                        'POSTFIX_smtpd_banner': '$myhostname from-postfix',
                                        'BULKHEAD_PREFIX': 'not a parameter'})
        for name, word in (('a', 'from-postfix'), ('b', 'from-file')):
            with system[name].client() as connection:
                self.assertIn(word, connection.reply()[1])

    def test_bad_variables_are_named(self):
        system = self.system('a')
        system.write()
        for variable, value in (('BULKHEAD_smtpd_baner', 'x'), ('BULKHEAD_message_size_limit', 'much'),
                                ('BULKHEAD_myhostname_FILE', '/nonexistent')):
            with self.subTest(variable):
                answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', system['a'].folder, 'start-fg',
                                         env={**os.environ, variable: value})
                self.assertNotEqual(answer.returncode, 0)
                self.assertIn('$' + variable, answer.stderr + answer.stdout)


class Rootless(scenario.Scenario):
    def test_one_user_serves_and_is_told_what_is_missing(self):
        environment.ensure_accounts()
        user, sink = environment.USERS[0], self.sink()
        account = pwd.getpwnam(user)
        top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-rootless.', dir='/tmp'))
        self.addCleanup(shutil.rmtree, top, ignore_errors=True)
        port = ports.free_port()
        (top / 'etc').mkdir()
        (top / 'etc/main.cf').write_text(''.join(f'{name} = {value}\n' for name, value in {
            'compatibility_level': '3.6', 'queue_directory': top / 'spool', 'data_directory': top / 'data',
            'maillog_file': '/dev/stdout', 'inet_interfaces': '127.0.0.1', 'inet_protocols': 'ipv4', 'mydestination': '',
            'myhostname': 'mx.rootless.example', 'mynetworks': '127.0.0.0/8', 'smtpd_peername_lookup': 'no',
            'relayhost': f'[127.0.0.1]:{sink.port}'}.items()))
        (top / 'etc/master.cf').write_text(
            f'127.0.0.1:{port} inet n - y - - smtpd\n' + environment.SERVICES.format(chroot='y', pickup_wakeup=60))
        for path in (top, *top.rglob('*')):
            os.chown(path, account.pw_uid, account.pw_gid)
        with open(top / 'out', 'a+b') as output:
            master = subprocess.Popen([environment.COMMANDS / 'bulkhead', '-c', top / 'etc', 'start-fg'], stdout=output,
                                      stderr=output, stdin=subprocess.DEVNULL, cwd='/', user=account.pw_uid,
                                      group=account.pw_gid, extra_groups=[])
        try:
            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(('127.0.0.1', port)) == 0
            self.assertTrue(processes.wait_until(listens, 10), (top / 'out').read_text())
            with smtp_raw.RawClient(port) as connection:
                connection.greet()
                self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('user-1'))[0], 250)
            self.assertTrue(sink.wait(1), (top / 'out').read_text())
            self.assertRegex((top / 'out').read_text(), r'warning: rootless: .*no chroot')
            for pid in processes.descendants(master.pid):
                status = processes.status_of(pid)
                if status:
                    self.assertEqual((status['Uid'].split()[0], status['NoNewPrivs']), (str(account.pw_uid), '1'))
        finally:
            master.send_signal(signal.SIGTERM)
            self.assertEqual(master.wait(10), 0)


if __name__ == '__main__':
    scenario.main()
