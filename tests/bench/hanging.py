#!/usr/bin/env python3
"""How long mail to a healthy destination takes while thousands of messages wait for others that accept and never greet.

usage: BULKHEAD_PREFIX=INSTALLATION PYTHONPATH=tests/support tests/bench/hanging.py [DESTINATIONS...]     (as root; 0 1 50 500)
"""
import smtplib
import socket
import sys
import threading
import time

import client
import environment
import sink

MESSAGES = 5000         # for the destinations that hang
HEALTHY, RATE = 500, 50


class Silence:
    """Accepts on every loopback address and says nothing."""

    def __init__(self):
        self.socket = socket.create_server(('0.0.0.0', 0), backlog=4096)
        self.port = self.socket.getsockname()[1]
        self.held = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.held.append(self.socket.accept()[0])
            except OSError:
                return

    def close(self):
        self.socket.close()
        for each in self.held:
            each.close()


def send(port, identity, recipient):
    with smtplib.SMTP('127.0.0.1', port, timeout=60) as connection:
        connection.sendmail('s@client.example', [recipient], client.message(identity, 4096))


def send_to_silence(port, destinations):
    numbers = iter(range(MESSAGES))
    lock = threading.Lock()

    def work():
        with smtplib.SMTP('127.0.0.1', port, timeout=60) as connection:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                connection.sendmail('s@client.example', [f'r@hangs{number % destinations}.example'], client.message(f'hangs-{number}'))
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(destinations):
    system, target, silence = environment.System('a'), sink.Sink(), Silence()
    a = system['a']
    table = a.top / 'transport'
    table.write_text(''.join(f'hangs{i}.example smtp:[127.1.{i // 250}.{i % 250 + 1}]:{silence.port}\n' for i in range(destinations))
                     + f'healthy.example smtp:[127.0.0.1]:{target.port}\n')
    a.config |= {'transport_maps': f'texthash:{table}', 'queue_run_delay': '300s', 'minimal_backoff_time': '300s',
                 'maximal_backoff_time': '4000s', 'smtpd_client_connection_count_limit': '0'}
    try:
        system.start()
        if destinations:
            send_to_silence(a.port, destinations)
        a.wait_spool('incoming=0', 60)
        sent, threads = {}, []
        begin = time.monotonic()
        for number in range(HEALTHY):
            time.sleep(max(0, begin + number / RATE - time.monotonic()))
            identity = f'healthy-{number}'
            sent[identity] = time.time()
            threads.append(threading.Thread(target=send, args=(a.port, identity, 'r@healthy.example')))
            threads[-1].start()
        for thread in threads:
            thread.join()
        target.wait(HEALTHY, 60)
        times = sorted(message.when - sent[message.id] for message in target.messages)
        held = len(silence.held)
        workers = {name: sum(1 for pid in a.workers(name)) for name in ('smtp', 'qmgr')}
        print(f'{destinations} destinations hang: {len(times)} of {HEALTHY} arrived, p50 {times[len(times) // 2] * 1000:.0f} ms, '
              f'p99 {times[len(times) * 99 // 100] * 1000:.0f} ms; {held} connections hang, workers {workers}', flush=True)
    finally:
        system.clean_up()
        target.stop()
        silence.close()


if __name__ == '__main__':
    for wanted in [int(word) for word in sys.argv[1:]] or [0, 1, 50, 500]:
        measure(wanted)
