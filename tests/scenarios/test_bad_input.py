#!/usr/bin/env python3
"""Mistakes of an administrator: one line that says where and why, and the others keep running.

Environment a is in order in every test; b holds the mistake.
"""
import os
import pwd
import socket

import client
import environment
import scenario


class BadInput(scenario.Scenario):
    def setUp(self):
        self.stack = self.system('a', 'b')
        self.a, self.b = self.stack['a'], self.stack['b']
        self.received = self.sink()
        self.a.relay_to(self.received.port)

    def lines(self):
        """What the master said, on its standard error and in both logs."""
        return (self.stack.output() + self.a.log_text() + self.b.log_text()).splitlines()

    def assert_one_line(self, *words):
        """There is a line that holds all the words."""
        def matching():
            return [line for line in self.lines() if all(str(word) in line for word in words)]
        self.wait(matching, 5, f'no line with {words}')

    def start_with_only_a(self, *words):
        self.stack.start('a')
        self.assert_one_line(*words)
        self.assert_a_works()
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(('127.0.0.1', self.b.port)), 0, 'b runs all the same')

    def assert_a_works(self):
        with self.a.client() as connection:
            connection.greet()
            identity = client.new_id('good')
            self.assertEqual(connection.message('s@client.example', 'r@dest.example', client.message(identity))[0], 250)
        self.assertTrue(self.received.wait_for(lambda message: message.id == identity))

    def line_of(self, name):
        return 1 + list(self.b.config).index(name)

    # One bad environment

    def test_bad_value(self):
        self.b.config['message_size_limit'] = 'much'
        self.start_with_only_a(self.b.folder / 'main.cf', f'line {self.line_of("message_size_limit")}',
                               'message_size_limit', 'much')

    def test_value_out_of_bounds(self):
        self.b.config['default_process_limit'] = '-3'
        self.start_with_only_a(self.b.folder / 'main.cf', 'default_process_limit', '-3')

    def test_bad_time_and_bad_boolean(self):
        self.b.config |= {'queue_run_delay': '5 parsecs'}
        self.start_with_only_a(self.b.folder / 'main.cf', 'queue_run_delay', '5 parsecs')

    def test_line_without_equals(self):
        self.b.config['x'] = '1\nthis line is bad'
        self.start_with_only_a(self.b.folder / 'main.cf', f'line {len(self.b.config) + 1}')

    def test_expansion_that_never_ends(self):
        self.b.config |= {'myhostname': '$mydomain', 'mydomain': '$myhostname'}
        self.start_with_only_a(self.b.folder / 'main.cf', 'myhostname')

    def test_master_cf_line_too_short(self):
        self.b.extra_services = 'badline unix\n'
        self.start_with_only_a(self.b.folder / 'master.cf', f'line {self.b.master_cf().count(chr(10))}')

    def test_master_cf_bad_columns(self):
        for bad in ('x fifth n - n - - smtpd', 'x unix maybe - n - - smtpd', 'x unix n - n soon - smtpd',
                    'x unix n - n - many smtpd', 'nosuchhost..:25 inet n - n - - smtpd'):
            with self.subTest(bad):
                self.b.extra_services = bad + '\n'
                self.stack.write()
                answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', self.b.folder, 'check')
                self.assertIn(answer.returncode, range(64, 79), answer.stderr)
                errors = [line for line in answer.stderr.splitlines() if 'warning' not in line]
                self.assertEqual(len(errors), 1, answer.stderr)
                self.assertIn(str(self.b.folder / 'master.cf'), errors[0])
                self.assertIn(f'line {self.b.master_cf().count(chr(10))}', errors[0])

    def test_program_that_does_not_exist(self):
        self.b.extra_services = 'x unix n - n - - nosuchprogram\n'
        self.stack.launch()
        self.assert_one_line('nosuchprogram')

    def test_missing_configuration_folder(self):
        missing = self.stack.top / 'nowhere'
        self.a.config['multi_instance_directories'] = f'{self.b.folder} {missing}'
        self.stack.start('a', 'b')
        self.assert_one_line(missing)
        self.assert_a_works()

    def test_missing_spool_folder(self):
        self.b.config['queue_directory'] = '/nonexistent/spool'
        self.start_with_only_a('/nonexistent/spool')

    def test_missing_main_cf(self):
        self.stack.write()
        (self.b.folder / 'main.cf').unlink()
        self.b.write = lambda: None
        self.start_with_only_a(self.b.folder / 'main.cf')

    def test_data_folder_of_somebody_else(self):
        os.chown(self.b.data, pwd.getpwnam(self.a.user).pw_uid, 0)
        self.start_with_only_a(self.b.data, 'mail_owner')

    def test_data_folder_of_root_with_files(self):
        os.chown(self.b.data, 0, 0)
        (self.b.data / 'file').touch()
        self.start_with_only_a(self.b.data, 'mail_owner')

    def test_new_data_folder_of_root_is_handed_over(self):
        os.chown(self.b.data, 0, 0)
        self.stack.start('a', 'b')
        self.assertEqual(self.b.data.stat().st_uid, pwd.getpwnam(self.b.user).pw_uid)

    def test_spool_that_everybody_may_write(self):
        self.b.spool.chmod(0o777)
        self.start_with_only_a(self.b.spool)

    def test_main_cf_that_everybody_may_write(self):
        self.stack.write()
        (self.b.folder / 'main.cf').chmod(0o666)
        self.b.write = lambda: None
        answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', self.b.folder, 'check')
        self.assertIn(str(self.b.folder / 'main.cf'), answer.stderr)

    def test_unknown_user(self):
        self.b.config['mail_owner'] = 'no-such-user'
        self.start_with_only_a(self.b.folder / 'main.cf', f'line {self.line_of("mail_owner")}', 'mail_owner', 'no-such-user')

    def test_unknown_group(self):
        self.b.config['setgid_group'] = 'no-such-group'
        self.start_with_only_a(self.b.folder / 'main.cf', 'setgid_group', 'no-such-group')

    def test_root_as_mail_owner(self):
        self.b.config['mail_owner'] = 'root'
        self.start_with_only_a(self.b.folder / 'main.cf', 'mail_owner', 'root')

    def test_port_in_use(self):
        with socket.create_server(('127.0.0.1', self.b.port)):
            self.stack.start('a')
            self.assert_one_line(self.b.port, 'in use')
            self.assert_a_works()

    # Two environments that collide

    def test_shared_spool(self):
        self.b.config['queue_directory'] = self.a.spool
        self.start_with_only_a(self.a.spool, 'b')

    def test_shared_name(self):
        self.a.config['multi_instance_name'] = self.b.config['multi_instance_name'] = 'postfix-twin'
        self.start_with_only_a('postfix-twin', str(self.a.folder), str(self.b.folder))

    def test_listed_folder_that_is_a_file(self):
        path = self.stack.top / 'file'
        path.touch()
        self.a.config['multi_instance_directories'] = f'{self.b.folder} {path}'
        self.stack.start('a', 'b')
        self.assert_one_line(path)
        self.assert_a_works()

    def test_bad_name(self):
        self.b.config['multi_instance_name'] = 'no name/at all'
        self.start_with_only_a(self.b.folder / 'main.cf', 'multi_instance_name')

    def test_shared_data_folder(self):
        self.b.config['data_directory'] = self.a.data
        self.start_with_only_a(self.a.data, 'b')

    def test_shared_listener(self):
        self.b.port = self.a.port
        self.stack.start('a')
        self.assert_one_line(self.a.port, 'b')
        self.assert_a_works()

    # Warnings, and the primary itself

    def test_unknown_parameter_is_a_warning(self):
        self.b.config['no_such_parameter'] = '1'
        self.stack.start('a', 'b')
        self.assert_one_line('warning', self.b.folder / 'main.cf', 'unused parameter', 'no_such_parameter=1')

    def test_used_user_parameter_is_no_warning(self):
        self.b.config |= {'my_word': 'hello', 'smtpd_banner': '$myhostname $my_word'}
        self.stack.start()
        with self.b.client() as connection:
            self.assertIn('hello', connection.reply()[1])
        self.assertEqual([line for line in self.lines() if 'my_word' in line], [])

    def test_bad_primary_says_one_line_and_ends(self):
        self.a.config['message_size_limit'] = 'much'
        self.stack.write()
        for verb in ('start-fg', 'start', 'check'):
            answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', self.a.folder, verb)
            self.assertIn(answer.returncode, range(64, 79), verb)
            self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)
            self.assertIn('message_size_limit', answer.stderr)

    def test_missing_primary(self):
        answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', '/nonexistent', 'start-fg')
        self.assertIn(answer.returncode, range(64, 79))
        self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)
        self.assertIn('/nonexistent', answer.stderr)

    def test_bad_command_lines(self):
        for arguments in ((), ('-c',), ('-Z',), ('frobnicate',), ('spool', '--wait', 'x=y'), ('spool', '--env', 'nobody')):
            with self.subTest(arguments):
                answer = environment.run(environment.COMMANDS / 'bulkhead', *arguments)
                self.assertIn(answer.returncode, range(64, 79), answer.stderr)

    def test_debians_master_cf_loads_unchanged(self):
        data = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'data', 'debian-master.cf')
        with open(data, encoding='utf-8') as file:
            text = file.read()
        self.assertIn('\nsmtp      inet', text)
        self.b.master_cf = lambda: text
        self.stack.write()
        answer = environment.run(environment.COMMANDS / 'bulkhead', '-c', self.b.folder, 'check')
        self.assertEqual(answer.returncode, 0, answer.stderr)


if __name__ == '__main__':
    scenario.main()
