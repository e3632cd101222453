#!/usr/bin/env python3
"""The clock jumps an hour ahead and an hour back under load: nothing is lost, nobody dies, mail goes on at once.

Workers see the wall clock through tests/faults/clock_shim.cc; steady clocks and times of files are the kernel's.
"""
import os
import pathlib
import re
import struct

import client
import environment
import scenario

HOUR = 3600


class Clock(scenario.Scenario):
    def setUp(self):
        shim = pathlib.Path(os.environ.get('BULKHEAD_BUILD', '')) / 'tests' / 'libclock_shim.so'
        if not shim.exists():
            self.skipTest('no clock shim')
        self.system_, self.received = self.system('a'), self.sink()
        self.a = self.system_['a']
        self.clock = self.system_.top / 'clock'
        library = self.system_.top / 'clock_shim.so'
        library.write_bytes(shim.read_bytes())
        self.a.relay_to(self.received.port)
        self.a.config |= {'import_environment': f'LD_PRELOAD={library} BULKHEAD_CLOCK={self.clock}', 'minimal_backoff_time': '5s',
                          'maximal_backoff_time': '10s', 'smtpd_client_connection_count_limit': '0'}
        os.environ |= {'LD_PRELOAD': str(library), 'BULKHEAD_CLOCK': str(self.clock)}
        self.addCleanup(lambda: [os.environ.pop(name) for name in ('LD_PRELOAD', 'BULKHEAD_CLOCK')])

    def set_clock(self, ahead):
        """Written in place: the file is mapped."""
        with open(self.clock, 'r+b' if self.clock.exists() else 'wb') as file:
            file.write(struct.pack('q', ahead))

    def jump(self, before, after, word):
        self.set_clock(before)
        self.system_.start()
        some = iter(range(1 << 30))
        self.received.script['rcpt'] = lambda *_: '450 4.2.0 later' if next(some) % 3 == 0 else None
        load = client.Load(self.a.port, clients=4, seconds=4, pause=0.02, prefix=word).start()
        self.assertTrue(self.received.wait(20))
        self.assert_log(self.a, 'status=deferred')
        self.set_clock(after)
        load.join()
        self.received.script.clear()
        self.assert_log(self.a, rf'qmgr\[\d+\]: warning: the clock was set {word} by 3(599|600|601) seconds')
        ledger = client.verdict([load], self.received, 30 * environment.SLOWER)     # nobody flushes the queue
        self.assertEqual((ledger['lost'], ledger['strangers'], ledger['duplicates']), ([], [], {}), ledger)
        self.assertGreater(ledger['acknowledged'], 50)
        self.a.wait_empty(30)
        self.assertNotIn('status=bounced', self.a.log_text())
        # A time behind the jump is in the log, and one before it.
        hours = {stamp for stamp in re.findall(r'^\w+ +\d+ (\d+):', self.a.log_text(), re.M)}
        self.assertGreaterEqual(len(hours), 2)

    def test_an_hour_ahead(self):
        self.jump(0, HOUR, 'forward')

    def test_an_hour_back(self):
        self.jump(HOUR, 0, 'back')


if __name__ == '__main__':
    scenario.main()
