#!/usr/bin/env python3
"""A spool on a file system that is full: the client keeps its mail, nothing is lost.

Runs in a mount namespace of its own, where a small tmpfs is the spool.
"""
import os
import subprocess
import sys

import client
import environment
import scenario

PRIVATE = 'BULKHEAD_PRIVATE_MOUNTS'


class DiskFull(scenario.Scenario):
    def on_tmpfs(self, options, **settings):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= {'smtpd_client_connection_count_limit': '0', 'queue_minfree': '0'} | settings
        subprocess.run(['mount', '-t', 'tmpfs', '-o', options + ',mode=0755', 'tmpfs', str(a.spool)], check=True)
        self.addCleanup(subprocess.run, ['umount', '-l', str(a.spool)], check=False)
        return system.start(), a, sink

    def fill(self, a, leave=0):
        """Fills the spool's file system but for `leave` bytes."""
        path = a.spool / 'FILL'
        with open(path, 'wb') as file:
            try:
                while os.statvfs(a.spool).f_bavail * 4096 > leave:
                    file.write(b'x' * 4096)
                    file.flush()
            except OSError:
                pass
        return path

    def test_full_spool_refuses_with_452_and_recovers(self):
        _, a, sink = self.on_tmpfs('size=16m', message_size_limit='1000000')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 hold it'
        before = client.Load(a.port, clients=4, total=100, size=3000, prefix='before').start().join()
        self.assertEqual(len(before.acknowledged), 100, before.refused)
        fill = self.fill(a)
        during = client.Load(a.port, clients=4, seconds=3, size=20000, pause=0.02, prefix='during').start().join()
        codes = {code for code, _ in during.refused.values()}
        self.assertTrue(codes, 'nothing was refused')
        self.assertTrue(codes <= {451, 452, 421}, during.refused)
        self.assertIn(452, codes)
        fill.unlink()
        sink.script.clear()
        after = client.Load(a.port, clients=2, total=20, prefix='after').start().join()
        self.assertEqual(len(after.acknowledged), 20, after.refused)
        a.command('postqueue', '-f')
        ledger = client.verdict([before, during, after], sink, 60 * environment.SLOWER)
        self.assertEqual((ledger['lost'], ledger['strangers']), ([], []), ledger)
        for identity in during.refused:
            self.assertNotIn(identity, sink.count_by_id(), 'a refused message was delivered')
        a.wait_empty(30)
        self.assertNotIn('status=bounced', a.log_text())
        self.assertEqual(a.queue_files('corrupt'), [])

    def test_disk_fills_within_one_message(self):
        # Without a limit of size MAIL has nothing to refuse.
        _, a, sink = self.on_tmpfs('size=16m', message_size_limit='0')
        fill = self.fill(a, 2000000)
        with a.client(timeout=60) as connection:
            connection.greet()
            code, text = connection.message('s@client.example', 'r@dest.example', client.message('overflow', 6000000))
            self.assertEqual(code, 452, text)
            self.assertTrue(text.startswith('4.3.1 '), text)
            self.assertEqual(a.queue_files('incoming', 'active', 'deferred'), [])
            fill.unlink()
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('fits'))[0], 250)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'fits'))
        self.assertNotIn('overflow', sink.count_by_id())

    def test_minimum_of_free_space(self):
        _, a, sink = self.on_tmpfs('size=16m', message_size_limit='1000000', queue_minfree='3000000')
        fill = self.fill(a, 2000000)
        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.command('MAIL FROM:<s@client.example> SIZE=1000')[0], 452)
            fill.unlink()
            self.assertEqual(connection.command('MAIL FROM:<s@client.example> SIZE=1000')[0], 250)

    def test_no_more_inodes(self):
        _, a, sink = self.on_tmpfs('size=16m,nr_inodes=400', smtpd_error_sleep_time='0')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 hold it'
        load = client.Load(a.port, clients=2, total=600).start().join()
        codes = {code for code, _ in load.refused.values()}
        self.assertEqual(codes, {452}, load.refused)
        sink.script.clear()
        a.command('postqueue', '-f')
        ledger = client.verdict([load], sink, 60 * environment.SLOWER)
        self.assertEqual(ledger['lost'], [], ledger)
        a.wait_empty(30)
        self.assertEqual(a.queue_files(), [])
        self.assertNotIn('status=bounced', a.log_text())

    def test_a_message_stays_until_its_sender_can_be_told(self):
        _, a, sink = self.on_tmpfs('size=16m', message_size_limit='1000000')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 hold it'
        load = client.Load(a.port, clients=1, total=3).start().join()
        self.assertEqual(len(load.acknowledged), 3, load.refused)
        a.wait_spool('deferred=3')
        fill = self.fill(a)
        sink.script['rcpt'] = lambda _, line: '550 5.1.1 nobody' if 'recipient@' in line else None
        a.command('postqueue', '-f')
        # The log may just fit where the reason of the first attempt was; its notice does not.
        self.assert_log(a, r'550 5\.1\.1 nobody.*\(bounce service unavailable\)|notice not sent')
        self.assertGreaterEqual(len(a.queue_files()), 3)
        fill.unlink()
        a.wait_empty(30)
        notices = [message for message in sink.messages if message.recipients == ['sender@client.example']]
        self.assertEqual(len(notices), 3)

    def test_sendmail_on_a_full_disk(self):
        _, a, sink = self.on_tmpfs('size=16m')
        fill = self.fill(a)
        answer = a.sendmail('r@dest.example', input='Subject: x\n\n' + 'y' * 200000 + '\n')
        self.assertIn(answer.returncode, (69, 75), answer.stderr)
        self.assertEqual(a.queue_files('maildrop'), [])
        fill.unlink()


if __name__ == '__main__':
    if not os.environ.get(PRIVATE):
        os.environ[PRIVATE] = '1'
        os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, '-B', *sys.argv])
    scenario.main()
