"""A mail server that follows a written dialogue, one port for each (tests/client_dialogues/README).

A dialogue is a list of Step; every connection goes through it from the start.  What the client
says against it is noted in `faults`, what it sends of messages in `texts`."""
import dataclasses
import socket
import struct
import threading


@dataclasses.dataclass
class Step:
    kind: str               # S C X
    text: str
    place: str              # file:line


class _Over(Exception):
    pass


class ScriptedServer:
    def __init__(self, steps, tls=None):
        self.steps, self.tls = steps, tls
        self.faults, self.texts, self.connections = [], [], 0
        self.listening = socket.create_server(('127.0.0.1', 0), backlog=20)
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listening.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection):
        connection.settimeout(30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = connection.makefile('rb')
        try:
            for step in self.steps:
                connection, lines = self._step(step, connection, lines)
            self._epilogue(connection, lines)
        except (_Over, OSError):
            pass
        finally:
            lines.close()
            connection.close()

    def _step(self, step, connection, lines):
        if step.kind == 'S':
            connection.sendall(step.text.encode('latin1') + b'\r\n')
        elif step.kind == 'C':
            self._expect(step, lines)
        elif step.text == 'close':
            raise _Over
        elif step.text == 'reset':
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            raise _Over
        elif step.text == 'silence':        # until the client gives up
            while lines.readline():
                pass
            raise _Over
        elif step.text == 'hear':           # anything, which is dropped
            if not lines.read1(4096):
                raise _Over
        elif step.text == 'tls':
            connection = self.tls.wrap_socket(connection, server_side=True)
            lines = connection.makefile('rb')
        elif step.text.startswith('raw '):
            connection.sendall(step.text[4:].encode().decode('unicode_escape').encode('latin1'))
        elif step.text.startswith('repeat '):
            _, count, what = step.text.split(' ', 2)
            connection.sendall(what.encode().decode('unicode_escape').encode('latin1') * int(count))
        elif step.text.startswith('bytes '):  # a reply that comes byte by byte
            for byte in step.text[6:].encode() + b'\r\n':
                connection.sendall(bytes([byte]))
        else:
            self.faults.append(f'{step.place}: unknown step {step.text!r}')
        return connection, lines

    def _expect(self, step, lines):
        if step.text == '(text)':
            text = b''
            while (line := lines.readline()) != b'.\r\n':
                if not line:
                    self.faults.append(f'{step.place}: the text ends without its mark')
                    raise _Over
                text += line
            self.texts.append(text)
            return
        line = lines.readline().decode('latin1')
        if not line.startswith(step.text) or not line.endswith('\r\n'):
            self.faults.append(f'{step.place}: expected {step.text!r}, heard {line!r}')
            raise _Over

    def _epilogue(self, connection, lines):
        """Behind the dialogue there is nothing but QUIT or the end."""
        line = lines.readline()
        if line.strip().upper() == b'QUIT':
            connection.sendall(b'221 2.0.0 Bye\r\n')
        elif line:
            self.faults.append(f'{self.steps[-1].place}: after the last step: {line!r}')
