"""A stand-in for worker programs, for tests of the master alone.

It speaks the control protocol (40-byte reports on descriptor 5, one-byte orders) and
behaves by the name that it is installed under:

    smtpd    greets with smtpd_banner of main.cf and its pid, echoes lines, leaves
             after max_idle seconds without a client, drains and stops when told
    qmgr     notes its start in the data folder; leaves at once, to be woken at the
             time in the file wake_at there
    pickup   empties maildrop and leaves
    broken   exits with status 1 before it is ready
    wild     dies from a signal at its first client
    deaf     is ready, and ignores orders to leave
    single   like smtpd, but full with one client
"""
import ctypes
import os
import re
import select
import signal
import socket
import struct
import sys
import time

STARTING, AVAILABLE, FULL, LEAVING = range(4)
ctypes.CDLL(None).prctl(1, signal.SIGKILL)

name = os.path.basename(sys.argv[0])
arguments = sys.argv[1:]
count = int(arguments[arguments.index('-s') + 1])
listeners = [socket.socket(fileno=fd) for fd in range(6, 6 + count)]
link = socket.socket(fileno=5)
link.setblocking(False)
folder = os.environ['MAIL_CONFIG']
main_cf = dict(re.findall(r'(?m)^(\w+)\s*=\s*(.*)$', open(folder + '/main.cf').read()))
served = 0


def report(state, sessions=0, wake_at=0):
    link.send(struct.pack('=IIIIQq', 1, state, sessions, 0, served, wake_at))


def order():
    try:
        return link.recv(16)
    except BlockingIOError:
        return b'W'


def note(text):
    with open(main_cf['data_directory'] + '/' + name + '.starts', 'a') as f:
        f.write(text + '\n')


def serve(limit):
    global served
    clients, draining, idle_since = [], False, time.time()
    max_idle = float(main_cf.get('max_idle', '100s').rstrip('s'))
    report(AVAILABLE)
    while True:
        accepting = not draining and len(clients) < limit
        watched = clients + [link] + (listeners if accepting else [])
        ready, _, _ = select.select(watched, [], [], 0.1)
        if link in ready:
            told = order()
            if not told or told == b'S':
                sys.exit(0)
            if told == b'D' and name != 'deaf':
                draining = True
                report(LEAVING, len(clients))
        for listener in listeners:
            if listener in ready:
                try:
                    client, _ = listener.accept()
                except BlockingIOError:
                    continue
                if name == 'wild':
                    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
                    os.kill(os.getpid(), signal.SIGSEGV)
                clients.append(client)
                served += 1
                client.sendall(b'220 %s %d\r\n' % (main_cf.get('smtpd_banner', 'none').encode(), os.getpid()))
                report(FULL if len(clients) >= limit else AVAILABLE, len(clients))
        for client in [c for c in clients if c in ready]:
            data = client.recv(4096)
            if data:
                client.sendall(b'echo ' + data)
            else:
                clients.remove(client)
                client.close()
                if not draining:
                    report(AVAILABLE, len(clients))
        if clients:
            idle_since = time.time()
        elif draining:
            sys.exit(0)
        elif time.time() - idle_since > max_idle:
            report(LEAVING)
            sys.exit(0)


if name == 'broken':
    sys.exit(1)
elif name == 'qmgr':
    note('%f %s' % (time.time(), ' '.join(arguments)))
    report(AVAILABLE)
    try:
        wake_at = int(open(main_cf['data_directory'] + '/wake_at').read())
    except OSError:
        wake_at = 0
    for listener in listeners:
        listener.setblocking(False)
        try:
            while True:
                client, _ = listener.accept()
                note('letters ' + client.recv(16).decode())
        except BlockingIOError:
            pass
    report(LEAVING, wake_at=wake_at)
elif name == 'pickup':
    note('%f' % time.time())
    report(AVAILABLE)
    maildrop = main_cf['queue_directory'] + '/maildrop/'
    for entry in os.listdir(maildrop):
        os.unlink(maildrop + entry)
    report(LEAVING)
else:
    serve(1 if name == 'single' else 1000)
