#!/usr/bin/env python3
"""TLS of the SMTP server with real clients: STARTTLS, wrapper mode, keys, certificates, bad peers."""
import os
import pathlib
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

import certificates
import client
import environment
import ports
import scenario

HOST = 'mx.a.example'


class ServerTls(scenario.Scenario):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-tls-'))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.authority = certificates.Authority(cls.folder)
        cls.server = cls.authority.issue('server', HOST)
        cls.rsa = cls.authority.issue('rsa', HOST, kind='rsa')

    def serving(self, **settings):
        system, a, sink = self.prepare(**settings)
        system.start()
        return a, sink

    def prepare(self, **settings):
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        a.config |= {'smtpd_tls_security_level': 'may', 'smtpd_tls_chain_files': self.server.chain,
                     'smtpd_tls_loglevel': '1', 'smtpd_tls_received_header': 'yes'} | settings
        return system, a, sink

    def trusting(self, **options):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def listens(self, port):
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) == 0

    def started(self, a, context=None):
        """An smtplib session inside TLS whose peer is checked against the authority."""
        connection = smtplib.SMTP('127.0.0.1', a.port, local_hostname='client.example', timeout=20)
        self.addCleanup(connection.close)
        connection._host = HOST      # the name that is checked
        code, answer = connection.starttls(context=context or self.trusting())
        self.assertEqual(code, 220, answer)
        return connection

    def arrived(self, sink, identity):
        message = sink.wait_for(lambda one: one.id == identity, 20 * environment.SLOWER)
        self.assertIsNotNone(message, f'{identity} did not arrive')
        return message

    def test_smtplib_and_the_header(self):
        a, sink = self.serving()
        connection = self.started(a)
        connection.ehlo()
        self.assertFalse(connection.has_extn('starttls'))
        connection.sendmail('s@client.example', ['r@dest.example'], client.message('tls-1', 200000))
        connection.quit()
        header = self.arrived(sink, 'tls-1').header.decode()
        self.assertRegex(header, r'(?s)Received: from client\.example .*?\r\n\t\(using TLSv1\.3 with cipher '
                                 r'TLS_AES_256_GCM_SHA384 \(256/256 bits\)\r\n\t key-exchange X25519 server-signature '
                                 r'ECDSA \(prime256v1\) server-digest SHA256\)\r\n\t\(No client certificate requested\)'
                                 r'\r\n\tby mx\.a\.example \(Bulkhead\) with ESMTPS id')
        self.assert_log(a, r'Anonymous TLS connection established from \S+\[127\.0\.0\.1\]: TLSv1\.3 with cipher '
                           r'TLS_AES_256_GCM_SHA384 \(256/256 bits\) key-exchange X25519 server-signature ECDSA '
                           r'\(prime256v1\) server-digest SHA256$')
        self.assert_log(a, r'disconnect from \S+ ehlo=\d starttls=1 mail=1')

    def test_swaks_and_curl(self):
        a, sink = self.serving()
        answer = environment.run('swaks', '--tls', '--server', '127.0.0.1', '--port', a.port, '--from',
                                 's@client.example', '--to', 'r@dest.example', '--header', 'X-Ledger-Id: swaks-tls')
        self.assertEqual(answer.returncode, 0, answer.stdout)
        self.arrived(sink, 'swaks-tls')
        answer = environment.run('curl', '-sS', '--ssl-reqd', '--cacert', self.authority.certificate, '--resolve',
                                 f'{HOST}:{a.port}:127.0.0.1', f'smtp://{HOST}:{a.port}', '--mail-from',
                                 's@client.example', '--mail-rcpt', 'r@dest.example', '-T', '-',
                                 input=client.message('curl-tls', 500), text=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.arrived(sink, 'curl-tls')

    def test_msmtp(self):
        a, sink = self.serving()
        account = self.folder / 'msmtprc'
        account.write_text(f'host 127.0.0.1\nport {a.port}\nfrom s@client.example\ntls on\ntls_starttls on\n'
                           f'tls_trust_file {self.authority.certificate}\ntls_host_override {HOST}\nauth off\n'
                           'domain client.example\n')
        account.chmod(0o600)
        answer = environment.run('msmtp', '-C', account, 'r@dest.example', input=client.message('msmtp-tls'), text=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.arrived(sink, 'msmtp-tls')

    def test_wrapper_mode(self):
        system, a, sink = self.prepare()
        port = ports.free_port()
        a.extra_services = f'127.0.0.1:{port} inet n - y - - smtpd -o smtpd_tls_wrappermode=yes\n'
        system.start()
        self.wait(lambda: self.listens(port))
        connection = smtplib.SMTP_SSL('127.0.0.1', port, timeout=20, context=self.trusting(check_hostname=False))
        connection.sendmail('s@client.example', ['r@dest.example'], client.message('wrapped'))
        self.assertFalse(connection.has_extn('starttls'))
        self.assertEqual(connection.docmd('STARTTLS')[0], 554)
        connection.quit()
        self.arrived(sink, 'wrapped')
        with socket.create_connection(('127.0.0.1', port), timeout=20) as raw:
            raw.sendall(b'EHLO client.example\r\n')
            self.assertNotIn(b'220', raw.recv(1000))
        self.assert_log(a, r'SSL_accept error from \S+\[127\.0\.0\.1\]: -1')
        self.assert_log(a, r'lost connection after CONNECT from')

    def test_what_was_said_in_clear_is_forgotten(self):
        a, _ = self.serving(smtpd_helo_required='yes')
        raw = socket.create_connection(('127.0.0.1', a.port), timeout=20)
        self.addCleanup(raw.close)
        lines = raw.makefile('rb')
        self.assertTrue(lines.readline().startswith(b'220'))
        raw.sendall(b'EHLO client.example\r\n')
        offers = []
        while True:
            offers.append(lines.readline())
            if offers[-1][3:4] == b' ':
                break
        self.assertIn(b'250-STARTTLS\r\n', offers)
        raw.sendall(b'MAIL FROM:<s@client.example>\r\n')
        self.assertTrue(lines.readline().startswith(b'250'))
        raw.sendall(b'STARTTLS now\r\n')
        self.assertTrue(lines.readline().startswith(b'501'))
        # Injected behind STARTTLS in one packet: must not be executed inside.
        raw.sendall(b'STARTTLS\r\nMAIL FROM:<evil@client.example>\r\nRCPT TO:<evil@dest.example>\r\n')
        self.assertTrue(lines.readline().startswith(b'220'))
        inside = self.trusting().wrap_socket(raw, server_hostname=HOST)
        self.addCleanup(inside.close)
        inside.sendall(b'RCPT TO:<r@dest.example>\r\n')
        self.assertTrue(inside.recv(1000).startswith(b'503'))
        inside.sendall(b'MAIL FROM:<s@client.example>\r\n')
        self.assertTrue(inside.recv(1000).startswith(b'503 5.5.1 Error: send HELO/EHLO first'))
        self.assertNotIn('evil', self.assert_log(a, r'improper command pipelining after STARTTLS').group())

    def test_mandatory(self):
        a, sink = self.serving(smtpd_tls_security_level='encrypt')
        with a.client() as connection:
            connection.greet()
            for command in ('MAIL FROM:<s@client.example>', 'VRFY x', 'RSET', 'AUTH PLAIN', 'nonsense'):
                self.assertEqual(connection.command(command), (530, '5.7.0 Must issue a STARTTLS command first'))
            self.assertEqual(connection.command('NOOP')[0], 250)
        connection = self.started(a)
        connection.sendmail('s@client.example', ['r@dest.example'], client.message('mandatory'))
        self.arrived(sink, 'mandatory')

    def test_two_kinds_of_keys(self):
        chain = self.folder / 'both.pem'
        chain.write_text(self.server.chain.read_text() + self.rsa.chain.read_text())
        a, _ = self.serving(smtpd_tls_chain_files=chain)
        for kind in ('ECDSA', 'RSA'):
            context = self.trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(f'a{kind}')
            self.assertIn(kind, self.started(a, context).sock.cipher()[0])

    def test_older_file_parameters(self):
        a, _ = self.serving(smtpd_tls_chain_files='', smtpd_tls_cert_file=self.rsa.certificate,
                            smtpd_tls_key_file=self.rsa.key, smtpd_tls_eccert_file=self.server.certificate,
                            smtpd_tls_eckey_file=self.server.key)
        context = self.trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers('aRSA')
        self.assertIn('RSA', self.started(a, context).sock.cipher()[0])

    def test_protocols(self):
        a, _ = self.serving(smtpd_tls_protocols='>=TLSv1.3')
        with self.assertRaises(ssl.SSLError):
            self.started(a, self.trusting(maximum_version=ssl.TLSVersion.TLSv1_2))
        self.assert_log(a, r'warning: TLS library problem: error:\w+:SSL routines::unsupported protocol:')
        self.assert_log(a, r'lost connection after STARTTLS from')
        self.assertEqual(self.started(a).sock.version(), 'TLSv1.3')

    def test_ciphers(self):
        a, _ = self.serving(smtpd_tls_protocols='TLSv1.2', smtpd_tls_ciphers='high', tls_preempt_cipherlist='yes',
                            tls_high_cipherlist='ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256',
                            smtpd_tls_exclude_ciphers='CHACHA20')
        self.assertEqual(self.started(a).sock.cipher()[0], 'ECDHE-ECDSA-AES128-GCM-SHA256')

    def test_client_certificates(self):
        known = self.authority.issue('known', 'known.example')
        stranger = certificates.Authority(self.folder, 'Other CA').issue('stranger', 'stranger.example')
        prints = self.folder / 'prints'
        prints.write_text(f'{known.fingerprint()} known\n')
        a, sink = self.serving(smtpd_tls_ask_ccert='yes', smtpd_tls_CAfile=self.authority.certificate,
                               relay_clientcerts=f'texthash:{prints}', mynetworks='192.0.2.0/24',
                               smtpd_relay_restrictions='permit_tls_clientcerts, reject')
        for owner, trust in ((known, 'Trusted'), (stranger, 'Untrusted')):
            context = self.trusting()
            context.load_cert_chain(owner.certificate, owner.key)
            connection = self.started(a, context)
            connection.ehlo()
            connection.mail('s@client.example')
            self.assertEqual(connection.rcpt('r@dest.example')[0], 250 if owner is known else 554)
            self.assert_log(a, rf'{trust} TLS connection established from .* client-signature ECDSA')
            if owner is known:
                connection.data(client.message('with-certificate'))
                self.assertIn('(Client CN "known.example", Issuer "Test CA" (verified OK))',
                              self.arrived(sink, 'with-certificate').header.decode())
        connection = self.started(a)
        connection.ehlo()
        connection.mail('s@client.example')
        self.assertEqual(connection.rcpt('r@dest.example')[0], 554)

    def test_required_certificate(self):
        a, _ = self.serving(smtpd_tls_security_level='encrypt', smtpd_tls_req_ccert='yes',
                            smtpd_tls_CAfile=self.authority.certificate)
        connection = self.started(a)
        self.assertEqual(connection.getreply()[0], 421)
        self.assert_log(a, r'NOQUEUE: abort: TLS from \S+: No client certificate presented')

    def test_server_names(self):
        other = self.authority.issue('other', 'other.example')
        system, a, _ = self.prepare(tls_server_sni_maps=f'hash:{self.folder}/names inline:{{.parent.example={other.chain}}}')
        names = self.folder / 'names'
        names.write_text(f'other.example {other.key} {other.certificate}\n')
        self.assertEqual(environment.run(environment.COMMANDS / 'postmap', '-c', self.config_folder(a), '-F',
                                         f'hash:{names}').returncode, 0)
        system.start()
        for asked, shown in (('other.example', 'other.example'), ('mx.parent.example', 'other.example'), (HOST, HOST)):
            connection = smtplib.SMTP('127.0.0.1', a.port, timeout=20)
            self.addCleanup(connection.close)
            connection._host = asked
            connection.starttls(context=self.trusting(check_hostname=False))
            subject = dict(pair[0] for pair in connection.sock.getpeercert()['subject'])
            self.assertEqual(subject['commonName'], shown, asked)
        self.assert_log(a, r'TLS connection established from \S+ to other\.example: TLSv1\.3')

    def config_folder(self, a):
        a.write()
        return a.folder

    def resumed(self, a, context, session):
        raw = socket.create_connection(('127.0.0.1', a.port), timeout=20)
        self.addCleanup(raw.close)
        raw.recv(1000)
        raw.sendall(b'STARTTLS\r\n')
        raw.recv(1000)
        inside = context.wrap_socket(raw, server_hostname=HOST, session=session)
        self.addCleanup(inside.close)
        inside.sendall(b'QUIT\r\n')
        self.assertTrue(inside.recv(1000).startswith(b'221'))
        return inside

    def test_sessions_resume_also_in_another_process(self):
        a, _ = self.serving()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.trusting(maximum_version=version)
            first = self.resumed(a, context, None)
            self.assertTrue(self.resumed(a, context, first.session).session_reused)
            a.control('reload')
            self.wait(lambda: self.resumed(a, context, first.session).session_reused)
        self.assert_log(a, r'Anonymous TLS connection reused from \S+: TLSv1\.3 with cipher')
        keys = a.spool / 'private' / 'tls_ticket_keys'
        self.assertEqual(keys.stat().st_mode & 0o777, 0o600)

    def test_sessions_without_tickets_resume_in_another_process(self):
        a, _ = self.serving(smtpd_tls_session_cache_database='btree:${data_directory}/smtpd_scache')
        context = self.trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.options |= ssl.OP_NO_TICKET
        first = self.resumed(a, context, None)
        self.assertFalse(first.session.has_ticket)
        table = f'btree:{a.data}/smtpd_scache'
        self.wait(lambda: a.command('postmap', '-s', table).stdout)      # stored in the background
        before = set(a.workers('smtpd'))
        a.control('reload')
        self.wait(lambda: not before & set(a.workers('smtpd')))
        self.assertTrue(self.resumed(a, context, first.session).session_reused)
        self.assertEqual((a.data / 'smtpd_scache.lmdb').stat().st_mode & 0o777, 0o600)

    def test_a_session_cache_behind_a_proxy(self):
        a, _ = self.serving(smtpd_tls_session_cache_database='proxy:btree:${data_directory}/smtpd_scache')
        self.resumed(a, self.trusting(), None)
        self.assert_log(a, 'warning: smtpd_tls_session_cache_database is not used: a handshake cannot wait for a proxy')

    def test_no_resumption_without_time(self):
        a, _ = self.serving(smtpd_tls_session_cache_timeout='0')
        context = self.trusting()
        first = self.resumed(a, context, None)
        self.assertFalse(self.resumed(a, context, first.session).session_reused)

    def test_new_keys_without_losing_sessions(self):
        """As certbot does it: a symbolic link that leads to the new file."""
        link = self.folder / 'live.pem'
        first, second = (self.authority.issue(name, HOST) for name in ('renewed-1', 'renewed-2'))
        link.symlink_to(first.chain)
        a, sink = self.serving(smtpd_tls_chain_files=link)
        old = self.started(a)
        before = old.sock.getpeercert(True)
        link.unlink()
        link.symlink_to(second.chain)

        def is_new():
            connection = self.started(a)
            return connection.sock.getpeercert(True) != before
        self.wait(is_new)
        old.sendmail('s@client.example', ['r@dest.example'], client.message('old-session'))
        self.arrived(sink, 'old-session')

    def test_bad_keys(self):
        bad = self.folder / 'bad.pem'
        bad.write_text(self.server.key.read_text() + self.rsa.certificate.read_text())
        a, sink = self.serving(smtpd_tls_chain_files=bad)
        with smtplib.SMTP('127.0.0.1', a.port, timeout=20) as connection:
            connection.ehlo()
            self.assertEqual(connection.docmd('STARTTLS')[0], 454)
            connection.sendmail('s@client.example', ['r@dest.example'], client.message('in-clear'))
        self.arrived(sink, 'in-clear')
        self.assert_log(a, r'warning: .*bad\.pem: .*: disabling TLS support')

    def greeted(self, a, *commands):
        raw = socket.create_connection(('127.0.0.1', a.port), timeout=20)
        self.addCleanup(raw.close)
        raw.recv(1000)
        for command in commands:
            raw.sendall(command)
            raw.recv(4000)
        return raw

    def test_bad_handshakes(self):
        a, _ = self.serving(smtpd_starttls_timeout='1s')
        raw = self.greeted(a, b'STARTTLS\r\n')
        raw.sendall(b'EHLO again\r\n')                       # no ClientHello at all
        self.assert_log(a, r'SSL_accept error from \S+: -1')
        self.assert_log(a, r'warning: TLS library problem: error:\w+:SSL routines:')
        raw = self.greeted(a, b'STARTTLS\r\n')
        raw.sendall(b'\x16\x03\x01\x02\x00\x01\x00')         # cut
        raw.shutdown(socket.SHUT_WR)
        self.assert_log(a, r'SSL_accept error from \S+: lost connection')
        raw = self.greeted(a, b'STARTTLS\r\n')               # silent
        started = time.monotonic()
        self.assertEqual(raw.recv(1000), b'')
        self.assertLess(time.monotonic() - started, 10)
        self.assert_log(a, r'SSL_accept error from \S+: Connection timed out')
        for seed in range(30):                               # damaged records
            raw = self.greeted(a, b'STARTTLS\r\n')
            raw.sendall(b'\x16\x03\x01' + seed.to_bytes(2, 'big') + bytes((seed * 7 + i * 13) % 256 for i in range(200)))
            raw.close()
        self.assertEqual(self.started(a).noop()[0], 250)

    def test_renegotiation_is_refused(self):
        a, _ = self.serving()
        with subprocess.Popen(['openssl', 's_client', '-starttls', 'smtp', '-connect', f'127.0.0.1:{a.port}', '-tls1_2',
                               '-CAfile', str(self.authority.certificate)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0) as peer:
            seen = b''

            def read_up_to(mark):
                nonlocal seen
                while mark not in seen and (block := os.read(peer.stdout.fileno(), 65536)):
                    seen += block
                self.assertIn(mark, seen)
            read_up_to(b'Verify return code: 0 (ok)')
            peer.stdin.write(b'NOOP\n')
            read_up_to(b'250 2.0.0 Ok')
            peer.stdin.write(b'R\n')                         # asks for a renegotiation
            read_up_to(b'no renegotiation')
            peer.kill()
        self.assertEqual(self.started(a).noop()[0], 250)

    def test_a_hundred_handshakes_at_once(self):
        a, _ = self.serving()
        context = self.trusting()
        sessions = [self.started(a, context) for _ in range(100)]
        self.assertEqual({session.noop()[0] for session in sessions}, {250})


if __name__ == '__main__':
    scenario.main()
