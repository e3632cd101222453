#!/usr/bin/env python3
"""The commit log is used, and left clean; what happens to mail in it is in test_kill.py.  And with commit_log = no
nothing that got its 250 is lost either (also for --minutes)."""
import pathlib
import re
import time

import client
import sink
import test_kill


class CommitLog(test_kill.Ledger):
    def segments(self):
        return list(pathlib.Path(self.a.spool, 'log').glob('*/s[0-9]*'))

    def test_it_is_used_and_left_clean(self):
        load = client.Load(self.a.port, clients=6, total=600, prefix='used').start()
        self.wait(self.segments, message='no log was begun')
        load.join(60)
        self.judge([load])
        self.system_.stop()
        self.system_.start()
        self.wait(lambda: not self.segments(), 15, 'a log without an owner stays')

    def test_what_waits_is_listed(self):
        load = client.Load(self.a.port, clients=6, total=200, prefix='first').start().join(60)
        self.wait(self.segments, message='no log was begun')
        self.assertEqual(len(self.received.wait(200)), 200)
        self.received.script['rcpt'] = lambda *_: '450 4.2.0 later'
        late = client.Load(self.a.port, clients=6, total=200, prefix='late').start().join(60)
        self.a.wait_spool('deferred=200')
        self.received.script.clear()
        self.judge([load, late])

    def test_what_is_on_its_way_is_counted(self):
        # Nobody who waits for an empty spool is told that it is while mail is in the log.
        self.received.script['data'] = sink.Delay(0.3)
        load = client.Load(self.a.port, clients=6, total=120, prefix='way').start().join(60)
        self.a.wait_spool('incoming=0,active=0,deferred=0')
        self.assertEqual(len(self.received.messages), 120)
        self.judge([load])

    def test_an_id_in_advance(self):
        # The answer to a message has the id of the next one: a reload meanwhile takes it from nobody.
        load = client.Load(self.a.port, clients=6, total=200, prefix='before').start().join(60)
        self.wait(self.segments, message='no log was begun')
        with self.a.client() as connection:
            connection.greet()
            identity = client.new_id('begun')
            self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
            self.assertEqual(connection.command('RCPT TO:<r@dest.example>')[0], 250)
            begun = self.wait(lambda: next(iter(re.findall(r'(\w+): client=', self.a.log_text())[200:]), None))
            self.assertEqual(self.a.command('bulkhead', 'reload').returncode, 0)
            self.assert_log(self.a, r'master\[\d+\]: reload')
            self.assertEqual(connection.command('DATA')[0], 354)
            connection.send(f'X-Ledger-Id: {identity}\r\n\r\nx\r\n.\r\n'.encode())
            code, text = connection.reply()
            self.assertEqual(code, 250, text)
            self.assertIn(begun, str(text))
            load.acknowledged[identity] = time.time()
        self.judge([load])

    def test_postsuper_empties_what_a_crash_left(self):
        # For other software, which knows no log.
        self.received.script['data'] = sink.Delay(5)
        load = client.Load(self.a.port, clients=6, total=400, prefix='left').start().join(60)
        self.kills.append((time.time(), 'everything'))
        self.system_.kill_everything()
        said = self.a.command('postsuper', '-s')
        self.assertIn('Taken out of the commit log', said.stdout + said.stderr)
        self.assertEqual(list(pathlib.Path(self.a.spool, 'log').iterdir()), [])
        self.assertGreaterEqual(len(self.a.queue_files('incoming', 'active')), 400 - len(self.received.messages))
        self.received.script.clear()
        self.system_.start()
        self.judge([load])


class WithoutIt(test_kill.Kills):
    def relaying(self, **parameters):
        return super().relaying(commit_log='no', **parameters)


if __name__ == '__main__':
    test_kill.main('WithoutIt')
