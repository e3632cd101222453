"""Clients that send messages with ids and remember what the server took over."""
import itertools
import os
import smtplib
import threading
import time

_numbers = itertools.count(1)


def new_id(prefix='m'):
    return f'{prefix}-{os.getpid()}-{next(_numbers)}'


def message(identity, size=1000, sender='sender@client.example', recipient='recipient@dest.example'):
    """A message of about `size` bytes with CR LF line ends."""
    header = (f'X-Ledger-Id: {identity}\r\nFrom: <{sender}>\r\nTo: <{recipient}>\r\nSubject: {identity}\r\n'
              f'Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{identity}@client.example>\r\n\r\n')
    line = 'The quick brown fox jumps over the lazy dog, again and again.\r\n'
    return (header + line * max(1, (size - len(header)) // len(line))).encode()


class Load:
    """Threads that send until `total` messages or `seconds` are over.

    acknowledged: id -> time of the 250; refused: id -> reply; unknown: ids whose end was
    sent and whose reply never came: they may or may not have been taken over."""

    def __init__(self, port, clients=4, total=None, seconds=None, size=1000, per_connection=20, pause=0.0, prefix='load'):
        self.port, self.size, self.per_connection, self.pause, self.prefix = port, size, per_connection, pause, prefix
        self.acknowledged, self.refused, self.unknown = {}, {}, []
        self._left = total
        self._end = time.monotonic() + seconds if seconds else None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stop.set()

    def join(self, timeout=120):
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
            if thread.is_alive():
                raise AssertionError('a load client did not end')
        return self

    def _next(self):
        with self._lock:
            if self._stop.is_set() or (self._end and time.monotonic() > self._end) or self._left == 0:
                return None
            if self._left is not None:
                self._left -= 1
            return new_id(self.prefix)

    def _run(self):
        identity = self._next()
        while identity:
            try:
                connection = smtplib.SMTP('127.0.0.1', self.port, local_hostname='client.example', timeout=30)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)           # the server is being restarted
                identity = self._next()
                continue
            try:
                for _ in range(self.per_connection):
                    self._send(connection, identity)
                    if self.pause:
                        time.sleep(self.pause)
                    identity = self._next()
                    if not identity:
                        break
                connection.quit()
            except (OSError, smtplib.SMTPException):
                connection.close()
                identity = self._next()

    def _send(self, connection, identity):
        connection.ehlo_or_helo_if_needed()
        for step in (lambda: connection.mail('sender@client.example'),
                     lambda: connection.rcpt('recipient@dest.example')):
            code, text = step()
            if code != 250:
                self.refused[identity] = (code, text)
                connection.rset()
                return
        connection.putcmd('DATA')
        code, text = connection.getreply()
        if code != 354:
            self.refused[identity] = (code, text)
            connection.rset()
            return
        try:
            connection.send(message(identity, self.size) + b'.\r\n')
            code, text = connection.getreply()
        except (OSError, smtplib.SMTPException):
            self.unknown.append(identity)
            raise
        if code == 250:
            self.acknowledged[identity] = time.time()
        else:
            self.refused[identity] = (code, text)


def verdict(loads, sink, timeout=60):
    """Waits until every acknowledged message has arrived, or none has for `timeout` seconds;
    a dictionary of the ledger."""
    acknowledged = {identity for load in loads for identity in load.acknowledged}
    missing, end = len(acknowledged), 0
    while True:
        counts = sink.count_by_id()
        lost = sorted(acknowledged - counts.keys())
        if len(lost) < missing or not end:
            missing, end = len(lost), time.monotonic() + timeout
        if not lost or time.monotonic() > end:
            break
        time.sleep(0.1)
    refused = {identity for load in loads for identity in load.refused}
    known = acknowledged | refused | {identity for load in loads for identity in load.unknown}
    return {
        'acknowledged': len(acknowledged),
        'unknown': sum(len(load.unknown) for load in loads),
        'refused': len(refused),
        'arrived': sum(1 for identity in acknowledged if identity in counts),
        'arrived without reply': sum(1 for identity in counts if identity not in acknowledged),
        'arrived though refused': sorted(refused & counts.keys()),
        'lost': lost,
        'duplicates': {identity: count for identity, count in counts.items() if count > 1},
        'strangers': sorted(str(identity) for identity in counts.keys() - known),
    }
