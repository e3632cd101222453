#!/usr/bin/env python3
"""TLS handshakes per second, full and resumed, and the server's CPU time for each: Bulkhead, and Debian's Postfix, in one run.

usage: handshakes.py PREFIX [SECONDS]      (as root; SECONDS for each row, 8)

A connection is made from the first byte on inside TLS (wrapper mode), greeted and closed by two client processes, whose own
work is the larger part: what the server can do is in the CPU time.
"""
import contextlib
import multiprocessing
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'support'))
os.environ['BULKHEAD_PREFIX'] = sys.argv[1] if len(sys.argv) > 1 else '/usr/local'
import certificates    # noqa: E402
import environment     # noqa: E402
import ports           # noqa: E402
import processes       # noqa: E402

CLIENTS, ROUNDS = 2, 4
TICK = os.sysconf('SC_CLK_TCK')
SERVICE = '127.0.0.1:{port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n'
SETTINGS = {'smtpd_tls_security_level': 'may', 'smtpd_client_connection_count_limit': '0', 'smtpd_peername_lookup': 'no',
            'compatibility_level': '3.6', 'inet_interfaces': '127.0.0.1', 'inet_protocols': 'ipv4', 'mydestination': ''}


class Bulkhead:
    name = 'Bulkhead'

    def __init__(self, chain, port):
        self.system = environment.System('a')
        self.system['a'].config |= SETTINGS | {'smtpd_tls_chain_files': chain}
        self.system['a'].extra_services += SERVICE.format(port=port)
        self.system.start()

    def pids(self):
        return self.system.pids()

    def stop(self):
        self.system.clean_up()


class Postfix:
    """A private instance of /usr/sbin/postfix; sessions are resumed by tickets, as is its default and ours."""
    name = 'Postfix'

    def __init__(self, chain, port):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-handshakes.', dir='/tmp'))
        self.top.chmod(0o755)
        self.folder, data = self.top / 'etc', self.top / 'data'
        for folder in (self.folder, self.top / 'spool', data):
            folder.mkdir()
        shutil.chown(data, 'postfix')
        for name in ('dynamicmaps.cf', 'postfix-files'):
            if pathlib.Path('/etc/postfix', name).exists():
                shutil.copy(f'/etc/postfix/{name}', self.folder)
        settings = SETTINGS | {'smtpd_tls_chain_files': chain, 'queue_directory': self.top / 'spool', 'data_directory': data,
                               'myhostname': 'mx.a.example', 'maillog_file': self.top / 'log', 'maillog_file_prefixes': self.top}
        (self.folder / 'main.cf').write_text(''.join(f'{name} = {value}\n' for name, value in settings.items()))
        (self.folder / 'master.cf').write_text(
            SERVICE.format(port=port) + 'tlsmgr unix - - n 1000? 1 tlsmgr\nanvil unix - - n - 1 anvil\n'
            'rewrite unix - - n - - trivial-rewrite\ncleanup unix n - n - 0 cleanup\n'
            'pickup unix n - n 60 1 pickup\nqmgr unix n - n 300 1 qmgr\nproxymap unix - - n - - proxymap\n'
            'postlog unix-dgram n - n - 1 postlogd\n')
        self.control('start')

    def control(self, verb):
        subprocess.run(['/usr/sbin/postfix', '-c', self.folder, verb], check=True, capture_output=True)

    def pids(self):
        master = int((self.top / 'spool/pid/master.pid').read_text())
        return [master, *processes.descendants(master)]

    def stop(self):
        self.control('stop')
        shutil.rmtree(self.top)


def cpu_seconds(pids):
    """Of these processes, and of the dead children that they have buried."""
    fields = [found for pid in pids if (found := processes.stat_fields(pid))]
    return sum(int(value) for each in fields for value in each[11:15]) / TICK


def handshakes(port, protocol, resumed, seconds, counts):
    """A client process: how many connections it has made, and how many of them went on with an older session."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, protocol.replace('.', '_'))
    session, made, reused, end = None, 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.create_connection(('127.0.0.1', port), 30) as plain:
            client = context.wrap_socket(plain, session=session)
            client.recv(200)      # the greeting; tickets of TLS 1.3 come in front of it
            made, reused = made + 1, reused + client.session_reused
            session = client.session if resumed else None
            client.close()
    counts.put((made, reused))


def load(port, protocol, resumed, seconds):
    """Connections that all clients together made, and how many of them were resumed."""
    counts = multiprocessing.Queue()
    clients = [multiprocessing.Process(target=handshakes, args=(port, protocol, resumed, seconds, counts)) for _ in range(CLIENTS)]
    for each in clients:
        each.start()
    made, reused = map(sum, zip(*[counts.get(timeout=seconds + 60) for _ in clients]))
    for each in clients:
        each.join()
    return made, reused


def wait_port(port):
    if not processes.wait_until(lambda: socket.socket().connect_ex(('127.0.0.1', port)) == 0, 15):
        raise RuntimeError(f'nobody listens on {port}')


def measure(kind, servers, ports_of, seconds):
    """A row for each server; they take turns, so that both have the same share of a busy machine."""
    for protocol in ('TLSv1.2', 'TLSv1.3'):
        for resumed in (False, True):
            sums = {server: [0, 0, 0, 0] for server in servers}
            for turn in range(ROUNDS):
                for server in servers:
                    if turn == 0:
                        load(ports_of[server], protocol, resumed, 0.5)       # its processes are there
                    before, began = cpu_seconds(server.pids()), time.monotonic()
                    connections, reused = load(ports_of[server], protocol, resumed, seconds / ROUNDS)
                    row = connections, reused, time.monotonic() - began, cpu_seconds(server.pids()) - before
                    sums[server] = [old + new for old, new in zip(sums[server], row)]
            for server, (connections, reused, passed, cpu) in sums.items():
                print(f'{kind:5} {protocol} {"resumed" if resumed else "full":7} {server.name:8} {connections / passed:5.0f}/s '
                      f'({100 * reused // connections} % resumed), {1000 * cpu / connections:5.2f} ms CPU each, '
                      f'{connections / cpu:5.0f} per CPU second; load of the machine {os.getloadavg()[0]:.1f}', flush=True)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory(prefix='bulkhead-handshakes.') as folder:
        authority = certificates.Authority(folder)
        for kind, title in (('ec', 'ECDSA'), ('rsa', 'RSA')):
            chain = authority.issue(kind, 'mx.a.example', kind=kind).chain
            with contextlib.ExitStack() as stack:
                ports_of = {}
                for make in (Bulkhead, Postfix):
                    port = ports.free_port()
                    ports_of[make(chain, port)] = port
                    stack.callback(list(ports_of)[-1].stop)
                    wait_port(port)
                measure(title, list(ports_of), ports_of, seconds)


if __name__ == '__main__':
    main()
