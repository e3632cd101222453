#!/usr/bin/env python3
"""./run, as a newcomer uses it: both environments, both ways of delivery, the end."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import client
import environment
import ports
import processes
import scenario
import smtp_raw

SOURCE = pathlib.Path(os.environ.get('BULKHEAD_SOURCE', '.'))
RUN = SOURCE / 'run'


class Run(scenario.Scenario):
    def setUp(self):
        processes.become_subreaper()
        self.process = None
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-run.', dir='/tmp'))
        self.top.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.top, ignore_errors=True)

    def start(self, *options):
        self.ports = {name: ports.free_port() for name in ('projets', 'saisie-temps')}
        arguments = [str(RUN), '--dir', str(self.top), *options]
        for name, port in self.ports.items():
            arguments += ['--port', f'{name}={port}']
        self.output = self.top / 'output'
        with open(self.output, 'wb') as output:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            start_new_session=True)
        self.addCleanup(self.end)

        def greets(port):
            self.assertIsNone(self.process.poll(), self.output.read_text())
            try:
                with smtp_raw.RawClient(port, timeout=5) as connection:
                    return connection.reply()[0] == 220
            except OSError:
                return False
        for port in self.ports.values():
            self.wait(lambda: greets(port), 120, 'no greeting')

    def end(self):
        if self.process.poll() is None:
            pids = processes.descendants(self.process.pid)
            self.process.kill()
            processes.kill(pids)
            self.process.wait()

    def send(self, name, identity):
        with smtp_raw.RawClient(self.ports[name]) as connection:
            connection.greet()
            reply = connection.message('me@client.example', 'you@anywhere.example', client.message(identity))
            self.assertEqual(reply[0], 250, reply[1])

    def in_mailbox(self, name, identity):
        folder = self.top / name / 'mail' / 'inbox' / 'new'
        return any(f'X-Ledger-Id: {identity}\n'.encode() in path.read_bytes() for path in folder.glob('*'))

    def test_maildirs_and_stop(self):
        self.start()
        for name in self.ports:
            self.send(name, f'run-{name}')
        for name in self.ports:
            self.wait(lambda: self.in_mailbox(name, f'run-{name}'), 15, f'nothing in the Maildir of {name}')
        said = self.output.read_text()
        for name, port in self.ports.items():
            self.assertIn(f'127.0.0.1:{port}', said)
            self.assertTrue((self.top / name / 'log' / 'mail.log').exists())
        pids = processes.descendants(self.process.pid)
        owners = {processes.status_of(pid).get('Uid', '').split('\t')[0] for pid in pids}
        self.assertGreaterEqual(len(owners), 2, 'the environments share a user')
        begin = time.monotonic()
        os.killpg(self.process.pid, signal.SIGINT)      # as a terminal does it
        self.process.wait(5)
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual([pid for pid in pids if processes.alive(pid)], [])

    def test_relay_and_sigterm(self):
        sink = self.sink()
        self.start('--relay', f'projets=[127.0.0.1]:{sink.port}')
        self.send('projets', 'run-relay')
        self.send('saisie-temps', 'run-local')
        self.assertTrue(sink.wait_for(lambda message: message.id == 'run-relay'))
        self.wait(lambda: self.in_mailbox('saisie-temps', 'run-local'), 15)
        self.assertEqual([message.id for message in sink.messages], ['run-relay'])
        pids = processes.descendants(self.process.pid)
        begin = time.monotonic()
        self.process.terminate()
        self.process.wait(5)
        self.assertLess(time.monotonic() - begin, 2)
        self.assertEqual([pid for pid in pids if processes.alive(pid)], [])

    def test_bad_options(self):
        for arguments in (['--relay', 'projets'], ['--relay', 'nobody=[h]:25'], ['--relay', 'projets=[h]:99999'],
                          ['--relay', 'projets=a b'], ['--relay'], ['--port', 'projets=0'], ['--dir', 'relative'],
                          ['--frobnicate'], ['extra']):
            with self.subTest(arguments):
                answer = environment.run(RUN, *arguments)
                self.assertEqual(answer.returncode, 64)
                self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)

    def test_closed_folder_is_explained(self):
        closed = self.top / 'closed'
        closed.mkdir(mode=0o700)
        answer = environment.run(RUN, '--dir', closed / 'demo', timeout=120)
        self.assertEqual(answer.returncode, 77)
        self.assertIn(str(closed), answer.stderr)


if __name__ == '__main__':
    if os.environ.get('BULKHEAD_BUILD') != str(SOURCE / 'build/release'):
        Run = unittest.skip('./run builds build/release, which is not the tree under test')(Run)
    scenario.main()
