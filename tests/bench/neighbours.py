#!/usr/bin/env python3
"""What a quiet environment feels of one beside it that is in trouble.

usage: neighbours.py [--tmpfs] [--seconds N] PREFIX [CASE...]      (as root; PREFIX is an installation)

A message goes through the quiet environment every 50 ms; its latency runs from the connection to its arrival at the
next server.  That is measured alone, then beside each trouble of the other environment, then alone again, in one run.
--tmpfs: spools in memory, which leaves the disk out.  Clients that flood run with low priority: they would be elsewhere.
"""
import argparse
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'support'))
INSIDE = 'NEIGHBOURS_INSIDE'
PAUSE = 0.05
DEFERRED = 50_000
CONNECTIONS = 200


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split('\n')[2].removeprefix('usage: '))
    parser.add_argument('--tmpfs', action='store_true')
    parser.add_argument('--seconds', type=float, default=15)
    parser.add_argument('prefix')
    parser.add_argument('cases', nargs='*')
    return parser.parse_args()


OPTIONS = arguments()
if INSIDE not in os.environ:      # mounts of our own
    os.environ |= {INSIDE: '1', 'BULKHEAD_PREFIX': str(pathlib.Path(OPTIONS.prefix).resolve())}
    os.execvp('unshare', ['unshare', '--mount', sys.executable, '-B', *sys.argv])

import client          # noqa: E402
import environment     # noqa: E402
import made_spool      # noqa: E402
import processes       # noqa: E402
from sink import Delay, Sink     # noqa: E402


class Background:
    """A child that does something to the other environment until it is stopped."""

    def __init__(self, work, *words):
        self.pid = os.fork()
        if self.pid == 0:
            os.nice(19)
            try:
                work(*words)
            finally:
                os._exit(0)

    def stop(self):
        processes.kill([self.pid])
        os.waitpid(self.pid, 0)


def flood_messages(port):
    client.Load(port, clients=10, seconds=600, per_connection=50).start().join(700)


def flood_connections(port):
    """Keeps so many connections, and takes up the oldest again and again."""
    kept = []
    while True:
        try:
            kept.append(socket.create_connection(('127.0.0.1', port), 1))
        except OSError:
            time.sleep(0.01)
        if len(kept) > CONNECTIONS:
            kept.pop(0).close()


def crash(here, port):
    while True:
        processes.kill(here.workers(), 11)
        try:
            with socket.create_connection(('127.0.0.1', port), 1) as knock:
                knock.settimeout(0.2)
                knock.recv(100)
        except OSError:
            pass


class Bench:
    def __init__(self):
        self.system = environment.System('quiet', 'other')
        self.quiet, self.other = self.system['quiet'], self.system['other']
        self.sinks = {name: Sink() for name in ('quiet', 'other')}
        for name, sink in self.sinks.items():
            self.system[name].relay_to(sink.port)
            self.system[name].config |= {'maillog_file': '', 'in_flow_delay': '1s'}
            if OPTIONS.tmpfs:
                self.mount(self.system[name].spool, '1g')
        self.rows = []

    def mount(self, place, size):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size},nr_inodes=1m,mode=755', 'tmpfs', place], check=True)

    def latencies(self, name):
        sent = {}

        def send(identity):
            sent[identity] = time.time()
            with self.quiet.client() as connection:
                connection.greet()
                reply = connection.message('s@client.example', 'r@dest.example', client.message(identity))
                assert reply[0] == 250, reply
        senders, end = [], time.monotonic() + OPTIONS.seconds
        while time.monotonic() < end:      # whether or not the one before has come through
            thread = threading.Thread(target=send, args=[client.new_id(name)], daemon=True)
            thread.start()
            senders.append(thread)
            time.sleep(PAUSE)
        for thread in senders:
            thread.join(60)
        sink = self.sinks['quiet']
        processes.wait_until(lambda: sent.keys() <= sink.count_by_id().keys(), 60)
        arrived = {message.id: message.when for message in sink.wait(0)}
        missing = sum(1 for identity in sent if identity not in arrived)
        times = sorted(1000 * (arrived[identity] - sent[identity]) for identity in sent if identity in arrived)
        return times, missing

    def measure(self, name, title):
        cpu = cpu_use()
        times, missing = self.latencies(name)
        busy = cpu_use(cpu)
        self.rows.append((title, statistics.median(times), times[int(len(times) * 0.99)], times[-1], len(times), missing))
        print(f'{title:34} median {self.rows[-1][1]:7.1f} ms  p99 {self.rows[-1][2]:7.1f} ms  most {times[-1]:7.1f} ms  '
              f'({len(times)} messages, {missing} missing; processors {busy:.0f} % busy, load {os.getloadavg()[0]:.1f})', flush=True)

    def with_background(self, name, title, *works):
        running = [Background(*work) for work in works]
        try:
            time.sleep(2)
            self.measure(name, title)
        finally:
            for each in running:
                each.stop()

    # Troubles

    def flooded(self):
        self.with_background('flooded', 'flooded with messages', (flood_messages, self.other.port),
                             (flood_messages, self.other.port))

    def connections(self):
        self.with_background('connections', 'flooded with connections', (flood_connections, self.other.port))

    def full_disk(self):
        self.change(lambda: (self.remount('2m')))
        self.with_background('full', 'out of disk', (flood_messages, self.other.port))
        self.change(lambda: subprocess.run(['umount', self.other.spool], check=True))

    def remount(self, size):
        self.mount(self.other.spool, size)

    def no_processes(self):
        self.other.config |= {'environment_task_limit': '100', 'environment_process_limit': '10'}
        self.change()
        self.with_background('tasks', 'out of processes', (flood_messages, self.other.port),
                             (flood_connections, self.other.port))
        del self.other.config['environment_task_limit'], self.other.config['environment_process_limit']
        self.change()

    def crashes(self):
        self.with_background('crash', 'crash-looping', (crash, self.other, self.other.port))
        self.change()

    def template(self):
        """A deferred message to copy; what earlier troubles have left goes first."""
        def is_empty():
            self.other.command('postsuper', '-d', 'ALL')
            return not self.other.queue_files()
        processes.wait_until(is_empty, 30, 0.5)
        return made_spool.template(self.other, self.sinks['other'])

    def dead_relay(self):
        template = self.template()
        self.sinks['other'].script['connect'] = lambda *_: Delay(600)
        self.other.config |= {'queue_run_delay': '5s', 'minimal_backoff_time': '5s', 'maximal_backoff_time': '10s'}
        self.change(lambda: made_spool.fill(self.other, template, DEFERRED, due=-10))
        self.with_background('dead', f'dead relay, {DEFERRED:,} deferred', (flood_messages, self.other.port))

    def change(self, action=lambda: None):
        """The other environment stopped, changed and started: the quiet one goes on."""
        self.other.control('stop')
        processes.wait_until(lambda: not self.other.workers(), 20)
        action()
        self.system.write()
        answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', self.other.folder, 'start',
                                 env={**os.environ, 'MAIL_CONFIG': str(self.quiet.folder)})
        assert answer.returncode == 0, answer.stderr

    def run(self):
        cases = {'flooded': self.flooded, 'connections': self.connections, 'full': self.full_disk,
                 'tasks': self.no_processes, 'crash': self.crashes, 'dead': self.dead_relay}
        self.system.start()
        self.latencies('warm')
        self.measure('before', 'alone')
        for name, case in cases.items():
            if not OPTIONS.cases or name in OPTIONS.cases:
                case()
        self.system['other'].control('stop')
        self.measure('after', 'alone again')

    def close(self):
        self.system.clean_up()
        for sink in self.sinks.values():
            sink.stop()


def cpu_use(before=None):
    fields = [int(word) for word in pathlib.Path('/proc/stat').read_text().split('\n')[0].split()[1:]]
    now = sum(fields), fields[3] + fields[4]
    return now if before is None else 100 * (1 - (now[1] - before[1]) / max(1, now[0] - before[0]))


def main():
    bench = Bench()
    try:
        bench.run()
    finally:
        bench.close()


if __name__ == '__main__':
    main()
