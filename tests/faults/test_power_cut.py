#!/usr/bin/env python3
"""The power fails: what was acknowledged is still there, whatever the disk had not written yet.

strace records every write, sync, rename and unlink during a load with deferrals and bounces.  Then each
prefix of that sequence is replayed in memory, and what a power cut at that moment leaves is looked at in several models of what
unsynced changes become (write_record.py).  For some prefixes an environment starts on what is left, and delivers it.
The same with a commit log, whose entries are looked for with a reader of the tests' own (log_reader.py).
$BULKHEAD_POWER_CUTS says for how many (4), $BULKHEAD_SEED which.
"""
import copy
import functools
import os
import pathlib
import pwd
import random
import re
import shutil
import time

import client
import environment
import log_reader
import processes
import scenario
import write_record

SEED = int(os.environ.get('BULKHEAD_SEED', time.time_ns() % 1000000))
CUTS = int(os.environ.get('BULKHEAD_POWER_CUTS', '4'))
QUEUES = ('incoming', 'active', 'deferred', 'hold', 'maildrop')
FOLDERS = (*QUEUES, 'bounce', 'defer', 'trace', 'corrupt', 'recycled', 'log')
LEDGER = re.compile(rb'X-Ledger-Id: (\w+-\d+-\d+)')
RECIPIENT = re.compile(rb'R.[\w.]+@')


@functools.lru_cache(20000)
def ledger_ids(data):
    return frozenset(identity.decode() for identity in LEDGER.findall(data))


def is_complete(data):
    return data.startswith(b'C') and data.endswith(b'E\0')


@functools.lru_cache(20000)
def has_recipients(data):
    return bool(RECIPIENT.search(data))


def logged(files):
    """The log's entries that are neither delivered nor filed."""
    folders = {}
    for name, (data, _) in files.items():
        if write_record.SEGMENT.match(name):
            folders.setdefault(os.path.dirname(name), []).append(data)
    return [entry for folder, segments in folders.items()
            for entry in log_reader.alive(files.get(f'{folder}/states', (b'', 0))[0], segments)]


class PowerCut(scenario.Scenario):
    settings = {'commit_log': 'no'}
    # Of unsynced changes, and of the states in the log, which are never synced with other files.
    models = ('synced', 'names', 'all')
    starts = (('synced', 'newest'), ('names', 'newest'), ('all', 'newest'))
    clients, seconds = 4, 3     # at least

    def record(self):
        """(disk before, events, what arrived) of a load of which a part is deferred, and a part returned."""
        chance = random.Random(SEED)
        system, a, sink = self.relaying(smtpd_client_connection_count_limit='0', **self.settings)
        # Leaves files that are used again; too slow for a log to begin before it is watched.
        client.Load(a.port, clients=2, total=20, pause=0.15, prefix='early').start().join()
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
        load = client.Load(a.port, clients=self.clients, seconds=30, pause=0.02, prefix='cut').start()
        time.sleep(self.seconds)
        processes.wait_until(lambda: self.is_enough(load, recording), 20)
        load.stop()
        load.join()
        a.wait_spool('incoming=0,active=0')
        time.sleep(0.2)
        events = recording.stop()
        system.stop()
        self.assertEqual(load.unknown, [])
        return disk, events, list(sink.messages)

    @staticmethod
    def is_enough(load, _):
        return len(load.acknowledged) >= 50

    @staticmethod
    def kept(files):
        """Ids of the messages that wait to be delivered, or to be returned."""
        found, elsewhere = set(), set()

        def is_owed(queue_id, data):
            return has_recipients(data) or files.get(f'bounce/{queue_id}', (b'', 0))[0]

        for name, (data, mode) in files.items():
            queue, _, rest = name.partition('/')
            queue_id = rest.rpartition('/')[2]
            if queue in ('deferred', 'hold', 'corrupt'):    # where the log's copy does not count, even if it is better
                elsewhere.add(queue_id)
            if queue in QUEUES and mode & 0o100 and is_complete(data) and is_owed(queue_id, data):
                found |= ledger_ids(data)
        for entry in logged(files):
            if entry.intact and entry.id not in elsewhere and is_complete(entry.image) and is_owed(entry.id, entry.image):
                found |= ledger_ids(entry.image)
        return found

    def start_on(self, files, expected):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= self.settings
        account = pwd.getpwnam(a.user)
        for name, (data, mode) in files.items():
            path = a.spool / name
            if pathlib.PurePath(name).parts[0] not in FOLDERS:
                continue
            for folder in reversed(path.relative_to(a.spool).parents[:-1]):
                (a.spool / folder).mkdir(mode=0o700, exist_ok=True)
                os.chown(a.spool / folder, account.pw_uid, account.pw_gid)
            if isinstance(data, write_record.Pages):
                data.save(path)
            else:
                path.write_bytes(data)
            path.chmod(mode)
            os.chown(path, account.pw_uid, account.pw_gid)
        left = list(a.spool.glob('log/*'))
        system.start()
        self.wait(lambda: expected <= sink.count_by_id().keys(), 30, 'acknowledged mail does not arrive')
        self.wait(lambda: not any(folder.exists() for folder in left), 15, 'a log without an owner stays')
        system.stop()

    def states(self, disk, events, arrived):
        """(number, event, model, files, ids of acknowledged messages that have not arrived) for each moment."""
        ids, acknowledged, arrivals = {}, set(), {}
        chance = random.Random(SEED)
        for message in arrived:
            arrivals.setdefault(message.id, message.when)
        for number, event in enumerate(events):
            disk.apply(event)
            when, kind, *rest = event
            if kind == 'write':     # whose the answer is that names this file
                for identity in ledger_ids(rest[1]):
                    ids.setdefault(pathlib.PurePath(rest[0]).name, identity)
                for entry in log_reader.entries_of_batch(rest[1]):
                    for identity in ledger_ids(entry.image):
                        ids.setdefault(entry.id, identity)
            if kind == 'said':
                said = re.match(rb'250 2\.0\.0 Ok: queued as (\w+)', rest[0])
                if not said or said[1].decode() not in ids:
                    continue
                acknowledged.add(ids[said[1].decode()])
            expected = {identity for identity in acknowledged if arrivals.get(identity, when + 1) > when}
            for model in self.models:
                # Chance changes nothing where the log has not.
                if model != 'torn' or kind == 'said' or rest[0].startswith('log/'):
                    yield number, event, model, disk.after_power_cut(model, chance=chance), expected
        self.assertGreaterEqual(len(acknowledged), 30)

    def losses(self, *recorded):
        for number, event, model, files, expected in self.states(*recorded):
            missing = expected - self.kept(files)
            if missing:
                yield number, model, event[1:3], missing

    def look_at_every_moment(self, disk, events, arrived):
        """The disk at some moments, to start on: (number, model, states of the log, files, expected)."""
        chosen = sorted(random.Random(SEED).sample(range(len(events) // 4, len(events)), CUTS))
        cuts = [(number, *self.starts[index % len(self.starts)]) for index, number in enumerate(chosen)]
        lost, starts, looked_at = [], [], 0
        for number, event, model, files, expected in self.states(disk, events, arrived):
            looked_at += 1
            missing = expected - self.kept(files)
            if missing:
                lost.append((number, model, event[1:3], missing))
            if cuts and number >= cuts[0][0]:
                _, left, age = cuts.pop(0)
                starts.append((number, left, age, disk.after_power_cut(left, age, random.Random(SEED)), expected))
        self.assertEqual(lost[:3], [], f'seed {SEED}: {len(lost)} states in which acknowledged mail is gone')
        print(f'seed {SEED}: {len(events)} events, {looked_at} states looked at, {len(starts)} starts')
        return starts

    def test_every_moment(self):
        disk, events, arrived = self.record()
        self.judge(copy.deepcopy(disk), events, arrived)
        for number, model, states, files, expected in self.look_at_every_moment(copy.deepcopy(disk), events, arrived):
            with self.subTest(cut=number, model=model, states=states, seed=SEED):
                self.start_on(files, expected)
        # Would it have been seen?
        for what, is_left_out in self.needed(events).items():
            without = [event for event in events if not is_left_out(*event[1:3])]
            loss = next(self.losses(copy.deepcopy(disk), without, arrived), None)
            self.assertTrue(loss, f'nobody notices that {what} is left out')

    def judge(self, _, events, __):
        self.assertFalse([event for event in events if str(event[2]).startswith('log/')], 'there is a log')

    @staticmethod
    def needed(_):
        """What mail is lost without, as functions of an event's kind and path."""
        return {'each fsync': lambda kind, _: kind == 'sync'}


def entries_in(events):
    return [entry for _, kind, path, *rest in events if kind == 'write' and write_record.SEGMENT.match(path)
            for entry in log_reader.entries_of_batch(rest[0])]


class PowerCutWithLog(PowerCut):
    settings = {'commit_log': 'yes'}
    models = ('synced', 'names', 'all', 'torn')
    starts = (('synced', 'newest'), ('torn', 'newest'), ('all', 'created'), ('names', 'synced'))
    clients, seconds = 10, 5

    @staticmethod
    def is_enough(_, recording):
        """Of what was in the log: its slots serve one after another."""
        return any(sum(map(bool, log_reader.States(state[3]).values)) >= 60 for state in recording.states[-1:])

    def judge(self, disk, events, arrived):
        entries = entries_in(events)
        print(f'{len(entries)} messages in the log')
        if len(entries) <= 30 and arrived[-1].when - arrived[0].when > 20:
            self.skipTest('under strace too few messages come in a second for a log to begin')
        self.assertGreater(len(entries), 30, 'the log was not used')
        self.assertLess(self.forgotten_for(disk, events, arrived), 3 * environment.SLOWER, 'states are not synced')

    @staticmethod
    def needed(events):
        logged_ids = {entry.id for entry in entries_in(events)}
        return {'the fdatasync of segments': lambda kind, path: kind == 'data' and write_record.SEGMENT.match(path),
                'the fsync of what gets a file later': lambda kind, path: kind == 'sync' and os.path.basename(path) in logged_ids}

    @staticmethod
    def forgotten_for(disk, events, arrived):
        """How long a message may have been delivered until no power cut makes it come again."""
        arrivals = {message.id: message.when for message in arrived}
        longest = 0
        for number, event in enumerate(events):
            disk.apply(event)
            if number % 50 == 0:
                alive = logged(disk.after_power_cut('synced', 'synced'))
                again = {identity for entry in alive for identity in ledger_ids(entry.image)} & arrivals.keys()
                longest = max([longest, *(event[0] - arrivals[identity] for identity in again)])
        return longest


if __name__ == '__main__':
    scenario.main()
