#!/usr/bin/env python3
"""The disk answers EIO, or descriptors run out: clients keep what is not safe, and what they were told is safe arrives.

strace lets calls of chosen workers fail; it is taken away again while the load goes on.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess

import client
import environment
import processes
import scenario

WRITERS = ('cleanup', 'qmgr', 'smtp', 'bounce')


class Trouble(scenario.Scenario):
    def setUp(self):
        self.system_, self.a, self.received = self.relaying(smtpd_client_connection_count_limit='0')
        client.Load(self.a.port, clients=2, total=20, prefix='warm').start().join()
        self.a.wait_empty()
        del self.received.messages[:]

    @contextlib.contextmanager
    def failing(self, calls, when, *programs):
        """Every so many of these calls fail with EIO, in each thread of the workers that run now."""
        pids = self.a.workers(*programs)
        self.assertTrue(pids)
        if not shutil.which('strace'):
            self.skipTest('no strace')
        record = self.system_.top / 'strace'
        with subprocess.Popen(['strace', '-f', '-o', record, '-e', 'trace=' + calls, '-e', f'inject={calls}:error=EIO:when={when}',
                               *(word for pid in pids for word in ('-p', str(pid)))], stderr=subprocess.DEVNULL) as tracer:
            if not processes.wait_until(lambda: all(
                    processes.status_of(pid).get('TracerPid', '0') != '0' for pid in pids), 10):
                tracer.kill()
                self.skipTest('strace cannot trace here')
            yield
            tracer.send_signal(signal.SIGINT)
        self.failed = record.read_text(errors='replace').count('(INJECTED)')

    def judge(self, load, duplicates=False):
        self.received.script.clear()
        after = client.Load(self.a.port, clients=2, total=20, prefix='after').start().join()
        self.assertEqual(len(after.acknowledged), 20, after.refused)
        self.a.command('postqueue', '-f')
        ledger = client.verdict([load, after], self.received, 30 * environment.SLOWER)
        print(json.dumps({'test': self.id().rpartition('.')[2], 'calls that failed': getattr(self, 'failed', None), **{
            name: value if isinstance(value, int) else len(value) for name, value in ledger.items()}}))
        self.assertEqual((ledger['lost'], ledger['strangers'], ledger['arrived though refused']), ([], [], []), ledger)
        if not duplicates:
            self.assertEqual(ledger['duplicates'], {})
        codes = {code for code, _ in load.refused.values()}
        self.assertLessEqual(codes, {421, 451, 452}, load.refused)
        self.a.wait_empty(30)
        # Empty files that could not be named and not removed are for the queue manager's next start.
        self.assertEqual([path for path in self.a.queue_files() if path.stat().st_size], [], 'left over')
        return ledger

    def test_fsync_fails_in_cleanup(self):
        with self.failing('fsync,fdatasync', '2+3', 'cleanup'):
            load = client.Load(self.a.port, clients=4, total=150, prefix='fsync').start().join()
        self.assertGreater(self.failed, 5)
        self.assertTrue(load.refused, 'a sync has failed and everybody was told 250')
        self.judge(load)
        self.assert_log(self.a, r'cleanup\[\d+\]: (warning|error): .*(fsync|sync).*Input/output error')

    def test_writing_fails_in_cleanup(self):
        with self.failing('pwritev,pwrite64', '2+3', 'cleanup'):
            load = client.Load(self.a.port, clients=4, total=150, prefix='write').start().join()
        self.assertTrue(load.refused)
        self.judge(load)
        self.assert_log(self.a, r'cleanup\[\d+\]: (warning|error): .*write.*Input/output error')

    def test_everything_fails_now_and_then(self):
        # A mark that cannot be written is a delivery that is made again.
        some = iter(range(1 << 30))
        self.received.script['rcpt'] = lambda _, line: (
            {0: '450 4.2.0 later', 1: '550 5.1.1 nobody'}.get(next(some) % 7) if 'dest.example' in line else None)
        with self.failing('pwritev,pwrite64,fsync,renameat2,unlinkat,ftruncate,utimensat', '9+10', *WRITERS):
            load = client.Load(self.a.port, clients=4, seconds=4, pause=0.02, prefix='all').start().join()
        self.assertGreater(len(load.acknowledged), 20)
        ledger = self.judge(load, duplicates=True)
        self.assertLessEqual(len(ledger['duplicates']), self.failed)

    def test_no_descriptors(self):
        pids = self.a.workers('smtpd', *WRITERS)
        for pid in pids:
            self.limit_descriptors(pid, len(os.listdir(f'/proc/{pid}/fd')) + 2)
        load = client.Load(self.a.port, clients=8, seconds=4, pause=0.02, prefix='fd').start()
        busy = {pid: self.cpu(pid) for pid in pids}
        load.join()
        spinning = [processes.name_of(pid) for pid in pids if self.cpu(pid) - busy[pid] > 3]
        self.assertEqual(spinning, [], 'busy with waiting for a descriptor')
        for pid in pids:
            self.limit_descriptors(pid, 1000)
        self.judge(load)
        self.assert_log(self.a, 'Too many open files')

    def limit_descriptors(self, pid, number):
        environment.run('prlimit', f'--pid={pid}', f'--nofile={number}:', user=self.a.user)

    @staticmethod
    def cpu(pid):
        fields = processes.stat_fields(pid)
        return (int(fields[11]) + int(fields[12])) / 100 if fields else 0


if __name__ == '__main__':
    scenario.main()
