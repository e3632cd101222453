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
            ('none.test', 'MX'): [(10, 'bad.two.test')]})
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


if __name__ == '__main__':
    scenario.main()
