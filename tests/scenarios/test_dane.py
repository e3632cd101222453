#!/usr/bin/env python3
"""DANE of the SMTP client against zones that are really signed (RFC 7672)."""
import pathlib
import re
import shutil
import ssl
import tempfile
import unittest

import certificates
import ports
import scenario
import signed_zones
from tls_server import TlsServer

LEVELS = {'dane': '', 'only': ' -o smtp_tls_security_level=dane-only',
          'lax': ' -o smtp_tls_dane_insecure_mx_policy=may', 'medium': ' -o smtp_tls_dane_insecure_mx_policy=encrypt'}
INSIDE, CLEAR = True, False
NOT_VERIFIED = r'Server certificate not (?:verified|trusted)'
# domain, level, where the mail goes: inside TLS, in clear, or why it waits
CASES = [
    ('right.dane.example', 'dane', INSIDE), ('right.dane.example', 'only', INSIDE),
    ('wrong.dane.example', 'dane', NOT_VERIFIED), ('wrong.dane.example', 'only', NOT_VERIFIED),
    ('two.dane.example', 'dane', INSIDE),
    ('anchor.dane.example', 'dane', INSIDE),
    ('anchor-name.dane.example', 'dane', NOT_VERIFIED),
    ('none.dane.example', 'dane', INSIDE),
    ('none.dane.example', 'only', r'no secure TLSA records for mx-none\.dane\.example:\d+'),
    ('unusable.dane.example', 'dane', INSIDE),
    ('unusable.dane.example', 'only', r'no usable TLSA records for mx-unusable\.dane\.example:\d+'),
    ('clear.dane.example', 'dane', r'TLS is required, but was not offered by host mx-clear\.dane\.example\S+'),
    ('clear-none.dane.example', 'dane', CLEAR),
    ('forged.dane.example', 'dane', r'TLSA lookup error for mx-forged\.dane\.example:\d+'),
    ('a.bogus.example', 'dane', r'Host or domain name not found\. Name service error for name=a\.bogus\.example type=MX: '
                                'DNSSEC validation failure'),
    ('plain.example', 'dane', INSIDE),
    ('plain.example', 'only', r'the MX record that names mx-right\.dane\.example is not secure'),
    ('plain-wrong.plain.example', 'dane', NOT_VERIFIED),
    ('plain-wrong.plain.example', 'lax', INSIDE), ('plain-wrong.plain.example', 'medium', INSIDE),
    ('plain-clear.plain.example', 'lax', CLEAR),
    ('plain-clear.plain.example', 'medium', r'TLS is required, but was not offered by host mx-clear\.dane\.example\S+'),
    ('unsigned.plain.example', 'dane', INSIDE),
]


@unittest.skipUnless(signed_zones.AVAILABLE, 'nsd and ldnsutils are not installed')
class Dane(scenario.Scenario):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-dane-'))
        folder.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, folder, True)
        authority = certificates.Authority(folder)
        own = authority.issue('own', 'mx-anchor.dane.example')
        own.certificate.write_text(own.certificate.read_text() + authority.certificate.read_text())
        stranger = authority.issue('stranger', 'x.example')
        cls.port = ports.free_port()
        authority_digest = certificates.openssl(
            'dgst', '-sha256', '-binary', data=certificates.openssl('x509', '-in', authority.certificate, '-outform', 'DER'))

        right, wrong = f'3 1 1 {own.key_digest().hex()}', f'3 1 1 {stranger.key_digest().hex()}'
        anchor = f'2 0 1 {authority_digest.hex()}'
        hosts = {'right': [right], 'wrong': [wrong], 'two': [wrong, right], 'anchor': [anchor], 'anchor-name': [anchor],
                 'none': [], 'unusable': [f'0 0 1 {authority_digest.hex()}'], 'clear': [right], 'clear-none': [],
                 'forged': [f'3 1 1 {"5a" * 32}']}
        signed = []
        for name, records in hosts.items():
            signed += [f'{name} MX 10 mx-{name}', f'mx-{name} A 127.0.0.{2 if "clear" in name else 1}']
            signed += [f'_{cls.port}._tcp.mx-{name} TLSA {record}' for record in records]
        plain = ['@ MX 10 mx-right.dane.example.', 'plain-wrong MX 10 mx-wrong.dane.example.',
                 'plain-clear MX 10 mx-clear.dane.example.', 'unsigned MX 10 mx', 'mx A 127.0.0.1',
                 f'_{cls.port}._tcp.mx TLSA {wrong}']
        names = signed_zones.SignedNameServer(
            folder, {'dane.example': signed, 'bogus.example': ['a MX 10 mx', 'mx A 127.0.0.1'], 'plain.example': plain},
            unsigned=['plain.example'],
            forged=[('5a' * 32, own.key_digest().hex()), ('10 mx.bogus.example.', '10 mx-right.dane.example.')])
        cls.addClassCleanup(names.stop)
        names.rule_this_process()
        cls.names = names

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.certificate, own.key)
        cls.server = TlsServer(context, address=('127.0.0.1', cls.port))
        cls.clear = TlsServer(context, address=('127.0.0.2', cls.port), offer=False)
        cls.addClassCleanup(cls.server.stop)
        cls.addClassCleanup(cls.clear.stop)

    @staticmethod
    def arrived(server, recipient):
        """Inside TLS or in clear; None: it has not come."""
        return next((inside is not None for _, recipients, _, inside in server.messages
                     if f'<{recipient}>'.encode() in b''.join(recipients)), None)

    def test_levels(self):
        system = self.system('a')
        a = system['a']
        a.extra_services = ''.join(f'{name} unix - - {a.chroot} - - smtp{options}\n' for name, options in LEVELS.items())
        routes = a.top / 'routes'
        routes.write_text(''.join(f'{level}@{domain} {level}:{domain}\n' for domain, level, _ in CASES))
        a.config |= {'transport_maps': f'texthash:{routes}', 'smtp_tls_security_level': 'dane', 'smtp_dns_support_level': 'dnssec',
                     'dnssec_trust_anchor_file': self.names.anchors, 'smtp_tcp_port': self.port, 'smtp_tls_loglevel': '1',
                     'smtp_connection_cache_on_demand': 'no', 'minimal_backoff_time': '1000s', 'maximal_backoff_time': '1000s'}
        system.start()
        with a.client() as connection:
            connection.greet()
            for domain, level, _ in CASES:
                self.assertEqual(connection.message('', f'{level}@{domain}', b'Subject: x\r\n\r\nx\r\n')[0], 250)
        for domain, level, wanted in CASES:
            with self.subTest(f'{level} {domain}'):
                recipient = f'{level}@{domain}'
                line = self.assert_log(a, rf'to=<{re.escape(recipient)}>.*status=.*', 20)[0]
                ways = [self.arrived(server, recipient) for server in (self.server, self.clear)]
                if isinstance(wanted, str):
                    self.assertRegex(line, rf'dsn=4\.7\.[45], status=deferred \({wanted}\)$')
                    self.assertEqual(ways, [None, None])
                else:
                    self.assertIn('status=sent', line)
                    self.assertIn(wanted, ways)
        self.assertEqual(len(re.findall('Verified TLS connection established to mx-right', a.log_text())), 3)


if __name__ == '__main__':
    scenario.main()
