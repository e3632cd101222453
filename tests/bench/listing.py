#!/usr/bin/env python3
"""Time and CPU of listing a long queue, and the memory of showq and of the command.

usage: BULKHEAD_PREFIX=INSTALLATION PYTHONPATH=tests/support tests/bench/listing.py [FILES] [ROUNDS]     (as root)
"""
import os
import resource
import statistics
import subprocess
import sys
import time

import environment
import made_spool
import processes
import sink

FILES = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5


def cpu_of(pids):
    ticks = os.sysconf('SC_CLK_TCK')
    return sum((int(fields[11]) + int(fields[12])) / ticks for fields in map(processes.stat_fields, pids) if fields)


def peak(pid):
    return int(processes.status_of(pid)['VmHWM'].split()[0]) / 1024


def measure(a, name, *arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    showq = cpu_of(a.workers('showq'))
    started = time.monotonic()
    with subprocess.Popen([environment.COMMANDS / name, *arguments], stdout=subprocess.PIPE) as child:
        lines = 0
        while block := child.stdout.read(1 << 16):
            lines += block.count(b'\n')
    took = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, own, cpu_of(a.workers('showq')) - showq, lines


def main():
    system, target = environment.System('a'), sink.Sink()
    a = system['a']
    a.relay_to(target.port)
    a.config |= {'queue_run_delay': '1h', 'minimal_backoff_time': '1h', 'maximal_backoff_time': '2h'}
    try:
        system.start()
        made = made_spool.template(a, target)
        made_spool.fill(a, made, FILES)
        for name, arguments in (('mailq', ('-C', str(a.folder))), ('postqueue', ('-c', str(a.folder), '-j'))):
            rows = [measure(a, name, *arguments) for _ in range(ROUNDS)]
            took = sorted(row[0] for row in rows)
            print(f'{name:10} {FILES} files: median {statistics.median(took):.3f} s ({took[0]:.3f} to {took[-1]:.3f}), '
                  f'CPU of the command {statistics.median(row[1] for row in rows):.3f} s, '
                  f'of showq {statistics.median(row[2] for row in rows):.3f} s, {rows[0][3]} lines', flush=True)
        print('peak memory of showq: ' + ', '.join(f'{peak(pid):.1f} MiB' for pid in a.workers('showq')))
    finally:
        system.clean_up()
        target.stop()


if __name__ == '__main__':
    main()
