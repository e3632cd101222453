#!/usr/bin/env python3
"""Tables behind proxymap: who may use them, how few connections they need, what happens when
they change, and when proxymap dies."""
import re
import threading

import processes
import scenario
from table_server import HANG, TableServer

PROXYMAP = 'proxymap  unix  -       -       n       -       -       proxymap\n'


class Proxymap(scenario.Scenario):
    def server(self, *arguments, **options):
        server = TableServer(*arguments, **options)
        self.addCleanup(server.stop)
        return server

    def proxied(self, **settings):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= settings
        a.extra_services = PROXYMAP
        return system.start(), a, sink

    def rcpt(self, a, recipient):
        with a.client(timeout=30) as connection:
            connection.greet()
            connection.command('MAIL FROM:<s@client.example>')
            return connection.command(f'RCPT TO:<{recipient}>')

    def test_asks_for_a_worker_in_the_jail(self):
        server = self.server('tcp', {'bad@dest.example': 'REJECT'})
        _, a, _ = self.proxied(smtpd_recipient_restrictions=f'check_recipient_access proxy:{server.table}')
        self.assertEqual(self.rcpt(a, 'bad@dest.example')[0], 554)
        self.assertEqual(self.rcpt(a, 'good@dest.example')[0], 250)
        self.assertEqual(len(a.workers('proxymap')), 1)

    def test_refuses_a_table_that_is_not_listed(self):
        server = self.server('tcp', {})
        _, a, _ = self.proxied(smtpd_recipient_restrictions=f'check_recipient_access proxy:{server.table}',
                               proxy_read_maps='proxy:unix:passwd.byname')
        self.assertEqual(self.rcpt(a, 'x@dest.example')[0], 451)
        table = re.escape(server.table)
        self.assert_log(a, rf'proxymap\[\d+\]: warning: request for unapproved table: "{table}"')
        self.assert_log(a, rf'smtpd\[\d+\]: warning: .*proxy:{table}: the table is not in proxy_read_maps')
        self.assertEqual(server.questions, [])

    def test_users_of_the_system(self):
        _, a, _ = self.proxied(mydestination='$mydomain', local_transport='discard',
                               local_recipient_maps='proxy:unix:passwd.byname')
        self.assertEqual(self.rcpt(a, 'daemon@a.example')[0], 250)
        self.assertEqual(self.rcpt(a, 'nobody-of-this-name@a.example')[0], 550)

    def test_a_changed_table_is_read_again(self):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        table = a.folder / 'access'
        table.write_text('bad@dest.example REJECT\n')
        a.relay_to(sink.port)
        a.config |= {'smtpd_recipient_restrictions': f'check_recipient_access proxy:texthash:{table}'}
        a.extra_services = PROXYMAP
        system.start()
        self.assertEqual(self.rcpt(a, 'bad@dest.example')[0], 554)
        [before] = a.workers('proxymap')
        new = a.folder / 'access.new'
        new.write_text('worse@dest.example REJECT\n')
        new.rename(table)
        self.wait(lambda: self.rcpt(a, 'worse@dest.example')[0] == 554)
        self.assertEqual(self.rcpt(a, 'bad@dest.example')[0], 250)
        self.assertEqual(a.workers('proxymap'), [before])

    def test_many_look_ups_need_few_connections(self):
        server = self.server('tcp', {})
        _, a, _ = self.proxied(smtpd_recipient_restrictions=f'check_recipient_access proxy:{server.table}')
        codes = []

        def ask(number):
            codes.append(self.rcpt(a, f'u{number}@dest.example')[0])
        threads = [threading.Thread(target=ask, args=[number]) for number in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, [250] * 200)
        self.assertGreaterEqual(len(server.questions), 200)
        self.assertLessEqual(server.connections, 16)

    def test_one_hanging_table_leaves_the_others(self):
        slow, quick = self.server('tcp', {f'slow{n}@dest.example': HANG for n in range(20)}), self.server('tcp', {})
        _, a, _ = self.proxied(smtpd_client_restrictions=f'check_client_access proxy:{quick.table}',
                               smtpd_recipient_restrictions=f'check_recipient_access proxy:{slow.table}')
        clients = [a.client(timeout=60) for _ in range(12)]
        try:
            for number, connection in enumerate(clients):
                connection.greet()
                connection.command('MAIL FROM:<s@client.example>')
                connection.send(f'RCPT TO:<slow{number}@dest.example>\r\n'.encode())
            self.wait(lambda: len(slow.questions) >= 8)
            answer = a.command('postmap', '-q', 'anything', f'proxy:{quick.table}', timeout=10)
            self.assertEqual((answer.returncode, answer.stdout), (1, ''), answer.stderr)
            slow.stop()
            for connection in clients:
                self.assertEqual(connection.reply()[0], 451)
        finally:
            for connection in clients:
                connection.close()

    def test_survives_the_death_of_proxymap(self):
        self.deaths_expected = True
        server = self.server('tcp', {'bad@dest.example': 'REJECT'})
        _, a, _ = self.proxied(smtpd_recipient_restrictions=f'check_recipient_access proxy:{server.table}')
        self.assertEqual(self.rcpt(a, 'bad@dest.example')[0], 554)
        processes.kill(a.workers('proxymap'))
        self.wait(lambda: self.rcpt(a, 'bad@dest.example')[0] == 554)

    def test_without_the_service_the_table_is_opened_directly(self):
        server = self.server('tcp', {'bad@dest.example': 'REJECT'})
        _, a, _ = self.relaying(smtpd_recipient_restrictions=f'check_recipient_access proxy:{server.table}')
        self.assertEqual(self.rcpt(a, 'bad@dest.example')[0], 554)
        self.assertEqual(a.workers('proxymap'), [])

    def test_postmap_asks_the_running_system(self):
        server = self.server('tcp', {'key': 'value'})
        system, a, _ = self.proxied(relocated_maps=f'proxy:{server.table}')
        for _ in range(2):      # by way of proxymap, and then without it
            answer = a.command('postmap', '-q', 'key', f'proxy:{server.table}')
            self.assertEqual((answer.returncode, answer.stdout), (0, 'value\n'), answer.stderr)
            system.stop()


if __name__ == '__main__':
    scenario.main()
