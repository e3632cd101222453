#!/usr/bin/env python3
"""One worker looked at alone: -v behind its command, -S by hand, -D for a debugger."""
import ctypes
import os
import re

import client
import environment
import scenario

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
LIBC = ctypes.CDLL(None, use_errno=True)


def ptrace(request, pid):
    if LIBC.ptrace(ctypes.c_long(request), ctypes.c_long(pid), None, None) != 0:
        raise OSError(ctypes.get_errno(), 'ptrace')


class Debugging(scenario.Scenario):
    def with_option(self, program, option):
        """Environment a with an option behind one command of master.cf, relaying to a sink."""
        system, sink = self.system('a'), self.sink()
        a = system['a']
        a.relay_to(sink.port)
        plain = a.master_cf()
        text = re.sub(rf'(\s{program})$', rf'\1 {option}', plain, flags=re.M)
        self.assertNotEqual(text, plain)
        a.master_cf = lambda: text
        system.start()
        return a, sink

    def send(self, a, identity):
        with a.client() as connection:
            connection.greet()
            reply = connection.message('s@client.example', 'r@dest.example', client.message(identity))
            self.assertEqual(reply[0], 250, reply[1])

    def test_trace_of_one_worker_only(self):
        for program, tag, wanted in (
                ('smtpd', 'smtpd', [r'> \S+: 220 mx', r'< \S+: EHLO', r'> \S+: 250-PIPELINING', r'< \S+: MAIL FROM',
                                    'public/cleanup: end of message']),
                ('cleanup', 'cleanup', ['< client: new message', r'< client: records \(\d+ bytes\)', '> public/qmgr: arrival']),
                ('trivial-rewrite', 'trivial-rewrite', ['< client: resolve .*address=r@dest.example', '> client: ok transport=smtp']),
                ('qmgr', 'qmgr', ['< client: arrival', 'next is smtp:', '> private/smtp: deliver', 'outcomes=s']),
                ('smtp', 'smtp', ['< client: deliver', r'< \S+: 220 ', r'> \S+: EHLO', r'< \S+: 354 '])):
            with self.subTest(program):
                a, sink = self.with_option(program, '-v')
                self.send(a, f'trace-{tag}')
                self.assertTrue(sink.wait_for(lambda message: message.id == f'trace-{tag}'))
                a.wait_empty()
                for pattern in wanted:
                    self.assert_log(a, rf'a/{tag}\[\d+\]: .*{pattern}')
                talking = set(re.findall(r'a/(\S+)\[\d+\]: [<>] ', a.log_text()))
                self.assertEqual(talking, {tag})
                self.assertNotIn(f'X-Ledger-Id: trace-{tag}', a.log_text())

    def test_smtpd_by_hand(self):
        _, a, sink = self.relaying()
        words = ('EHLO client.example\r\nMAIL FROM:<s@a.example>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\n'
                 'X-Ledger-Id: by-hand\r\n\r\nx\r\n.\r\nQUIT\r\n')
        answer = environment.run(environment.PREFIX / 'libexec/bulkhead/smtpd', '-S', '-v', input=words,
                                 env=os.environ | {'MAIL_CONFIG': str(a.folder)})
        self.assertEqual(answer.returncode, 0, answer.stderr)
        codes = [line[:3] for line in answer.stdout.splitlines() if line[3:4] == ' ']
        self.assertEqual(codes, ['220', '250', '250', '250', '354', '250', '221'])
        self.assertRegex(answer.stderr, r'< \S+: EHLO client\.example')
        self.assertTrue(sink.wait_for(lambda message: message.id == 'by-hand'))

    def test_worker_waits_for_a_debugger(self):
        a, sink = self.with_option('smtp', '-D')
        self.send(a, 'debugged')
        pid = int(self.assert_log(a, r'a/smtp\[\d+\]: waiting for a debugger: gdb -p (\d+)').group(1))
        self.assertEqual(sink.messages, [])
        ptrace(PTRACE_SEIZE, pid)
        self.assertTrue(sink.wait_for(lambda message: message.id == 'debugged'))
        a.wait_empty()
        ptrace(PTRACE_INTERRUPT, pid)
        os.waitpid(pid, 0x40000000)     # __WALL
        ptrace(PTRACE_DETACH, pid)


if __name__ == '__main__':
    scenario.main()
