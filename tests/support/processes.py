"""What /proc says about processes, and ends of them.

Independent of what the programs under test report about themselves.
"""
import ctypes
import os
import pathlib
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans of the processes that we start come to us, so that none can hide."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stat_fields(pid):
    """Fields of /proc/PID/stat after the command name; None when the process is gone."""
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text(errors='replace').rsplit(')', 1)[1].split()
    except (OSError, IndexError):
        return None


def alive(pid):
    fields = stat_fields(pid)
    if fields is None or fields[0] not in 'ZX':
        return fields is not None
    try:    # the first thread may end before the others, which still hold its files and ports
        return len(os.listdir(f'/proc/{pid}/task')) > 1
    except OSError:
        return False


def name_of(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/comm').read_text().strip()
    except OSError:
        return ''


def status_of(pid):
    """/proc/PID/status as a dictionary; empty when the process is gone."""
    try:
        lines = pathlib.Path(f'/proc/{pid}/status').read_text(errors='replace').splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(':') for line in lines)}


def descendants(pid):
    """All living descendants of `pid`."""
    children = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            fields = stat_fields(entry)
            if fields and fields[0] not in 'ZX':
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def wait_until(condition, timeout, step=0.02):
    """Polls until condition() is true; its last value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
