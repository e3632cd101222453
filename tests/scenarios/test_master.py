"""The master alone, with stand-ins for its workers (tests/support/fake_worker.py)."""
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

import ports
import processes

PREFIX = pathlib.Path(os.environ.get('BULKHEAD_PREFIX', '/usr/local'))
BULKHEAD = PREFIX / 'sbin' / 'bulkhead'
MASTER = PREFIX / 'libexec' / 'bulkhead' / 'master'
FAKE = pathlib.Path(__file__).resolve().parent.parent / 'support' / 'fake_worker.py'
# Of every Debian system; each environment has one of its own.
USERS = ('daemon', 'bin', 'sys', 'games', 'man')
PROGRAMS = ('smtpd', 'qmgr', 'pickup', 'broken', 'wild', 'deaf', 'single')

MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
qmgr unix n - n 300 1 qmgr
maildrop unix - n n - - pipe
  flags=D user=vmail argv=/usr/bin/maildrop -d ${{recipient}}
"""


class Folder:
    """One environment's folder."""

    def __init__(self, top, name, programs, user, primary=True):
        self.top = top / name
        self.etc, self.spool, self.data, self.log = (self.top / part for part in ('etc', 'spool', 'data', 'log'))
        self.etc.mkdir(parents=True)
        self.port = ports.free_port()
        self.main = {
            'compatibility_level': '3.6', 'queue_directory': self.spool, 'data_directory': self.data,
            'daemon_directory': programs, 'mail_owner': user, 'setgid_group': 'mail', 'inet_protocols': 'ipv4',
            'inet_interfaces': '127.0.0.1', 'maillog_file': self.log, 'maillog_file_prefixes': top,
            'smtpd_banner': 'first', 'max_idle': '1s', 'service_throttle_time': '30s'}
        if not primary:
            self.main |= {'multi_instance_name': name, 'multi_instance_enable': 'yes'}
        self.services = MASTER_CF.format(port=self.port)

    def write(self):
        (self.etc / 'main.cf').write_text(''.join(f'{name} = {value}\n' for name, value in self.main.items()))
        (self.etc / 'master.cf').write_text(self.services)

    def add_inet(self, program, limit='-'):
        port = ports.free_port()
        self.services += f'127.0.0.1:{port} inet n - n - {limit} {program}\n'
        return port

    def run(self, verb, *arguments, timeout=15):
        return subprocess.run([BULKHEAD, '-c', self.etc, verb, *arguments], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)

    def pids(self):
        return [int(word) for word in self.run('status', '--pids').stdout.split()]

    def master(self):
        return int((self.spool / 'pid' / 'master.pid').read_text())

    def workers(self):
        return self.pids()[1:]

    def starts(self, program):
        path = self.data / f'{program}.starts'
        return path.read_text().splitlines() if path.exists() else []

    def log_text(self):
        return self.log.read_text() if self.log.exists() else ''


def connect(port):
    client = socket.create_connection(('127.0.0.1', port), 10)
    return client, client.makefile('rb').readline().decode()


class MasterTest(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bh-master-', dir='/tmp'))
        self.top.chmod(0o755)
        self.programs = self.top / 'programs'
        self.programs.mkdir()
        for name in PROGRAMS:
            (self.programs / name).write_text(f'#!{os.path.realpath(sys.executable)} -S\n{FAKE.read_text()}')
            (self.programs / name).chmod(0o755)
        self.folders = []
        self.a = self.folder('a')

    def folder(self, name, primary=True):
        folder = Folder(self.top, name, self.programs, USERS[len(self.folders)], primary)
        self.folders.append(folder)
        return folder

    def tearDown(self):
        for folder in self.folders:
            if folder.run('status').returncode == 0:
                folder.run('stop')
        if self._outcome.success:
            shutil.rmtree(self.top)
        else:
            print(f'--- kept {self.top}\n' + '\n'.join(f.log_text()[-3000:] for f in self.folders), file=sys.stderr)

    def start(self, *folders, status=0):
        for folder in folders or self.folders:
            folder.write()
        answer = (folders or self.folders)[0].run('start')
        self.assertEqual(answer.returncode, status, answer.stderr)
        return answer

    def wait(self, condition, timeout=10):
        value = processes.wait_until(condition, timeout)
        self.assertTrue(value, 'it never came true')
        return value

    def wait_log(self, pattern, folder=None):
        return self.wait(lambda: re.search(pattern, (folder or self.a).log_text(), re.M))

    # ---- start and stop

    def test_start_status_stop(self):
        self.start()
        answer = self.a.run('status')
        self.assertEqual(answer.returncode, 0)
        self.assertRegex(answer.stderr, r'postfix/postfix-script: the \S+ mail system is running: PID: %d' % self.a.master())
        self.assertEqual(self.a.run('check').returncode, 0)
        self.wait_log(r'postfix/master\[\d+\]: daemon started -- version \S+, configuration ' + str(self.a.etc))
        self.wait_log(r'warning: .*master.cf: line 4: service maildrop: program pipe')
        self.assertEqual(self.a.run('stop').returncode, 0)
        self.assertEqual(self.a.run('status').returncode, 1)
        self.assertNotEqual(self.a.run('stop').returncode, 0)
        self.assertNotEqual(self.a.run('reload').returncode, 0)
        self.assertEqual(self.a.run('frobnicate').returncode, 64)
        with self.assertRaises(OSError):
            connect(self.a.port)

    def test_second_start_is_refused(self):
        self.start()
        master = self.a.master()
        answer = self.a.run('start')
        self.assertEqual(answer.returncode, 1)
        self.assertIn('already running', answer.stderr)
        again = subprocess.run([MASTER, '-c', self.a.etc, '-d'], capture_output=True, text=True, timeout=10, check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn(f'locked by process {master}', again.stderr)
        self.assertEqual(self.a.master(), master)

    def test_three_starts_at_once_give_one_master(self):
        self.a.write()
        starts = [subprocess.Popen([BULKHEAD, '-c', self.a.etc, 'start'], stderr=subprocess.DEVNULL) for _ in range(3)]
        codes = [start.wait(10) for start in starts]
        self.assertEqual(codes.count(0), 1, codes)
        self.assertIn('220 first', connect(self.a.port)[1])

    def test_kill_of_the_master_leaves_no_worker_and_no_stale_lock(self):
        self.start()
        connect(self.a.port)
        master, workers = self.a.master(), self.a.workers()
        self.assertTrue(workers)
        os.kill(master, signal.SIGKILL)
        answer = self.a.run('start')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertNotEqual(self.a.master(), master)
        self.wait(lambda: not any(map(processes.alive, workers)))
        self.assertIn('220 first', connect(self.a.port)[1])

    def test_stop_ends_everything_within_two_seconds(self):
        port = self.a.add_inet('deaf')
        self.start()
        clients = [connect(self.a.port), connect(port)]
        # a worker that does not even run cannot obey
        frozen = int(clients[1][1].split()[-1])
        os.kill(frozen, signal.SIGSTOP)
        pids = self.a.pids()
        self.assertEqual(len(pids), 3)
        began = time.monotonic()
        os.kill(self.a.master(), signal.SIGTERM)
        self.wait(lambda: not any(map(processes.alive, pids)), 3)
        self.assertLess(time.monotonic() - began, 2.2)
        self.wait_log(r'terminating on signal 15')

    def test_abort(self):
        self.start()
        connect(self.a.port)
        pids = self.a.pids()
        self.assertEqual(self.a.run('abort').returncode, 0)
        self.wait(lambda: not any(map(processes.alive, pids)), 2)

    def test_foreground_as_first_process_of_a_container(self):
        self.a.main |= {'maillog_file': '/dev/stdout', 'maillog_file_prefixes': '/dev/stdout'}
        self.a.write()
        fg = subprocess.Popen(['unshare', '-pf', '--mount-proc', '--kill-child', BULKHEAD, '-c', self.a.etc, 'start-fg'],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self.wait(lambda: self.can_connect(self.a.port))
            first = processes.descendants(fg.pid)[0]
            self.assertEqual(processes.status_of(first)['NSpid'].split()[-1], '1')
            self.assertIn('220 first', connect(self.a.port)[1])
            # an orphan of somebody else is buried too
            subprocess.run(['nsenter', '-t', str(first), '-p', '-m', 'sh', '-c', '(sleep 0.2 &) ; exit 0'], check=True)
            time.sleep(0.5)
            states = [processes.stat_fields(pid) for pid in processes.descendants(first)]
            self.assertFalse([state for state in states if state and state[0] == 'Z'])
            self.a.main['smtpd_banner'] = 'second'
            self.a.write()
            os.kill(first, signal.SIGHUP)
            self.wait(lambda: 'second' in connect(self.a.port)[1])
            began = time.monotonic()
            os.kill(first, signal.SIGTERM)
            output, _ = fg.communicate(timeout=5)
            self.assertLess(time.monotonic() - began, 2.2)
            self.assertEqual(fg.returncode, 0, output)
            self.assertRegex(output, r'postfix/master\[1\]: daemon started')
        finally:
            fg.kill()
            fg.wait()

    def can_connect(self, port):
        try:
            connect(port)
            return True
        except OSError:
            return False

    # ---- activation

    def test_idle_means_no_process(self):
        self.start()
        self.assertEqual(len(self.a.pids()), 1)
        client, greeting = connect(self.a.port)
        self.assertIn('220 first', greeting)
        self.assertEqual(len(self.a.pids()), 2)
        client.close()
        self.wait(lambda: len(self.a.pids()) == 1)
        self.assertNotIn('warning: process', self.a.log_text())

    def test_one_worker_serves_many(self):
        self.start()
        greetings = {connect(self.a.port)[1] for _ in range(20)}
        self.assertEqual(len(greetings), 1)

    def test_process_limit(self):
        port = self.a.add_inet('single', limit=2)
        self.start()
        clients = [connect(port) for _ in range(2)]
        self.assertEqual(len({greeting for _, greeting in clients}), 2)
        third = socket.create_connection(('127.0.0.1', port), 10)
        self.wait_log(r'warning: service ".*%d" .*has reached its process limit "2"' % port)
        self.assertEqual(len(self.a.workers()), 2)
        clients[0][0].close()
        self.assertIn('220 first', third.makefile('rb').readline().decode())

    def test_waiting_mail_starts_pickup_and_qmgr(self):
        self.start()
        self.assertEqual(self.a.starts('qmgr'), [])
        self.a.run('stop')
        (self.a.spool / 'deferred' / '3').mkdir()
        (self.a.spool / 'deferred' / '3' / '3ABCDEF').write_text('x')
        (self.a.spool / 'maildrop' / 'M1').write_text('x')
        self.start()
        self.wait(lambda: len(self.a.starts('qmgr')) == 1 and len(self.a.starts('pickup')) == 1)
        (self.a.spool / 'maildrop' / 'M2').write_text('x')       # found at the next wake-up
        self.wait(lambda: len(self.a.starts('pickup')) == 2)
        time.sleep(1.5)
        self.assertEqual((len(self.a.starts('qmgr')), len(self.a.starts('pickup'))), (1, 2))

    def test_qmgr_is_woken_when_it_asked_for(self):
        self.a.write()
        self.start()
        (self.a.data / 'wake_at').write_text(str(int(time.time()) + 3))
        self.assertEqual(self.a.run('flush').returncode, 0)
        self.wait(lambda: any('letters FADI' in line for line in self.a.starts('qmgr')))
        (self.a.data / 'wake_at').unlink()
        self.wait(lambda: len([line for line in self.a.starts('qmgr') if '-n' in line]) == 2)
        self.wait(lambda: len(self.a.pids()) == 1)
        self.assertEqual(self.a.starts('qmgr')[0].split(maxsplit=1)[1], '-n qmgr -t unix -u -s 1')

    # ---- deaths

    def test_broken_program_is_throttled(self):
        port = self.a.add_inet('broken')
        self.start()
        socket.create_connection(('127.0.0.1', port))
        self.wait_log(r'warning: process \S+/broken pid \d+ exit status 1')
        self.wait_log(r'warning: \S+/broken: bad command startup -- throttling')
        time.sleep(1)
        self.assertEqual(self.a.log_text().count('exit status 1'), 1)
        socket.create_connection(('127.0.0.1', port))            # the backlog still takes clients
        self.assertIn('throttled:', self.a.run('status').stdout)
        self.assertIn('220 first', connect(self.a.port)[1])

    def test_crash_loop_is_slowed_down(self):
        port = self.a.add_inet('wild')
        self.start()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with socket.create_connection(('127.0.0.1', port)) as client:
                client.recv(1)
        self.wait_log(r'killed by signal 11')
        self.wait_log(r'workers keep dying')
        # Without a pause it would be one every few milliseconds.
        self.assertLess(self.a.log_text().count('killed by signal'), 30)

    def test_random_kills_do_not_stop_a_service(self):
        self.start()
        end = time.monotonic() + 4
        kills = 0
        while time.monotonic() < end:
            began = time.monotonic()
            _, greeting = connect(self.a.port)
            self.assertLess(time.monotonic() - began, 0.9)
            os.kill(int(greeting.split()[-1]), signal.SIGKILL)
            kills += 1
            time.sleep(0.3)
        self.assertGreater(kills, 8)
        self.assertNotIn('throttling', self.a.log_text())
        self.assertNotIn('keep dying', self.a.log_text())

    # ---- reload

    def test_reload_keeps_sessions_and_sockets(self):
        new_port = self.a.add_inet('smtpd')
        self.a.services, with_new = self.a.services.replace(f'127.0.0.1:{new_port}', f'#127.0.0.1:{new_port}'), self.a.services
        self.start()
        old, greeting = connect(self.a.port)
        inode = os.stat(self.a.spool / 'public' / 'pickup').st_ino
        self.a.services, self.a.main['smtpd_banner'] = with_new, 'second'
        self.a.write()
        answer = self.a.run('reload')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.wait_log(r'reload -- version \S+, configuration')
        new, new_greeting = connect(self.a.port)
        self.assertIn('second', new_greeting)
        self.assertIn('second', connect(new_port)[1])
        old.sendall(b'still here\n')
        self.assertEqual(old.recv(100), b'echo still here\n')
        self.assertEqual(os.stat(self.a.spool / 'public' / 'pickup').st_ino, inode)
        first_pid = int(greeting.split()[-1])
        old.close()
        self.wait(lambda: not processes.alive(first_pid))
        # gone services close their ports
        self.a.services = self.a.services.replace(f'127.0.0.1:{new_port}', f'#127.0.0.1:{new_port}')
        self.a.write()
        self.a.run('reload')
        self.assertFalse(self.can_connect(new_port))
        new.sendall(b'x\n')
        self.assertEqual(new.recv(100), b'echo x\n')

    def test_no_client_is_refused_during_reloads(self):
        self.start()
        for number in range(20):
            client, greeting = connect(self.a.port)
            self.assertIn('220 first', greeting)
            self.assertEqual(self.a.run('reload').returncode, 0)
            client.sendall(b'%d\n' % number)
            self.assertEqual(client.recv(100), b'echo %d\n' % number)
            client.close()
        self.wait(lambda: len(self.a.workers()) <= 1)

    def test_bad_reload_keeps_what_runs(self):
        self.start()
        self.a.services += 'badline unix\n'
        self.a.write()
        answer = self.a.run('reload')
        self.assertNotEqual(answer.returncode, 0)
        self.assertRegex(answer.stderr, r'master\.cf: line 6')
        self.wait_log(r'error: reload is refused, the old configuration stays: .*master\.cf: line 6')
        self.assertIn('220 first', connect(self.a.port)[1])

    def test_reload_makes_a_lost_socket_again(self):
        self.start()
        path = self.a.spool / 'public' / 'qmgr'
        path.unlink()
        self.assertEqual(self.a.run('reload').returncode, 0)
        self.assertTrue(stat.S_ISSOCK(path.stat().st_mode))
        self.assertEqual(self.a.run('flush').returncode, 0)
        self.wait(lambda: any('FADI' in line for line in self.a.starts('qmgr')))

    # ---- several environments

    def test_one_bad_environment_does_not_stop_the_others(self):
        b, c, d, e = (self.folder(name, primary=False) for name in 'bcde')
        self.a.main['multi_instance_directories'] = f'{b.etc} {c.etc} {d.etc} {e.etc} {self.top}/nowhere'
        b.services += 'badline unix\n'
        c.main['queue_directory'] = self.a.spool
        d.services += f'127.0.0.1:{self.a.port} inet n - n - - smtpd\n'
        answer = self.start()
        self.assertRegex(answer.stderr, r'b/etc/master\.cf: line 6')
        self.assertRegex(answer.stderr, r'c/etc/main\.cf, line 2: queue_directory .* already used by environment -')
        self.assertRegex(answer.stderr, rf'd/etc/master\.cf: line 6: service .*{self.a.port}.* already used by environment -')
        self.assertIn('nowhere', answer.stderr)
        self.assertIn('220 first', connect(self.a.port)[1])
        self.assertIn('220 first', connect(e.port)[1])
        self.assertEqual(e.run('status').returncode, 0)
        self.assertEqual(e.master(), self.a.master())
        self.assertEqual(b.run('status').returncode, 1)
        self.assertEqual(len(e.pids()), 2)
        self.assertEqual(len(self.a.pids()), 3)

        # the next reload takes in what was repaired, and lets go what is no longer named
        b.services = b.services.replace('badline unix\n', '')
        b.write()
        self.a.main['multi_instance_directories'] = f'{b.etc} {c.etc}'
        self.a.write()
        self.assertEqual(self.a.run('reload').returncode, 1)     # c is as bad as before
        self.assertIn('220 first', connect(b.port)[1])
        self.wait(lambda: not self.can_connect(e.port))

    def test_environments_reload_and_stop_one_by_one(self):
        b = self.folder('b', primary=False)
        self.a.main['multi_instance_directories'] = b.etc
        self.start()
        for folder in (self.a, b):
            folder.main['smtpd_banner'] = 'second'
            folder.write()
        self.assertEqual(b.run('reload').returncode, 0)
        self.assertIn('second', connect(b.port)[1])
        self.assertEqual(b.run('stop').returncode, 0)
        self.assertFalse(self.can_connect(b.port))
        self.assertEqual(self.a.run('status').returncode, 0)
        self.assertEqual(self.a.run('reload').returncode, 0)
        self.assertIn('second', connect(b.port)[1])

    # ---- bad input

    def refused(self, status, pattern, **main):
        self.a.main |= main
        answer = self.start(self.a, status=status)
        self.assertRegex(answer.stderr, pattern)

    def test_unknown_user(self):
        self.refused(67, r'main\.cf, line 5: mail_owner = nosuchuser: no such user', mail_owner='nosuchuser')

    def test_bad_value(self):
        self.refused(78, r'main\.cf, line 14: smtpd_timeout: .*soon', smtpd_timeout='soon')

    def test_missing_spool_folder(self):
        self.refused(73, r'main\.cf, line 2: queue_directory: create /nonexistent/zz', queue_directory='/nonexistent/zz')

    def test_spool_that_others_may_write(self):
        self.a.spool.mkdir()
        self.a.spool.chmod(0o777)
        self.refused(73, r'main\.cf, line 2: queue_directory: .*writable')

    def test_data_folder_of_somebody_else(self):
        self.a.data.mkdir()
        os.chown(self.a.data, 2, 2)
        self.refused(73, r'main\.cf, line 3: data_directory: .*owned by user 2')

    def test_port_in_use(self):
        with socket.create_server(('127.0.0.1', self.a.port)):
            self.refused(71, rf'master\.cf: line 1: service 127.0.0.1:{self.a.port}: .*Address already in use')

    def test_missing_configuration(self):
        self.a.write()
        (self.a.etc / 'master.cf').unlink()
        answer = self.a.run('start')
        self.assertEqual(answer.returncode, 78)
        self.assertIn('master.cf', answer.stderr)

    def test_check_names_unused_parameters(self):
        self.a.main['smtpd_bannner'] = 'x'
        self.a.write()
        answer = self.a.run('check')
        self.assertEqual(answer.returncode, 0)
        self.assertRegex(answer.stderr, r'(?m)^warning: \S+/main\.cf, line 14: unused parameter: smtpd_bannner=x$')
        self.a.services += 'badline unix\n'
        self.a.write()
        self.assertEqual(self.a.run('check').returncode, 78)

    # ---- the log

    def test_logrotate(self):
        self.start()
        self.assertEqual(self.a.run('logrotate').returncode, 0)
        self.a.run('status')
        self.a.run('reload')
        self.wait_log(r'reload -- version')
        self.assertEqual(len(list(self.a.top.glob('log.*.gz'))), 1)

    def test_log_that_cannot_be_written_is_no_reason_not_to_start(self):
        self.a.main['maillog_file'] = self.top / 'nowhere' / 'log'
        answer = self.start()
        self.assertIn('nowhere/log', answer.stderr)
        self.assertIn('220 first', connect(self.a.port)[1])


if __name__ == '__main__':
    unittest.main(warnings='ignore')
