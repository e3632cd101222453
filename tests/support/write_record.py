"""What the workers of one environment asked the disk to do, in order, and what a power cut would leave of it.

    recording = Recording(system, environment)      # strace joins every process, and those to come
    ...
    events = recording.stop()
    disk = Disk(); disk.apply(event) for as many events as one likes; disk.after_power_cut(model)

A power cut keeps what was synced.  What was not may be there or not, so there are three models:
'synced' knows only names and contents as of the last fsync of each file (and what was there before the
recording), 'names' has all names and modes but contents as of the last fsync, as where a journal's commit
came before the data, and 'all' has everything, as after a kill.
"""
import os
import re
import signal
import stat
import subprocess
import time

import processes

CALLS = ('openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync,rename,renameat,'
         'renameat2,link,linkat,unlink,unlinkat,mkdirat,fchmod,utimensat,sendto,mmap')
LINE = re.compile(r'^(\d+) +(\d+\.\d+) (.*)$')
RESUMED = re.compile(r'^<\.\.\. (\w+) resumed>,? ?(.*)$', re.S)
CALL = re.compile(r'^(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?', re.S)
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
FOLDER = re.compile(r'^(?:\d+|AT_FDCWD)(?:<((?:\\x[0-9a-f]{2})*)>)?')


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

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        return list(self._events())

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
            return 'write', path, data, offset
        if name == 'mmap':
            return ('mapped', path) if 'MAP_SHARED' in arguments and 'PROT_WRITE' in arguments else None
        if name == 'ftruncate':
            return 'cut', path, int(arguments.rpartition(', ')[2])
        if name == 'fchmod':
            return 'mode', path, int(arguments.rpartition(', ')[2], 8)
        if name in ('fsync', 'fdatasync'):
            return 'sync', path
        return None


class File:
    def __init__(self, data=b'', mode=0o600):
        self.data, self.mode = bytearray(data), mode
        self.synced = None              # (data, mode)
        self.durable_names = set()


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
                        file = File(content.read(), stat.S_IMODE(status.st_mode))
                    self.names[os.path.relpath(path, spool)] = file
                    self._sync(file)

    def _sync(self, file):
        file.synced = bytes(file.data), file.mode
        for name in file.durable_names:
            self.durable.pop(name, None)
        file.durable_names = {name for name, other in self.names.items() if other is file}
        for name in file.durable_names:
            self.durable[name] = file

    def apply(self, event):
        _, kind, *arguments = event
        if kind == 'said':
            return
        path = arguments[0]
        if kind == 'create':
            self.names.setdefault(path, File())
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

    def _change(self, file, kind, arguments):
        if kind == 'write':
            data, offset = arguments
            offset = len(file.data) if offset is None else offset
            file.data.extend(bytes(max(0, offset - len(file.data))))
            file.data[offset:offset + len(data)] = data
        elif kind == 'cut':
            size, = arguments
            del file.data[size:]
            file.data.extend(bytes(max(0, size - len(file.data))))
        elif kind == 'mode':
            file.mode, = arguments
        elif kind == 'sync':
            self._sync(file)
        elif kind == 'mapped':
            raise NotImplementedError('writes through a mapping are not recorded')

    def after_power_cut(self, model):
        """path -> (data, mode)"""
        if model == 'all':
            return {name: (bytes(file.data), file.mode) for name, file in self.names.items()}
        if model == 'names':
            return {name: (file.synced[0] if file.synced else b'', file.mode) for name, file in self.names.items()}
        return {name: file.synced for name, file in self.durable.items()}
