"""Mail to commands by pipe services, and connections to commands by spawn."""
import os
import pwd
import socket

import environment
import processes
import scenario

USER = environment.USERS[1]


class Pipe(scenario.Scenario):
    def start(self, *services, **settings):
        """Each service: (name, program, arguments)."""
        system = self.system('a')
        a = self.a = system['a']
        self.out = a.top / 'out'
        self.out.mkdir()
        account = pwd.getpwnam(USER)
        os.chown(self.out, account.pw_uid, account.pw_gid)
        a.extra_services = ''.join(
            f'{name} unix - n n - - {program}\n  {arguments.format(user=USER, out=self.out)}\n'
            for name, program, arguments in services)
        a.config |= {'default_transport': services[0][0]} | settings
        system.start()
        return a

    def send(self, *recipients, text='Subject: x\n\nhello\n'):
        self.assertEqual(self.a.sendmail('-f', 's@client.example', *recipients, input=text).returncode, 0)

    def read(self, name):
        path = self.out / name
        self.wait(path.exists)
        return path.read_text()

    def test_a_command_gets_the_message(self):
        a = self.start(('store', 'pipe', 'flags=DFORhu> user={user} argv=/bin/sh -c {{cat > {out}/mail; id -un > {out}/who;'
                        ' echo "$$@" > {out}/words}} sh $sender ${{recipient}} $extension $size'),
                       recipient_delimiter='+', store_destination_recipient_limit='1')
        self.send('Joe+Tag@Dest.Example', text='Subject: x\n\nFrom here\n.\n')
        self.assert_log(a, r'pipe\[\d+\]: \w+: to=<Joe\+Tag@Dest\.Example>, relay=store, .*dsn=2\.0\.0, status=sent '
                           r'\(delivered via store service\)')
        self.assertEqual(self.read('who'), USER + '\n')
        self.assertRegex(self.read('words'), r'\As@client\.example joe\+tag@dest\.example tag \d+\n\Z')
        self.assertRegex(self.read('mail'), r'\AFrom s@client\.example  .*\nReturn-Path: <s@client\.example>\n'
                                            r'X-Original-To: Joe\+Tag@Dest\.Example\nDelivered-To: Joe\+Tag@Dest\.Example\n'
                                            r'(?s:.*)\n\n>From here\n')
        a.wait_empty()

    def test_exit_statuses(self):
        a = self.start(('exit', 'pipe', 'user={user} argv=/bin/sh -c {{cat >/dev/null; echo oops; exit $$1}} sh $user'))
        rows = {'67': r'dsn=5\.1\.1, status=bounced \(user unknown\. Command output: oops \)',
                '75': r'dsn=4\.3\.0, status=deferred \(temporary failure\. Command output: oops \)',
                '9': r'dsn=5\.3\.0, status=bounced \(Command died with status 9: "/bin/sh"\. Command output: oops \)'}
        for status, pattern in rows.items():
            self.send(f'{status}@dest.example')
            self.assert_log(a, rf'to=<{status}@dest\.example>, relay=exit, .*{pattern}')

    def test_time_is_limited(self):
        a = self.start(('slow', 'pipe', 'user={user} argv=/bin/sh -c {{sleep 300}}'), slow_time_limit='1s')
        self.send('a@dest.example')
        self.assert_log(a, r'status=bounced \(Command time limit exceeded: "/bin/sh"\)')

    def test_all_recipients_in_one_command(self):
        a = self.start(('many', 'pipe', 'user={user} argv=/bin/sh -c {{cat >/dev/null; echo "$$@" > {out}/words}} sh $recipient'))
        self.send('a@dest.example', 'b@dest.example')
        self.assert_log(a, r'to=<b@dest\.example>, relay=many, .*status=sent')
        self.assertEqual(sorted(self.read('words').split()), ['a@dest.example', 'b@dest.example'])

    def test_never_as_root_or_mail_owner(self):
        for user in ('root', environment.USERS[0]):
            with self.subTest(user):
                a = self.start(('bad', 'pipe', f'user={user} argv=/bin/true'))
                self.deaths_expected = True
                self.send('a@dest.example')
                self.assert_log(a, rf'fatal: .*user={user}: not with the rights of')
                self.assertEqual(len(a.queue_files('active', 'deferred', 'incoming')), 1)

    def test_nothing_is_lost_when_pipe_is_killed(self):
        self.deaths_expected = True
        a = self.start(('store', 'pipe', 'user={user} argv=/bin/sh -c {{sleep 0.2; cat >> {out}/all}}'))
        for number in range(20):
            self.send(f'u{number}@d{number}.example', text=f'Subject: x\n\nmessage {number}.\n')
        for _ in range(3):
            workers = self.wait(lambda: a.workers('pipe') or not a.queue_files('active', 'deferred', 'incoming'))
            if workers is True:
                break
            self.wait(lambda: processes.descendants(workers[0]) or not processes.alive(workers[0]))
            processes.kill(workers)
            self.wait(lambda: not any(map(processes.alive, workers)))
        a.wait_empty(60)
        text = self.read('all')
        self.assertEqual([n for n in range(20) if f'message {n}.' not in text], [])

    def test_spawn_gives_the_connection_to_a_command(self):
        a = self.start(('policy', 'spawn', 'user={user} argv=/bin/sh -c {{read line; id -un; echo "got $line"}}'))
        self.wait((a.spool / 'private/policy').exists)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        with client:
            client.connect(str(a.spool / 'private/policy'))
            client.sendall(b'hello\n')
            text = client.makefile().read()
        self.assertEqual(text, f'{USER}\ngot hello\n')


if __name__ == '__main__':
    scenario.main()
