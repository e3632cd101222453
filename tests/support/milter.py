"""A scripted mail filter: answers by command, changes messages, and remembers what it was told."""
import socket
import struct
import threading

CONTINUE = b'c'


def text(*parts):
    return b''.join((part if isinstance(part, bytes) else part.encode()) + b'\0' for part in parts)


def add_header(name, value):
    return b'h' + text(name, value)


def insert_header(index, name, value):
    return b'i' + struct.pack('>I', index) + text(name, value)


def change_header(name, index, value):
    return b'm' + struct.pack('>I', index) + text(name, value)


class Session:
    """What one connection told."""

    def __init__(self):
        self.order = ''
        self.macros = {}
        self.headers = []
        self.body = b''
        self.sender = None
        self.recipients = []


class Milter:
    """answers: command letter -> reply packet, or a function of (session, data) that gives one, a list of packets,
    or None to close the connection. edits: packets in front of the reply to the end of a message."""

    def __init__(self, answers=None, edits=(), options=0, actions=0x1ff, version=6):
        self.answers = {} if answers is None else answers
        self.edits = edits
        self.options, self.actions, self.version = options, actions, version
        self.sessions = []
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return f'inet:127.0.0.1:{self.port}'

    def stop(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(60)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        session = Session()
        self.sessions.append(session)
        with connection, connection.makefile('rb') as reader:
            try:
                while self._step(session, reader, connection):
                    pass
            except (OSError, struct.error):
                pass

    def _step(self, session, reader, connection):
        size = reader.read(4)
        if len(size) < 4:
            return False
        packet = reader.read(struct.unpack('>I', size)[0])
        command, data = packet[:1].decode(), packet[1:]
        session.order += command
        self._remember(session, command, data)
        if command == 'Q':
            return False
        if command in 'DAK':
            return True
        if command == 'O':
            version, actions, options = struct.unpack('>III', data[:12])
            agreed = struct.pack('>III', min(version, self.version), actions & self.actions, self.options)
            replies = [b'O' + agreed]
        else:
            answer = self.answers.get(command, CONTINUE)
            answer = answer(session, data) if callable(answer) else answer
            if answer is None:
                return False
            replies = answer if isinstance(answer, list) else [answer]
            if command == 'E':
                edits = self.edits(session) if callable(self.edits) else self.edits
                replies = [*edits, *replies]
        for reply in replies:
            connection.sendall(struct.pack('>I', len(reply)) + reply)
        return True

    @staticmethod
    def _remember(session, command, data):
        words = data.split(b'\0')
        if command == 'D':
            values = data[1:].split(b'\0')
            session.macros.setdefault(chr(data[0]), {}).update(
                (name.decode(), value.decode()) for name, value in zip(values[0::2], values[1::2]))
        elif command == 'M':
            session.sender, session.recipients, session.headers, session.body = words[0].decode(), [], [], b''
        elif command == 'R':
            session.recipients.append(words[0].decode())
        elif command == 'L':
            session.headers.append((words[0].decode(), words[1].decode(errors='replace')))
        elif command == 'B':
            session.body += data
