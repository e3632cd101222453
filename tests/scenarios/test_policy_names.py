#!/usr/bin/env python3
"""Restrictions that ask the DNS: names of clients, HELO, senders and recipients; DNS lists."""
import time

import name_server
import scenario
from name_server import SERVFAIL, SILENT

GOOD, BAD, MISMATCH, NO_FORWARD, BROKEN, NAMELESS, BROKEN_FORWARD = (f'127.0.3.{n}' for n in range(1, 8))

ZONE = {
    ('1.3.0.127.in-addr.arpa', 'PTR'): ['good.client.test'],
    ('good.client.test', 'A'): [GOOD],
    ('3.3.0.127.in-addr.arpa', 'PTR'): ['other.client.test'],
    ('other.client.test', 'A'): ['192.0.2.3'],
    ('4.3.0.127.in-addr.arpa', 'PTR'): ['nowhere.client.test'],
    ('5.3.0.127.in-addr.arpa', 'PTR'): SERVFAIL,
    ('7.3.0.127.in-addr.arpa', 'PTR'): ['shaky.client.test'],
    ('shaky.client.test', 'A'): SERVFAIL,
    ('shaky.client.test', 'TXT'): ['x'],
    # DNS lists
    ('1.3.0.127.bl.test', 'A'): ['127.0.0.4'],
    ('1.3.0.127.bl.test', 'TXT'): ['see http://bl.test/1'],
    ('2.3.0.127.bl.test', 'A'): ['127.0.0.20'],
    ('1.3.0.127.white.test', 'A'): ['127.0.0.1'],
    ('spam.test.dbl.test', 'A'): ['127.0.1.2'],
    ('good.client.test.dbl.test', 'A'): ['127.0.1.2'],
    ('helo.spam.test.dbl.test', 'A'): ['127.0.1.2'],
    ('1.3.0.127.broken.test', 'A'): SERVFAIL,
    ('1.3.0.127.silent.test', 'A'): SILENT,
    # domains
    ('mail.test', 'MX'): [(10, 'mx.mail.test')],
    ('mx.mail.test', 'A'): ['192.0.2.25'],
    ('host.test', 'A'): ['192.0.2.26'],
    ('null.test', 'MX'): [(0, '')],
    ('shaky.test', 'MX'): SERVFAIL,
    ('mail.test', 'NS'): ['ns.evil.test'],
    ('ns.evil.test', 'A'): ['192.0.2.53'],
    ('deep.mail.test', 'A'): ['192.0.2.99'],
    ('backup.test', 'MX'): [(10, 'mx.mail.test'), (20, 'self.test')],
    ('primary.test', 'MX'): [(10, 'self.test')],
    ('self.test', 'A'): ['127.0.0.1'],
}


class Names(scenario.Scenario):
    @classmethod
    def setUpClass(cls):
        cls.server = name_server.NameServer(ZONE)
        cls.server.rule_this_process()

    def start(self, **settings):
        system = self.system('a')
        self.a = system['a']
        self.a.config |= {
            'smtpd_peername_lookup': 'yes', 'mynetworks': '127.0.0.200/32', 'relay_domains': 'dest.example',
            'smtpd_relay_restrictions': 'permit_mynetworks, reject_unauth_destination',
            'default_transport': 'discard', 'relay_transport': 'discard', 'smtpd_error_sleep_time': '0',
        } | settings
        system.start()

    def ask(self, source=GOOD, helo='client.example', sender='s@mail.test', recipient='r@dest.example'):
        with self.a.client(source=source) as connection:
            connection.greet(helo)
            connection.command(f'MAIL FROM:<{sender}>')
            return ' '.join(map(str, connection.command(f'RCPT TO:<{recipient}>')))

    def test_names_of_clients(self):
        self.start(smtpd_recipient_restrictions='check_client_access inline:{{good.client.test=REJECT by name}},'
                   'check_reverse_client_hostname_access inline:{{other.client.test=REJECT by reverse name}},'
                   'check_client_access inline:{127.0.3.2=OK}, reject_unknown_reverse_client_hostname, permit')
        self.assertEqual(self.ask(GOOD), f'554 5.7.1 <good.client.test[{GOOD}]>: Client host rejected: by name')
        self.assertEqual(self.ask(MISMATCH),
                         '554 5.7.1 <other.client.test>: Unverified Client host rejected: by reverse name')
        self.assertEqual(self.ask(BAD), '250 2.1.5 Ok')
        self.assertEqual(self.ask(NAMELESS), '450 4.7.25 Client host rejected: cannot find your reverse hostname, '
                         f'[{NAMELESS}]')
        self.assert_log(self.a, rf'smtpd\[\d+\]: connect from good\.client\.test\[{GOOD}\]$')
        self.assert_log(self.a, rf'smtpd\[\d+\]: connect from unknown\[{MISMATCH}\]$')
        self.assert_log(self.a, rf'warning: hostname other\.client\.test does not resolve to address {MISMATCH}$')

    def test_unknown_clients(self):
        self.start(smtpd_recipient_restrictions='reject_unknown_client_hostname', unknown_client_reject_code='550')
        self.assertEqual(self.ask(GOOD), '250 2.1.5 Ok')
        for source, code in ((MISMATCH, '550 5.7.25'), (NO_FORWARD, '550 5.7.25'), (NAMELESS, '550 5.7.25'),
                             (BROKEN, '450 4.7.25'), (BROKEN_FORWARD, '450 4.7.25')):
            self.assertEqual(self.ask(source), f'{code} Client host rejected: cannot find your hostname, [{source}]')

    def test_unknown_forward_names(self):
        self.start(smtpd_recipient_restrictions='reject_unknown_forward_client_hostname')
        self.assertEqual(self.ask(MISMATCH), '250 2.1.5 Ok')
        self.assertTrue(self.ask(NO_FORWARD).startswith('450 4.7.25 '))

    def test_dns_lists(self):
        self.start(smtpd_recipient_restrictions='permit_dnswl_client nothing.test, reject_rbl_client bl.test=127.0.0.[2..11],'
                   'reject_rhsbl_sender dbl.test, reject_rhsbl_helo dbl.test=127.0.1.[2;4..6]')
        self.assertEqual(self.ask(GOOD), f'554 5.7.1 Service unavailable; Client host [{GOOD}] blocked using bl.test; '
                         'see http://bl.test/1')
        self.assertEqual(self.ask(BAD), '250 2.1.5 Ok', '127.0.0.20 is outside of the filter')
        self.assertEqual(self.ask(BAD, sender='a@spam.test'),
                         '554 5.7.1 Service unavailable; Sender address [spam.test] blocked using dbl.test')
        self.assertEqual(self.ask(BAD, helo='helo.spam.test'),
                         '554 5.7.1 Service unavailable; Helo command [helo.spam.test] blocked using dbl.test')

    def test_replies_of_dns_lists(self):
        self.start(smtpd_recipient_restrictions='permit_dnswl_client white.test, reject_rbl_client bl.test',
                   rbl_reply_maps='inline:{{bl.test=550 5.7.9 $$client_name ($$rbl_class) is on $$rbl_domain$$rbl_txt}}',
                   smtpd_expansion_filter='abcdefghijklmnopqrstuvwxyz.\\40CH')
        self.assertEqual(self.ask(GOOD), '250 2.1.5 Ok', 'on the list of the welcome')
        self.assertEqual(self.ask(BAD), '550 5.7.9 unknown (Client host) is on bl.test')

    def test_a_list_that_fails_lets_pass_and_is_asked_at_the_same_time(self):
        lists = ', '.join(f'reject_rbl_client {name}.test' for name in ('silent', 'broken', 'nothing'))
        self.start(smtpd_recipient_restrictions=lists)
        begin = time.monotonic()
        self.assertEqual(self.ask(GOOD), '250 2.1.5 Ok')
        self.assertLess(time.monotonic() - begin, 8)
        self.assert_log(self.a, r'warning: 1\.3\.0\.127\.broken\.test: RBL lookup error: ')

    def test_a_welcome_list_that_fails_softens_rejections(self):
        self.start(smtpd_client_restrictions='permit_dnswl_client broken.test, reject')
        self.assertTrue(self.ask(GOOD).startswith('450 4.7.1 '))

    def test_a_welcome_list_opens_no_relay(self):
        self.start(smtpd_relay_restrictions='permit_dnswl_client white.test, reject_unauth_destination')
        self.assertEqual(self.ask(GOOD, recipient='x@elsewhere.test'), '554 5.7.1 <x@elsewhere.test>: Relay access denied')

    def test_domains_of_senders(self):
        self.start(smtpd_sender_restrictions='reject_unknown_sender_domain', unknown_address_reject_code='550')
        for sender in ('a@mail.test', 'a@host.test', 'a@dest.example', ''):
            expected = '550 5.1.8 <a@dest.example>: Sender address rejected: Domain not found' if 'dest' in sender \
                else '250 2.1.5 Ok'
            self.assertEqual(self.ask(sender=sender), expected)
        self.assertEqual(self.ask(sender='a@nowhere.test'),
                         '550 5.1.8 <a@nowhere.test>: Sender address rejected: Domain not found')
        self.assertEqual(self.ask(sender='a@null.test'), '550 5.7.27 <a@null.test>: Sender address rejected: '
                         'Domain null.test does not accept mail (nullMX)')
        self.assertEqual(self.ask(sender='a@shaky.test'),
                         '450 4.1.8 <a@shaky.test>: Sender address rejected: Domain not found')

    def test_records_that_are_filtered_do_not_exist(self):
        """For rules; a client's name comes from where the system's library finds it."""
        filtered = [r'/^mail\.test 0 IN MX 10 mx\.mail\.test\.$/ IGNORE', r'/^host\.test \S+ IN A 192\.0\.2\.26$/ IGNORE',
                    r'/^mail\.test \S+ IN NS ns\.evil\.test\.$/ IGNORE', r'/ 127\.0\.0\.4$/ ignore', rf'/ {GOOD}$/ IGNORE',
                    r'/^self\.test /  DROP']
        self.start(smtpd_sender_restrictions='check_sender_ns_access inline:{{ns.evil.test=REJECT evil}},'
                   'reject_unknown_sender_domain', smtpd_recipient_restrictions='reject_rbl_client bl.test')
        self.assertTrue(self.ask(GOOD).startswith('554 5.7.1 <s@mail.test>: Sender address rejected: evil'))
        self.assertTrue(self.ask(GOOD, sender='a@host.test').startswith('554 5.7.1 Service unavailable; Client host'))
        path = self.a.top / 'filter'
        path.write_text(''.join(line + '\n' for line in filtered))
        self.a.config['smtpd_dns_reply_filter'] = f'regexp:{path}'
        self.a.write()
        self.assertEqual(self.a.control('reload').returncode, 0)
        self.wait(lambda: self.ask(GOOD) == '450 4.1.8 <s@mail.test>: Sender address rejected: Domain not found')
        self.assertTrue(self.ask(GOOD, sender='a@host.test').startswith('450 4.1.8 <a@host.test>: Sender'))
        self.assertEqual(self.ask(GOOD, sender='a@self.test'), '250 2.1.5 Ok')
        self.assert_log(self.a, r'smtpd_dns_reply_filter: self\.test 0 IN A 127\.0\.0\.1: unknown action DROP')
        self.assertNotIn('connect from unknown', self.a.log_text())

    def test_a_failed_look_up_defers_only_what_would_pass(self):
        self.start(smtpd_recipient_restrictions='reject_unknown_sender_domain, reject')
        self.assertEqual(self.ask(sender='a@shaky.test'),
                         '554 5.7.1 <r@dest.example>: Recipient address rejected: Access denied')

    def test_names_in_helo(self):
        self.start(smtpd_helo_restrictions='reject_unknown_helo_hostname')
        self.assertEqual(self.ask(helo='mail.test'), '250 2.1.5 Ok')
        self.assertEqual(self.ask(helo='nowhere.test'), '450 4.7.1 <nowhere.test>: Helo command rejected: Host not found')

    def test_hosts_of_domains(self):
        self.start(smtpd_recipient_restrictions='check_sender_mx_access inline:{{192.0.2.25=REJECT mx address}},'
                   'check_helo_ns_access inline:{{evil.test=REJECT name server},{.evil.test=REJECT name server}},'
                   'check_sender_a_access inline:{{192.0.2.26=REJECT a}},'
                   'check_sender_mx_access inline:{{192.0.2.99=OK}}')
        self.assertEqual(self.ask(sender='x@mail.test'), '554 5.7.1 <x@mail.test>: Sender address rejected: mx address')
        self.assertEqual(self.ask(sender='x@host.test'), '554 5.7.1 <x@host.test>: Sender address rejected: a')
        self.assertEqual(self.ask(sender='', helo='deep.mail.test'),
                         '554 5.7.1 <deep.mail.test>: Helo command rejected: name server')
        self.assertEqual(self.ask(sender='x@deep.mail.test'), '451 4.3.5 Server configuration error', 'OK is not allowed')
        self.assertEqual(self.ask(sender='x@elsewhere.example'), '250 2.1.5 Ok')

    def test_backup_for_a_domain(self):
        self.start(smtpd_relay_restrictions='permit_mx_backup, reject_unauth_destination')
        self.assertEqual(self.ask(recipient='x@backup.test'), '250 2.1.5 Ok')
        self.assertEqual(self.ask(recipient='x@primary.test'), '554 5.7.1 <x@primary.test>: Relay access denied')
        self.assertEqual(self.ask(recipient='x@mail.test'), '554 5.7.1 <x@mail.test>: Relay access denied')


if __name__ == '__main__':
    scenario.main()
