"""The commit log as tests read it: written from the comments in spool/log_entry.h and spool/commit_log.h alone, so that
the reader under test is not its own judge.  It follows batches from page to page and finds less in damaged ones."""
import dataclasses
import functools
import struct

MAGIC = b'\xb5LG1'
STATES_MAGIC = b'\xb5LOGst1\n'
STATES_BYTES = 64 + 512 * 8
HEADER = struct.Struct('<4sI16sIIQQQqIB59s')
PAGE = 4096
ALIVE, GONE, FILED, SETTLED = range(4)


def _row(value):
    for _ in range(8):
        value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value


TABLE = [_row(value) for value in range(256)]


@functools.lru_cache(20000)
def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 255]
    return value ^ 0xffffffff


@dataclasses.dataclass(frozen=True)
class Entry:
    key: bytes
    serial: int
    generation: int
    batch: int
    slot: int
    id: str
    image: bytes
    intact: bool


def without_marks(image):
    """Recipients that are marked as done (D) as they were before (R); stops where the records end."""
    unmarked, at = bytearray(image), 0
    while at < len(image):
        size, shift, start, more = 0, 0, at, True
        at += 1
        while more and at < len(image):
            size, shift, more = size | (image[at] & 127) << shift, shift + 7, image[at] & 128
            at += 1
        at += size
        if at <= len(image) and image[start:start + 1] == b'D':
            unmarked[start:start + 1] = b'R'
    return bytes(unmarked)


@functools.lru_cache(20000)
def _entry(header, image):
    _, _, key, checksum, _, serial, generation, batch, _, slot, length, name = HEADER.unpack(header)
    intact = crc32c(image) == checksum or crc32c(without_marks(image)) == checksum
    return Entry(key, serial, generation, batch, slot, name[:length].decode('ascii', 'replace'), image, intact)


def _header_at(read, at):
    header = read(at, HEADER.size)
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        return None
    return header if crc32c(header[8:]) == HEADER.unpack(header)[1] else None


def entries(read, starts, key=None):
    """The entries of the batches that begin at these pages.  read(offset, size) gives bytes, fewer at the end."""
    found = []
    for at in starts:
        header = _header_at(read, at)
        while header and key in (None, header[8:24]):
            size = HEADER.unpack(header)[4]
            image = read(at + HEADER.size, size)
            if len(image) == size:
                found.append(_entry(header, image))
            at += (HEADER.size + size + 7) // 8 * 8
            header = _header_at(read, at)
    return found


def entries_of_batch(data):
    return entries(lambda at, size: data[at:at + size], [0])


class States:
    def __init__(self, data):
        self.is_whole = len(data) == STATES_BYTES and data.startswith(STATES_MAGIC)
        self.key = data[8:24]
        self.values = struct.unpack_from('<512Q', data, 64) if self.is_whole else ()

    def is_alive(self, entry):
        value = self.values[entry.slot]
        return value >> 2 < entry.serial or value == entry.serial << 2 | ALIVE


@functools.lru_cache(64)
def _states(data):
    return States(data)


@functools.lru_cache(64)
def _youngest(segment, key):
    here = entries(segment.read, segment.page_starts(), key)
    youngest = max((entry.generation for entry in here), default=0)
    return [entry for entry in here if entry.generation == youngest and entry.slot < 512]


def as_created(data):
    """A file `states` before anybody has written into it."""
    return data[:64] + bytes(len(data) - 64)


def alive(states, segments):
    """What a dead owner's folder holds of mail: the segments are things with read() and page_starts() that do not change."""
    states = _states(states)
    if not states.is_whole:
        return []
    return [entry for segment in segments for entry in _youngest(segment, states.key) if states.is_alive(entry)]
