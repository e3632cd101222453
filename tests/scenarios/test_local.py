"""Mail for users of this system: mailboxes, aliases, .forward files, commands; killed in the middle."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import processes
import scenario

USER = 'bh-test-c'      # with a home, unlike the mail owners
OTHER = 'bh-test-d'
LOCAL = ('local     unix  -       n       n       -       -       local\n'
         'proxymap  unix  -       -       n       -       -       proxymap\n')


def ensure_user(name, home):
    """A user of the system; its home lies in the test's own folder, by a link that each test makes anew."""
    for _ in range(5):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            subprocess.run(['useradd', '--system', '--user-group', '--no-create-home', '--home-dir', home, '--shell',
                            '/bin/sh', name], capture_output=True, check=False)
    return pwd.getpwnam(name)


class LocalTest(scenario.Scenario):
    def start(self, aliases='', **settings):
        system = self.system('a')
        a = self.a = system['a']
        a.extra_services = LOCAL
        self.sink = scenario.Sink()
        self.addCleanup(self.sink.stop)
        a.relay_to(self.sink.port)
        self.spool = a.top / 'mailboxes'
        self.spool.mkdir()
        self.spool.chmod(0o2775)
        os.chown(self.spool, 0, 8)      # root:mail, as Debian has /var/mail
        self.homes = {}
        for name in (USER, OTHER):
            home = pathlib.Path(f'/var/tmp/{name}-home')
            account = ensure_user(name, home)
            subprocess.run(['rm', '-rf', home], check=True)
            home.mkdir(mode=0o755)
            os.chown(home, account.pw_uid, account.pw_gid)
            self.addCleanup(subprocess.run, ['rm', '-rf', home])
            self.homes[name] = home
        source = a.folder / 'aliases'
        source.write_text(aliases)
        a.config |= {
            'mydestination': '$myhostname, $mydomain',
            'local_recipient_maps': '',
            'alias_maps': f'texthash:{source}',
            'mail_spool_directory': self.spool,
            'recipient_delimiter': '+',
            'default_privs': OTHER,
        } | settings
        system.start()
        return system, a

    def send(self, *recipients, body='hello', sender='s@client.example'):
        answer = self.a.sendmail('-f', sender, *recipients, input=f'Subject: x\n\n{body}\n')
        self.assertEqual(answer.returncode, 0, answer.stderr)

    def home_file(self, user, name, text, mode=0o600):
        path = self.homes[user] / name
        path.write_text(text)
        path.chmod(mode)
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
        return path

    def mailbox(self, user):
        path = self.spool / user
        return path.read_text() if path.exists() else ''

    def test_a_system_user_gets_mail_in_the_default_configuration(self):
        _, a = self.start(local_recipient_maps='proxy:unix:passwd.byname $alias_maps')
        self.send(USER)
        self.assert_log(a, rf'local\[\d+\]: \w+: to=<{USER}@a\.example>, .*relay=local, .*dsn=2\.0\.0, '
                           r'status=sent \(delivered to mailbox\)')
        text = self.mailbox(USER)
        self.assertRegex(text, rf'\AFrom s@client\.example  .*\nReturn-Path: <s@client\.example>\n'
                               rf'X-Original-To: {USER}\nDelivered-To: {USER}@a\.example\n')
        self.assertTrue(text.endswith('hello\n\n'), text)
        state = (self.spool / USER).stat()
        self.assertEqual((state.st_uid, state.st_mode & 0o777), (pwd.getpwnam(USER).pw_uid, 0o600))
        with a.client() as client:
            client.greet()
            code, text = client.envelope('s@client.example', 'no-such-user@a.example')
        self.assertEqual((code, text[:5]), (550, '5.1.1'))
        a.wait_empty()

    def test_unknown_users_bounce(self):
        _, a = self.start()
        self.send('nobody-here@a.example', sender=USER)
        self.assert_log(a, r'to=<nobody-here@a\.example>, .*dsn=5\.1\.1, status=bounced '
                           r'\(unknown user: "nobody-here"\)')
        self.wait(lambda: 'Undelivered Mail' in self.mailbox(USER))
        a.wait_empty()

    def test_aliases(self):
        _, a = self.start(f'team: {USER}, far@dest.example, "|cat > /tmp/bh-local-{os.getpid()}"\n'
                          f'owner-team: {OTHER}\nroot: {USER}\nself: \\self, {USER}\n{USER}: {USER}, null\n'
                          'null: /dev/null\nloop: pool\npool: loop\n')
        mark = pathlib.Path(f'/tmp/bh-local-{os.getpid()}')
        self.addCleanup(mark.unlink, missing_ok=True)
        self.send('team+x')
        self.assert_log(a, rf'to=<{USER}@a\.example>, orig_to=<team\+x>, relay=local, .*status=sent \(delivered to mailbox\)')
        self.assert_log(a, r'to=<team\+x@a\.example>, orig_to=<team\+x>, relay=local, .*status=sent \(forwarded as \w+\)')
        self.assert_log(a, r'status=sent \(delivered to command: cat > /tmp/bh-local')
        self.assert_log(a, r'to=<null@a\.example>, .*\(delivered to file: /dev/null\)')
        self.assertIn('Return-Path: <owner-team@a.example>', self.mailbox(USER))
        self.wait(lambda: self.sink.messages)
        message = self.sink.messages[0]
        self.assertEqual(message.sender, 'owner-team@a.example')
        self.assertIn(b'Delivered-To: team+x@a.example\r\n', message.data)
        self.assertEqual(mark.stat().st_uid, pwd.getpwnam(OTHER).pw_uid)   # default_privs
        self.assertRegex(mark.read_text(), r'\AFrom owner-team@a\.example ')
        self.send('loop')
        self.assert_log(a, r'to=<(loop|pool)@a\.example>, .*status=bounced \(unknown user')
        a.wait_empty()

    def test_one_that_waits_does_not_repeat_the_others(self):
        _, a = self.start(f'team: {USER}, {OTHER}\n', deliver_lock_attempts=1)
        lock = self.spool / f'{OTHER}.lock'
        lock.touch()
        self.send('team')
        self.assert_log(a, rf'to=<{OTHER}@a\.example>, .*status=deferred \(cannot update mailbox .*locked')
        lock.unlink()
        a.wait_empty()
        self.assertEqual([self.mailbox(user).count('\nSubject: x\n') for user in (USER, OTHER)], [1, 1])

    def test_forward_files(self):
        _, a = self.start()
        self.home_file(USER, '.forward', f'# keep one\n\\{USER}, far@dest.example\n'
                                         '"|echo $USER $EXTENSION $RECIPIENT >> $HOME/said"\n')
        self.home_file(USER, '.forward+x', f'{self.homes[USER]}/file, {self.homes[USER]}/dir/\n')
        self.send(USER)
        self.assert_log(a, r'forwarded as')
        self.assert_log(a, r'delivered to mailbox')
        self.wait(lambda: (self.homes[USER] / 'said').exists() and (self.homes[USER] / 'said').read_text())
        self.assertEqual((self.homes[USER] / 'said').read_text(), f'{USER} {USER}@a.example\n')
        self.send(f'{USER}+x')
        self.wait(lambda: list((self.homes[USER] / 'dir/new').glob('*')))
        self.assertIn('Subject: x', (self.homes[USER] / 'file').read_text())
        a.wait_empty()
        self.home_file(USER, '.forward', 'thief@dest.example\n', mode=0o666)
        before = len(self.sink.messages)
        self.send(USER)
        self.wait(lambda: self.mailbox(USER).count('\nSubject: x') == 2)
        self.assert_log(a, r'warning: .*\.forward is writable for everybody')
        a.wait_empty()
        self.assertEqual(len(self.sink.messages), before)

    def test_loops_end(self):
        _, a = self.start()
        self.a.sendmail('-f', 's@client.example', USER, input=f'Delivered-To: {USER}@a.example\nSubject: x\n\n')
        self.assert_log(a, r'status=bounced \(mail forwarding loop for')

    def test_mailbox_command_and_its_environment(self):
        _, a = self.start(mailbox_command='env > $HOME/environment; case $EXTENSION in no) echo 5.7.9 not you; exit 1;; esac')
        self.send(f'{USER}+x|$id')
        self.assert_log(a, r'status=sent \(delivered to command: env > ')
        found = dict(line.split('=', 1) for line in (self.homes[USER] / 'environment').read_text().splitlines())
        self.assertEqual(found['EXTENSION'], 'x__id')
        self.assertEqual((found['USER'], found['HOME'], found['SENDER']), (USER, str(self.homes[USER]), 's@client.example'))
        self.send(f'{USER}+no')
        self.assert_log(a, r'dsn=5\.7\.9, status=bounced \(not you\)')

    def test_home_mailbox_and_size_limit(self):
        _, a = self.start(home_mailbox='Maildir/', mailbox_size_limit=20000, message_size_limit=20000)
        self.send(USER)
        self.assert_log(a, r'status=sent \(delivered to maildir\)')
        self.assertEqual(len(list((self.homes[USER] / 'Maildir/new').glob('*'))), 1)

    def test_other_agents_and_fallbacks(self):
        _, a = self.start(fallback_transport='virtual', luser_relay=USER)
        self.send('unknown')
        self.assert_log(a, r'virtual\[\d+\]: \w+: to=<unknown@a\.example>, .*relay=virtual')
        a.config['fallback_transport'] = ''
        a.write()
        self.assertEqual(a.control('reload').returncode, 0)
        self.send('unknown2')
        self.assert_log(a, rf'to=<{USER}@a\.example>, orig_to=<unknown2>, .*delivered to mailbox')

    def test_nobody_is_lost_when_local_is_killed(self):
        self.deaths_expected = True
        _, a = self.start(mailbox_command='sleep 0.2; cat >> $HOME/all')
        for number in range(30):
            self.send(f'{USER}+{number}', body=f'message {number}.')
        end = time.monotonic() + 8
        killed = 0
        while time.monotonic() < end and killed < 4:
            workers = a.workers('local')
            if workers and self.wait(lambda: processes.descendants(workers[0]) or not processes.alive(workers[0])):
                os.kill(workers[0], signal.SIGKILL)
                killed += 1
                self.wait(lambda: not processes.alive(workers[0]))
            self.wait(lambda: a.workers('local') or not a.queue_files('active', 'deferred', 'incoming'))
        self.assertGreater(killed, 0)
        a.wait_empty(60)
        text = (self.homes[USER] / 'all').read_text()
        self.assertEqual([n for n in range(30) if f'message {n}.' not in text], [])

    def test_no_mailbox_loses_a_message_when_local_is_killed(self):
        self.deaths_expected = True
        _, a = self.start(stale_lock_time='1s')      # a dead process leaves its dotlock behind
        killed = 0
        for number in range(60):
            self.send(USER, body=f'message {number}.')
            if number % 6 == 5:
                workers = a.workers('local')
                processes.kill(workers)
                killed += len(workers)
        a.wait_empty(60)
        self.assertGreater(killed, 0)
        text = self.mailbox(USER)
        self.assertEqual([n for n in range(60) if f'message {n}.\n' not in text], [])

    def test_procmail(self):
        if not shutil.which('procmail'):
            self.skipTest('procmail is not installed')
        _, a = self.start(mailbox_command='procmail -a "$EXTENSION"')
        self.addCleanup(pathlib.Path('/var/mail', USER).unlink, missing_ok=True)     # procmail makes it
        self.home_file(USER, '.procmailrc', 'DEFAULT=$HOME/inbox\nEXT=$1\n:0:\n* EXT ?? ^list$\nlists\n', mode=0o644)
        self.send(f'{USER}+list')
        self.send(USER)
        self.wait(lambda: all((self.homes[USER] / name).exists() for name in ('lists', 'inbox')))
        self.assert_log(a, r'status=sent \(delivered to command: procmail -a')
        a.wait_empty()
        for name in ('lists', 'inbox'):
            self.assertEqual((self.homes[USER] / name).read_text().count('\nSubject: x\n'), 1)

    def test_dovecot_lda(self):
        lda = pathlib.Path('/usr/lib/dovecot/dovecot-lda')
        if not lda.exists():
            self.skipTest('dovecot-lda is not installed')
        conf = pathlib.Path(f'/var/tmp/bh-dovecot-{os.getpid()}.conf')
        conf.write_text('mail_location = maildir:~/Maildir\nlog_path = /dev/stderr\nssl = no\nprotocols =\n'
                        'passdb {\n driver = static\n}\nuserdb {\n driver = passwd\n}\n')
        conf.chmod(0o644)
        self.addCleanup(conf.unlink)
        _, a = self.start(mailbox_command=f'{lda} -c {conf} -f "$SENDER" -a "$RECIPIENT"')
        self.send(USER)
        self.assert_log(a, r'status=sent \(delivered to command: ')
        self.assertEqual(len(list((self.homes[USER] / 'Maildir/new').glob('*'))), 1)


if __name__ == '__main__':
    scenario.main()
