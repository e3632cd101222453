"""A small SMTP server that speaks TLS by python's ssl module, or does it wrong."""
import socket
import threading


class TlsServer:
    """A small SMTP server that speaks TLS by python's ssl module; each message is kept."""

    def __init__(self, context, *, address=('127.0.0.1', 0), wrapper=False, offer=True, refuse=False, garbage=False, silent=False):
        self.context, self.wrapper, self.offer = context, wrapper, offer
        self.refuse, self.garbage, self.silent = refuse, garbage, silent
        self.messages, self.handshakes, self.resumed, self.names = [], 0, 0, []
        self.clients = []       # of each handshake: address, and the name in the client's certificate
        context.sni_callback = lambda _, name, __: self.names.append(name)
        self.listening = socket.create_server(address, backlog=50)
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.guarded, args=(connection,), daemon=True).start()

    def guarded(self, connection):
        try:
            connection.settimeout(30)
            with connection:
                self.session(connection)
        except OSError:
            pass

    def secured(self, connection):
        if self.garbage:
            connection.sendall(b'this is no TLS\r\n')
        if self.silent:
            connection.recv(100000)
            connection.recv(100000)
            return None
        inside = self.context.wrap_socket(connection, server_side=True)
        self.handshakes += 1
        self.resumed += inside.session_reused
        subject = dict(pair for part in (inside.getpeercert() or {}).get('subject', ()) for pair in part)
        self.clients.append((inside.getpeername()[0], subject.get('commonName')))
        return inside

    def session(self, connection):
        inside = None
        if self.wrapper:
            connection = inside = self.secured(connection)
        connection.sendall(b'220 tls.example ESMTP\r\n')
        lines = connection.makefile('rb')
        sender, recipients = b'', []
        while line := lines.readline():
            verb = line[:4].upper()
            if verb == b'EHLO':
                offer = b'250-STARTTLS\r\n' if self.offer and not inside else b''
                connection.sendall(b'250-tls.example\r\n' + offer + b'250 8BITMIME\r\n')
            elif verb == b'STAR':
                if self.refuse:
                    connection.sendall(b'454 4.7.0 not today\r\n')
                    continue
                # Bytes in clear that must not be taken for answers inside.
                connection.sendall(b'220 2.0.0 go\r\n')
                connection = inside = self.secured(connection)
                if inside is None:
                    return
                lines = inside.makefile('rb')
            elif verb == b'DATA':
                connection.sendall(b'354 go\r\n')
                text = b''
                while (line := lines.readline()) != b'.\r\n':
                    text += line
                self.messages.append((sender, recipients, text, inside))
                connection.sendall(b'250 2.0.0 kept\r\n')
            elif verb == b'QUIT':
                connection.sendall(b'221 bye\r\n')
                return
            else:
                if verb == b'MAIL':
                    sender, recipients = line, []
                elif verb == b'RCPT':
                    recipients.append(line)
                connection.sendall(b'250 2.0.0 ok\r\n')

    def stop(self):
        self.listening.close()
