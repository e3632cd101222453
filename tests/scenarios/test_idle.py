#!/usr/bin/env python3
"""Thousands of idle connections cost sessions, not processes, and delay nobody."""
import resource
import socket
import statistics
import time

import client
import processes
import scenario

CONNECTIONS = 2000


class Idle(scenario.Scenario):
    def test_two_thousand_idle_connections(self):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        _, a, sink = self.relaying(smtpd_client_connection_count_limit='0', smtpd_client_connection_rate_limit='0')
        idle = []
        self.addCleanup(lambda: [connection.close() for connection in idle])
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(('127.0.0.1', a.port), 10)
            idle.append(connection)
        for connection in idle:
            self.assertTrue(connection.recv(512).startswith(b'220 '))
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


if __name__ == '__main__':
    scenario.main()
