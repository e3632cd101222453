#!/usr/bin/env python3
"""`bulkhead route` foretells what happens to a message: each case is asked, sent, and compared."""
import json
import pwd
import re

import client
import scenario
import smtp_raw

ORG, SLOW, ANY = 's@example.org', 'r@slow.example', 'r@any.example'
OURS, STRANGER = '127.0.0.1', '127.0.0.2'

# name, client, sender, recipient
CASES = [
    ('any to any', OURS, 's@client.example', ANY),
    ('any to slow', OURS, 's@client.example', SLOW),
    ('example.org to any', OURS, ORG, ANY),
    ('example.org to slow', OURS, ORG, SLOW),
    ('one sender to slow', OURS, 'boss@example.org', SLOW),
    ('null sender', OURS, '', SLOW),
    ('relayhost by sender', OURS, 's@dep.example', ANY),
    ('default transport by sender', OURS, 's@def.example', ANY),
    ('sender rewritten', OURS, 'joe@client.example', ANY),
    ('recipient rewritten', OURS, 's@client.example', 'old@any.example'),
    ('an alias of two', OURS, ORG, 'both@alias.example'),
    ('no such alias', OURS, 's@client.example', 'nobody@alias.example'),
    ('a stranger to elsewhere', STRANGER, 's@client.example', ANY),
    ('a stranger to a relay domain', STRANGER, 's@client.example', 'open@relay.example'),
    ('an unlisted recipient', STRANGER, 's@client.example', 'nobody@relay.example'),
    ('a refused recipient', OURS, 's@client.example', 'closed@relay.example'),
    ('a refused sender', OURS, 's@bad.example', ANY),
    ('a mailbox', STRANGER, 's@client.example', 'user@box.example'),
    ('no such mailbox', STRANGER, 's@client.example', 'nobody@box.example'),
    ('one who left', OURS, 's@client.example', 'gone@any.example'),
    ('a source route', STRANGER, 's@client.example', 'r%any.example@relay.example'),
    ('a discarded recipient', OURS, 's@client.example', 'r@void.example'),
]


class Route(scenario.Scenario):
    @classmethod
    def tables(cls, a, ports):
        main, slow, news, dependent = ports
        account = pwd.getpwnam(a.user)
        rows = {
            'transport': f'slow.example slow:[127.0.0.1]:{slow}\nvoid.example discard:\n',
            'pairs': f'example.org>slow.example news:[127.0.0.1]:{news}\n'
                     f'boss@example.org>* :[127.0.0.1]:{dependent}\n<>>slow.example smtp:[127.0.0.1]:{main}\n',
            'relayhosts': f'@dep.example [127.0.0.1]:{dependent}\n',
            'transports': f'@def.example slow:[127.0.0.1]:{slow}\n',
            'senders': 'joe@client.example joe@example.org\n',
            'canonical': 'old@any.example new@any.example\n',
            'aliases': f'alias.example anything\nboth@alias.example {SLOW}, {ANY}\n',
            'relays': 'open@relay.example x\nclosed@relay.example x\n',
            'boxes': 'user@box.example inbox/\n',
            'relocated': 'gone@any.example there@else.example\n',
            'refused': 'bad.example REJECT not from you\n',
            'closed': 'closed@relay.example 554 5.7.1 closed for good\n',
        }
        for name, text in rows.items():
            (a.top / name).write_text(text)

        def table(name):
            return f'texthash:{a.top / name}'
        a.config |= {
            'relayhost': f'[127.0.0.1]:{main}', 'mynetworks': OURS, 'relay_domains': 'relay.example',
            'smtpd_relay_restrictions': 'permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination',
            'smtpd_recipient_restrictions': f'check_sender_access {table("refused")}, '
                                            f'check_recipient_access {table("closed")}',
            'transport_maps': table('transport'), 'sender_recipient_transport_maps': table('pairs'),
            'sender_dependent_relayhost_maps': table('relayhosts'),
            'sender_dependent_default_transport_maps': table('transports'),
            'sender_canonical_maps': table('senders'), 'recipient_canonical_maps': table('canonical'),
            'virtual_alias_maps': table('aliases'), 'relay_recipient_maps': table('relays'),
            'virtual_mailbox_domains': 'box.example', 'virtual_mailbox_maps': table('boxes'),
            'virtual_mailbox_base': a.mail, 'virtual_uid_maps': f'static:{account.pw_uid}',
            'virtual_gid_maps': f'static:{account.pw_gid}',
            'relocated_maps': table('relocated'), 'news_destination_rate_delay': '20/s',
            'news_destination_concurrency_limit': '2', 'smtp_connection_cache_on_demand': 'no',
            'smtp_helo_name': 'main.example', 'smtpd_sasl_auth_enable': 'yes',
        }
        a.extra_services = ('slow unix - - y - - smtp -o smtp_bind_address=127.0.0.4 -o smtp_helo_name=slow.example\n'
                            'news unix - - y - - smtp -o smtp_bind_address=127.0.0.5 -o smtp_helo_name=news.example\n')

    def prepare(self):
        system = self.system('a')
        sinks = [self.sink() for _ in range(4)]
        self.tables(system['a'], [sink.port for sink in sinks])
        return system, system['a'], sinks

    def ask(self, a, *arguments, status=0):
        answer = a.control('route', '--json', *arguments)
        self.assertEqual(answer.returncode, status, answer.stdout + answer.stderr)
        return json.loads(answer.stdout)

    @staticmethod
    def steps(report, name):
        return [step for step in report['steps'] if step['step'] == name]

    def test_foretells_what_happens(self):
        system, a, sinks = self.prepare()
        system.start()
        for number, (name, address, sender, recipient) in enumerate(CASES):
            with self.subTest(name):
                report = self.ask(a, '--from', sender, '--to', recipient, '--client', address)
                self.compare(a, sinks, report, f'case-{number}', address, sender, recipient)

    def compare(self, a, sinks, report, identity, address, sender, recipient):
        [permission] = self.steps(report, 'relay permission')
        begin = len(a.log_text())
        with smtp_raw.RawClient(a.port, source=address) as raw:
            raw.greet()
            code, text = raw.command(f'MAIL FROM:<{sender}>')
            code, text = raw.command(f'RCPT TO:<{recipient}>')
            if permission['result'] != 'permit':
                self.assertEqual(f'{code} {text}', permission['reply'])
                return
            self.assertEqual(code, 250, text)
            self.assertEqual(raw.command('DATA')[0], 354)
            raw.send(client.message(identity) + b'.\r\n')
            code, text = raw.reply()
            self.assertEqual(code, 250, text)
        queue_id = text.rpartition(' ')[2]
        self.assert_log(a, rf'{queue_id}: removed')
        [rewriting] = self.steps(report, 'rewriting')
        deliveries = self.steps(report, 'delivery')
        for one in deliveries:   # another process writes them, perhaps a moment later
            self.assert_log(a, rf'{queue_id}: to=<{re.escape(one["recipient"])}>')
        log = a.log_text()[begin:]
        self.assertIn(f'{queue_id}: from=<{rewriting["sender"]}>', log)
        self.assertEqual(sorted(one['recipient'] for one in deliveries),
                         sorted(set(part.partition('to=<')[2].partition('>')[0] for part in log.splitlines()
                                    if f'{queue_id}: to=<' in part)))
        for one in deliveries:
            self.assertRegex(log, rf' a/(?:\w+/)?{one["program"]}\[\d+\]: {queue_id}: to=<{one["recipient"]}>')
            if one['program'] != 'smtp':
                continue
            [arrived] = [(sink, message) for sink in sinks for message in sink.messages
                         if message.id == identity and one['recipient'] in message.recipients]
            self.assertEqual(f'[127.0.0.1]:{arrived[0].port}', one['next hop'])
            self.assertEqual(arrived[1].sender, rewriting['sender'])
            self.assertIn(f'EHLO {one["HELO name"]}', arrived[1].session.commands)
            self.assertEqual(arrived[1].session.source, one.get('source address', '127.0.0.1'))

    def test_names_tables_and_keys(self):
        _, a, sinks = self.prepare()
        a.write()
        report = self.ask(a, '--from', ORG, '--to', SLOW)        # the system is stopped
        [delivery] = self.steps(report, 'delivery')
        self.assertEqual((delivery['transport'], delivery['next hop'], delivery['rate'], delivery['concurrency']),
                         ('news', f'[127.0.0.1]:{sinks[2].port}', '20/s', '2'))
        self.assertEqual((delivery['source address'], delivery['HELO name'], delivery['TLS level']),
                         ('127.0.0.5', 'news.example', 'none'))
        self.assertIn({'parameter': 'sender_recipient_transport_maps', 'table': f'texthash:{a.top / "pairs"}',
                       'key': 'example.org>slow.example', 'value': f'news:[127.0.0.1]:{sinks[2].port}'},
                      delivery['because'])
        self.assertIn({'parameter': 'news_destination_rate_delay', 'table': '', 'key': '', 'value': '20/s'},
                      delivery['because'])
        report = self.ask(a, '--from', 's@bad.example', '--to', ANY, '--client', OURS)
        [permission] = self.steps(report, 'relay permission')
        decided = [(one['parameter'], one['key']) for one in permission['because']]
        self.assertIn(('smtpd_relay_restrictions', ''), decided)
        self.assertIn(('check_sender_access', 'bad.example'), decided)
        text = a.control('route', '--from', ORG, '--to', SLOW).stdout
        self.assertRegex(text, r'(?m)^ +sender_recipient_transport_maps texthash:\S+: example\.org>slow\.example -> news:')

    def test_logins_are_named_and_passwords_are_not(self):
        _, a, sinks = self.prepare()
        (a.top / 'passwords').write_text(f'[127.0.0.1]:{sinks[0].port} joe:sesame\n@dep.example ann:secret\n')
        a.config |= {'smtp_sasl_auth_enable': 'yes', 'smtp_sasl_password_maps': f'texthash:{a.top / "passwords"}',
                     'smtp_sender_dependent_authentication': 'yes',
                     'smtp_tls_policy_maps': f'inline:{{[127.0.0.1]:{sinks[3].port}=encrypt}}'}
        a.write()
        for sender, login, level in (('s@client.example', 'joe', 'none'), ('s@dep.example', 'ann', 'encrypt')):
            answer = a.control('route', '--json', '--from', sender, '--to', ANY)
            [delivery] = self.steps(json.loads(answer.stdout), 'delivery')
            self.assertEqual((delivery['login'], delivery['TLS level']), (login, level))
            self.assertNotRegex(answer.stdout, 'sesame|secret')
        self.assertIn(('smtp_tls_policy_maps', f'[127.0.0.1]:{sinks[3].port}', 'encrypt'),
                      [(one['parameter'], one['key'], one['value']) for one in delivery['because']])

    def test_what_would_be_asked_elsewhere(self):
        _, a, _ = self.prepare()
        a.config['smtpd_recipient_restrictions'] = ('reject_unknown_sender_domain, reject_rbl_client list.example, '
                                                    'check_policy_service unix:private/policy')
        a.write()
        [permission] = self.steps(self.ask(a, '--from', ORG, '--to', ANY, '--client', OURS), 'relay permission')
        told = {one['table']: one['value'] for one in permission['because']}
        self.assertEqual(told['reject_unknown_sender_domain'], 'the DNS would be asked')
        self.assertEqual(told['reject_rbl_client'], 'the DNS would be asked')
        self.assertEqual(told['check_policy_service'], 'the policy server would be asked')

    def test_a_login_permits(self):
        _, a, _ = self.prepare()
        a.write()
        [permission] = self.steps(self.ask(a, '--from', ORG, '--to', ANY, '--login', 'joe'), 'relay permission')
        self.assertEqual(permission['result'], 'permit')
        self.assertIn('permit_sasl_authenticated', [one['table'] for one in permission['because']])

    def test_environments_by_name(self):
        system = self.system('a', 'b')
        system['b'].config['relayhost'] = '[b-relay.example]'
        system.write()
        [delivery] = self.steps(self.ask(system['a'], '--env', 'b', '--to', ANY), 'delivery')
        self.assertEqual(delivery['next hop'], '[b-relay.example]')

    def test_tables_that_fail(self):
        _, a, _ = self.prepare()
        a.config['sender_recipient_transport_maps'] = f'texthash:{a.top / "nowhere"}'
        a.write()
        report = self.ask(a, '--from', ORG, '--to', ANY, status=75)
        self.assertRegex(report['problem'], r'sender_recipient_transport_maps.*nowhere')
        a.config |= {'sender_recipient_transport_maps': '', 'transport_maps': 'inline:{any.example=nosuch:}'}
        a.write()
        self.assertEqual(self.ask(a, '--to', ANY, status=75)['problem'], 'transport nosuch is not in master.cf')

    def test_bad_questions(self):
        _, a, _ = self.prepare()
        a.write()
        for status, reason, *arguments in (
                (64, '--to is missing'), (64, 'unknown option --too', '--too', 'x'), (64, '--to needs a value', '--to'),
                (65, 'the recipient is empty', '--to', '<>'), (65, 'bad address', '--to', 'a\nb@c.example'),
                (65, 'bad address', '--to', '"a@c.example'), (65, 'bad address', '--to', ANY, '--from', 'x>y@z.example'),
                (65, 'bad client address "here"', '--to', ANY, '--client', 'here'),
                (66, 'there is no environment nine', '--to', ANY, '--env', 'nine'),
                (66, 'no service 9999 that runs smtpd', '--to', ANY, '--client', OURS, '--service', '9999')):
            with self.subTest(arguments=arguments):
                answer = a.control('route', *arguments)
                self.assertEqual(answer.returncode, status, answer.stderr)
                self.assertIn(reason, answer.stderr)
                self.assertEqual(answer.stdout, '')
        (a.folder / 'main.cf').write_text('myhostname = $\n{\n')
        self.assertEqual(a.control('route', '--to', ANY).returncode, 78)


if __name__ == '__main__':
    scenario.main()
