"""Configurations of common installations, of the tests/fixtures, load and start; what master.cf may say of services."""
import os
import pathlib
import re
import socket
import stat

import environment
import ports
import scenario
from scenario import Scenario
from smtp_raw import RawClient

FIXTURES = pathlib.Path(os.environ['BULKHEAD_SOURCE']) / 'tests' / 'fixtures'
NOT_YET = re.compile(r'main\.cf, line \d+: \w+ is known but not implemented yet; it has no effect'
                     r'|master\.cf, line \d+: \w+ is known but not implemented yet; it has no effect'
                     r'|master\.cf: line \d+: service \S+: program \S+ is not in \S+; the service is off')


class Fixture(Scenario):
    """One environment whose files are a fixture's, with users, folders and ports of the tests."""

    def setUp(self):
        self.stack = self.system('a')
        self.a = self.stack['a']
        self.ports = {}

    def use(self, name, master=None, **settings):
        """main.cf of one fixture, master.cf of the same or of another one; settings come last."""
        origin = self.a.top / 'mailname'
        origin.write_text('origin.example\n')
        own = {key: self.a.config[key] for key in (
            'mail_owner', 'setgid_group', 'queue_directory', 'data_directory', 'maillog_file',
            'maillog_file_prefixes', 'syslog_name', 'smtpd_peername_lookup')}
        own |= {'inet_interfaces': '127.0.0.1', 'inet_protocols': 'ipv4', 'config_directory': self.a.folder} | settings
        text = (FIXTURES / name / 'main.cf').read_text().replace('/etc/mailname', str(origin))
        text += ''.join(f'{key} = {value}\n' for key, value in own.items())
        services = (FIXTURES / (master or name) / 'master.cf').read_text()

        def port(match):
            self.ports[match[0].split()[0]] = number = ports.free_port()
            return f'127.0.0.1:{number} inet '
        services = re.sub(r'^[^#\s]\S*\s+inet\s', port, services, flags=re.M)
        self.a.port = self.ports.get('smtp', self.a.port)
        self.a.main_cf = lambda: text
        self.a.master_cf = lambda: services
        self.stack.write()

    def check(self, *expected):
        """`bulkhead check` has no error, and no warning but that something does not work yet, or is expected."""
        answer = self.a.control('check')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        for line in answer.stderr.splitlines():
            self.assertIn('warning: ', line)
            if not NOT_YET.search(line):
                self.assertTrue(any(text in line for text in expected), line)

    def start(self):
        self.stack.launch()
        self.wait(lambda: self.stack.master.poll() is not None or self.a.control('status').returncode == 0)
        self.assertIsNone(self.stack.master.poll(), self.stack.output())
        for port in self.ports.values():
            self.wait(lambda: Services.listens(port))

    def accept(self, recipient='joe@far.example', port=None, code=250):
        """The server's answer to one message of a local client."""
        with RawClient(port or self.a.port) as client:
            client.greet()
            self.assertEqual(client.command('MAIL FROM:<me@here.example>')[0], 250)
            answer = client.command(f'RCPT TO:<{recipient}>')
            self.assertEqual(answer[0], code, answer)
            if code != 250:
                return
            self.assertEqual(client.command('DATA')[0], 354)
            client.send(b'Subject: x\r\n\r\ntext\r\n.\r\n')
            answer = client.reply()
            self.assertEqual(answer[0], 250, answer)


class Installations(Fixture):
    def check_debian(self, variant):
        self.use(f'debian-{variant}', 'debian-master', relayhost='[127.0.0.1]:9', default_transport='smtp')
        self.check()
        self.start()
        self.accept()
        self.assert_log(self.a, r'to=<joe@far\.example>, relay=')
        self.assertEqual(self.a.command('postconf', '-hx', 'myorigin').stdout, 'origin.example\n')

    def test_debian_internet_site(self):
        self.check_debian('internet-site')

    def test_debian_local_only(self):
        self.check_debian('local-only')

    def test_debian_satellite(self):
        self.check_debian('satellite')

    def test_debian_smarthost(self):
        self.check_debian('smarthost')

    def test_null_client(self):
        sink = self.sink()
        self.use('null-client', relayhost=f'[127.0.0.1]:{sink.port}')
        self.check()
        self.start()
        answer = self.a.sendmail('-f', 'me', 'joe@far.example', input='Subject: x\n\ntext\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.wait(lambda: sink.messages)
        self.assert_log(self.a, 'from=<me@example.com>')

    def test_internet_site(self):
        self.use('internet-site', 'debian-master')
        self.check()
        self.start()
        self.accept('joe@example.com')
        self.accept('nobody@example.com', code=550)
        with RawClient(self.a.port) as client:
            client.reply()
            self.assertEqual(client.command('MAIL FROM:<me@here.example>')[0], 503)

    def test_relay_host(self):
        sink = self.sink()
        self.use('relay-host', 'debian-master', inside=f'[127.0.0.1]:{sink.port}')
        self.check()
        self.start()
        self.accept('postmaster@example.com')
        self.wait(lambda: sink.messages)
        self.accept('jim@example.com', code=550)

    def test_mail_host_waits_for_its_database(self):
        self.use('mail-host')
        folder = self.a.folder / 'sql'
        folder.mkdir()
        for path in (FIXTURES / 'mail-host' / 'sql').iterdir():
            (folder / path.name).write_text(path.read_text())
        self.check()
        self.start()
        self.accept('joe@example.org', code=451)

    def test_smarthost_of_an_application(self):
        self.use('app-smarthost', 'debian-master', relayhost='[127.0.0.1]:9')
        self.check()
        self.start()
        self.accept()
        self.assert_log(self.a, r'to=<joe@far\.example>, relay=none.* status=deferred')

    def test_two_queue_managers(self):
        self.use('two-queue-managers')
        self.check('unused parameter: podop=')
        self.start()
        self.accept(port=self.ports['[127.0.0.1]:588'])
        self.assert_log(self.a, r'postfix/probe/smtpd\[\d+\]: \w+: client=')
        self.assert_log(self.a, r'to=<joe@far\.example>, relay=')


class Services(Scenario):
    """What master.cf may say."""

    def setUp(self):
        self.stack = self.system('a')
        self.a = self.stack['a']

    def test_kinds_of_services(self):
        name, number = next((line.split()[0], port) for line in open('/etc/services', encoding='utf-8')
                            if (match := re.match(r'\w+\s+(\d+)/tcp', line)) and (port := int(match[1])) > 1024
                            and not self.listens(port))
        six, off = ports.free_port(), ports.free_port()
        has_six = socket.has_ipv6 and os.path.exists('/proc/net/if_inet6')
        self.a.config |= {'inet_protocols': 'all' if has_six else 'ipv4', 'master_service_disable': f'127.0.0.1:{off}/inet'}
        self.a.extra_services = (
            f'localhost:{name} inet n - y - - smtpd\n  -o {{ smtpd_banner = by name }}\n'
            + (f'[::1]:{six} inet n - y - - smtpd -o smtpd_banner=six\n' if has_six else '')
            + f'127.0.0.1:{off} inet n - y - - smtpd\n'
            'trigger fifo n - y - 1 pickup\n'
            'twice unix - - y - - discard\n'
            'twice unix - - y - - error\n'
            'handed pass - - y - - smtpd\n')
        self.stack.start()
        for host, port, banner in [('127.0.0.1', number, 'by name')] + ([('::1', six, 'six')] if has_six else []):
            self.wait(lambda: self.listens(port, host))
            with RawClient(port, host=host) as client:
                self.assertEqual(client.reply(), (220, banner))
        self.assertFalse(self.listens(off))
        for path in ('public/trigger', 'private/twice', 'private/handed', 'public/postlog'):
            self.assertTrue(stat.S_ISSOCK((self.a.spool / path).stat().st_mode), path)
        self.assert_log(self.a, r'warning: .*master\.cf: line \d+: duplicate service twice/unix, replaces the one')
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.a.spool / 'public/trigger'))
        self.wait(lambda: self.a.workers('pickup'))

    @staticmethod
    def listens(port, host='127.0.0.1'):
        with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET) as probe:
            return probe.connect_ex((host, port)) == 0


class Warnings(Scenario):
    def test_a_setting_without_effect_is_warned_of_once(self):
        stack = self.system('a')
        a = stack['a']
        a.config['qmqpd_timeout'] = '5s'
        a.smtpd_options = ' -o qmqpd_timeout=6s -o qmqpd_error_delay=2s'
        stack.start()
        answer = a.control('check')
        self.assert_log(a, 'qmqpd_error_delay is known')     # the last of the warnings
        for text in (a.log_text(), answer.stderr):
            self.assertEqual(len(re.findall(r'qmqpd_timeout is known but not implemented yet; it has no effect', text)), 1)
            self.assertRegex(text, r'warning: .*/main\.cf, line \d+: qmqpd_timeout is known')
            self.assertRegex(text, r'warning: .*/master\.cf, line 1: qmqpd_error_delay is known')

    def test_a_bad_network_makes_mail_wait(self):
        stack = self.system('a')
        a = stack['a']
        a.config['mynetworks'] = '10.0.0.1/8'
        a.config['smtpd_relay_restrictions'] = 'permit_mynetworks, reject'
        stack.start()
        with a.client() as client:
            client.greet()
            client.command('MAIL FROM:<a@b.example>')
            self.assertEqual(client.command('RCPT TO:<c@d.example>')[0], 451)
        self.assert_log(a, r'warning: .*mynetworks: non-null host address bits in "10\.0\.0\.1/8"')


class Reload(Scenario):
    def test_a_bad_configuration_changes_nothing(self):
        stack = self.system('a')
        a = stack['a']
        a.config['smtpd_banner'] = 'first'
        stack.start()
        good, options = dict(a.config), a.smtpd_options
        for settings, bad_options, reason in (
                ({'message_size_limit': 'much'}, '', r'main\.cf, line \d+: message_size_limit: bad numerical value "much"'),
                ({'mydomain': '$myorigin'}, '', r'main\.cf, line \d+: \w+: parameter loop: .*\$mydomain'),
                ({}, ' -o smtpd_timeout=5x', r'master\.cf: line 1: service \S+: .*smtpd_timeout: bad time value "5x"'),
                ({}, ' -o smtpd_helo_required=maybe', r'master\.cf: line 1: service \S+: .*smtpd_helo_required: bad boolean'),
                ({}, '\nx unix', r'master\.cf: line 2: missing "private" field')):
            with self.subTest(reason):
                a.config = good | {'smtpd_banner': 'second'} | settings
                a.smtpd_options = options + bad_options
                a.write()
                answer = a.control('reload')
                self.assertNotEqual(answer.returncode, 0)
                self.assertRegex(answer.stderr, reason)
                self.assert_log(a, 'reload is refused, the old configuration stays: .*' + reason)
                with a.client() as client:
                    self.assertEqual(client.reply(), (220, 'first'))
        a.config, a.smtpd_options = good | {'smtpd_banner': 'second'}, options
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        with a.client() as client:
            self.assertEqual(client.reply(), (220, 'second'))


if __name__ == '__main__':
    scenario.main()
