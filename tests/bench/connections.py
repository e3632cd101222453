#!/usr/bin/env python3
"""Thousands of idle sessions on one environment: processes, memory for each, and how soon a new client is greeted meanwhile, also
while others misbehave.

usage: connections.py NUMBER PREFIX [plain] [tls] [listener] [login] [full]      (as root; PREFIX is an installation; all cases)
"""
import base64
import contextlib
import multiprocessing
import os
import pathlib
import random
import re
import resource
import select
import socket
import ssl
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'support'))
os.environ['BULKHEAD_PREFIX'] = sys.argv[2] if len(sys.argv) > 2 else '/usr/local'
import certificates    # noqa: E402
import environment     # noqa: E402
import ports           # noqa: E402
import processes       # noqa: E402

TLS_SESSIONS = DOOR_SESSIONS = 2000
GREETINGS = 200
LORISES, BABBLERS, REFUSED = 2000, 200, 2000
RAISED = {'smtpd_client_connection_count_limit': '0'}     # 50 from one address; a process takes 4000 sessions without being told
QUIET = {'alias_maps': '', 'local_recipient_maps': ''}     # no files of this machine, which others may change
PASSWORD = 'secret'


# What clients do

def connect(port):
    return socket.create_connection(('127.0.0.1', port), 30)


def expect(connection, code):
    text = b''
    while not re.search(rb'^\d{3} .*\n', text, re.M):
        block = connection.recv(4096)
        if not block:
            raise RuntimeError(f'closed after {text!r}')
        text += block
    if not text.startswith(str(code).encode()):
        raise RuntimeError(f'{text!r} instead of {code}')


def ask(connection, line, code):
    connection.sendall(line.encode() + b'\r\n')
    expect(connection, code)


def idle_plain(port):
    connection = connect(port)
    expect(connection, 220)
    ask(connection, 'EHLO idle.example', 250)
    return connection


def idle_encrypted(port, context=ssl._create_unverified_context()):
    connection = idle_plain(port)
    ask(connection, 'STARTTLS', 220)
    connection = context.wrap_socket(connection)
    ask(connection, 'EHLO idle.example', 250)
    return connection


def idle_logged_in(port):
    connection = idle_plain(port)
    ask(connection, 'AUTH PLAIN ' + base64.b64encode(f'\0user@b.example\0{PASSWORD}'.encode()).decode(), 235)
    return connection


def slow_lorises(port, ready):
    """Each sends a byte of an endless line every second."""
    connections = [idle_plain(port) for _ in range(LORISES)]
    ready.set()
    while True:
        begin = time.monotonic()
        for number, connection in enumerate(connections):
            connection.send(b'X')
            if number % 20 == 0:
                time.sleep(max(0, begin + number / LORISES - time.monotonic()))


def flood(port, ready):
    """Connects and goes, as fast as one process can."""
    ready.set()
    while True:
        with contextlib.suppress(OSError):
            connect(port).close()


def babble(port, ready):
    """Random bytes and line ends on all connections, always as many of them."""
    chance, poll, babblers = random.Random(1), select.poll(), {}
    ready.set()
    while True:
        while len(babblers) < BABBLERS:
            connection = connect(port)
            connection.setblocking(False)
            babblers[connection.fileno()] = connection
            poll.register(connection, select.POLLIN)
        for number, _ in poll.poll(10):
            with contextlib.suppress(BlockingIOError):
                try:
                    gone = not babblers[number].recv(4096)
                except ConnectionError:
                    gone = True
                if gone:
                    poll.unregister(number)
                    babblers.pop(number).close()
        for connection in chance.sample(list(babblers.values()), min(20, len(babblers))):
            noise = chance.randbytes(chance.randrange(1, 500)) + chance.choice([b'', b'\n', b'\r\n', b'\r'])
            with contextlib.suppress(OSError):
                connection.send(noise)


@contextlib.contextmanager
def meanwhile(attack, port):
    ready = multiprocessing.Event()
    attacker = multiprocessing.Process(target=attack, args=(port, ready), daemon=True)
    attacker.start()
    try:
        if not ready.wait(60):
            raise RuntimeError(f'{attack.__name__} did not begin')
        time.sleep(1)     # it is under way
        yield
        if not attacker.is_alive():
            raise RuntimeError(f'{attack.__name__} has ended')
    finally:
        attacker.kill()
        attacker.join()


# What is measured

def greetings(port):
    times = []
    for _ in range(GREETINGS):
        begin = time.monotonic()
        with connect(port) as connection:
            expect(connection, 220)
            times.append((time.monotonic() - begin) * 1000)
            connection.sendall(b'QUIT\r\n')
        time.sleep(0.01)
    times.sort()
    return f'p50 {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms, most {times[-1]:.1f} ms'


def memory(pids):
    """PSS and private memory of processes, KiB."""
    sums = {'Pss': 0, 'Private_Dirty': 0}
    for pid in pids:
        text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
        for name in sums:
            sums[name] += int(re.search(rf'^{name}: +(\d+)', text, re.M)[1])
    return sums


def slab():
    return int(re.search(r'Slab: +(\d+)', pathlib.Path('/proc/meminfo').read_text())[1])


def workers(system):
    return [pid for pid in system.pids() if processes.name_of(pid) in ('smtpd', 'frontdoor')]


def idle(title, number, system, port, begin, watched):
    """Greetings before, with `number` sessions that do nothing, and (watched) beside each attack."""
    begin(port).close()
    print(f'{title}: greeted without them: {greetings(port)}')
    before, kernel, started = memory(workers(system)), slab(), time.monotonic()
    held = [begin(port) for _ in range(number)]
    names = sorted(processes.name_of(pid) for pid in workers(system))
    after = memory(workers(system))
    each = {name: (after[name] - before[name]) / number for name in after}
    print(f'{title}: {number} sessions within {time.monotonic() - started:.2f} s in {len(names)} processes ({" ".join(names)}); '
          f'each PSS {each["Pss"]:.1f} KiB, private {each["Private_Dirty"]:.1f} KiB; '
          f'kernel, both ends: {(slab() - kernel) / number:.1f} KiB; load of the machine {os.getloadavg()[0]:.1f}')
    print(f'{title}: greeted meanwhile: {greetings(port)}', flush=True)
    for attack in (slow_lorises, flood, babble) if watched else ():
        with meanwhile(attack, port):
            print(f'{title}: greeted beside {attack.__name__}: {greetings(port)}', flush=True)
    for connection in held[::100]:
        ask(connection, 'NOOP', 250)
    for connection in held:
        connection.close()


@contextlib.contextmanager
def running(*names, **settings):
    system = environment.System(*names)
    for name in names:
        system[name].config |= RAISED | QUIET | settings
    try:
        yield system
    finally:
        system.clean_up()


def plain(number):
    with running('a') as system:
        idle('plain', number, system.start(), system['a'].port, idle_plain, True)


def tls(_):
    with tempfile.TemporaryDirectory() as folder, running(
            'a', smtpd_tls_security_level='may',
            smtpd_tls_chain_files=certificates.Authority(folder).issue('a', 'mx.a.example').chain) as system:
        idle('TLS', TLS_SESSIONS, system.start(), system['a'].port, idle_encrypted, False)


def behind_the_door(title, begin, **maps):
    with running('a', 'b', smtpd_sasl_auth_enable='yes', smtpd_sasl_type='gsasl') as system:
        users = system['b'].top / 'users'
        users.write_text(f'user@b.example {{PLAIN}}{PASSWORD}\n')     # no hash: its cost is not what is measured
        system['b'].config['smtpd_sasl_path'] = f'texthash:{users}'
        for name in 'ab':
            system[name].extra_services += 'frontdoor pass - - y - - smtpd\nanvil unix - - y - 1 anvil\n'
        port = ports.free_port()
        options = ''.join(f' -o {name}={value.format(port=port)}' for name, value in maps.items())
        system['a'].extra_services += f'127.0.0.1:{port} inet n - y - - frontdoor{options}\n'
        system.start()
        idle(f'door, by {title}', DOOR_SESSIONS, system, port, begin, False)
        idle(f'the same without a door ({title})', DOOR_SESSIONS, system, system['b'].port, begin, False)


def listener(_):
    behind_the_door('listener', idle_plain, frontdoor_listener_maps='inline:{{127.0.0.1:{port}=b}}')


def login(_):
    behind_the_door('login', idle_logged_in, frontdoor_login_maps='inline:{{@b.example=b}}')


def last_words(connections, patience=15):
    """What each hears until it is closed; (the replies, how many were reset, how many hear nothing)."""
    texts, resets, poll = {connection.fileno(): b'' for connection in connections}, 0, select.poll()
    open_ones = {connection.fileno(): connection for connection in connections}
    for connection in connections:
        poll.register(connection, select.POLLIN)
    end = time.monotonic() + patience
    while open_ones and time.monotonic() < end:
        for number, _ in poll.poll(1000):
            try:
                block = open_ones[number].recv(4096)
            except ConnectionError:
                block, resets = b'', resets + 1
            texts[number] += block
            if not block:
                poll.unregister(number)
                open_ones.pop(number).close()
    return [text for text in texts.values() if text], resets, len(open_ones)


def full(_):
    """Clients of a service that has no room for them; half of them talk before they are greeted."""
    with running('a') as system:
        port = ports.free_port()
        system['a'].extra_services += f'127.0.0.1:{port} inet n - y - 1 smtpd -o process_session_limit=100\n'
        system.start()
        held = [idle_plain(port) for _ in range(100)]
        turned_away = [connect(port) for _ in range(REFUSED)]
        for connection in turned_away[::2]:
            with contextlib.suppress(OSError):
                connection.sendall(b'EHLO idle.example\r\n' * 200)
        heard, resets, silent = last_words(turned_away)
        busy = sum(text.startswith(b'421 ') and text.count(b'\n') == 1 for text in heard)
        print(f'full: {len(turned_away)} clients beyond the limit: {busy} got 421, {resets} a reset, {silent} nothing')
        for connection in held:
            ask(connection, 'NOOP', 250)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    number = int(sys.argv[1])
    room = number + TLS_SESSIONS + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, max(room, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    cases = {'plain': plain, 'tls': tls, 'listener': listener, 'login': login, 'full': full}
    for case in sys.argv[3:] or cases:
        cases[case](number)


if __name__ == '__main__':
    main()
