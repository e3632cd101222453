#!/usr/bin/env python3
"""Thousands of idle connections cost sessions, not processes, and delay nobody; who finds no room is told so."""
import pathlib
import re
import resource
import socket
import statistics
import time

import client
import environment
import ports
import processes
import scenario

CONNECTIONS = 2000
BUSY = b'421 4.3.2 mx.a.example Error: too many sessions, try again later\r\n'


def memory(here):
    """Private memory of smtpd, KiB."""
    texts = [pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text() for pid in here.workers('smtpd')]
    return sum(int(number) for text in texts for number in re.findall(r'^Private_\w+: +(\d+)', text, re.M))


class Idle(scenario.Scenario):
    def test_two_thousand_idle_connections(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        _, a, sink = self.relaying(smtpd_client_connection_count_limit='0', smtpd_client_connection_rate_limit='0')
        idle = []
        self.addCleanup(lambda: [connection.close() for connection in idle])
        with a.client() as connection:
            connection.greet()
        before = memory(a)
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(('127.0.0.1', a.port), 10)
            idle.append(connection)
        for connection in idle:
            self.assertTrue(connection.recv(512).startswith(b'220 '))
        each = (memory(a) - before) / CONNECTIONS
        if not environment.SANITIZED:
            self.assertLess(each, 12, f'{each:.1f} KiB for each idle connection')
        workers = [processes.name_of(pid) for pid in a.workers()]
        self.assertLessEqual(len(workers), 4, workers)

        delays = []
        for _ in range(20):
            begin = time.monotonic()
            with a.client() as connection:
                self.assertEqual(connection.reply()[0], 220)
                delays.append(time.monotonic() - begin)
        print(f'{CONNECTIONS} idle, workers {workers}, greeted in {statistics.median(delays) * 1000:.1f} ms '
              f'(slowest {max(delays) * 1000:.1f} ms)')
        self.assertLess(statistics.median(delays), 0.1)

        with a.client() as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message('among-idle'))[0], 250)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'among-idle'))
        # And each idle one is still a session.
        for connection in idle[::100]:
            connection.sendall(b'NOOP\r\n')
            self.assertTrue(connection.recv(512).startswith(b'250 '))


class Full(scenario.Scenario):
    """A service of one process, which another may not help."""

    def begin(self, room, **settings):
        system = self.system('a')
        self.a, self.port = system['a'], ports.free_port()
        self.a.config |= {'smtpd_client_connection_count_limit': '0', 'alias_maps': '', 'local_recipient_maps': ''} | settings
        self.a.extra_services += (f'127.0.0.1:{self.port} inet n - y - 1 smtpd -o process_session_limit={room}\n'
                                  'anvil unix - - y - 1 anvil\n')
        system.start()
        self.wait(lambda: self.a.workers('smtpd'))     # that of the other port

    def knock(self):
        connection = socket.create_connection(('127.0.0.1', self.port), 15)
        self.addCleanup(connection.close)
        return connection

    def taken(self, number):
        held = [self.knock() for _ in range(number)]
        for connection in held:
            self.assertTrue(connection.recv(512).startswith(b'220 '))
        return held

    def everything(self, connection, said=b''):
        """What the server says until it ends the connection, in order: a reset fails the test."""
        connection.sendall(said)
        text = b''
        while block := connection.recv(4096):
            text += block
        return text

    def accepted(self):
        return self.knock().recv(512).startswith(b'220 ')

    def lives_on(self, connection):
        connection.sendall(b'NOOP\r\n')
        self.assertTrue(connection.recv(512).startswith(b'250 '))

    def test_no_process_left(self):
        self.begin(room=3)
        held = self.taken(3)
        for _ in range(50):
            self.assertEqual(self.everything(self.knock()), BUSY)
        # Also who has much to say, and does not listen at first.
        self.assertEqual(self.everything(self.knock(), b'EHLO client.example\r\n' * 1000), BUSY)
        self.assert_log(self.a, r'master\[\d+\]: warning: service "\S+" \(.*\) has reached its process limit "1": new clients are')
        self.assert_log(self.a, r'smtpd\[\d+\]: warning: all processes of service \S+ are full: turned away 1 clients')
        held.pop().close()
        self.wait(self.accepted)
        for connection in held:
            self.lives_on(connection)

    def test_no_descriptor_left(self):
        self.begin(room=500)
        others = set(self.a.workers('smtpd'))
        first, = self.taken(1)
        pid, = set(self.a.workers('smtpd')) - others
        used = len(list(pathlib.Path(f'/proc/{pid}/fd').iterdir()))
        limited = environment.run('prlimit', f'--pid={pid}', f'--nofile={used + 2}', user=self.a.user)
        self.assertEqual(limited.returncode, 0, limited.stderr)
        self.taken(2)
        for _ in range(20):
            self.assertEqual(self.everything(self.knock(), b'EHLO client.example\r\n'), BUSY)
        self.assert_log(self.a, r'smtpd\[\d+\]: warning: no descriptor left for another session')
        self.lives_on(first)
        first.close()
        self.wait(self.accepted)

    def test_too_many_from_one_client(self):
        self.begin(room=500, smtpd_client_connection_count_limit='2', mynetworks='')
        held = [self.a.client(source='127.0.0.9') for _ in range(2)]
        for connection in held:
            self.addCleanup(connection.close)
            connection.greet()
        for said in (b'', b'EHLO client.example\r\n' * 1000):
            with socket.create_connection(('127.0.0.1', self.a.port), 15, ('127.0.0.9', 0)) as third:
                self.assertEqual(self.everything(third, said),
                                 b'421 4.7.0 mx.a.example Error: too many connections from 127.0.0.9\r\n')


if __name__ == '__main__':
    scenario.main()
