"""A name server on the loopback, and a private /etc/resolv.conf that leads to it.

    server = NameServer({('a.test', 'A'): ['192.0.2.1'], ('b.test', 'MX'): [(10, 'a.test')]})
    server.rule_this_process()

The values of a name may also be SERVFAIL or SILENT.  Only this process and those that it
starts see the private file: it lies in a mount namespace of its own."""
import ctypes
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import threading

SERVFAIL, SILENT = 'SERVFAIL', 'SILENT'
TYPES = {'A': 1, 'NS': 2, 'CNAME': 5, 'SOA': 6, 'PTR': 12, 'MX': 15, 'TXT': 16, 'AAAA': 28, 'SRV': 33}
NAMES = {number: name for name, number in TYPES.items()}
CLONE_NEWNS = 0x00020000


def wire_name(name):
    return b''.join(bytes([len(label)]) + label.encode() for label in name.split('.') if label) + b'\0'


def wire_data(kind, value):
    if kind in ('A', 'AAAA'):
        return socket.inet_pton(socket.AF_INET if kind == 'A' else socket.AF_INET6, value)
    if kind == 'MX':
        return struct.pack('>H', value[0]) + wire_name(value[1])
    if kind == 'SRV':
        return struct.pack('>3H', *value[:3]) + wire_name(value[3])
    if kind == 'TXT':
        return bytes([len(value)]) + value.encode()
    return wire_name(value)


class NameServer:
    def __init__(self, zone, search=''):
        self.zone, self.search, self.asked = zone, search, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = self.own_address()
        self.socket.bind((self.address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def own_address():
        """Not that of a test next door."""
        number = os.getpid() % 60000
        return f'127.77.{number // 250}.{number % 250 + 1}'

    def rule_this_process(self):
        """From now on this process and its children ask here; needs root."""
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), 'unshare')
        subprocess.run(['mount', '--make-rprivate', '/'], check=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-names.'))
        for name, text in (('resolv.conf', f'nameserver {self.address}\nsearch {self.search}\noptions timeout:1 attempts:1\n'),
                           ('hosts', '127.0.0.1 localhost\n'), ('nsswitch.conf', 'hosts: files dns\n')):
            (folder / name).write_text(text)
            subprocess.run(['mount', '--bind', folder / name, pathlib.Path('/etc') / name], check=True)
            (folder / name).unlink()        # the mount keeps it
        folder.rmdir()

    def stop(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
                answer = self._answer(query)
                if answer:
                    self.socket.sendto(answer, client)
            except OSError:
                return

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode('latin1'))
            at += 1 + query[at]
        name, kind = '.'.join(labels).lower(), NAMES.get(struct.unpack('>H', query[at + 1:at + 3])[0])
        self.asked.append((name, kind))
        alias = [] if kind == 'CNAME' else self.zone.get((name, 'CNAME'), [])
        values = self.zone.get((alias[0] if alias else name, kind), [])
        if values == SILENT:
            return None
        exists = any(known == name or known.endswith('.' + name) for known, _ in self.zone)
        code = 2 if values == SERVFAIL else 0 if exists else 3
        records = b''
        found = [(name, 'CNAME', each) for each in alias] + [(alias[0] if alias else name, kind, each) for each in values]
        for owner, of_kind, value in found if code == 0 else []:
            data = wire_data(of_kind, value)
            records += wire_name(owner) + struct.pack('>HHIH', TYPES[of_kind], 1, 1, len(data)) + data
        count = len(found) if code == 0 else 0
        return (query[:2] + struct.pack('>5H', 0x8580 | code, 1, count, 0, 0) + query[12:at + 5] + records)
