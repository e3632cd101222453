"""An SMTP client that sends exactly the bytes it is told to send."""
import socket
import time


class Closed(Exception):
    """The server ended the connection; the argument is what had been read of a reply."""


class RawClient:
    def __init__(self, port, host='127.0.0.1', source=None, timeout=15):
        self.socket = socket.create_connection((host, port), timeout, source and (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b'\n' not in self.buffer:
            block = self.socket.recv(65536)
            if not block:
                raise Closed(self.buffer)
            self.buffer += block
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line

    def reply(self):
        """(code, text): the text of all lines, joined with LF."""
        lines = []
        while True:
            line = self.line()
            if not line.endswith(b'\r'):
                raise AssertionError(f'reply line without CR LF: {line!r}')
            lines.append(line[:-1].decode('utf-8', 'replace'))
            if lines[-1][3:4] != '-':
                return int(lines[-1][:3]), '\n'.join(text[4:] for text in lines)

    def command(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b'\r\n')
        return self.reply()

    def greet(self, name='client.example'):
        """Reads the greeting and says EHLO; the keywords offered, with their arguments."""
        code, text = self.reply()
        if code != 220:
            raise AssertionError(f'greeting {code} {text}')
        code, text = self.command(f'EHLO {name}')
        if code != 250:
            raise AssertionError(f'EHLO {code} {text}')
        words = [line.split() for line in text.split('\n')[1:]]
        return {word[0].upper(): word[1:] for word in words if word}

    def envelope(self, sender, *recipients):
        """MAIL, RCPT... and DATA up to the 354; the last reply."""
        reply = self.command(f'MAIL FROM:<{sender}>')
        for recipient in recipients:
            if reply[0] != 250:
                return reply
            reply = self.command(f'RCPT TO:<{recipient}>')
        return self.command('DATA') if reply[0] == 250 else reply

    def message(self, sender, recipient, text):
        """One message; text with CR LF, unstuffed, without the final dot."""
        reply = self.envelope(sender, recipient)
        if reply[0] != 354:
            return reply
        if text.startswith(b'.'):
            text = b'.' + text
        self.send(text.replace(b'\r\n.', b'\r\n..') + b'.\r\n')
        return self.reply()

    def closed_within(self, seconds):
        """True when the server ends the connection in that time; what it still says is kept."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                block = self.socket.recv(65536)
                if not block:
                    return True
                self.buffer += block
        except TimeoutError:
            return False
        except OSError:
            return True
        return False
