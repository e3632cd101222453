#!/usr/bin/env python3
"""Policy servers that answer, hang, die and talk nonsense; limits of clients; access actions."""
import os
import time

import environment
import scenario
from policy_server import PolicyServer

STRANGER = '127.0.4.1'


class Policy(scenario.Scenario):
    def start(self, *, services='', **settings):
        system, self.sink_ = self.system('a'), self.sink()
        self.a = system['a']
        self.a.relay_to(self.sink_.port)
        self.a.extra_services = services
        self.a.config |= {'mynetworks': '127.0.0.200/32', 'relay_domains': 'dest.example', 'smtpd_error_sleep_time': '0',
                          'smtpd_relay_restrictions': 'permit_mynetworks, reject_unauth_destination'} | settings
        return system.start()

    def server(self, decide, **options):
        server = PolicyServer(decide, **options)
        self.addCleanup(server.stop)
        return server

    def ask(self, sender='s@client.example', recipient='r@dest.example'):
        with self.a.client(source=STRANGER) as connection:
            connection.greet()
            connection.command(f'MAIL FROM:<{sender}> SIZE=1234')
            return ' '.join(map(str, connection.command(f'RCPT TO:<{recipient}>')))

    def send(self, sender='s@client.example', identity='x'):
        with self.a.client(source=STRANGER) as connection:
            connection.greet()
            code, text = connection.message(sender, 'r@dest.example', f'X-Ledger-Id: {identity}\r\n\r\nhello\r\n'.encode())
            return f'{code} {text}'

    def test_attributes_and_reuse(self):
        server = self.server(lambda attributes: 'DEFER_IF_PERMIT Greylisted' if 'grey' in attributes['sender'] else 'DUNNO')
        self.start(smtpd_recipient_restrictions=f'check_policy_service {{ inet:127.0.0.1:{server.port}, policy_context=in }}',
                   smtpd_data_restrictions=f'check_policy_service inet:127.0.0.1:{server.port}')
        self.assertEqual(self.ask(sender='grey@client.example'),
                         '450 4.7.1 <r@dest.example>: Recipient address rejected: Greylisted')
        self.assertTrue(self.send().startswith('250 2.0.0 Ok: queued as '))
        first, at_rcpt, at_data = server.requests
        expected = {'request': 'smtpd_access_policy', 'protocol_state': 'RCPT', 'protocol_name': 'ESMTP',
                    'client_address': STRANGER, 'client_name': 'unknown', 'reverse_client_name': 'unknown',
                    'helo_name': 'client.example', 'sender': 'grey@client.example', 'recipient': 'r@dest.example',
                    'recipient_count': '0', 'queue_id': '', 'size': '1234', 'policy_context': 'in', 'sasl_username': '',
                    'server_address': '127.0.0.1', 'server_port': str(self.a.port), 'encryption_keysize': '0'}
        self.assertEqual({name: first.get(name) for name in expected}, expected)
        self.assertEqual((at_data['protocol_state'], at_data['recipient_count']), ('DATA', '1'))
        self.assertNotEqual(at_data['queue_id'], '')
        self.assertEqual(at_rcpt['instance'], at_data['instance'])
        self.assertNotEqual(first['instance'], at_rcpt['instance'])
        self.assertLessEqual(server.connections, 2)

    def test_servers_that_fail(self):
        dies = self.server(lambda _: None)
        garbage = self.server(lambda _: b'no equals sign\n\n')
        silent = self.server(lambda _: b'\n')
        hangs = self.server(lambda _: PolicyServer.HANG)
        rules = {'dies': dies, 'garbage': garbage, 'silent': silent, 'hangs': hangs}
        table = ', '.join(f'{{{name}@client.example = {name}}}' for name in [*rules, 'nobody'])
        settings = {name: f'check_policy_service {{ inet:127.0.0.1:{server.port}, timeout=1s, try_limit=1 }}'
                    for name, server in rules.items()}
        settings['nobody'] = ('check_policy_service { inet:127.0.0.1:1, try_limit=2, retry_delay=1s, '
                              '{ default_action = 450 4.7.9 nobody there } }')
        self.start(smtpd_restriction_classes=', '.join(settings),
                   smtpd_recipient_restrictions=f'check_sender_access inline:{{{table}}}', **settings)
        for name in rules:
            self.assertEqual(self.ask(sender=f'{name}@client.example'), '451 4.3.5 <r@dest.example>: Recipient address '
                             'rejected: Server configuration problem', name)
            self.assert_log(self.a, rf'warning: problem talking to server 127\.0\.0\.1:{rules[name].port}: ')
        self.assertEqual(self.ask(sender='nobody@client.example'),
                         '450 4.7.9 <r@dest.example>: Recipient address rejected: nobody there')
        self.assertEqual(self.ask(), '250 2.1.5 Ok')

    def test_a_server_that_hangs_stops_nobody_else(self):
        hangs = self.server(lambda attributes: PolicyServer.HANG if 'slow' in attributes['sender'] else 'DUNNO')
        self.start(smtpd_recipient_restrictions=f'check_policy_service inet:127.0.0.1:{hangs.port}',
                   smtpd_policy_service_timeout='30s')
        with self.a.client(source=STRANGER) as stuck:
            stuck.greet()
            stuck.command('MAIL FROM:<slow@client.example>')
            stuck.send(b'RCPT TO:<r@dest.example>\r\n')
            self.wait(lambda: hangs.requests)
            begin = time.monotonic()
            self.assertEqual(self.ask(), '250 2.1.5 Ok')
            self.assertLess(time.monotonic() - begin, 5 * environment.SLOWER)

    def test_a_socket_in_the_jail(self):
        self.start(smtpd_recipient_restrictions='check_policy_service unix:private/policy')
        path = self.a.spool / 'private' / 'policy'
        server = self.server(lambda _: 'REJECT 5.7.9 not here', path=path)
        os.chown(path, self.a.spool.stat().st_uid, -1)
        self.assertEqual(self.ask(), '554 5.7.9 <r@dest.example>: Recipient address rejected: not here')
        self.assertEqual(len(server.requests), 1)

    def test_actions_on_messages(self):
        table = ('{hold@client.example = HOLD look}, {gone@client.example = DISCARD}, {new@client.example = REDIRECT '
                 'other@dest.example}, {top@client.example = PREPEND X-Top: yes}, {copy@client.example = BCC c@dest.example}')
        self.start(smtpd_sender_restrictions=f'check_sender_access inline:{{{table}}}',
                   smtpd_end_of_data_restrictions='check_sender_access inline:{{late@client.example = REDIRECT '
                   'late@dest.example}}')
        for name in ('hold', 'gone', 'new', 'top', 'copy', 'late'):
            self.assertTrue(self.send(f'{name}@client.example', name).startswith('250 2.0.0 Ok: queued'), name)

        def recipients(identity):
            return sorted(r for m in self.sink_.messages if m.id == identity for r in m.recipients)
        self.wait(lambda: recipients('new') == ['other@dest.example'])
        self.wait(lambda: recipients('late') == ['late@dest.example'])
        self.wait(lambda: recipients('copy') == ['c@dest.example', 'r@dest.example'])
        self.wait(lambda: recipients('top'))
        top = next(m for m in self.sink_.messages if m.id == 'top')
        self.assertRegex(top.data, rb'(?s)\A(Received: from client.*?\r\n(?![ \t]))?X-Top: yes\r\nReceived: from client')
        self.assertEqual(len(self.a.queue_files('hold')), 1)
        self.assertEqual(recipients('gone') + recipients('hold'), [])
        self.assert_log(self.a, r'NOQUEUE: hold: RCPT from unknown\[127\.0\.4\.1\]: <hold@client\.example>: Sender address look; '
                        r'from=<hold@client\.example> to=<r@dest\.example> proto=ESMTP helo=<client\.example>$')
        self.assert_log(self.a, r'NOQUEUE: discard: .*: Sender address triggers DISCARD action; ')

    ANVIL = 'anvil unix - - y - 1 anvil\n'

    def test_connections_at_a_time(self):
        self.start(services=self.ANVIL, smtpd_client_connection_count_limit='2')
        first, second = self.a.client(source=STRANGER), self.a.client(source=STRANGER)
        for connection in (first, second):
            connection.greet()
        third = self.a.client(source=STRANGER)
        self.assertEqual(third.reply(), (421, f'4.7.0 mx.a.example Error: too many connections from {STRANGER}'))
        with self.a.client(source='127.0.4.2') as other:
            other.greet()
        for connection in (first, second, third):
            connection.close()
        self.assert_log(self.a, rf'warning: Connection concurrency limit exceeded: 3 from unknown\[{STRANGER}\] for service ')

        def accepted():
            with self.a.client(source=STRANGER) as again:
                return again.reply()[0] == 220
        self.wait(accepted)

    def test_rates(self):
        system = self.start(services=self.ANVIL, smtpd_client_message_rate_limit='2', smtpd_client_recipient_rate_limit='3',
                            smtpd_client_connection_rate_limit='4')
        with self.a.client(source=STRANGER) as connection:
            connection.greet()
            for _ in range(2):
                self.assertEqual(connection.command('MAIL FROM:<s@client.example>')[0], 250)
                for _ in range(2):
                    code, text = connection.command('RCPT TO:<r@dest.example>')
                connection.command('RSET')
            self.assertEqual((code, text), (450, f'4.7.1 Error: too many recipients from {STRANGER}'))
            self.assertEqual(connection.command('MAIL FROM:<s@client.example>'),
                             (450, f'4.7.1 Error: too much mail from {STRANGER}'))
        for _ in range(3):
            with self.a.client(source=STRANGER) as connection:
                connection.greet()
        with self.a.client(source=STRANGER) as connection:
            self.assertEqual(connection.reply()[0], 421)
        for text in ('Connection rate limit exceeded: 5', 'Message delivery request rate limit exceeded: 3',
                     'Recipient address rate limit exceeded: 4'):
            self.assert_log(self.a, rf'warning: {text} from unknown\[{STRANGER}\] for service ')
        system.stop()
        self.assertRegex(self.a.log_text(), rf'statistics: max connection rate 5/60s for \(\S+:{STRANGER}\) at ')

    def test_without_anvil_mail_flows(self):
        self.start(smtpd_client_connection_count_limit='1')
        self.assertEqual(self.ask(), '250 2.1.5 Ok')
        self.assert_log(self.a, r'warning: client limits are not applied: ')


if __name__ == '__main__':
    scenario.main()
