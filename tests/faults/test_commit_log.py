#!/usr/bin/env python3
"""With commit_log = yes nothing that got its 250 is lost either, whoever is killed (see test_kill.py, also for --minutes)."""
import pathlib

import client
import test_kill


class CommitLog(test_kill.Kill):
    # These are about other things.
    test_an_agent_that_has_bounced_one_of_two = None
    test_mail_that_was_never_announced = None
    test_the_log_writer = None
    test_a_log_writer_that_hangs = None
    test_only_the_master = None

    def relaying(self, **parameters):
        return super().relaying(commit_log='yes', **parameters)

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


if __name__ == '__main__':
    test_kill.main('CommitLog')
