#!/usr/bin/env python3
"""What the front door costs: front_door.py PREFIX [CONNECTIONS].

Sessions to one environment directly, and behind a door that decides by client and by recipient:
their time, and the memory of idle connections.  Loopback only, in folders of its own below /tmp."""
import os
import pathlib
import resource
import sys
import time

os.environ['BULKHEAD_PREFIX'] = sys.argv[1]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))

import environment      # noqa: E402
import ports            # noqa: E402
from smtp_raw import RawClient      # noqa: E402

SESSIONS = 300


def session(port):
    start = time.perf_counter()
    with RawClient(port) as raw:
        raw.greet()
        raw.command('MAIL FROM:<s@x.example>')
        assert raw.command('RCPT TO:<r@b.example>')[0] == 250
        raw.command('QUIT')
    return (time.perf_counter() - start) * 1000


def memory(system):
    """KiB by program."""
    found = {'smtpd': 0, 'frontdoor': 0}
    for pid in system.pids():
        try:
            name = pathlib.Path(f'/proc/{pid}/comm').read_text().strip()
            lines = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
        except OSError:
            continue
        if name in found:
            found[name] += sum(int(line.split()[1]) for line in lines if line.startswith('Pss:'))
    return found


def main():
    connections = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * connections + 1000,) * 2)
    system = environment.System('a', 'b')
    by_client, by_recipient = ports.free_port(), ports.free_port()
    for here in system.environments.values():
        here.extra_services += 'frontdoor pass - - y - - smtpd\n'
        here.config['smtpd_client_connection_count_limit'] = '0'
    system['a'].extra_services += (
        f'127.0.0.1:{by_client} inet n - y - - frontdoor -o frontdoor_client_maps=inline:{{127.0.0.1=b}}\n'
        f'127.0.0.1:{by_recipient} inet n - y - - frontdoor -o frontdoor_recipient_maps=inline:{{b.example=b}}\n')
    try:
        system.start()
        ways = (('direct', system['b'].port), ('door, by client', by_client), ('door, by recipient', by_recipient))
        for _, port in ways:
            session(port)
        for name, port in ways:
            times = sorted(session(port) for _ in range(SESSIONS))
            print(f'{name}: EHLO MAIL RCPT QUIT in {times[0]:.2f} ms at best, {times[SESSIONS // 10]:.2f} p10, '
                  f'{times[SESSIONS // 2]:.2f} p50', flush=True)
        for name, port in ways:
            before, start = memory(system), time.perf_counter()
            clients = [RawClient(port, timeout=60) for _ in range(connections)]
            for raw in clients:
                raw.greet()
            if 'recipient' in name:
                for raw in clients:
                    raw.command('MAIL FROM:<s@x.example>')
                    raw.command('RCPT TO:<r@b.example>')
            seconds, after = time.perf_counter() - start, memory(system)
            growth = {program: after[program] - before[program] for program in after}
            print(f'{name}: {connections} idle connections, made in {seconds:.1f} s, KiB {growth}', flush=True)
            for raw in clients:
                raw.close()
            time.sleep(1)
    finally:
        system.clean_up()


if __name__ == '__main__':
    main()
