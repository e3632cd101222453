"""What the workers of one environment asked the disk to do, in order, and what a power cut would leave of it.

    recording = Recording(system, environment)      # strace joins every process, and those to come
    ...
    events = recording.stop()
    disk = Disk(spool); disk.apply(event) for as many events as one likes; disk.after_power_cut(model)

A power cut keeps what was synced.  What was not may be there or not, so there are these models:
'synced' knows only names and contents as of the last fsync of each file (and what was there before the
recording), 'names' has all names and modes but contents as of the last fsync, as where a journal's commit
came before the data, 'all' has everything, as after a kill, and 'torn' is like 'all', but each page of the
commit log's segments that was not synced is there or not, by chance.

fsync of a file makes its contents, mode and names durable; of a folder the names in it, not what is in those
files; fdatasync contents only.

strace does not see what is written through memory, and the commit log's `states` are written so.  They are read a few
hundred times a second while the recording runs: each change becomes an event of the time when it was seen, never earlier
than it was made, so what such an event says had reached the page cache by then.  A power cut may leave them as they were at
any time since they were synced, whatever becomes of the other files: after_power_cut() takes 'newest', which is
the worst for messages that might be lost, 'synced', or 'created', no message settled, the worst for
those that might come twice.
"""
import functools
import os
import random
import re
import signal
import stat
import subprocess
import threading
import time

import log_reader
import processes

CALLS = ('openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync,rename,renameat,'
         'renameat2,link,linkat,unlink,unlinkat,mkdirat,fchmod,utimensat,sendto,mmap')
LINE = re.compile(r'^(\d+) +(\d+\.\d+) (.*)$')
RESUMED = re.compile(r'^<\.\.\. (\w+) resumed>,? ?(.*)$', re.S)
CALL = re.compile(r'^(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?', re.S)
TEXT = re.compile(r'"([^"]*)"')     # nothing but \xNN in it
FOLDER = re.compile(r'^(?:\d+|AT_FDCWD)(?:<((?:\\x[0-9a-f]{2})*)>)?')
SEGMENT = re.compile(r'(log/[\d-]+)/s\d+$')
STATES = re.compile(r'(log/[\d-]+)/states$')


def unescaped(text):
    return bytes.fromhex(text.replace('\\x', ''))


class Recording:
    def __init__(self, system, environment):
        self.spool = str(environment.spool).encode() + b'/'
        self.path = system.top / 'record'
        self.process = subprocess.Popen(
            ['strace', '-f', '-y', '-xx', '-ttt', '-s', '10000000', '-o', self.path, '-e', 'trace=' + CALLS]
            + [word for pid in system.pids() for word in ('-p', str(pid))], stderr=subprocess.DEVNULL)
        for pid in system.pids():
            end = time.monotonic() + 10
            while processes.status_of(pid).get('TracerPid') == '0':
                if self.process.poll() is not None or time.monotonic() > end:
                    raise OSError('strace cannot trace here')
                time.sleep(0.01)
        self.states, self._stopped = [], threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(environment.spool,), daemon=True)
        self._watcher.start()

    def stop(self):
        self._stopped.set()
        self._watcher.join()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        return list(self._with_states())

    def _watch(self, spool):
        known = {}
        while not self._stopped.wait(0.002):
            for path in spool.glob('log/*/states'):
                try:
                    data = path.read_bytes()
                except OSError:
                    continue                # its owner has left
                if len(data) == log_reader.STATES_BYTES and known.get(path) != data:
                    known[path] = data
                    self.states.append((time.time(), 'states', str(path.relative_to(spool)), data))

    def _with_states(self):
        seen = iter(self.states)
        state = next(seen, None)
        for event in self._events():
            while state and state[0] <= event[0]:
                yield state
                state = next(seen, None)
            yield event

    def _calls(self):
        """(time of the end, whole text of the call)"""
        begun = {}
        with open(self.path, encoding='ascii') as lines:
            for line in lines:
                match = LINE.match(line)
                if not match:
                    continue
                pid, when, text = match[1], float(match[2]), match[3]
                if text.endswith(' <unfinished ...>'):
                    begun[pid] = text[:-len(' <unfinished ...>')]
                    continue
                resumed = RESUMED.match(text)
                if resumed:
                    text = begun.pop(pid, '') + resumed[2]
                yield when, text

    def _events(self):
        for when, text in self._calls():
            match = CALL.match(text)
            if not match or int(match[3]) < 0:
                continue
            name, arguments, result = match[1], match[2], int(match[3])
            if name == 'sendto':
                yield from ((when, 'said', unescaped(said[1])) for said in TEXT.finditer(arguments))
                continue
            event = self._event(name, arguments, result, match[4])
            if event:
                yield (when, *event)

    def _inside(self, path):
        return path[len(self.spool):].decode() if path.startswith(self.spool) else None

    def _of_descriptor(self, arguments):
        match = FOLDER.match(arguments)
        return self._inside(unescaped(match[1])) if match and match[1] else None

    def _names(self, arguments):
        """Paths of *at() calls, relative to the spool."""
        found = []
        for match in re.finditer(r'(?:AT_FDCWD|\d+)(?:<((?:\\x[0-9a-f]{2})*)>)?, "((?:\\x[0-9a-f]{2})*)"', arguments):
            folder, name = unescaped(match[1] or '') + b'/', unescaped(match[2])
            found.append(self._inside(name if name.startswith(b'/') else folder + name))
        return found

    def _event(self, name, arguments, result, opened):
        if name == 'openat':
            path = self._inside(unescaped(opened)) if opened else None
            return ('create', path, 'O_EXCL' in arguments) if path and 'O_CREAT' in arguments else None
        if name.startswith(('rename', 'link')):
            names = self._names(arguments)
            return (name[:4], *names[:2]) if len(names) >= 2 and all(names[:2]) else None
        if name == 'unlinkat':
            names = self._names(arguments)
            return ('unlink', names[0]) if names and names[0] else None
        path = self._of_descriptor(arguments)
        if path is None or path.endswith(' (deleted)'):
            return None
        if name.startswith(('write', 'pwrite')):
            data = b''.join(unescaped(match[1]) for match in TEXT.finditer(arguments))[:result]
            numbers = arguments.rsplit(', ', 2)[1:]
            offset = None if name.startswith('write') else int(numbers[0 if name == 'pwritev2' else 1])
            return 'write', path, zeros(len(data)) if data.count(0) == len(data) else data, offset
        if name == 'mmap':
            seen = 'MAP_SHARED' not in arguments or 'PROT_WRITE' not in arguments or STATES.match(path)
            return None if seen else ('mapped', path)
        if name == 'ftruncate':
            return 'cut', path, int(arguments.rpartition(', ')[2])
        if name == 'fchmod':
            return 'mode', path, int(arguments.rpartition(', ')[2], 8)
        if name in ('fsync', 'fdatasync'):
            return ('sync' if name == 'fsync' else 'data'), path
        return None


@functools.lru_cache
def zeros(size):
    return bytes(size)


class Pages:
    """What is in a large file, mostly zeros.  Does not change: a write makes another one that shares its pages."""
    def __init__(self, pages=None, size=0):
        self.pages, self.size = pages or {}, size

    def written(self, data, offset):
        pages, size, end = dict(self.pages), log_reader.PAGE, offset + len(data)
        blank = zeros(size)
        for number in range(offset // size, -(-end // size)):
            start = number * size
            piece = data[max(0, start - offset):start + size - offset]
            if len(piece) < size:
                old, at = pages.get(number, blank), max(0, offset - start)
                piece = old[:at] + piece + old[at + len(piece):]
            if piece == blank:
                pages.pop(number, None)
            else:
                pages[number] = bytes(piece)
        return Pages(pages, max(self.size, end))

    def cut(self, size):
        return Pages(size=size).written(self.read(0, size), 0)

    def torn(self, older, chance):
        """Some of the pages in which it differs are those of the other one."""
        pages = dict(self.pages)
        for number in pages.keys() | older.pages.keys():
            old = older.pages.get(number)
            if pages.get(number) is not old and chance.random() < 0.5:
                if old:
                    pages[number] = old
                else:
                    del pages[number]
        return Pages(pages, self.size)

    def read(self, offset, size):
        end = min(offset + size, self.size)
        first = offset // log_reader.PAGE
        blank = zeros(log_reader.PAGE)
        data = b''.join(self.pages.get(number, blank) for number in range(first, -(-end // log_reader.PAGE)))
        return data[offset - first * log_reader.PAGE:end - first * log_reader.PAGE]

    def page_starts(self):
        return [number * log_reader.PAGE for number in self.pages]

    def save(self, path):
        with open(path, 'wb') as file:
            file.truncate(self.size)
            for number, page in self.pages.items():
                os.pwrite(file.fileno(), page, number * log_reader.PAGE)


class File:
    def __init__(self, name, data=b'', mode=0o600):
        self.data = Pages().written(data, 0) if SEGMENT.match(name) else bytes(data)
        self.mode = mode
        self.synced = None              # (data, mode)
        self.durable_names = set()

    def write(self, data, offset):
        if isinstance(self.data, Pages):
            self.data = self.data.written(data, self.data.size if offset is None else offset)
            return
        offset = len(self.data) if offset is None else offset
        before = self.data[:offset] + bytes(max(0, offset - len(self.data)))
        self.data = before + data + self.data[offset + len(data):]

    def cut(self, size):
        if isinstance(self.data, Pages):
            self.data = self.data.cut(size)
        else:
            self.data = self.data[:size] + bytes(max(0, size - len(self.data)))


class Disk:
    def __init__(self, spool):
        """Begins with what is there now, all of it synced."""
        self.names, self.durable = {}, {}
        for folder, _, files in os.walk(spool):
            for name in files:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    with open(path, 'rb') as content:
                        name = os.path.relpath(path, spool)
                        file = File(name, content.read(), stat.S_IMODE(status.st_mode))
                    self.names[name] = file
                    self._sync(file)

    def _sync(self, file):
        file.synced = file.data, file.mode
        for name in file.durable_names:
            self._forget(name, file)
        file.durable_names = {name for name, other in self.names.items() if other is file}
        for name in file.durable_names:
            self.durable[name] = file

    def _sync_folder(self, folder):
        for name, file in list(self.durable.items()):
            if os.path.dirname(name) == folder and self.names.get(name) is not file:
                self._forget(name, file)
                file.durable_names.discard(name)
        for name, file in self.names.items():
            if os.path.dirname(name) == folder:
                file.durable_names.add(name)
                self.durable[name] = file

    def _forget(self, name, file):
        if self.durable.get(name) is file:
            del self.durable[name]

    def apply(self, event):
        _, kind, *arguments = event
        if kind == 'said':
            return
        path = arguments[0]
        if kind == 'create':
            self.names.setdefault(path, File(path))
        elif kind == 'rena':
            if path in self.names:
                self.names[arguments[1]] = self.names.pop(path)
        elif kind == 'link':
            if path in self.names:
                self.names[arguments[1]] = self.names[path]
        elif kind == 'unlink':
            self.names.pop(path, None)
        elif path in self.names:
            self._change(self.names[path], kind, arguments[1:])
        elif kind == 'sync':
            self._sync_folder(path)

    def _change(self, file, kind, arguments):
        if kind == 'write':
            file.write(*arguments)
        elif kind == 'states':
            file.data, = arguments
        elif kind == 'cut':
            file.cut(*arguments)
        elif kind == 'mode':
            file.mode, = arguments
        elif kind == 'sync':
            self._sync(file)
        elif kind == 'data':
            file.synced = file.data, file.synced[1] if file.synced else 0o600
        elif kind == 'mapped':
            raise NotImplementedError('writes through a mapping are not recorded')

    def after_power_cut(self, model, states='newest', chance=random):
        """path -> (data, mode)"""
        if model == 'synced':
            left = {name: self._synced(file) for name, file in self.durable.items()}
        elif model == 'names':
            left = {name: (self._synced(file)[0], file.mode) for name, file in self.names.items()}
        else:
            left = {name: (file.data, file.mode) for name, file in self.names.items()}
        for name, (data, mode) in left.items():
            file = self.names.get(name) or self.durable[name]
            if model == 'torn' and isinstance(data, Pages) and data is not self._synced(file)[0]:
                left[name] = data.torn(self._synced(file)[0], chance), mode
            elif STATES.match(name) and self._synced(file)[0]:
                left[name] = {'newest': file.data, 'synced': self._synced(file)[0],
                              'created': log_reader.as_created(file.data)}[states], mode
        return left

    @staticmethod
    def _synced(file):
        return file.synced or (Pages() if isinstance(file.data, Pages) else b'', 0o600)
