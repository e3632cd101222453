#!/usr/bin/env python3
"""Start, memory, wake-up and reload of many idle environments below one master, each with its own user, on loopback ports.

usage: [BENCH_TOP=FOLDER] many_environments.py NUMBER PREFIX      (as root; PREFIX is an installation)
"""
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'support'))
import environment    # noqa: E402
import processes      # noqa: E402

FIRST_PORT, FIRST_USER = 20000, 40000
MAIN_CF = """\
compatibility_level = 3.6
setgid_group = bhdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
mynetworks = 127.0.0.0/8
myhostname = mx.many.example
smtpd_peername_lookup = no
max_idle = 2s
maillog_file_prefixes = {top}
maillog_file = {top}/log
queue_directory = {here}/spool
data_directory = {here}/data
mail_owner = bhm{number}
"""


class Many:
    def __init__(self, number, prefix):
        self.number, self.commands = number, pathlib.Path(prefix) / 'sbin'
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bh-many.', dir=os.environ.get('BENCH_TOP', '/tmp')))
        self.top.chmod(0o755)
        accounts = {name: pathlib.Path('/etc', name).read_text() for name in ('passwd', 'group')}
        for each in range(number):
            self.make(each)
            accounts['passwd'] += f'bhm{each}:x:{FIRST_USER + each}:{FIRST_USER + each}::/nonexistent:/usr/sbin/nologin\n'
            accounts['group'] += f'bhm{each}:x:{FIRST_USER + each}:\n'
        with open(self.folder(0) / 'main.cf', 'a') as primary:
            primary.write('multi_instance_directories = ' + ' '.join(str(self.folder(each)) for each in range(1, number)) + '\n')
        for name, text in accounts.items():
            (self.top / name).write_text(text)

    def folder(self, each):
        return self.top / f'e{each}' / 'etc'

    def make(self, each):
        here = self.folder(each).parent
        self.folder(each).mkdir(parents=True)
        (here / 'data').mkdir(mode=0o700)
        os.chown(here / 'data', FIRST_USER + each, FIRST_USER + each)
        text = MAIN_CF.format(top=self.top, here=here, number=each)
        if each:
            text += f'multi_instance_name = postfix-{each}\nmulti_instance_enable = yes\n'
        (self.folder(each) / 'main.cf').write_text(text)
        (self.folder(each) / 'master.cf').write_text(f'127.0.0.1:{FIRST_PORT + each} inet n - y - - smtpd\n'
                                                     + environment.SERVICES.format(chroot='y', pickup_wakeup=60))

    # The accounts are there for the master and its workers only.
    def start(self):
        script = (f'mount --bind {self.top}/passwd /etc/passwd; mount --bind {self.top}/group /etc/group; '
                  f'exec {self.commands}/bulkhead -c {self.folder(0)} start')
        return self.timed(['unshare', '-m', 'sh', '-ec', script])

    def timed(self, command):
        began = time.monotonic()
        answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if answer.returncode:
            raise RuntimeError(f'{command}: {answer.stderr[-2000:]}')
        return time.monotonic() - began

    def control(self, verb, each=0):
        return self.timed([self.commands / 'bulkhead', '-c', self.folder(each), verb])

    def pid(self):
        return int((self.top / 'e0/spool/pid/master.pid').read_text())

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid()}/fd'))

    def memory(self):
        return int(re.search(r'^Rss: +(\d+)', pathlib.Path(f'/proc/{self.pid()}/smaps_rollup').read_text(), re.M)[1]) / 1024

    def greeting(self, each):
        began = time.monotonic()
        with socket.create_connection(('127.0.0.1', FIRST_PORT + each), 10) as client:
            client.recv(100)
        return time.monotonic() - began

    def message(self, each):
        """Seconds until a message is taken over."""
        began = time.monotonic()
        with environment.RawClient(FIRST_PORT + each) as client:
            client.greet()
            code = client.message('s@client.example', 'r@dest.example', b'Subject: x\r\n\r\nx\r\n')[0]
        assert code == 250
        return time.monotonic() - began


def slab():
    return int(re.search(r'Slab: +(\d+)', pathlib.Path('/proc/meminfo').read_text())[1]) / 1024


def shown(values):
    values = [1000 * value for value in values]
    return f'median {statistics.median(values):.1f} ms, most {max(values):.1f} ms ({len(values)} times)'


def measure(many):
    before = slab()
    print(f'start, spools are made: {many.start():.2f} s')
    many.control('stop')
    print(f'start, spools are there: {many.start():.2f} s; load of the machine {os.getloadavg()[0]:.1f}')
    idle = many.descriptors()
    print(f'processes 1+{len(processes.descendants(many.pid()))}, memory {many.memory():.1f} MiB, '
          f'kernel {slab() - before:.0f} MiB, descriptors {idle}')
    some = [1 + (many.number - 1) * step // 9 for step in range(9)]    # not the primary, which reloads all
    for verb in ('first', 'second'):
        print(f'reload of one, asleep, {verb} time: {shown([many.control("reload", each) for each in some])}')
    print(f'first greeting: {shown([many.greeting(each) for each in some])}')
    print(f'next greeting: {shown([many.greeting(each) for each in some])}')
    print(f'reload of one, awake: {shown([many.control("reload", each) for each in some])}')
    asleep = processes.wait_until(lambda: many.descriptors() <= idle, 60, 0.2)
    print(f'descriptors when all sleep again: {many.descriptors()} ({"as before" if asleep else "more"})')
    print(f'first message: {shown([many.message(each) for each in some])}')
    print(f'next message: {shown([many.message(each) for each in some])}')
    print(f'reload of all: {many.control("reload"):.2f} s; stop: {many.control("stop"):.2f} s')


def main():
    many = Many(int(sys.argv[1]), sys.argv[2])
    try:
        measure(many)
    finally:
        shutil.rmtree(many.top)


if __name__ == '__main__':
    main()
