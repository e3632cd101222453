#!/usr/bin/env python3
"""Two environments of one machine: each goes out from its own address, by its own name, with its own certificate
and login, and the trouble of one is not the other's."""
import pathlib
import shutil
import socket
import ssl
import tempfile
import unittest

import certificates
import client
import environment
import login_relay
import scenario
from tls_server import TlsServer

SOURCES = {'a': '127.0.0.2', 'b': '127.0.0.3'}


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(('::1', 0))
            return True
    except OSError:
        return False


class Identity(scenario.Scenario):
    def send(self, a, identity):
        with a.client() as raw:
            raw.greet()
            reply = raw.message('s@client.example', 'r@dest.example', client.message(identity))
        self.assertEqual(reply[0], 250, reply)

    def arrives(self, sink, identity):
        message = sink.wait_for(lambda one: one.id == identity, 20 * environment.SLOWER)
        self.assertIsNotNone(message, f'{identity} did not arrive')
        return message

    def two(self):
        """Each with its own relay, which lets in its own user only."""
        system = self.system('a', 'b')
        sinks, relays = {}, {}
        for name in 'ab':
            sinks[name] = self.sink(name=f'relay-{name}.example')
            relays[name] = login_relay.LoginRelay(sinks[name], f'user-{name}', f'password-{name}')
            here = system[name]
            here.relay_to(sinks[name].port)
            self.set_password(here, sinks[name], f'user-{name}:password-{name}')
            here.config |= {'smtp_bind_address': SOURCES[name], 'smtp_helo_name': f'out-{name}.example',
                            'smtp_sasl_auth_enable': 'yes', 'smtp_sasl_security_options': 'noanonymous',
                            'smtp_sasl_password_maps': f'texthash:{here.top / "passwords"}',
                            'smtp_connection_cache_on_demand': 'no'}
        return system, sinks, relays

    @staticmethod
    def set_password(here, sink, value):
        path = here.top / 'passwords'
        path.write_text(f'[127.0.0.1]:{sink.port} {value}\n')
        path.chmod(0o600)       # of root: no worker can read it, only the one that was started can have done so

    def test_each_by_itself_with_every_mechanism(self):
        system, sinks, relays = self.two()
        system.start()
        for mechanism in login_relay.MECHANISMS:
            with self.subTest(mechanism):
                for name in 'ab':
                    system[name].config['smtp_sasl_mechanism_filter'] = mechanism
                    system[name].write()
                    self.assertEqual(system[name].control('reload').returncode, 0)
                    self.send(system[name], f'{mechanism}-{name}')
                for name in 'ab':
                    session = self.arrives(sinks[name], f'{mechanism}-{name}').session
                    self.assertEqual((session.source, session.user, session.mechanism),
                                     (SOURCES[name], f'user-{name}', mechanism))
                    self.assertIn(f'EHLO out-{name}.example', session.commands)
        for name in 'ab':
            self.assertEqual(relays[name].bad, [])
            self.assertEqual({session.source for session in sinks[name].sessions}, {SOURCES[name]})
            self.assertEqual(len(sinks[name].messages), len(login_relay.MECHANISMS))
            self.assertNotIn(f'password-{name}', system[name].log_text())

    def test_wrong_password_of_one(self):
        system, sinks, relays = self.two()
        self.set_password(system['a'], sinks['a'], 'user-a:wrong')
        system.start()
        for name in 'ab':
            self.send(system[name], f'first-{name}')
        self.assert_log(system['a'], r'dsn=4\.7\.8, status=deferred \(SASL authentication failed; server .* said: 535 5\.7\.8')
        self.arrives(sinks['b'], 'first-b')
        self.send(system['b'], 'second-b')
        self.arrives(sinks['b'], 'second-b')
        self.assertEqual((sinks['a'].messages, relays['a'].good, relays['b'].bad), ([], [], []))
        self.assertNotIn('SASL authentication failed', system['b'].log_text())
        self.set_password(system['a'], sinks['a'], 'user-a:password-a')
        self.assertEqual(system['a'].control('reload').returncode, 0)
        self.arrives(sinks['a'], 'first-a')

    def test_passwords_cannot_be_read_by_the_other(self):
        system, _, _ = self.two()
        system.write()
        for name, other in ('ab', 'ba'):
            answer = environment.run('cat', system[name].top / 'passwords', user=system[other].user)
            self.assertNotEqual(answer.returncode, 0)
        for name in 'ab':
            answer = system[name].control('route', '--to', 'r@dest.example')
            self.assertRegex(answer.stdout, rf'login +user-{name}\n')
            self.assertNotIn('password-', answer.stdout)

    def test_each_shows_its_own_certificate(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-identity-'))
        self.addCleanup(shutil.rmtree, folder, True)
        authority = certificates.Authority(folder)
        server = authority.issue('server', 'localhost')
        system = self.system('a', 'b')
        servers = {}
        for name in 'ab':
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(server.certificate, server.key)
            context.load_verify_locations(authority.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
            servers[name] = TlsServer(context)
            self.addCleanup(servers[name].stop)
            own = authority.issue(f'client-{name}', f'out-{name}.example')
            system[name].relay_to(servers[name].port)
            system[name].config |= {'smtp_tls_security_level': 'encrypt', 'smtp_tls_chain_files': own.chain,
                                    'smtp_bind_address': SOURCES[name]}
        system.start()
        for name in 'ab':
            self.send(system[name], f'tls-{name}')
        for name in 'ab':
            here = servers[name]
            self.wait(lambda: here.messages, 20)
            self.assertEqual(here.clients, [(SOURCES[name], f'out-{name}.example')])

    @unittest.skipUnless(has_ipv6(), 'no IPv6')
    def test_ipv6_source(self):
        system, sink = self.system('a'), self.sink(host='::1')
        a = system['a']
        a.config |= {'relayhost': f'[::1]:{sink.port}', 'inet_protocols': 'all', 'smtp_bind_address6': '::1',
                     'smtp_bind_address': SOURCES['a']}
        system.start()
        self.send(a, 'six')
        self.assertEqual(self.arrives(sink, 'six').session.source, '::1')

    def test_a_source_address_that_is_not_ours(self):
        system, sinks, _ = self.two()
        system['a'].config |= {'smtp_bind_address': '192.0.2.9', 'smtp_bind_address_enforce': 'yes'}
        system.start()
        for name in 'ab':
            self.send(system[name], f'bind-{name}')
        self.assert_log(system['a'], r'status=deferred \(connect to .*: Cannot assign requested address\)')
        self.arrives(sinks['b'], 'bind-b')
        self.assertEqual(sinks['a'].sessions, [])

    def test_a_server_that_wants_a_proxy_header(self):
        system, sink = self.system('a', 'b'), self.sink()
        a, b = system['a'], system['b']
        a.relay_to(b.port)
        b.relay_to(sink.port)
        a.config |= {'smtp_bind_address': SOURCES['a']}
        b.config |= {'mynetworks': f'{SOURCES["a"]}/32', 'smtpd_upstream_proxy_protocol': 'haproxy'}
        system.start('a')
        for version in ('v1', 'v2'):
            a.config['smtp_proxy_header'] = version
            a.write()
            self.assertEqual(a.control('reload').returncode, 0)
            self.send(a, f'proxied-{version}')
            self.arrives(sink, f'proxied-{version}')
        self.assert_log(b, rf'client=.*\[{SOURCES["a"]}\]')


if __name__ == '__main__':
    scenario.main()
