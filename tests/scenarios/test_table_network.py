#!/usr/bin/env python3
"""Tables on servers that hang, die, speak nonsense and come back: who does not need them goes
on, who needs them is told to try again, and nobody has to restart anything."""
import re

import client
import scenario
from table_server import HANG, TableServer


class TableNetwork(scenario.Scenario):
    def server(self, *arguments, **options):
        server = TableServer(*arguments, **options)
        self.addCleanup(server.stop)
        return server

    def restart(self, server):
        """The same server again on its port; answers what `values` says now."""
        server.stop()

        def bound():
            try:
                return self.server(server.protocol, server.values, server.port)
            except OSError:
                return None
        return self.wait(bound, message='the port stays taken')

    def rcpt(self, connection, recipient, sender='s@client.example'):
        """The reply to RCPT in a session of its own."""
        connection.greet()
        connection.command(f'MAIL FROM:<{sender}>')
        return connection.command(f'RCPT TO:<{recipient}>')

    def send(self, a, recipient, identity):
        with a.client(timeout=30) as connection:
            connection.greet()
            return connection.message('s@client.example', recipient, client.message(identity))

    def hanging(self, parameter, prefix='', whole_message=False):
        """One recipient's look-up hangs in the worker that `parameter` belongs to; others' mail
        passes meanwhile, and the first one's after the server has come back."""
        server = self.server('tcp', {'slow@dest.example': HANG})
        _, a, sink = self.relaying(**{parameter: prefix + server.table})
        with a.client(timeout=60) as waiting:
            waiting.greet()
            if whole_message:
                self.assertEqual(waiting.envelope('s@client.example', 'slow@dest.example')[0], 354)
                waiting.send(client.message('slow-1') + b'.\r\n')
            else:
                waiting.command('MAIL FROM:<s@client.example>')
                waiting.send(b'RCPT TO:<slow@dest.example>\r\n')
            self.wait(lambda: server.asked('slow@dest.example'), message='nobody asked the server')
            for number in range(5):
                code, text = self.send(a, f'quick{number}@dest.example', f'quick-{number}')
                self.assertEqual(code, 250, text)
                self.assertTrue(sink.wait_for(lambda message, wanted=f'quick-{number}': message.id == wanted))
            self.assertFalse(server.released.is_set())
            server.stop()
            code, text = waiting.reply()
            self.assertEqual(code, 451, text)
        self.assert_log(a, rf'warning: .*{re.escape(server.table)}: inet:127\.0\.0\.1:{server.port}: connection lost')
        server.values.clear()
        self.restart(server)
        self.wait(lambda: self.send(a, 'slow@dest.example', 'slow-2')[0] == 250, 30, 'it never recovered')
        self.assertTrue(sink.wait_for(lambda message: message.id == 'slow-2'))

    def test_smtpd_serves_others_while_a_restriction_waits(self):
        self.hanging('smtpd_recipient_restrictions', 'check_recipient_access ')

    def test_rewrite_serves_others_while_a_route_waits(self):
        self.hanging('transport_maps')

    def test_cleanup_serves_others_while_an_alias_waits(self):
        self.hanging('virtual_alias_maps', whole_message=True)

    def test_more_hanging_questions_than_threads(self):
        server = self.server('tcp', {f'slow{n}@dest.example': HANG for n in range(40)})
        _, a, _ = self.relaying(smtpd_recipient_restrictions=f'check_recipient_access {server.table}')
        clients = [a.client(timeout=60) for _ in range(40)]
        try:
            for number, connection in enumerate(clients):
                connection.greet()
                connection.command('MAIL FROM:<s@client.example>')
                connection.send(f'RCPT TO:<slow{number}@dest.example>\r\n'.encode())
            self.wait(lambda: len(server.questions) >= 16)
            with a.client(timeout=10) as other:     # what needs no table needs no thread
                other.greet()
                self.assertEqual(other.command('MAIL FROM:<s@client.example>')[0], 250)
                self.assertEqual(other.command('NOOP')[0], 250)
            server.stop()
            for connection in clients:
                self.assertEqual(connection.reply()[0], 451)
        finally:
            for connection in clients:
                connection.close()

    def test_nonsense_is_no_answer(self):
        long = b'200 ' + b'x' * 5000 + b'\n'
        server = self.server('tcp', {'a@dest.example': b'what?\n', 'b@dest.example': long, 'c@dest.example': b'400 down%20now\n',
                                     'd@dest.example': 'REJECT'})
        _, a, _ = self.relaying(smtpd_recipient_restrictions=f'check_recipient_access {server.table}')
        for name, code, reason in (('a', 451, r'malformed reply "what\?"'), ('b', 451, 'longer than 4096 bytes'),
                                   ('c', 451, 'the server says 400: down now'), ('d', 554, None), ('e', 250, None)):
            with a.client() as connection:
                self.assertEqual(self.rcpt(connection, f'{name}@dest.example')[0], code, name)
            if reason:
                self.assert_log(a, rf'warning: .*{re.escape(server.table)}: .*{reason}')

    def test_socketmap_answers_and_recovers(self):
        values = {'x@dest.example': 'REJECT not here', 'temp@dest.example': b'9:TEMP sick,', 'perm@dest.example': b'8:PERM bad,',
                  'cut@dest.example': b'99', 'huge@dest.example': b'100001:'}
        server = self.server('socketmap', values)
        _, a, _ = self.relaying(smtpd_recipient_restrictions=f'check_recipient_access {server.table}')
        for name, code in (('x', 554), ('y', 250), ('temp', 451), ('perm', 451), ('huge', 451)):
            with a.client() as connection:
                self.assertEqual(self.rcpt(connection, f'{name}@dest.example')[0], code, name)
        self.assert_log(a, rf'warning: {re.escape(server.table)}: .*the server says TEMP: sick')
        server.stop()
        with a.client() as connection:
            self.assertEqual(self.rcpt(connection, 'x@dest.example')[0], 451)
        self.assert_log(a, rf'warning: {re.escape(server.table)}: .*(Connection refused|connection lost)')
        self.restart(server)

        def works():
            with a.client() as connection:
                return self.rcpt(connection, 'x@dest.example')[0] == 554
        self.wait(works, 30, 'it never recovered')

    def test_connections_are_kept(self):
        server = self.server('socketmap', {})
        _, a, _ = self.relaying(smtpd_recipient_restrictions=f'check_recipient_access {server.table}')
        with a.client() as connection:
            connection.greet()
            connection.command('MAIL FROM:<s@client.example>')
            for number in range(100):
                self.assertEqual(connection.command(f'RCPT TO:<u{number}@dest.example>')[0], 250)
        self.assertGreaterEqual(len(server.questions), 100)
        self.assertEqual(server.connections, 1)


if __name__ == '__main__':
    scenario.main()
