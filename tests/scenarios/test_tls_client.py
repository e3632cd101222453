#!/usr/bin/env python3
"""TLS of the SMTP client against real servers: python's, openssl's and our own."""
import pathlib
import shutil
import ssl
import tempfile

import certificates
import environment
import scenario
from tls_server import TlsServer

NAME = 'localhost'      # what the sink is called where names matter


class ClientTls(scenario.Scenario):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-tls-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.authority = certificates.Authority(cls.folder)
        cls.right = cls.authority.issue('right', NAME)
        cls.wrong_name = cls.authority.issue('wrong', 'other.example')
        cls.expired = cls.authority.issue('expired', NAME, days=-1)
        cls.stranger = certificates.Authority(cls.folder, 'Stranger CA').issue('stranger', NAME)

    def server(self, certificate=None, protocol=None, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = certificate or self.right
        context.load_cert_chain(certificate.certificate, certificate.key)
        if protocol:
            context.minimum_version = context.maximum_version = protocol
        server = TlsServer(context, **options)
        self.addCleanup(server.stop)
        return server

    def sending_to(self, port, **settings):
        system = self.system('a')
        a = system['a']
        a.config |= {'relayhost': f'[{NAME}]:{port}', 'smtp_host_lookup': 'native', 'smtp_tls_security_level': 'may',
                     'smtp_tls_loglevel': '1', 'smtp_tls_CAfile': self.authority.certificate,
                     'smtp_connection_cache_on_demand': 'no'} | settings
        system.start()
        return a

    def send(self, a, count=1):
        for number in range(count):
            with a.client() as connection:
                connection.greet()
                code, answer = connection.message('s@client.example', 'r@dest.example', b'Subject: %d\r\n\r\nx\r\n' % number)
                self.assertEqual(code, 250, answer)

    def deliver(self, server, inside=True, **settings):
        a = self.sending_to(server.port, **settings)
        self.send(a)
        self.wait(lambda: server.messages, 20)
        self.assertEqual(server.messages[0][3] is not None, inside)
        self.assert_log(a, r'status=sent')
        return a

    def defer(self, server, reason, **settings):
        a = self.sending_to(server.port, **settings)
        self.send(a)
        self.assert_log(a, rf'relay=\S+, delay=.*, dsn=4\.7\.[45], status=deferred \({reason}')
        self.assertEqual(server.messages, [])
        return a

    RELAY = r'localhost\[127\.0\.0\.1\]:\d+: '

    def test_may(self):
        a = self.deliver(self.server())
        self.assert_log(a, r'Trusted TLS connection established to ' + self.RELAY + r'TLSv1\.3 with cipher '
                           r'TLS_AES_256_GCM_SHA384 \(256/256 bits\) key-exchange X25519 server-signature ECDSA')
        self.deliver(self.server(), smtp_tls_CAfile='').wait_log
        a = self.deliver(self.server(self.expired))
        self.assert_log(a, r'Untrusted TLS connection established to')

    def test_none(self):
        a = self.deliver(self.server(), inside=False, smtp_tls_security_level='none',
                         smtp_tls_note_starttls_offer='yes')
        self.assert_log(a, r'Host offered STARTTLS: \[localhost\]')

    def test_required(self):
        self.deliver(self.server(self.stranger), smtp_tls_security_level='encrypt')
        self.defer(self.server(offer=False), r'TLS is required, but was not offered by host localhost',
                   smtp_tls_security_level='encrypt')
        self.defer(self.server(refuse=True), r'TLS is required, but host localhost\S+ refused to start TLS: 454',
                   smtp_tls_security_level='encrypt')

    def test_may_goes_on_in_clear(self):
        self.deliver(self.server(refuse=True), inside=False)
        self.deliver(self.server(offer=False), inside=False)
        # A broken handshake: deferred at first, in clear when the mail has waited long enough.
        # Of whole seconds: with one, mail from the end of a second would have waited.
        a = self.deliver(self.server(garbage=True), inside=False, minimal_backoff_time='3s', maximal_backoff_time='3s')
        self.assert_log(a, r'SSL_connect error to ' + self.RELAY + '-1')
        self.assert_log(a, r'warning: TLS library problem: error:\w+:SSL routines:')
        self.assert_log(a, r'status=deferred \(Cannot start TLS: handshake failure\)')

    def test_verify(self):
        level = {'smtp_tls_security_level': 'verify'}
        a = self.deliver(self.server(), **level)
        self.assert_log(a, r'Verified TLS connection established to ')
        self.defer(self.server(self.wrong_name), 'Server certificate not verified', **level)
        a = self.defer(self.server(self.expired), 'Server certificate not trusted', **level)
        self.assert_log(a, r'certificate verification failed for ' + self.RELAY + 'certificate has expired')
        self.defer(self.server(self.stranger), 'Server certificate not trusted', **level)
        self.defer(self.server(), 'Server certificate not trusted', smtp_tls_CAfile='', **level)

    def test_secure(self):
        self.deliver(self.server(), smtp_tls_security_level='secure')
        self.deliver(self.server(self.wrong_name), smtp_tls_security_level='secure',
                     smtp_tls_secure_cert_match='.example')
        self.defer(self.server(), 'Server certificate not verified', smtp_tls_security_level='secure',
                   smtp_tls_secure_cert_match='other.example')

    def test_fingerprint(self):
        level = {'smtp_tls_security_level': 'fingerprint'}
        self.deliver(self.server(self.stranger), smtp_tls_fingerprint_cert_match=self.stranger.fingerprint(), **level)
        self.defer(self.server(self.stranger), 'Server certificate not verified',
                   smtp_tls_fingerprint_cert_match=self.right.fingerprint(), **level)

    def test_policies(self):
        policy = self.folder / 'policy'
        server = self.server()
        policy.write_text(f'[{NAME}]:{server.port} secure match=other.example\n')
        a = self.defer(server, 'Server certificate not verified', smtp_tls_policy_maps=f'texthash:{policy}')
        policy.write_text(f'{NAME} secure match=nexthop protocols=TLSv1.2 ciphers=high servername=asked.example\n')
        self.wait(lambda: server.messages, 20)        # the changed table is seen without a reload
        self.assert_log(a, r'Verified TLS connection established to ' + self.RELAY + r'TLSv1\.2 with cipher')
        self.assertIn('asked.example', server.names)

        policy.write_text(f'{NAME} whatever\n')
        a = self.sending_to(self.server().port, smtp_tls_policy_maps=f'texthash:{policy}')
        self.send(a)
        self.assert_log(a, r'status=deferred \(TLS policy of localhost: unknown security level "whatever"\)')

    def test_wrapper_mode(self):
        self.deliver(self.server(wrapper=True), smtp_tls_wrappermode='yes', smtp_tls_security_level='encrypt')

    def test_downgrade_is_refused(self):
        a = self.defer(self.server(protocol=ssl.TLSVersion.TLSv1_2), 'Cannot start TLS: handshake failure',
                       smtp_tls_security_level='encrypt', smtp_tls_mandatory_protocols='>=TLSv1.3')
        self.assert_log(a, r'SSL routines:.*(?:alert protocol version|unsupported protocol)')

    def test_a_server_that_falls_silent(self):
        a = self.defer(self.server(silent=True), 'Cannot start TLS: handshake failure',
                       smtp_tls_security_level='encrypt', smtp_starttls_timeout='1s')
        self.assert_log(a, r'SSL_connect error to ' + self.RELAY + 'Connection timed out')

    def test_client_certificate(self):
        owner = self.authority.issue('owner', 'owner.example')
        server = self.server()
        server.context.verify_mode = ssl.CERT_REQUIRED
        server.context.load_verify_locations(self.authority.certificate)
        self.deliver(server, smtp_tls_chain_files=owner.chain)
        shown = dict(pair[0] for pair in server.messages[0][3].getpeercert()['subject'])
        self.assertEqual(shown['commonName'], 'owner.example')

    def test_sessions_resume(self):
        for protocol in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server = self.server(protocol=protocol)
            a = self.sending_to(server.port, smtp_tls_security_level='verify')
            for number in range(3):
                self.send(a)
                self.wait(lambda count=number + 1: len(server.messages) == count, 20)
            self.assertGreaterEqual(server.resumed, 1)
            self.assert_log(a, r'Verified TLS connection reused to ')

    def test_kept_connections(self):
        server = self.server()
        a = self.sending_to(server.port, smtp_connection_cache_on_demand='yes', smtp_tls_security_level='verify')
        self.send(a, 10)
        self.wait(lambda: len(server.messages) == 10, 20)
        self.assertLess(server.handshakes, 10)

    def test_connections_that_policy_does_not_keep(self):
        policy = self.folder / 'reuse'
        server, other = self.server(), self.server()
        policy.write_text(f'[{NAME}]:{server.port} encrypt connection_reuse=yes\n')
        routes = self.folder / 'reuse-routes'
        routes.write_text(f'kept.example smtp:[{NAME}]:{server.port}\nnot.example smtp:[{NAME}]:{other.port}\n')
        a = self.sending_to(server.port, smtp_connection_cache_on_demand='yes', smtp_tls_policy_maps=f'texthash:{policy}',
                            smtp_tls_connection_reuse='no', transport_maps=f'texthash:{routes}', smtp_destination_concurrency_limit='1')
        for domain, used in (('kept.example', server), ('not.example', other)):
            for number in range(6):
                with a.client() as connection:
                    connection.greet()
                    self.assertEqual(connection.message('s@client.example', f'r{number}@{domain}', b'Subject: x\r\n\r\nx\r\n')[0], 250)
            self.wait(lambda server=used: len(server.messages) == 6, 20)
        self.assertLess(server.handshakes, 6)
        self.assertEqual(other.handshakes, 6)

    def test_sessions_are_kept_for_other_processes(self):
        server = self.server(protocol=ssl.TLSVersion.TLSv1_3)
        a = self.sending_to(server.port, smtp_tls_security_level='verify',
                            smtp_tls_session_cache_database='btree:${data_directory}/smtp_scache')
        self.send(a)
        self.wait(lambda: len(server.messages) == 1, 20)
        self.wait(lambda: (a.data / 'smtp_scache.lmdb').exists(), 10)
        self.assertEqual((a.data / 'smtp_scache.lmdb').stat().st_mode & 0o777, 0o600)
        self.assert_log(a, r'status=sent')
        first = a.workers('smtp')
        self.wait(lambda: NAME.encode() in (a.data / 'smtp_scache.lmdb').read_bytes(), 10)     # the name asked for (SNI) or the certificate
        a.control('reload')
        self.wait(lambda: not set(a.workers('smtp')) & set(first), 20)
        self.send(a)
        self.wait(lambda: len(server.messages) == 2, 20)
        self.assertEqual(server.resumed, 1)
        self.assert_log(a, r'Verified TLS connection reused to ')

    def test_our_own_server(self):
        system, sink = self.system('a', 'b'), self.sink()
        a, b = system['a'], system['b']
        b.relay_to(sink.port)
        b.config |= {'smtpd_tls_security_level': 'encrypt', 'smtpd_tls_chain_files': self.right.chain,
                     'smtpd_tls_received_header': 'yes'}
        a.config |= {'relayhost': f'[{NAME}]:{b.port}', 'smtp_host_lookup': 'native', 'smtp_tls_loglevel': '1',
                     'smtp_tls_security_level': 'secure', 'smtp_tls_CAfile': self.authority.certificate}
        system.start()
        big = b'Subject: big\r\n\r\n' + b'0123456789abcdef' * 60 + b'\r\n' + (b'x' * 900 + b'\r\n') * 3000
        with a.client(timeout=60) as connection:
            connection.greet()
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', big)[0], 250)
        message = sink.wait(1, 30 * environment.SLOWER)[0]
        self.assertIn(b'with ESMTPS', message.header)
        self.assertTrue(message.data.endswith(big.partition(b'\r\n\r\n')[2]))
        self.assert_log(a, r'Verified TLS connection established to ')


if __name__ == '__main__':
    scenario.main()
