#!/usr/bin/env python3
"""The programs that call sendmail, with the arguments they use: each as an unprivileged user, through the
set-group-id postdrop of a staged installation, to a server that takes the mail."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import environment
import processes
import scenario

USER = 'nobody'


class Callers(scenario.Scenario):
    def setUp(self):
        self.stack, self.a, self.received = self.relaying(myorigin='a.example')

    def send(self, *words, text='Subject: {}\n\ntext\n', name='sendmail', subject=None):
        """Runs sendmail as USER; the message that arrives."""
        subject = subject or self.id().rpartition('.')[2]
        answer = self.a.command_as(USER, name, *words, input=text.format(subject))
        self.assertEqual((answer.returncode, answer.stdout, answer.stderr), (0, '', ''))
        return self.arrived(subject)

    def arrived(self, subject):
        message = self.received.wait_for(lambda message: f'Subject: {subject}\r\n'.encode() in message.header,
                                         15 * environment.SLOWER)
        self.assertIsNotNone(message, f'"{subject}" did not arrive')
        return message

    def test_cron_of_debian(self):
        message = self.send('-i', '-FCronDaemon', '-B8BITMIME', '-oem', 'joe',
                            text='From: root (Cron Daemon)\nTo: joe\nSubject: {}\nContent-Type: text/plain; charset=UTF-8\n\n.\nGrün\n')
        self.assertEqual((message.sender, message.recipients), ('nobody@a.example', ['joe@a.example']))
        self.assertEqual(message.body.decode(), '.\r\nGrün\r\n')

    def test_cron_of_cronie(self):
        message = self.send('-FCronDaemon', '-i', '-odi', '-oem', '-oi', '-t', '-f', 'joe',
                            text='From: "(Cron Daemon)" <joe>\nTo: joe\nSubject: {}\nAuto-Submitted: auto-generated\n\n.\nout\n')
        self.assertEqual((message.sender, message.recipients), ('joe@a.example', ['joe@a.example']))
        self.assertEqual(message.body, b'.\r\nout\r\n')

    def test_php(self):
        message = self.send('-t', '-i', '-fweb@site.example', text='To: r@dest.example\nSubject: {}\nBcc: b@dest.example\n\nx\n')
        self.assertEqual((message.sender, sorted(message.recipients)), ('web@site.example', ['b@dest.example', 'r@dest.example']))
        self.assertNotIn(b'b@dest', message.header)

    def test_php_without_an_end_of_line(self):
        message = self.send('-t', '-i', text='To: r@dest.example\r\nSubject: {}\r\n\r\nlast line')
        self.assertEqual(message.body, b'last line\r\n')

    def test_git_send_email(self):
        text = 'From: Me <me@site.example>\nTo: list@dest.example\nSubject: {}\n\n---\n.\n--\n2.39\n'
        message = self.send('-i', 'list@dest.example', 'two@dest.example', text=text)
        self.assertEqual(sorted(message.recipients), ['list@dest.example', 'two@dest.example'])
        message = self.send('-f', 'me@site.example', '-i', 'list@dest.example', text=text, subject='git with -f')
        self.assertEqual((message.sender, message.body), ('me@site.example', b'---\r\n.\r\n--\r\n2.39\r\n'))

    def test_mdadm(self):
        message = self.send('-t', text='From: mdadm monitoring <root>\nTo: root\nSubject: {}\n\nThis is an automatically generated mail\n')
        self.assertEqual(message.recipients, ['root@a.example'])

    def test_fail2ban(self):
        message = self.send('-f', 'fail2ban@site.example', 'root@dest.example', text='Subject: {}\nFrom: Fail2Ban <fail2ban@site.example>\nTo: root@dest.example\n\nHi,\n')
        self.assertEqual((message.sender, message.recipients), ('fail2ban@site.example', ['root@dest.example']))

    def test_logwatch(self):
        message = self.send('-t', text='To: r@dest.example\nFrom: Logwatch <root@site.example>\nSubject: {}\nMIME-Version: 1.0\n\n' + 'line\n' * 5000)
        self.assertEqual(len(message.body), 6 * 5000)

    def test_mailx(self):
        message = self.send('-i', '-fme@site.example', 'r@dest.example', text='Subject: {}\nTo: r@dest.example\n\nhello\n')
        self.assertEqual(message.sender, 'me@site.example')

    def smtp_by(self, subject):
        return (f'EHLO localhost\r\nMAIL FROM:<me@site.example>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\nSubject: {subject}\r\n\r\n'
                '..dot\r\n.\r\nQUIT\r\n')

    def test_bs_as_mutt_and_alpine(self):
        for words in (('-bs',), ('-bs', '-odb', '-oem')):
            subject = ' '.join(words)
            answer = self.a.command_as(USER, 'sendmail', *words, input=self.smtp_by(subject))
            codes = [line[:3] for line in answer.stdout.splitlines() if line[3:4] == ' ']
            self.assertEqual(codes, ['220', '250', '250', '250', '354', '250', '221'], answer.stdout)
            self.assertEqual(self.arrived(subject).body, b'.dot\r\n')

    def test_python_subprocess(self):
        """A caller that writes slowly and in pieces, as `subprocess` users do."""
        script = ('import subprocess,sys\np=subprocess.Popen([sys.argv[1],"-t","-oi"],stdin=subprocess.PIPE)\n'
                  'for part in (b"To: r@dest.example\\nSub", b"ject: pieces\\n", b"\\nx\\n"):\n  p.stdin.write(part); p.stdin.flush()\n'
                  'p.stdin.close()\nsys.exit(p.wait())')
        sendmail = environment.COMMANDS / 'sendmail'
        answer = environment.run('python3', '-c', script, sendmail, env=os.environ | {'MAIL_CONFIG': str(self.a.folder)})
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(self.arrived('pieces').body, b'x\r\n')

    def test_real_mailx(self):
        mail = shutil.which('bsd-mailx') or shutil.which('mail')
        if not mail:
            self.skipTest('no mail(1) here')
        answer = environment.run(mail, '-s', 'by mailx', 'r@dest.example', input='hello\n',
                                 env=os.environ | {'MAIL_CONFIG': str(self.a.folder), 'sendmail': str(environment.COMMANDS / 'sendmail'),
                                                   'MAILRC': '/dev/null', 'HOME': '/nonexistent'})
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn(b'hello', self.arrived('by mailx').body)

    def test_reports(self):
        answer = self.a.command_as(USER, 'sendmail', '-bv', '-f', 's@dest.example', 'r@dest.example')
        self.assertEqual((answer.returncode, answer.stdout),
                         (0, 'Mail Delivery Status Report will be mailed to <s@dest.example>.\n'))
        self.assertEqual(self.arrived('Mail Delivery Status Report').recipients, ['s@dest.example'])
        self.assertFalse([message for message in self.received.messages if 'r@dest.example' in message.recipients])


class Refusals(scenario.Scenario):
    """What is refused leaves nothing behind."""

    def setUp(self):
        self.stack = self.system('a')
        self.a = self.stack['a']

    def prepare(self, **settings):
        self.a.config |= settings
        self.stack.write()
        self.assertEqual(self.a.control('check').returncode, 0)

    def refused(self, *words, input='Subject: x\n\nx\n', code=75):
        answer = self.a.command_as(USER, 'sendmail', *words, input=input)
        self.assertEqual(answer.returncode, code, answer.stderr)
        self.assertEqual(len(answer.stderr.splitlines()), 1, answer.stderr)
        self.assertEqual(list((self.a.spool / 'maildrop').iterdir()), [])
        return answer.stderr

    def test_too_big(self):
        self.prepare(message_size_limit='10000')
        self.assertIn('Message file too big', self.refused('r@dest.example', input='y' * 30000))
        self.assertIn('Message file too big', self.refused('r@dest.example', input='y\n' * 3000000))

    def test_not_authorized(self):
        self.prepare(authorized_submit_users='root')
        self.assertIn(f'User nobody({pwd.getpwnam(USER).pw_uid}) is not allowed to submit mail', self.refused('r@dest.example'))

    def test_senders_of_others(self):
        number = pwd.getpwnam(USER).pw_uid
        allowed = 'inline:{ {nobody = nobody, @lists.example <>} }'
        self.prepare(local_login_sender_maps=allowed, myorigin='a.example')
        for sender in ('else@a.example', 'nobody@other.example', 'x@sub.lists.example'):
            self.assertIn(f'User {USER}({number}) is not allowed to send mail as <{sender}>',
                          self.refused('-f', sender, 'r@dest.example'))
        for words in ((), ('-f', 'nobody@A.example'), ('-f', 'x@lists.example'), ('-f', '')):
            answer = self.a.command_as(USER, 'sendmail', *words, 'r@dest.example', input='Subject: x\n\nx\n')
            self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(len(list((self.a.spool / 'maildrop').iterdir())), 4)

    def test_disk_full(self):
        self.prepare()
        maildrop = self.a.spool / 'maildrop'
        there = maildrop.stat()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size=64k,mode=1730,uid={there.st_uid},gid={there.st_gid}', 'full', maildrop],
                       check=True)
        self.addCleanup(subprocess.run, ['umount', maildrop], check=True)
        self.assertIn('No space left on device', self.refused('r@dest.example', input='Subject: x\n\n' + 'y' * 70 * 10000))

    def test_killed_half_way(self):
        self.prepare()
        for victim in ('sendmail', 'postdrop'):
            for number in (signal.SIGTERM, signal.SIGINT):
                with self.subTest(victim=victim, signal=number):
                    self.kill_half_way(victim, number)

    def kill_half_way(self, victim, number):
        sendmail = subprocess.Popen([environment.COMMANDS / 'sendmail', '-C', self.a.folder, 'r@dest.example'],
                                    stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            sendmail.stdin.write(b'Subject: half\n\n' + b'y\n' * 100000)
            sendmail.stdin.flush()
            maildrop = self.a.spool / 'maildrop'
            self.wait(lambda: list(maildrop.iterdir()), message='nothing was begun')
            [postdrop] = processes.descendants(sendmail.pid)
            os.kill(sendmail.pid if victim == 'sendmail' else postdrop, number)
            self.wait(lambda: not list(maildrop.iterdir()), message='half a message stayed')
        finally:
            try:
                sendmail.stdin.close()
            except BrokenPipeError:
                pass
            self.assertNotEqual(sendmail.wait(20), 0)

    def test_closed_descriptors(self):
        self.prepare()
        for closing in ('<&-', '>&-', '2>&-', '<&- >&- 2>&-'):
            line = f'exec "$0" -C "$1" r@dest.example {closing}'
            answer = environment.run('sh', '-c', line, environment.COMMANDS / 'sendmail', self.a.folder, input='Subject: x\n\nx\n')
            self.assertEqual(answer.returncode, 0, (closing, answer.stderr))
        files = list((self.a.spool / 'maildrop').iterdir())
        self.assertEqual(len(files), 4)
        for path in files:
            self.assertTrue(path.read_bytes().endswith(b'X\0E\0'), path)

    def test_writes_nowhere_else(self):
        self.prepare()
        before = self.everything()
        for words in (('-bp',), ('-q',), ('-bz',), ('-X', '/tmp/bulkhead-traffic', 'r'), ('-oQ/tmp/bulkhead-queue', '-bp')):
            self.a.command_as(USER, 'sendmail', *words)
        self.assertEqual(self.everything(), before)
        self.assertFalse(pathlib.Path('/tmp/bulkhead-traffic').exists())

    def everything(self):
        return sorted((str(path), path.lstat().st_mtime_ns) for path in self.a.top.rglob('*') if path != self.a.log)


class Qshape(scenario.Scenario):
    def test_counts_what_waits(self):
        _, a, sink = self.relaying(minimal_backoff_time='600s', maximal_backoff_time='600s')
        sink.script['rcpt'] = lambda *_: '450 4.2.0 try later'
        for sender, recipients in (('a@x.example', ('1@one.example', '2@ONE.example')), ('b@y.example', ('3@two.example',))):
            self.assertEqual(a.sendmail('-f', sender, *recipients, input='Subject: x\n\nx\n').returncode, 0)
        a.wait_spool('deferred=2,active=0,incoming=0,maildrop=0')
        self.assertEqual([line.split()[:3] for line in a.command('qshape', 'deferred').stdout.splitlines()[1:]],
                         [['TOTAL', '3', '3'], ['one.example', '2', '2'], ['two.example', '1', '1']])
        self.assertEqual([line.split()[:3] for line in a.command('qshape', '-s', 'deferred').stdout.splitlines()[1:]],
                         [['TOTAL', '2', '2'], ['x.example', '1', '1'], ['y.example', '1', '1']])
        self.assertEqual(a.command('qshape', '-b', '0').returncode, 64)


class PostfixFront(scenario.Scenario):
    def test_verbs_that_scripts_use(self):
        system = self.system('a')
        a = system['a']
        system.write()
        for verb in ('status', 'reload', 'stop', 'abort', 'flush', 'drain', 'nonsense', 'tls'):
            self.assertEqual(a.command('postfix', verb).returncode, 1, verb)
        for verb in ('quick-stop', 'check', 'set-permissions', 'upgrade-configuration'):
            answer = a.command('postfix', verb)
            self.assertEqual(answer.returncode, 0, (verb, answer.stderr))
        self.addCleanup(a.command, 'postfix', 'quick-stop')
        self.assertEqual(a.command('postfix', 'start').returncode, 0)
        for verb, code in (('start', 1), ('status', 0), ('reload', 0), ('flush', 0), ('check', 0)):
            self.assertEqual(a.command('postfix', verb).returncode, code, verb)
        self.assertEqual(a.command('postfix', 'stop').returncode, 0)
        self.assertEqual(a.command('postfix', 'status').returncode, 1)

    def test_command_in_the_environment(self):
        system = self.system('a')
        system.write()
        a = system['a']
        told = dict(line.split('=', 1) for line in a.command('postfix', '/usr/bin/env').stdout.splitlines())
        self.assertEqual((told['queue_directory'], told['config_directory'], told['MAIL_CONFIG'], told['command_directory']),
                         (str(a.spool), str(a.folder), str(a.folder), str(environment.COMMANDS)))
        self.assertEqual(a.command('postfix', '/bin/sh', '-c', 'exit 5').returncode, 5)
        self.assertEqual(a.command('postfix', '/nonexistent').returncode, 127)


if __name__ == '__main__':
    scenario.main()
