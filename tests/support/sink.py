"""An SMTP server that keeps a ledger of every message and misbehaves on request.

`script` maps a phase (connect ehlo mail rcpt data end rset quit) to what to do there:
None for the ordinary reply, a reply such as '450 4.2.0 later', or Close / Reset / Delay;
a list is used up one entry per occasion; a function is called with (session, argument).
"""
import asyncio
import dataclasses
import re
import socket
import struct
import threading
import time


@dataclasses.dataclass
class Delay:
    """Waits, then goes on with `then`."""
    seconds: float
    then: object = None


class Close:
    """Ends the connection.  With after_message the message counts as received."""
    def __init__(self, after_message=False):
        self.after_message = after_message


class Reset:
    """Ends the connection with a TCP reset."""


@dataclasses.dataclass
class Received:
    sender: str
    parameters: str                     # of MAIL
    recipients: list                    # addresses
    data: bytes                         # unstuffed, lines end in CR LF
    when: float
    session: object

    @property
    def id(self):
        match = re.search(rb'^X-Ledger-Id: *(\S+)', self.data, re.M | re.I)
        return match.group(1).decode() if match else None

    @property
    def header(self):
        return self.data.partition(b'\r\n\r\n')[0] + b'\r\n'

    @property
    def body(self):
        return self.data.partition(b'\r\n\r\n')[2]


class _Ended(Exception):
    pass


class Session:
    def __init__(self, number):
        self.number = number
        self.source = None               # the client's address
        self.commands = []
        self.messages = 0
        self.broken_commands = []        # lines with a bare CR or LF
        self.logging_in = False          # the next line is no command but part of a login


class Sink:
    def __init__(self, port=0, name='sink.example', host='127.0.0.1',
                 extensions=('PIPELINING', 'SIZE 104857600', '8BITMIME', 'ENHANCEDSTATUSCODES')):
        self.name = name
        self.extensions = list(extensions)
        self.script = {}
        self.fallback = None             # (session, line) -> the reply to a line inside a login
        self.messages = []
        self.sessions = []
        self.open_sessions = 0
        self._changed = threading.Condition()
        self._listening = socket.create_server((host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET, backlog=1024)
        self.port = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._running.wait()

    # For tests

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
        self._listening.close()

    def wait(self, count=1, timeout=15):
        """Waits for `count` messages in all; the messages."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.messages) >= count, timeout)
            return list(self.messages)

    def wait_for(self, condition, timeout=15):
        """Waits for a message with condition(message); that message or None."""
        def first():
            return next((message for message in self.messages if condition(message)), None)
        with self._changed:
            self._changed.wait_for(first, timeout)
            return first()

    def count_by_id(self):
        counts = {}
        with self._changed:
            for message in self.messages:
                counts[message.id] = counts.get(message.id, 0) + 1
        return counts

    # The server

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = asyncio.start_server(self._serve, sock=self._listening, limit=1 << 20)
        self._loop.run_until_complete(server)
        self._loop.call_soon(self._running.set)
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader, writer):
        session = Session(len(self.sessions) + 1)
        session.source = writer.get_extra_info('peername')[0]
        self.sessions.append(session)
        self.open_sessions += 1
        try:
            await self._converse(session, reader, writer)
        except (_Ended, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open_sessions -= 1
            writer.close()

    async def _act(self, phase, session, argument, writer):
        """The scripted reply for this phase, or None for the ordinary one."""
        action = self.script.get(phase)
        if isinstance(action, list):
            action = action.pop(0) if action else None
        elif callable(action):
            action = action(session, argument)
        while isinstance(action, Delay):
            await asyncio.sleep(action.seconds)
            action = action.then
        if isinstance(action, Reset):
            writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            writer.transport.abort()
            raise _Ended
        if isinstance(action, Close):
            if action.after_message and isinstance(argument, Received):
                self._record(argument)
            raise _Ended
        return action

    def _record(self, message):
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    async def _converse(self, session, reader, writer):
        async def say(text):
            writer.write(text.encode() + b'\r\n')
            await writer.drain()
            if text.startswith('421'):
                raise _Ended

        scripted = await self._act('connect', session, None, writer)
        await say(scripted or f'220 {self.name} ESMTP')
        message = None
        while True:
            raw = await reader.readuntil(b'\n')
            line = raw.rstrip(b'\r\n').decode('utf-8', 'replace')
            if not raw.endswith(b'\r\n') or '\r' in line:
                session.broken_commands.append(raw)
            session.commands.append(line)
            if session.logging_in:
                await say(self.fallback(session, line))
                continue
            verb = line.split(' ')[0].upper()
            phase = {'HELO': 'ehlo'}.get(verb, verb.lower())
            scripted = await self._act(phase, session, line, writer)
            if scripted:
                await say(scripted)
                continue
            if verb == 'EHLO':
                lines = [self.name, *self.extensions]
                await say('\r\n'.join(f'250-{text}' for text in lines[:-1]) + ('\r\n' if lines[:-1] else '') + f'250 {lines[-1]}')
            elif verb == 'HELO':
                await say(f'250 {self.name}')
            elif verb == 'MAIL':
                match = re.match(r'MAIL FROM:<(.*?)> *(.*)$', line, re.I)
                if not match:
                    await say('501 5.5.4 syntax')
                    continue
                message = Received(match[1], match[2], [], b'', 0, session)
                await say('250 2.1.0 Ok')
            elif verb == 'RCPT':
                match = re.match(r'RCPT TO:<((?:"(?:[^"\\]|\\.)*"|[^">])*)>', line, re.I)
                if not match or message is None:
                    await say('503 5.5.1 need MAIL' if match else '501 5.5.4 syntax')
                    continue
                message.recipients.append(match[1])
                await say('250 2.1.5 Ok')
            elif verb == 'DATA':
                if message is None or not message.recipients:
                    await say('554 5.5.1 no valid recipients')
                    continue
                await say('354 go on')
                message.data = await self._content(reader)
                message.when = time.time()
                scripted = await self._act('end', session, message, writer)
                if not scripted or scripted.startswith('2'):
                    self._record(message)
                    session.messages += 1
                await say(scripted or f'250 2.0.0 Ok: queued as S{len(self.messages):06d}')
                message = None
            elif verb == 'RSET':
                message = None
                await say('250 2.0.0 Ok')
            elif verb == 'NOOP':
                await say('250 2.0.0 Ok')
            elif verb == 'QUIT':
                await say('221 2.0.0 Bye')
                return
            else:
                await say('502 5.5.2 unknown command')

    @staticmethod
    async def _content(reader):
        """Reads to CR LF . CR LF, and to nothing else."""
        data = bytearray()
        while not (data == b'.\r\n' or data.endswith(b'\r\n.\r\n')):
            try:
                data += await reader.readuntil(b'\r\n')
            except asyncio.LimitOverrunError as overrun:
                data += await reader.readexactly(overrun.consumed)
        return re.sub(rb'(\A|\r\n)\.', rb'\1', bytes(data[:-3]))
