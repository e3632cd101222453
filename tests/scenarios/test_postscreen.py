#!/usr/bin/env python3
"""postscreen in front of smtpd: who is let in at once, who has to wait, who never gets there."""
import pathlib
import re
import ssl
import tempfile
import time

import certificates
import environment
import name_server
import ports
import scenario
import smtp_raw

LISTED, WELCOME = '127.0.5.1', '127.0.5.2'
ZONE = {
    ('1.5.0.127.bl.test', 'A'): ['127.0.0.2'],
    ('1.5.0.127.secret.test', 'A'): ['127.0.0.9'],
    ('2.5.0.127.white.test', 'A'): ['127.0.0.1'],
}


class Screen(scenario.Scenario):
    """One environment; each door is a postscreen with settings and a cache of its own."""

    server = None

    @classmethod
    def setUpClass(cls):
        if Screen.server is None:
            Screen.server = name_server.NameServer(ZONE)
            Screen.server.rule_this_process()

    def prepare(self, **settings):
        self.system_ = self.system('a')
        self.a, self.doors, self.waiting = self.system_['a'], {}, {}
        self.a.config |= {
            'mynetworks': '127.0.0.1/32', 'relay_domains': 'dest.example', 'default_transport': 'discard',
            'relay_transport': 'discard', 'postscreen_greet_wait': '1s', 'smtpd_error_sleep_time': '0',
        } | settings
        self.a.extra_services += ('smtpd pass - - y - - smtpd\n'
                                  'dnsblog unix - - y - 0 dnsblog\ntlsproxy unix - - y - 0 tlsproxy\n')

    def door(self, name, **settings):
        self.doors[name] = ports.free_port()
        settings.setdefault('postscreen_cache_map', f'btree:{self.a.data}/{name}_cache')
        options = ''.join(f' -o {{{key}={value}}}' for key, value in settings.items())
        self.a.extra_services += f'127.0.0.1:{self.doors[name]} inet n - y - 1 postscreen{options}\n'

    def knock(self, name, source):
        if (name, source) in self.waiting:
            return self.waiting.pop((name, source))
        raw = smtp_raw.RawClient(self.doors[name], source=source)
        self.addCleanup(raw.close)
        return raw

    def let_wait(self, *clients):
        """They are tested at the same time; knock() finds them."""
        self.wait(lambda: all(map(self.system_._is_listening, self.doors.values())))
        self.waiting = {client: self.knock(*client) for client in clients}

    def envelope(self, raw):
        return raw.command('MAIL FROM:<s@x.example>'), raw.command('RCPT TO:<r@dest.example>')

    def refused(self, name, source):
        """The reply to the recipient of a client that does everything right."""
        raw = self.knock(name, source)
        raw.greet()
        mail, rcpt = self.envelope(raw)
        self.assertEqual(mail[0], 250)
        self.assertEqual(raw.command('QUIT')[0], 221)
        return rcpt

    def let_in(self, raw):
        raw.greet()
        self.assertEqual(raw.message('s@x.example', 'r@dest.example', b'Subject: x\r\n\r\nx\r\n')[0], 250)

    def log(self, pattern):
        return self.assert_log(self.a, r'postscreen\[\d+\]: ' + pattern)


class BeforeGreeting(Screen):
    def setUp(self):
        self.prepare(postscreen_dnsbl_action='enforce', postscreen_greet_action='enforce')
        lists = ('bl.test=127.0.0.[2..3]*2, secret.test=127.0.0.9, white.test*-3, bl.test=127.0.0.7*9')
        self.door('plain', postscreen_access_list='permit_mynetworks, '
                  'inline:{127.0.5.8=reject,127.0.5.9=permit}', postscreen_denylist_action='drop',
                  postscreen_reject_footer='call $client_address')
        self.door('old', respectful_logging='no', postscreen_access_list='inline:{127.0.5.8=reject}',
                  postscreen_blacklist_action='enforce', postscreen_whitelist_interfaces='!127.0.0.1, static:all')
        self.door('lists', postscreen_dnsbl_sites=lists, postscreen_dnsbl_threshold='3',
                  postscreen_dnsbl_reply_map='inline:{bl.test=shown.test}',
                  postscreen_dnsbl_allowlist_threshold='-2', postscreen_pipelining_enable='yes')
        self.door('dropping', postscreen_dnsbl_sites='bl.test', postscreen_dnsbl_action='drop')
        self.door('drop', postscreen_greet_action='drop')
        self.door('ignore', postscreen_greet_action='ignore')
        self.door('proxy', postscreen_upstream_proxy_protocol='haproxy', postscreen_upstream_proxy_timeout='1s',
                  postscreen_client_connection_count_limit='1')
        self.door('nowhere', smtpd_service_name='nowhere')
        self.system_.start()
        self.let_wait(('old', '127.0.5.8'), ('old', '127.0.5.7'), ('plain', '127.0.5.10'), ('lists', LISTED),
                      ('dropping', LISTED), ('lists', WELCOME), ('lists', '127.0.5.13'))

    def test_all(self):
        for part in (self.lists_of_clients, self.new_and_old, self.early_talkers, self.hangup, self.dns_lists,
                     self.proxies, self.no_smtpd, self.reload):
            with self.subTest(part=part.__name__):
                part()
        self.assertNotIn('dnsblog', self.a.log_text())
        self.assertNotIn('tlsproxy', self.a.log_text())

    def lists_of_clients(self):
        begin = time.monotonic()
        self.let_in(self.knock('plain', '127.0.0.1'))
        self.let_in(self.knock('plain', '127.0.5.9'))
        self.assertLess(time.monotonic() - begin, 1 * environment.SLOWER, 'they do not wait')
        self.log(r'ALLOWLISTED \[127\.0\.5\.9\]:\d+$')
        self.assert_log(self.a, r'smtpd\[\d+\]: connect from unknown\[127\.0\.5\.9\]$')
        self.assert_log(self.a, r'client=unknown\[127\.0\.5\.9\]')
        raw = self.knock('plain', '127.0.5.8')
        self.assertEqual(raw.reply(), (521, '5.3.2 Service currently unavailable\n5.3.2 call 127.0.5.8'))
        self.assertRaises(smtp_raw.Closed, raw.reply)
        self.log(r'DENYLISTED \[127\.0\.5\.8\]:\d+$')
        # The older names of parameters, and the older words.
        self.assertEqual(self.refused('old', '127.0.5.8'), (550, '5.3.2 Service currently unavailable'))
        self.log(r'BLACKLISTED \[127\.0\.5\.8\]:\d+$')
        # Nobody passes at this address.
        self.assertEqual(self.refused('old', '127.0.5.7'), (450, '4.3.2 Service currently unavailable'))
        self.log(r'WHITELIST VETO \[127\.0\.5\.7\]:\d+$')
        self.assertNotRegex(self.a.log_text(), r'PASS \w+ \[127\.0\.5\.7\]')

    def new_and_old(self):
        raw = self.knock('plain', '127.0.5.10')
        self.assertEqual(raw.line(), b'220-mx.a.example ESMTP Bulkhead\r')
        self.let_in(raw)
        port = raw.socket.getsockname()[1]
        self.log(rf'CONNECT from \[127\.0\.5\.10\]:{port} to \[127\.0\.0\.1\]:{self.doors["plain"]}$')
        self.log(rf'PASS NEW \[127\.0\.5\.10\]:{port}$')
        begin = time.monotonic()
        self.let_in(self.knock('plain', '127.0.5.10'))
        self.assertLess(time.monotonic() - begin, 1 * environment.SLOWER, 'it is known')
        self.log(r'PASS OLD \[127\.0\.5\.10\]:\d+$')

    def early_talkers(self):
        raw = self.knock('plain', '127.0.5.11')
        raw.send(b'EHLO early\r\n')
        self.assertEqual(raw.reply()[0], 220)
        self.assertEqual(raw.reply()[0], 250)
        self.assertEqual(self.envelope(raw)[1], (550, '5.5.1 Protocol error\n5.5.1 call 127.0.5.11'))
        self.assertEqual(raw.command('DATA')[0], 554)
        self.log(r'PREGREET 12 after [\d.]+ from \[127\.0\.5\.11\]:\d+: EHLO early\\r\\n$')
        self.log(r'NOQUEUE: reject: RCPT from \[127\.0\.5\.11\]:\d+: 550 5\.5\.1 Protocol error; '
                 r'from=<s@x\.example>, to=<r@dest\.example>, proto=ESMTP, helo=<early>$')
        raw = self.knock('drop', '127.0.5.11')
        raw.send(b'EHLO early\r\n')
        self.assertEqual(raw.line(), b'220-mx.a.example ESMTP Bulkhead\r')
        self.assertEqual(raw.reply(), (521, '5.5.1 Protocol error'))
        # One whose fault does not count is let in, and tested again.
        for _ in range(2):
            raw = self.knock('ignore', '127.0.5.11')
            raw.send(b'EHLO early\r\n')
            self.assertEqual(raw.reply()[0], 220)
        self.wait(lambda: len(re.findall(r'PREGREET 12 .* from \[127\.0\.5\.11\]', self.a.log_text())) == 4)
        self.assertNotRegex(self.a.log_text(), r'PASS \w+ \[127\.0\.5\.11\]')

    def hangup(self):
        raw = self.knock('plain', '127.0.5.12')
        raw.line()
        raw.close()
        self.log(r'HANGUP after [\d.]+ from \[127\.0\.5\.12\]:\d+ in tests before SMTP handshake$')
        self.log(r'DISCONNECT \[127\.0\.5\.12\]:\d+$')

    def dns_lists(self):
        reply = self.refused('lists', LISTED)
        self.assertEqual(reply, (550, f'5.7.1 Service unavailable; client [{LISTED}] blocked using shown.test'))
        self.log(rf'DNSBL rank 3 for \[{re.escape(LISTED)}\]:\d+$')
        self.log(rf'addr {re.escape(LISTED)} listed by domain bl\.test as 127\.0\.0\.2$')
        raw = self.knock('dropping', LISTED)
        raw.line()
        self.assertEqual(raw.reply(), (521, f'5.7.1 Service unavailable; client [{LISTED}] blocked using bl.test'))
        # A welcome client needs no deep test; one that no list knows does.
        self.let_in(self.knock('lists', WELCOME))
        self.log(rf'PASS NEW \[{re.escape(WELCOME)}\]:\d+$')
        self.assertEqual(self.refused('lists', '127.0.5.13')[0], 450)
        self.log(r'PASS NEW \[127\.0\.5\.13\]:\d+$')
        self.let_in(self.knock('lists', '127.0.5.13'))

    def proxies(self):
        raw = self.knock('proxy', '127.0.0.1')
        raw.send(b'PROXY TCP4 192.0.2.77 192.0.2.1 4711 25\r\n')
        self.assertEqual(raw.line(), b'220-mx.a.example ESMTP Bulkhead\r')
        second = self.knock('proxy', '127.0.0.1')
        second.send(b'PROXY TCP4 192.0.2.77 192.0.2.1 4712 25\r\n')
        self.assertEqual(second.reply()[0], 421)
        self.log(r'NOQUEUE: reject: CONNECT from \[192\.0\.2\.77\]:4712: too many connections$')
        raw.greet()
        self.log(r'CONNECT from \[192\.0\.2\.77\]:4711 to \[192\.0\.2\.1\]:25$')
        self.assert_log(self.a, r'smtpd\[\d+\]: connect from unknown\[192\.0\.2\.77\]$')
        raw = self.knock('proxy', '127.0.0.1')
        raw.send(b'EHLO x\r\n')
        self.assertEqual(raw.reply()[0], 421)
        self.log(r'warning: haproxy read: .*EHLO x')

    def reload(self):
        # A new configuration neither disturbs who is being tested nor forgets who is known.
        raw = self.knock('plain', '127.0.5.14')
        raw.line()
        self.a.control('reload')
        self.let_in(self.knock('plain', '127.0.5.10'))
        self.let_in(raw)
        self.log(r'PASS NEW \[127\.0\.5\.14\]:\d+$')

    def no_smtpd(self):
        raw = self.knock('nowhere', '127.0.0.1')
        self.assertEqual(raw.reply(), (421, '4.3.2 All server ports are busy'))
        self.log(r'NOQUEUE: reject: CONNECT from \[127\.0\.0\.1\]:\d+: all server ports busy$')


class BehindGreeting(Screen):
    def setUp(self):
        self.prepare(postscreen_pipelining_enable='yes', postscreen_non_smtp_command_enable='yes',
                     postscreen_bare_newline_enable='yes', postscreen_bare_newline_action='enforce',
                     postscreen_command_count_limit='6', postscreen_disable_vrfy_command='yes',
                     postscreen_discard_ehlo_keywords='dsn', postscreen_helo_required='yes', line_length_limit='512')
        self.door('deep')
        self.door('quick', postscreen_command_time_limit='1s')
        self.door('filter', postscreen_command_filter='pcre:{{/^EHLO bad/ EHLO good.example}}',
                  postscreen_pipelining_action='drop')
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.key = certificates.Authority(pathlib.Path(folder.name)).issue('mx', 'mx.a.example')
        self.door('tls', smtpd_tls_security_level='encrypt', smtpd_tls_chain_files=self.key.chain,
                  postscreen_command_count_limit='20')
        self.system_.start()
        self.let_wait(('tls', '127.0.6.9'), ('tls', '127.0.6.10'), ('tls', '127.0.6.11'), *(('deep', f'127.0.6.{last}') for last in (1, 2, 3, 4, 6, 7)), ('filter', '127.0.6.2'),
                      ('filter', '127.0.6.8'))

    def test_all(self):
        for part in (self.reconnect, self.pipelining, self.other_protocol, self.bare_newline, self.limits,
                     self.dialogue, self.encrypted):
            with self.subTest(part=part.__name__):
                part()

    def reconnect(self):
        raw = self.knock('deep', '127.0.6.1')
        self.assertEqual(sorted(raw.greet()), ['8BITMIME', 'ENHANCEDSTATUSCODES', 'ETRN', 'SIZE', 'SMTPUTF8'])
        self.assertEqual(self.envelope(raw)[1], (450, '4.3.2 Service currently unavailable'))
        self.assertEqual(raw.command('DATA')[0], 554)
        self.assertEqual(raw.command('QUIT')[0], 221)
        self.log(r'PASS NEW \[127\.0\.6\.1\]:\d+$')
        self.log(r'DISCONNECT \[127\.0\.6\.1\]:\d+$')
        self.let_in(self.knock('deep', '127.0.6.1'))
        self.log(r'PASS OLD \[127\.0\.6\.1\]:\d+$')

    def pipelining(self):
        raw = self.knock('deep', '127.0.6.2')
        raw.greet('c')
        raw.send(b'MAIL FROM:<s@x.example>\r\nRCPT TO:<r@dest.example>\r\n')
        self.assertEqual(raw.reply()[0], 250)
        self.assertEqual(raw.reply(), (550, '5.5.1 Protocol error'))
        self.log(r'COMMAND PIPELINING from \[127\.0\.6\.2\]:\d+ after MAIL: RCPT TO:<r@dest\.example>\\r\\n$')
        raw = self.knock('filter', '127.0.6.2')
        raw.reply()
        raw.send(b'EHLO bad\r\nNOOP\r\n')
        self.assertEqual(raw.reply(), (521, '5.5.1 Protocol error'))
        self.assertRaises(smtp_raw.Closed, raw.reply)

    def other_protocol(self):
        raw = self.knock('deep', '127.0.6.3')
        raw.reply()
        self.assertEqual(raw.command('GET / HTTP/1.0')[0], 521)
        self.log(r'NON-SMTP COMMAND from \[127\.0\.6\.3\]:\d+ after CONNECT: GET / HTTP/1\.0$')

    def bare_newline(self):
        raw = self.knock('deep', '127.0.6.4')
        raw.reply()
        raw.send(b'EHLO c\n')
        self.assertEqual(raw.reply()[0], 250)
        self.assertEqual(self.envelope(raw)[1], (550, '5.5.1 Protocol error'))
        self.log(r'BARE NEWLINE from \[127\.0\.6\.4\]:\d+ after EHLO c$')

    def limits(self):
        slow = self.knock('quick', '127.0.6.5')
        slow.greet()
        raw = self.knock('deep', '127.0.6.6')
        raw.greet()
        for _ in range(5):
            self.assertEqual(raw.command('NOOP')[0], 250)
        self.assertEqual(raw.command('RSET')[0], 421)
        self.log(r'COMMAND COUNT LIMIT from \[127\.0\.6\.6\]:\d+ after NOOP$')
        raw = self.knock('deep', '127.0.6.7')
        raw.greet()
        self.assertEqual(raw.command('NOOP ' + 'x' * 600)[0], 421)
        self.log(r'COMMAND LENGTH LIMIT from \[127\.0\.6\.7\]:\d+ after EHLO$')
        self.assertEqual(slow.reply()[0], 421)
        self.log(r'COMMAND TIME LIMIT from \[127\.0\.6\.5\]:\d+ after EHLO$')
        # Neither of them is known now.
        self.assertNotRegex(self.a.log_text(), r'PASS \w+ \[127\.0\.6\.[2-7]\]')

    def dialogue(self):
        raw = self.knock('filter', '127.0.6.8')
        raw.reply()
        self.assertEqual(raw.command('MAIL FROM:<s@x.example>')[0], 503)
        self.assertEqual(raw.command('EHLO bad')[0], 250)
        self.assertEqual(raw.command('VRFY r@dest.example')[0], 502)
        self.assertEqual(raw.command('RCPT TO:<r@dest.example>')[0], 503)
        self.assertEqual(self.envelope(raw)[1][0], 450)
        self.log(r'NOQUEUE: reject: RCPT from \[127\.0\.6\.8\]:\d+: 450 4\.3\.2 Service currently unavailable; .*'
                 r'helo=<good\.example>$')
        raw.close()
        self.log(r'HANGUP after [\d.]+ from \[127\.0\.6\.8\]:\d+ in tests after SMTP handshake$')
        self.log(r'PASS NEW \[127\.0\.6\.8\]:\d+$')

    def encrypted(self):
        raw = self.knock('tls', '127.0.6.9')
        self.assertIn('STARTTLS', raw.greet())
        self.assertEqual(raw.command('MAIL FROM:<s@x.example>'), (530, '5.7.0 Must issue a STARTTLS command first'))
        self.assertEqual(raw.command('STARTTLS')[0], 220)
        trusting = ssl.create_default_context(cafile=self.key.certificate.parent / 'Test-CA.crt')
        raw.socket = trusting.wrap_socket(raw.socket, server_hostname='mx.a.example')
        self.assertEqual(self.envelope(raw)[0][0], 503, 'what was said in clear is forgotten')
        code, text = raw.command('EHLO again.example')
        self.assertEqual(code, 250)
        self.assertNotIn('STARTTLS', text)
        self.assertEqual(raw.command('STARTTLS')[0], 554)
        raw.send(b'MAIL FROM:<s@x.example>\r\n')
        self.assertEqual(raw.reply()[0], 250)
        self.assertEqual(raw.command('RCPT TO:<r@dest.example>'), (450, '4.3.2 Service currently unavailable'))
        self.assertEqual(raw.command('QUIT')[0], 221)
        self.log(r'PASS NEW \[127\.0\.6\.9\]:\d+$')
        # Commands in front of the handshake and behind it.
        raw = self.knock('tls', '127.0.6.10')
        raw.greet()
        raw.send(b'STARTTLS\r\nEHLO injected\r\n')
        self.assertEqual(raw.reply()[0], 220)
        self.log(r'COMMAND PIPELINING from \[127\.0\.6\.10\]:\d+ after STARTTLS: EHLO injected\\r\\n$')
        raw.socket = trusting.wrap_socket(raw.socket, server_hostname='mx.a.example')
        self.assertEqual(raw.command('EHLO c')[0], 250)
        self.assertEqual(self.envelope(raw)[1], (550, '5.5.1 Protocol error'))
        raw = self.knock('tls', '127.0.6.11')
        raw.greet()
        self.assertEqual(raw.command('STARTTLS')[0], 220)
        raw.send(b'no client hello at all\r\n')
        self.log(r'TLS handshake failed for service=smtpd peer=\[127\.0\.6\.11\]:\d+: ')


if __name__ == '__main__':
    scenario.main()
