#!/usr/bin/env python3
"""Which server the SMTP client goes to, with a name server that says what a test wants."""
import socket
import time

import name_server
import ports
import scenario


def full_listener(port):
    """An address of IPv6 that takes no more connections: they hang."""
    listening = socket.socket(socket.AF_INET6)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(('::1', port))
    listening.listen(0)
    waiting = []
    for _ in range(4):
        connection = socket.socket(socket.AF_INET6)
        connection.setblocking(False)
        connection.connect_ex(('::1', port))
        waiting.append(connection)
    return [listening, *waiting]


class ClientHosts(scenario.Scenario):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.names = name_server.NameServer({
            ('both.test', 'MX'): [(10, 'mx.both.test')], ('mx.both.test', 'A'): ['127.0.0.1'], ('mx.both.test', 'AAAA'): ['::1'],
            ('two.test', 'MX'): [(10, 'bad.two.test'), (20, 'good.two.test')],
            ('bad.two.test', 'A'): ['127.0.0.3'], ('good.two.test', 'A'): ['127.0.0.1'],
            ('none.test', 'MX'): [(10, 'bad.two.test')],
            ('own.test', 'MX'): [(10, 'mx.a.example')], ('mx.a.example', 'A'): ['127.0.0.9'],
            ('alias.test', 'MX'): [(10, 'old.alias.test')], ('old.alias.test', 'CNAME'): ['new.alias.test'],
            ('new.alias.test', 'A'): ['127.0.0.1'], ('brief.site.test', 'A'): ['127.0.0.1'],
            ('many.test', 'MX'): [(10, 'one.many.test'), (20, 'two.many.test'), (30, 'three.many.test')],
            ('one.many.test', 'A'): ['127.0.0.1'], ('two.many.test', 'A'): ['127.0.0.2'], ('three.many.test', 'A'): ['127.0.0.3'],
            ('_submission._tcp.nothing.test', 'SRV'): [(0, 0, 0, '')], ('nothing.test', 'A'): ['127.0.0.1'],
            ('bare.test', 'MX'): [(10, 'mx.bare.test')], ('mx.bare.test', 'A'): ['127.0.0.1'],
            ('_submission._tcp.broken.test', 'SRV'): name_server.SERVFAIL, ('broken.test', 'A'): ['127.0.0.1'],
            ('srv.bound.test', 'A'): ['127.0.0.1']}, search='site.test')
        cls.addClassCleanup(cls.names.stop)
        cls.names.rule_this_process()

    def sending(self, **settings):
        system, sink = self.system('a'), self.sink(port=ports.free_port())
        a = system['a']
        a.config |= {'smtp_tcp_port': sink.port, 'inet_protocols': 'all', 'minimal_backoff_time': '1000s',
                     'maximal_backoff_time': '1000s'} | settings
        return system, a, sink

    def send(self, a, *recipients):
        with a.client() as connection:
            connection.greet()
            for recipient in recipients:
                self.assertEqual(connection.message('', recipient, b'Subject: x\r\n\r\nx\r\n')[0], 250)

    def test_an_address_that_hangs_does_not_hold_the_mail(self):
        system, a, sink = self.sending(smtp_address_preference='ipv6', smtp_connect_timeout='20s')
        for each in full_listener(sink.port):
            self.addCleanup(each.close)
        system.start()
        begun = time.monotonic()
        self.send(a, 'r@both.test')
        self.assertEqual(len(sink.wait(1, 15)), 1, a.log_text())
        self.assertLess(time.monotonic() - begun, 10)
        self.assert_log(a, rf'connect to mx\.both\.test\[::1\]:{sink.port}: Connection timed out')
        self.assert_log(a, rf'relay=mx\.both\.test\[127\.0\.0\.1\]:{sink.port}, .*status=sent')

    def test_records_and_statuses_are_filtered(self):
        tables = {'smtp_dns_reply_filter': r'regexp:%s', 'smtp_delivery_status_filter': r'regexp:%s'}
        system, a, sink = self.sending(**tables)
        rules = {'smtp_dns_reply_filter': r'/^bad\.two\.test \S+ IN A 127\.0\.0\.3$/ IGNORE' '\n'
                                          r'/^\S+ \S+ IN AAAA/ ignore' '\n',
                 'smtp_delivery_status_filter': r'/^5\.7\.1 (.*) never/ 4.7.1 $1 perhaps' '\n' r'/^4\.2\.2 / 5.2.2 full for good' '\n'
                                                r'/^5\.1\.1 / 2.0.0 all well' '\n' r'/^2\.0\.0 / 2.0.0 accepted there' '\n'}
        for name, text in rules.items():
            path = a.top / name
            path.write_text(text)
            a.config[name] = f'regexp:{path}'
        answers = {'never': '550 5.7.1 never', 'full': '452 4.2.2 full', 'unknown': '550 5.1.1 unknown'}
        sink.script['rcpt'] = lambda _, line: next((text for who, text in answers.items() if f'<{who}@' in line), None)
        system.start()
        self.send(a, 'ok@two.test', 'never@two.test', 'full@two.test', 'unknown@two.test', 'x@none.test', 'v6@both.test')
        for pattern in (r'to=<ok@two\.test>, relay=good\.two\.test\S+, .*dsn=2\.0\.0, status=sent \(accepted there\)',
                        r'to=<never@two\.test>, .*dsn=4\.7\.1, status=deferred \(host .* said: 550 5\.7\.1 perhaps\)',
                        r'to=<full@two\.test>, .*dsn=5\.2\.2, status=bounced \(full for good\)',
                        r'to=<unknown@two\.test>, .*dsn=5\.1\.1, status=bounced \(host ',
                        r'delivery status filter: bad result "2\.0\.0 all well" for "5\.1\.1 host ',
                        r'to=<x@none\.test>, relay=none, .*dsn=5\.4\.4, status=bounced .*type=AAAA: Host found but no data record',
                        r'to=<v6@both\.test>, relay=mx\.both\.test\[127\.0\.0\.1\]'):
            self.assert_log(a, pattern)
        self.assertNotIn('127.0.0.3', a.log_text())

    def routed(self, sink, routes, services={}, **settings):
        """A system whose mail goes as the routes say: domain -> transport:nexthop."""
        system = self.system('a')
        a = system['a']
        for name, options in services.items():
            a.extra_services += f'{name} unix - - {a.chroot} - - smtp {options}\n'
        path = a.top / 'routes'
        path.write_text(''.join(f'{domain} {route}\n' for domain, route in routes.items()))
        a.config |= {'transport_maps': f'texthash:{path}', 'smtp_tcp_port': sink.port, 'minimal_backoff_time': '1000s',
                     'maximal_backoff_time': '1000s', 'inet_protocols': 'ipv4'} | settings
        system.start()
        return a

    def test_servers_of_services(self):
        sink = self.sink(port=ports.free_port())
        port = ports.free_port()
        second = self.sink(port=port)
        self.names.zone[('_submission._tcp.bound.test', 'SRV')] = [(20, 0, sink.port, 'srv.bound.test'), (10, 5, port, 'srv.bound.test')]
        lax = '-o allow_srv_lookup_fallback=yes -o ignore_srv_lookup_error=yes'
        a = self.routed(sink, {'bound.test': 'smtp:bound.test:submission', 'nothing.test': 'smtp:nothing.test:submission',
                               'bare.test': 'smtp:bare.test:submission', 'broken.test': 'smtp:broken.test:submission',
                               'lax.test': 'lax:bare.test:submission', 'laxer.test': 'lax:broken.test:submission',
                               'plain.test': f'smtp:bare.test:{sink.port}'},
                        {'lax': lax}, use_srv_lookup='submission')
        self.send(a, *(f'r@{name}.test' for name in ('bound', 'nothing', 'bare', 'broken', 'plain', 'lax', 'laxer')))
        for pattern in (rf'to=<r@bound\.test>, relay=srv\.bound\.test\[127\.0\.0\.1\]:{port}, .*status=sent',
                        r'to=<r@nothing\.test>, relay=none, .*dsn=5\.1\.0, status=bounced \(Domain nothing\.test does not offer service submission',
                        r'to=<r@bare\.test>, relay=none, .*dsn=5\.4\.4, status=bounced .*name=_submission\._tcp\.bare\.test type=SRV: Host not found',
                        r'to=<r@broken\.test>, relay=none, .*dsn=4\.4\.3, status=deferred .*type=SRV: Host not found, try again',
                        r'to=<r@lax\.test>, .*\(connect to mx\.bare\.test\[127\.0\.0\.1\]:587: ',
                        r'to=<r@laxer\.test>, .*\(connect to broken\.test\[127\.0\.0\.1\]:587: ',
                        rf'to=<r@plain\.test>, relay=mx\.bare\.test\[127\.0\.0\.1\]:{sink.port}, .*status=sent'):
            self.assert_log(a, pattern)
        self.assertEqual([each.recipients for each in second.messages], [['r@bound.test']])

    def test_names_loops_and_limits(self):
        port = ports.free_port()
        sinks = [self.sink(port=port, host=f'127.0.0.{number}') for number in (1, 2, 3)]
        for sink in sinks:
            sink.script['rcpt'] = lambda _, line: '451 4.3.0 later' if '@many.test' in line else None
        services = {'passed': '', 'alias': '-o smtp_cname_overrides_servername=yes',
                    'short': '-o smtp_dns_resolver_options=res_defnames', 'looping': '-o best_mx_transport='}
        a = self.routed(sinks[0], {'own.test': 'smtp:own.test:25', 'still.own.test': 'looping:own.test:25',
                                   'new.test': 'alias:alias.test', 'brief.test': f'short:[brief]:{port}',
                                   'long.test': f'smtp:[brief]:{port}'}, services,
                        best_mx_transport=f'passed:[127.0.0.2]:{port}', smtp_mx_session_limit=2, debug_peer_list='new.alias.test')
        self.send(a, 'r@own.test', 'r@still.own.test', 'r@alias.test', 'r@new.test', 'r@brief.test', 'r@long.test', 'r@many.test')
        for pattern in (rf': to=<r@own\.test>, relay=127\.0\.0\.2\[127\.0\.0\.2\]:{port}, .*status=sent',
                        r'to=<r@still\.own\.test>, relay=none, .*dsn=5\.4\.6, status=bounced \(mail for own\.test loops back to myself\)',
                        r'to=<r@alias\.test>, relay=old\.alias\.test\[127\.0\.0\.1\]',
                        r'to=<r@new\.test>, relay=new\.alias\.test\[127\.0\.0\.1\]',
                        r'to=<r@brief\.test>, relay=brief\[127\.0\.0\.1\]',
                        r'to=<r@long\.test>, relay=none, .*dsn=5\.4\.4, status=bounced .*name=brief type=A: Host not found',
                        r'to=<r@many\.test>, relay=two\.many\.test\[127\.0\.0\.2\]:\d+, .*status=deferred \(host two\.many\.test',
                        r'next hop alias\.test: connecting to new\.alias\.test\[127\.0\.0\.1\]:\d+, TLS level none, no login',
                        r'> new\.alias\.test\[127\.0\.0\.1\]: RCPT TO:<r@new\.test>',
                        r'< new\.alias\.test\[127\.0\.0\.1\]: 250'):
            self.assert_log(a, pattern)
        self.assertEqual(sinks[2].sessions, [])
        self.assertNotIn('> old.alias.test', a.log_text())
        self.assertIn(('brief.site.test', 'A'), self.names.asked)

    def test_a_connection_is_used_so_often(self):
        sink = self.sink(port=ports.free_port())
        a = self.routed(sink, {'kept.test': f'smtp:[127.0.0.1]:{sink.port}'}, smtp_connection_reuse_count_limit=2,
                        smtp_connection_cache_time_limit='30s', connection_cache_ttl_limit='30s',
                        smtp_destination_concurrency_limit=1)
        self.send(a, *(f'r{number}@kept.test' for number in range(5)))
        sink.wait(5)
        self.assertEqual([each.messages for each in sink.sessions], [2, 2, 1], a.log_text())

    def test_a_connection_is_used_so_long(self):
        sink = self.sink(port=ports.free_port())
        a = self.routed(sink, {'kept.test': f'smtp:[127.0.0.1]:{sink.port}'}, smtp_connection_reuse_time_limit='1s',
                        smtp_connection_cache_time_limit='30s', connection_cache_ttl_limit='30s',
                        smtp_destination_concurrency_limit=1)
        self.wait(lambda: self.send(a, 'r@kept.test') or len(sink.sessions) > 1)
        by_session = [[each.when for each in sink.wait() if each.session is session] for session in sink.sessions[:2]]
        self.assertGreater(len(by_session[0]), 1)
        self.assertLess(by_session[0][-1] - by_session[0][0], 2.5)

    def test_a_connection_is_kept_no_longer_than_all_may_be(self):
        sink = self.sink(port=ports.free_port())
        a = self.routed(sink, {'kept.test': f'smtp:[127.0.0.1]:{sink.port}'}, smtp_connection_cache_time_limit='300s',
                        connection_cache_ttl_limit='1s')
        self.send(a, 'r@kept.test')
        sink.wait(1)
        self.wait(lambda: sink.open_sessions == 0, message='the connection is still open')


if __name__ == '__main__':
    scenario.main()
