"""Servers for socketmap and tcp tables that do what a test says: answer, hang, speak
nonsense, die, come back on the same port."""
import socket
import threading

HANG = object()          # as a value: the question gets no answer while the server lives


class TableServer:
    """Answers from `values`: str -> str.  `protocol` is 'tcp' or 'socketmap'.

    A value may be HANG; bytes are sent as they are, in place of a reply.  Keys that are not
    there are absent."""

    def __init__(self, protocol='tcp', values=None, port=0):
        self.protocol, self.values = protocol, values if values is not None else {}
        self.questions, self.connections = [], 0
        self.released = threading.Event()
        self._clients = set()
        self._lock = threading.Lock()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(('127.0.0.1', port))
        self._listener.listen(256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def table(self):
        if self.protocol == 'tcp':
            return f'tcp:127.0.0.1:{self.port}'
        return f'socketmap:inet:127.0.0.1:{self.port}:names'

    def stop(self):
        """Dies: the port is free, all connections are reset."""
        self.released.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)   # wakes accept()
        except OSError:
            pass
        self._listener.close()
        with self._lock:
            for client in self._clients:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def asked(self, key):
        return key in self.questions

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._clients.add(client)
                self.connections += 1
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        with client:
            try:
                stream = client.makefile('rwb')
                for key in self._keys(stream):
                    self.questions.append(key)
                    value = self.values.get(key)
                    if value is HANG:
                        self.released.wait(120)
                        return
                    stream.write(value if isinstance(value, bytes) else self._reply(value))
                    stream.flush()
            except (OSError, ValueError):
                pass

    def _keys(self, stream):
        if self.protocol == 'tcp':
            for line in stream:
                yield line.decode().removeprefix('get ').rstrip('\n')
            return
        while True:
            digits = b''
            while (byte := stream.read(1)) not in (b':', b''):
                digits += byte
            if not digits:
                return
            text = stream.read(int(digits)).decode()
            stream.read(1)
            yield text.partition(' ')[2]

    def _reply(self, value):
        if self.protocol == 'tcp':
            return b'500 none\n' if value is None else f'200 {value}\n'.encode()
        text = b'NOTFOUND ' if value is None else f'OK {value}'.encode()
        return str(len(text)).encode() + b':' + text + b','
