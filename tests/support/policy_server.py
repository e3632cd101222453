"""Policy servers (SMTPD_POLICY protocol): good ones, and ones that hang, die or talk nonsense."""
import os
import socket
import threading


class PolicyServer:
    """decide(attributes) gives the action; or bytes, sent as they are; or None: closes without an answer;
    or HANG: says nothing until the client goes."""

    HANG = object()

    def __init__(self, decide, path=None):
        self.decide, self.requests, self.connections = decide, [], 0
        if path:
            self.listening = socket.socket(socket.AF_UNIX)
            self.listening.bind(str(path))
            os.chmod(path, 0o666)
            self.listening.listen(50)
            self.port = None
        else:
            self.listening = socket.create_server(('127.0.0.1', 0), backlog=50)
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
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection):
        try:
            with connection, connection.makefile('rwb') as file:
                connection.settimeout(60)
                self._converse(file)
        except (OSError, ValueError):
            pass

    def _converse(self, file):
        attributes = {}
        for line in file:
            text = line.decode('utf-8', 'replace').rstrip('\n')
            if text:
                name, _, value = text.partition('=')
                attributes[name] = value
                continue
            self.requests.append(attributes)
            action = self.decide(attributes)
            attributes = {}
            if action is None:
                return
            if action is self.HANG:
                file.read(1)
                return
            file.write(action if isinstance(action, bytes) else f'action={action}\n\n'.encode())
            file.flush()
