"""Free TCP ports of 127.0.0.1 for tests that run side by side.

A port is claimed by an abstract UNIX socket of its number, held until this process
ends, and lies below the range that the kernel gives to outgoing connections.
"""
import random
import socket

_claims = []


def free_port():
    numbers = list(range(20000, 30000))
    random.SystemRandom().shuffle(numbers)
    for number in numbers:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0bulkhead-test-port-{number}')
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(('127.0.0.1', number))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return number
    raise RuntimeError('no free port')
