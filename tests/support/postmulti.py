"""The base of scenarios in which postmulti makes environments below a primary one."""
import os
import re
import subprocess

import environment
import ports
import scenario
import smtp_raw

ACTIONS = {'config': 'config_directory', 'spool': 'queue_directory', 'data': 'data_directory'}


class Scenario(scenario.Scenario):
    def setUp(self):
        self.users = []
        self.addCleanup(self.remove_users)

    def remove_users(self):
        for user in self.users:
            subprocess.run(['userdel', user], capture_output=True, check=False)

    def primary(self, *names):
        system, sink = self.system('a', *names), self.sink()
        for each in system.environments.values():
            each.relay_to(sink.port)
        system.write()
        return system, sink

    def command(self, system, program, *arguments, **options):
        return environment.run(environment.COMMANDS / program, *arguments,
                               env={**os.environ, 'MAIL_CONFIG': str(system.primary.folder)}, **options)

    def postmulti(self, system, *arguments, status=0):
        answer = self.command(system, 'postmulti', *arguments)
        self.assertEqual(answer.returncode, status, f'{arguments}: {answer.stdout}{answer.stderr}')
        return answer

    def create(self, system, name='postfix-x', *more, status=0):
        top = system.top / name
        top.mkdir(exist_ok=True)
        self.users.append('bh-' + name.split('-', 1)[1])
        answer = self.postmulti(system, '-e', 'create', '-I', name, '-G', 'mta',
                                *(f'{parameter}={top}/{part}' for part, parameter in ACTIONS.items()), *more, status=status)
        return top, answer

    def listed(self, system):
        return [line.split() for line in self.postmulti(system, '-l').stdout.splitlines()]

    def with_listener(self, top):
        port = ports.free_port()
        path = top / 'config/master.cf'
        path.write_text(re.sub(r'(?m)^127\.0\.0\.1:\d+ ', f'127.0.0.1:{port} ', path.read_text()))
        return port

    def say_hello(self, port):
        with smtp_raw.RawClient(port) as connection:
            return connection.reply()[0]
