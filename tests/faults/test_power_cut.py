#!/usr/bin/env python3
"""The power fails at any moment: every message that got its 250 is still there, or has been delivered.

strace records what all workers write, sync, rename and unlink during a load with deferrals and bounces.  Then each
prefix of that sequence is replayed in memory, and what a power cut at that moment leaves is looked at in three models of what
unsynced changes become (write_record.py).  For some prefixes an environment starts on what is left, and delivers it.
$BULKHEAD_POWER_CUTS says for how many (4), $BULKHEAD_SEED which.
"""
import copy
import os
import pathlib
import pwd
import random
import re
import shutil
import time

import client
import environment
import scenario
import write_record

SEED = int(os.environ.get('BULKHEAD_SEED', time.time_ns() % 1000000))
CUTS = int(os.environ.get('BULKHEAD_POWER_CUTS', '4'))
MODELS = ('synced', 'names', 'all')
QUEUES = ('incoming', 'active', 'deferred', 'hold', 'maildrop')
FOLDERS = (*QUEUES, 'bounce', 'defer', 'trace', 'corrupt', 'recycled')
LEDGER = re.compile(rb'X-Ledger-Id: (\w+-\d+-\d+)')


class PowerCut(scenario.Scenario):
    def record(self):
        """(disk before, events, what arrived) of a load of which a part is deferred, and a part returned."""
        chance = random.Random(SEED)
        system, a, sink = self.relaying(smtpd_client_connection_count_limit='0')
        client.Load(a.port, clients=2, total=20, prefix='early').start().join()   # leaves files that are used again
        a.wait_empty()
        del sink.messages[:]
        if not shutil.which('strace'):
            self.skipTest('no strace')
        disk = write_record.Disk(a.spool)
        try:
            recording = write_record.Recording(system, a)
        except OSError as problem:
            self.skipTest(str(problem))

        def mood(_, line):
            if 'dest.example' not in line or chance.random() < 0.5:
                return None
            return chance.choice(['450 4.2.0 later', '450 4.2.0 later', '550 5.1.1 nobody'])
        sink.script['rcpt'] = mood
        load = client.Load(a.port, clients=4, seconds=3, pause=0.02, prefix='cut').start().join()
        a.wait_spool('incoming=0,active=0')
        time.sleep(0.2)
        events = recording.stop()
        system.stop()
        self.assertEqual(load.unknown, [])
        return disk, events, list(sink.messages)

    @staticmethod
    def kept(files):
        """Ids of the messages that wait to be delivered, or to be returned."""
        found = set()
        for name, (data, mode) in files.items():
            queue, _, rest = name.partition('/')
            if queue not in QUEUES or not mode & 0o100 or not (data.startswith(b'C') and data.endswith(b'E\0')):
                continue
            log = files.get(f'bounce/{rest.rpartition("/")[2]}', (b'', 0))[0]
            if re.search(rb'R.[\w.]+@', data) or log:
                found.update(identity.decode() for identity in LEDGER.findall(data))
        return found

    def start_on(self, files, expected):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        account = pwd.getpwnam(a.user)
        for name, (data, mode) in files.items():
            path = a.spool / name
            if pathlib.PurePath(name).parts[0] not in FOLDERS:
                continue
            for folder in reversed(path.relative_to(a.spool).parents[:-1]):
                (a.spool / folder).mkdir(mode=0o700, exist_ok=True)
                os.chown(a.spool / folder, account.pw_uid, account.pw_gid)
            path.write_bytes(data)
            path.chmod(mode)
            os.chown(path, account.pw_uid, account.pw_gid)
        system.start()
        self.wait(lambda: expected <= sink.count_by_id().keys(), 30, 'acknowledged mail does not arrive')
        system.stop()

    def states(self, disk, events, arrived):
        """(number, event, model, files, ids of acknowledged messages that have not arrived) for each moment."""
        ids, acknowledged, arrivals = {}, set(), {}
        for message in arrived:
            arrivals.setdefault(message.id, message.when)
        for number, event in enumerate(events):
            disk.apply(event)
            when, kind, *rest = event
            if kind == 'write':     # whose the answer is that names this file
                for identity in LEDGER.findall(rest[1]):
                    ids.setdefault(pathlib.PurePath(rest[0]).name, identity.decode())
            if kind == 'said':
                said = re.match(rb'250 2\.0\.0 Ok: queued as (\w+)', rest[0])
                if not said or said[1].decode() not in ids:
                    continue
                acknowledged.add(ids[said[1].decode()])
            expected = {identity for identity in acknowledged if arrivals.get(identity, when + 1) > when}
            for model in MODELS:
                yield number, event, model, disk.after_power_cut(model), expected
        self.assertGreaterEqual(len(acknowledged), 30)

    def losses(self, *recorded):
        return [(number, model, event[1:3], expected - self.kept(files))
                for number, event, model, files, expected in self.states(*recorded) if expected - self.kept(files)]

    def test_every_moment(self):
        disk, events, arrived = self.record()
        chosen = random.Random(SEED).sample(range(len(events) // 4, len(events)), CUTS)
        cuts = [(number, MODELS[index % len(MODELS)]) for index, number in enumerate(sorted(chosen))]
        lost, starts, states = [], [], 0
        for number, event, model, files, expected in self.states(copy.deepcopy(disk), events, arrived):
            states += 1
            missing = expected - self.kept(files)
            if missing:
                lost.append((number, model, event[1:3], missing))
            if cuts and number >= cuts[0][0] and model == cuts[0][1]:
                cuts.pop(0)
                starts.append((number, model, files, expected))
        self.assertEqual(lost[:3], [], f'seed {SEED}: {len(lost)} states in which acknowledged mail is gone')
        for number, model, files, expected in starts:
            with self.subTest(cut=number, model=model, seed=SEED):
                self.start_on(files, expected)
        print(f'seed {SEED}: {len(events)} events, {states} states looked at, {len(starts)} starts')
        # Would it have been seen?
        without = [event for event in events if event[1] != 'sync']
        self.assertTrue(self.losses(disk, without, arrived), 'syncs that are left out are not noticed')


if __name__ == '__main__':
    scenario.main()
