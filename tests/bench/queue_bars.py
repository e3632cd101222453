#!/usr/bin/env python3
"""Memory and start of the queue manager with long queues.

usage: BULKHEAD_PREFIX=INSTALLATION PYTHONPATH=tests/support tests/bench/queue_bars.py [recipients] [million] [start]     (as root)
"""
import contextlib
import smtplib
import sys
import time

import client
import environment
import made_spool
import processes
import sink

RECIPIENTS, PER_MESSAGE = 100_000, 1000
DEFERRED, AT_START = 1_000_000, 200_000


@contextlib.contextmanager
def stage(**settings):
    system, target = environment.System('a'), sink.Sink()
    a = system['a']
    a.relay_to(target.port)
    a.config |= {'queue_run_delay': '1h', 'minimal_backoff_time': '1h', 'maximal_backoff_time': '2h'} | settings
    try:
        yield system, a, target
    finally:
        system.clean_up()
        target.stop()


def memory(a, name='qmgr'):
    """(now, most) MiB of the one worker of that name."""
    pid, = processes.wait_until(lambda: a.workers(name), 10)
    status = processes.status_of(pid)
    return [int(status[field].split()[0]) / 1024 for field in ('VmRSS', 'VmHWM')]


def many_recipients():
    with stage(qmgr_message_recipient_limit='120000', default_recipient_limit='120000', line_length_limit='2048') as (system, a, target):
        target.script['connect'] = lambda *_: sink.Delay(600)
        system.start()
        with smtplib.SMTP('127.0.0.1', a.port) as connection:
            connection.sendmail('s@client.example', ['warm@dest0.example'], client.message('warm'))
            before = memory(a)
            for number in range(RECIPIENTS // PER_MESSAGE):
                names = [f'recipient.number.{number}.{i}@dest{i % 500}.example' for i in range(PER_MESSAGE)]
                refused = connection.sendmail('s@client.example', names, client.message(f'many-{number}'))
                assert not refused, refused
        a.wait_spool(f'active={RECIPIENTS // PER_MESSAGE + 1},incoming=0', 60)
        last = 0
        while memory(a)[0] > last:      # the last are still being routed
            last = memory(a)[0]
            time.sleep(1)
        print(f'qmgr with {RECIPIENTS} active recipients: {memory(a)[0]:.1f} MiB, at most {memory(a)[1]:.1f} MiB '
              f'({before[0]:.1f} MiB without)', flush=True)


def start_with(count, due, linked, what):
    with stage() as (system, a, target):
        system.start()
        made = made_spool.template(a, target)
        system.stop()
        made_spool.fill(a, made, count, due=due, logs=False, linked=linked)
        started = time.monotonic()
        system.start()
        listening = time.monotonic() - started
        client.Load(a.port, clients=1, total=1, prefix='first').start().join()
        if not target.wait_for(lambda message: (message.id or '').startswith('first'), 120):
            raise AssertionError('the first new message did not arrive')
        took = time.monotonic() - started
        if due > 0:
            before = None
            while before is None or processes.stat_fields(a.workers('qmgr')[0])[11:13] != before:
                before = processes.stat_fields(a.workers('qmgr')[0])[11:13]    # the scan goes on
                time.sleep(1)
        now, most = memory(a)
        print(f'start with {count} {what}: listening after {listening:.2f} s, first new message delivered after {took:.2f} s; '
              f'qmgr {now:.1f} MiB, at most {most:.1f} MiB', flush=True)


def main():
    chosen = sys.argv[1:] or ['recipients', 'million', 'start']
    if 'recipients' in chosen:
        many_recipients()
    if 'start' in chosen:
        start_with(1, 3600, False, 'deferred file')
        start_with(AT_START, 3600, False, 'deferred files')
    if 'million' in chosen:
        start_with(DEFERRED, 3600, True, 'deferred files')


if __name__ == '__main__':
    main()
