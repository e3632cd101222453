"""A client of our own workers' sockets: one request, one answer (libcommon/ipc/message.h)."""
import os
import pathlib
import re
import socket
import struct

import processes

SOURCE = pathlib.Path(os.environ.get('BULKHEAD_SOURCE', pathlib.Path(__file__).parents[2]))


def _kinds():
    """The numbers of the enumeration Kind, by name."""
    text = (SOURCE / 'libcommon/ipc/message.h').read_text()
    body = re.sub(r'//.*', '', re.search(r'enum class Kind[^{]*{(.*?)};', text, re.S).group(1))
    return {name: number for number, name in enumerate(re.findall(r'[a-z]\w*', body), 1)}


KINDS = _kinds()
OK, FAILED = KINDS['ok'], KINDS['failed']
VERIFY_QUERY, VERIFY_UPDATE = KINDS['verify_query'], KINDS['verify_update']
FLUSH_ADD, FLUSH_SITE = KINDS['flush_add'], KINDS['flush_site']


def frame(kind, attributes):
    body = b''.join(bytes([len(name)]) + name.encode() + struct.pack('<I', len(value.encode())) + value.encode()
                    for name, value in attributes)
    return struct.pack('<BBBBI', 0xb5, 1, kind, 0, len(body)) + body


def _exactly(connection, size):
    data = b''
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError('the worker has closed')
        data += more
    return data


def ask(path, kind, **attributes):
    """(kind, {name: value}) of the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        # The master makes the sockets one after the other; old ones refuse until then.
        if not processes.wait_until(lambda: connection.connect_ex(str(path)) == 0, 10):
            raise ConnectionError(f'{path}: nobody listens')
        connection.sendall(frame(kind, [(name, str(value)) for name, value in attributes.items()]))
        answered, size = struct.unpack('<2xBxI', _exactly(connection, 8))
        body, values = _exactly(connection, size), {}
    while body:
        name, body = body[1:1 + body[0]].decode(), body[1 + body[0]:]
        length, body = struct.unpack('<I', body[:4])[0], body[4:]
        values[name], body = body[:length].decode(errors='replace'), body[length:]
    return answered, values
