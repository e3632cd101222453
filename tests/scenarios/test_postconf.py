#!/usr/bin/env python3
"""postconf against the real one of Postfix 3.7 on equal folders; edits that survive kills, links and company."""
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import unittest

import environment
import real_postconf
import scenario

DATA = pathlib.Path(__file__).resolve().parent.parent / 'data'
SERVICES = '''\
# service
smtp      inet  n       -       n       -       -       smtpd
  -o smtpd_banner=hello
  -o { my_opt = a b c }
# inside comment
  -o user_three=$user_four
  -v
submission inet n - y - 10 smtpd -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt
127.0.0.1:10025 inet n - n - - smtpd -v -v
pickup    unix  n       -       n       60?     1       pickup
relay     unix  -       -       n       -       -       smtp
        -o syslog_name=postfix/$service_name
smtp      unix  -       -       n       -       -       smtp
my-pipe   unix  -       n       n       -       -       pipe
  flags=DRhu user=vmail argv=/usr/bin/x -d ${recipient} { a b }
policy  unix  -       n       n       -       0       spawn user=nobody argv=/usr/bin/policy
dup unix - - n - - smtp
dup unix - n n - - smtp -v
lmtp unix - - n - - lmtp
'''
ODD = '''\
# leading comment
compatibility_level = 3.6
myhostname = odd.example
mydomain=example
  # indented comment in between
alias_maps = hash:/etc/aliases,
# comment inside continuation
	hash:/etc/two,

   hash:/etc/three
relayhost = [a]:25
relayhost = [b]:25   x
user_one = hello $user_two
user_two = world
unused_thing = yes
foo=bar
empty =
smtpd_recipient_restrictions = permit_mynetworks, $user_one reject
relay_destination_concurrency_limit = 3
nosuch_destination_concurrency_limit = 3
mydestination = $myhostname, localhost.$mydomain, localhost, very.long.name.example.com, another.example.com, third.example
smtpd_milters = { inet:localhost:1234,   connect_timeout=10s }
virtual_alias_maps = ldap:ldapone, proxy:pgsql:pgtwo, pgsql:pgone
ldapone_server_host = localhost
ldapone_nosuch = localhost
pgone_hosts = x
pgtwo_dbname = y
smtpd_restriction_classes = rc_one rc_two
rc_one = permit
mail_spool_directory = /var/${nodef:x}/$nodef2 ${deep?yes}
deep = ${deeper}
deeper = {  a   b }  c
  { d
# hidden
    e }
fallback_transport = ${{$foo} == {bar} ? {a} : {b}}
luser_relay = $user@$other
mailbox_command = /bin/x $HOME
authorized_flush_users = $$not $(par)
par = x
a-b = z
'''
FOLDERS = {
    'odd': (ODD, SERVICES),
    'no-line-end': (ODD + 'inet_interfaces = all', SERVICES.rstrip('\n')),
    'crlf': ('myhostname = x\r\nmydestination = a\r\n\tb\r\n\r\n', 'smtp unix - - n - - smtp\r\n'),
    'starts-with-blanks': ('  lost = 1\n \nmyhostname = x\n', '  -o x=y\nsmtp unix - - n - - smtp\n'),
    'long': ('mydestination = ' + ' '.join(f'host{n}.example' for n in range(3000)) + '\n'
             + ''.join(f'smtpd_banner{n} = {"a" * n} bbbb\n' for n in range(58, 74))
             + 'relay_domains = ' + ' '.join(f'$smtpd_banner{n}' for n in range(58, 74)) + '\n', SERVICES),
    'empty': ('', ''),
}
SHOWN = [line.split(' ') for line in '''\
-n
-nf
-nh
-nH
-nx
-nfh
-nxf
-M
-Mf
-Mx
-F
-Ff
-Fh
-FH
-Fx
-P
-Px
-Pf
-Ph
-PH
-C user
-C service
-n -C service
-n -C builtin
-n -C builtin,user
-C all -n
-p -n
-q_is_ours
-M smtp
-M smtp/inet
-M smtp/*
-M */inet
-M */*
-Mf submission my-pipe
-M nosuch
-M smtp/inet/x
-M /
-M inet
-F smtp
-F smtp/inet/chroot
-F */*/command
-F */inet/*
-F smtp/inet/nosuch
-F nosuch/inet/chroot
-F smtp/inet/chroot/y
-P smtp
-P */*/syslog_name
-P smtp/inet/nosuch
-P smtp/unix
-P a/b/c/d
-Ph relay/unix/syslog_name
-Px relay/unix
myhostname nosuch relayhost
-h myhostname
-H myhostname
-x mydestination
-x deeper mail_spool_directory
-x luser_relay mailbox_command
-f mydestination
-fh mydestination
-n relayhost myorigin
-d mydestination
-dh mydestination myorigin
-dH mydestination
-o relayhost=zz relayhost
-o a=b -n
-o bad relayhost
-o myhostname=q -x mydestination
-C nosuch
-C user unused_thing
-C builtin user_one
-h smtpd_recipient_limit default_destination_rate_delay relay_destination_rate_delay my-pipe_time_limit
-l
-l x
-T public-key-algorithms
-T nosuch
-d -n
-d -e a=b
-M -n
-M -d
-M -h
-F -P
-P -n
-p -M
-a -A
-a -m
-b -t
-b -n
-t -h
-l -h
-m -x
-h -H myhostname
-e
-X
-#
-Me
-MX
-P#
-F# smtp/inet/chroot
-FX smtp/inet/chroot
-P# smtp/inet/x
-X -# a
-e -X a
-X a=1
-n a=1
-x a=1
-f a=1
-h a=1
-e -h -H a=1
-Q
-E myhostname
-b a b'''.splitlines() if line != '-q_is_ours']
BAD_MAIN = ['x', '= y', 'compatibility_level = abc', 'mydestination = $aa\naa = $bb\nbb = $aa', 'mydestination = ${aa',
            'mydestination = ${aa|x}']
BAD_SERVICES = ['smtp inet n - n - -', 'smtp foo n - n - - smtpd', 'smtp unix x - n - - smtpd', 'smtp unix - - n -1 - smtpd',
                'smtp unix - - n - x smtpd', 'smtp inet n - n - - smtpd -o', 'smtp inet n - n - - smtpd -o a',
                'smtp inet n - n - - smtpd -o {a=b', 'smtp inet n - n - - smtpd -o {a=b}c',
                'smtp inet n - n - - smtpd -o {a=b} -oc=d -v -vv -D x']
EDITS = [
    # main.cf
    ('-e', 'myhostname=new'), ('-e', 'myhostname = new  value '), ('-e', 'empty=1'), ('-e', 'alias_maps='),
    ('-e', 'alias_maps=hash:/x', 'foo=2'), ('-e', 'relayhost=c'), ('foo=3',), ('-e', 'brand_new=1'),
    ('-e', 'foo=a\nb'), ('-e', '#foo=1'), ('-e', 'foo'), ('-e', '=foo'), ('-e', 'foo foo=1'), ('-e', ' foo =1'),
    ('-e', 'foo=1', 'foo=2'), ('foo=1', 'bar'), ('-X', 'alias_maps'), ('-X', 'relayhost'), ('-X', 'nosuch'),
    ('-X', 'foo', 'nosuch', 'par'), ('-X', ''), ('-X', '#foo'), ('-X', 'foo bar'), ('-#', 'deeper'), ('-#', 'relayhost'),
    ('-#', 'nosuch'), ('-#', 'foo=1'), ('-e', 'foo=$undefined'), ('-e', 'foo=#x'), ('-e', 'foo={ a'), ('-e', 'foo=\xe9'),
    ('-e', 'foo=tab\tx'), ('-v', '-e', 'foo=2'), ('-C', 'user', '-e', 'foo=2'), ('-o', 'z=1', '-e', 'foo=2'),
    # master.cf: services
    ('-Me', 'smtp/inet=smtp inet n - y - - smtpd -o a=b -v'), ('-M', 'smtp/unix=smtp unix - - y - - smtp'),
    ('-Me', 'new/unix=new unix - - y - - smtp -o { a = b c } -o x=y flags=1 user=2'), ('-Me', 'smtp/inet'),
    ('-Me', 'smtp/inet=smtp unix n - y - - smtpd'), ('-Me', 'smtp/inet=smtp inet n - y - -'), ('-Me', 'smtp/inet='),
    ('-Me', 'smtp=smtp inet n - y - - smtpd'), ('-Me', '*/unix=x unix n - y - - smtpd'),
    ('-Me', 'smtp/inet=smtp inet n - y - - smtpd', 'smtp/unix=smtp unix - - n - - smtp -v'),
    ('-Me', 'smtp/inet=smtp inet q - y - - smtpd'),
    ('-MX', 'smtp/inet'), ('-MX', 'smtp'), ('-MX', '*/inet'), ('-MX', 'smtp/*'), ('-MX', 'nosuch/unix'),
    ('-MX', 'smtp/inet=x'), ('-M#', 'smtp/inet'), ('-M#', 'my-pipe/unix'), ('-M#', 'dup/unix'), ('-M#', 'nosuch/unix'),
    # fields
    ('-Fe', 'smtp/inet/chroot=y'), ('-F', 'smtp/inet/chroot=y'), ('-Fe', '*/unix/chroot=y'), ('-Fe', 'smtp/inet/nosuch=y'),
    ('-Fe', 'smtp/inet/chroot=maybe'), ('-Fe', 'smtp/inet/service=mx'), ('-Fe', 'smtp/inet/type=unix'),
    ('-Fe', 'smtp/inet=y'), ('-Fe', 'nosuch/inet/chroot=y'), ('-Fe', 'smtp/inet/wakeup=60?'),
    ('-Fe', 'smtp/inet/process_limit=x'), ('-Fe', 'smtp/inet/command=smtpd'), ('-Fe', 'submission/inet/private=n'),
    ('-Fe', 'smtp/inet/command=smtpd -v -o { a = b  c }'), ('-Fe', 'my-pipe/unix/command=pipe flags=x argv={a b} c'),
    # parameters of services
    ('-Pe', 'smtp/inet/new_one=x'), ('-Pe', 'smtp/inet/smtpd_banner=x'), ('-Pe', 'smtp/inet/smtpd_banner=x y'),
    ('-Pe', 'smtp/unix/new_one=x'), ('-Pe', 'my-pipe/unix/new_one=x'), ('-Pe', '*/inet/new_one='), ('-Pe', 'smtp/inet/*=1'),
    ('-Pe', 'smtp/unix/a=1', 'smtp/unix/b=2', 'smtp/unix/a=3'), ('-P', 'smtp/inet/x=1'), ('-Pe', 'smtp/inet/x'),
    ('-PX', 'smtp/inet/smtpd_banner'), ('-PX', 'smtp/inet/my_opt'), ('-PX', 'submission/inet/syslog_name'),
    ('-PX', '*/inet/smtpd_banner'), ('-PX', 'smtp/inet/nosuch'), ('-PX', 'smtp/inet'), ('-PX', 'smtp/inet/*'),
    ('-PX', 'nosuch/inet/x'),
]


class Folders(unittest.TestCase):
    maxDiff = 3000

    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-postconf.', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.top)
        self.cwd = os.getcwd()
        self.addCleanup(os.chdir, self.cwd)
        os.chdir(self.top)     # both see the same relative names

    def folder(self, main, services, name='etc'):
        folder = self.top / name
        folder.mkdir(exist_ok=True)
        (folder / 'main.cf').write_bytes(main.encode())
        (folder / 'master.cf').write_bytes(services.encode())
        return name


class LikePostfix(Folders):
    def setUp(self):
        super().setUp()
        self.real = real_postconf.RealPostconf()

    def assert_same(self, folder, arguments, stderr=True):
        theirs, ours = self.real.run(folder, *arguments), real_postconf.ours(folder, *arguments)
        if arguments[0] == '-Fh':    # there the real one prints no blank behind "smtp" and "pipe"
            theirs.stdout = re.sub(r'^(pipe|smtp|spawn|smtpd)(?=-v|flags|user)', r'\1 ', theirs.stdout, flags=re.M)
        self.assertEqual((ours.returncode, ours.stdout), (theirs.returncode, theirs.stdout), ours.stderr + theirs.stderr)
        if stderr and theirs.returncode == 0:
            self.assertEqual(real_postconf.complaints(ours, real_postconf.ONLY_OURS),
                             real_postconf.complaints(theirs, real_postconf.ONLY_THEIRS))
        elif theirs.returncode and 'usage: ' not in theirs.stderr and stderr:
            # Ours names the line also where theirs does not.
            place = re.compile(r'fatal: file \S+: line \d+: (?=invalid)')
            self.assertEqual(place.sub('fatal: ', ours.stderr.splitlines()[-1].partition(': ')[2]),
                             theirs.stderr.splitlines()[-1].partition(': ')[2])

    def test_shows_the_same(self):
        for name, (main, services) in FOLDERS.items():
            folder = self.folder(main, services, name)
            for arguments in SHOWN if name == 'odd' else SHOWN[:28]:
                with self.subTest(name, arguments=arguments):
                    self.assert_same(folder, arguments)

    def test_refuses_the_same_files(self):
        for main in BAD_MAIN:
            for arguments in (['-n'], ['-nx'], ['-M'], ['-h', 'mydestination']):
                with self.subTest(main=main, arguments=arguments):
                    self.assert_same(self.folder(main + '\n', SERVICES), arguments, stderr=False)
        for services in BAD_SERVICES:
            for arguments in (['-M'], ['-P'], ['-F'], ['-Mf']):
                with self.subTest(services=services, arguments=arguments):
                    self.assert_same(self.folder('', services + '\n'), arguments)

    def test_missing_files(self):
        folder = self.folder('', '')
        for gone in ('master.cf', 'main.cf'):
            (self.top / folder / gone).unlink()
            for arguments in (['-n'], ['-M'], ['-F'], ['-P'], ['-e', 'a=b'], ['-Me', 'a/unix=a unix - - - - - x'],
                              ['-h', 'mynetworks_style'], ['-X', 'a'], ['-l'], ['-dh', 'mydestination']):
                with self.subTest(gone=gone, arguments=arguments):
                    self.assert_same(folder, arguments, stderr=False)

    def test_edits_the_same(self):
        for name in ('odd', 'crlf', 'starts-with-blanks'):
            for arguments in EDITS if name == 'odd' else EDITS[:4] + EDITS[5:8] + EDITS[35:45]:
                with self.subTest(name, arguments=arguments):
                    results = []
                    for run in (self.real.run, real_postconf.ours):
                        folder = self.folder(*FOLDERS[name])
                        answer = run(folder, *arguments)
                        results.append((answer.returncode, answer.stdout, *(
                            (self.top / folder / file).read_bytes().decode('latin-1') for file in ('main.cf', 'master.cf'))))
                    theirs, ours = results
                    self.assertEqual(ours, theirs)

    def test_new_names_stand_in_the_order_of_the_command(self):
        """The real one has the order of its hash table; the same lines otherwise."""
        folder = self.folder('a = 1\n', '')
        names = [f'name{n}={n}' for n in range(20)]
        self.real.run(folder, '-e', *names)
        theirs = (self.top / folder / 'main.cf').read_text().splitlines()
        folder = self.folder('a = 1\n', '')
        real_postconf.ours(folder, '-e', *names)
        ours = (self.top / folder / 'main.cf').read_text().splitlines()
        self.assertEqual(sorted(ours), sorted(theirs))
        self.assertEqual(ours[1:], [name.replace('=', ' = ') for name in names])

    def test_templates_have_the_same_form(self):
        """Names, headers and their order; the sentences are ours."""
        folder = self.folder(f'myhostname = mx.example\ndaemon_directory = {self.real.bounce_folder(self.top)}\n', '')
        file = self.top / 'templates'
        file.write_text('# mine\nfailure_template = <<END\nCharset: utf-8\nFrom: me\nSubject: Lost at $myhostname\n'
                        'Postmaster-Subject: lost\n\nThis is $myhostname, $delay_warning_time_hours\n'
                        '$maximal_queue_lifetime_days days, ${myhostname}\nEND\n'
                        + ''.join(f'{kind}_template = <<EOF\nSubject: s\n\nx $myhostname\nEOF\n'
                                  for kind in ('delay', 'success', 'verify')))
        for option in ('-t', '-b'):
            with self.subTest(option):
                self.assert_same(folder, [option, str(file)], stderr=False)
        form = re.compile(r'^(\w+ = <<EOF|EOF|[A-Z][\w-]*: .*|This is the mail .*)$', re.M)
        for option in ('-t', '-b'):
            theirs, ours = self.real.run(folder, option), real_postconf.ours(folder, option)
            self.assertEqual(form.findall(ours.stdout), form.findall(theirs.stdout))
        file.write_text('failure_template = <<END\nSubject: s\n\n$nosuch\nEND\n')
        self.assert_same(folder, ['-b', str(file)], stderr=False)
        self.assert_same(folder, ['-b', str(self.top / 'nowhere')], stderr=False)

    def test_defaults_line_by_line(self):
        """Every name and default of 3.7 with Debian's services, but for the reasons in a list."""
        folder = self.folder('', (DATA / 'debian-master.cf').read_text())
        theirs = dict(line.split(' =', 1) for line in (DATA / 'postconf-d-3.7.txt').read_text().splitlines())
        ours = dict(line.split(' =', 1) for line in real_postconf.ours(folder, '-d').stdout.splitlines())
        allowed = dict(line.split(None, 1) for line in (DATA / 'postconf-d-differences.txt').read_text().splitlines()
                       if not line.startswith('#'))
        differing = {name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name)}
        self.assertEqual(len(theirs), 1043)
        self.assertEqual(sorted(differing - allowed.keys()), [])
        self.assertEqual(sorted(name for name, reason in allowed.items() if name not in differing
                                and not reason.startswith('(machine)')), [], 'no longer different')
        self.assertTrue(all(allowed.values()))


class Edits(Folders):
    def test_file_keeps_mode_owner_and_link(self):
        folder = self.top / self.folder('a = 1\n', '')
        target = self.top / 'elsewhere' / 'real.cf'
        target.parent.mkdir()
        shutil.move(folder / 'main.cf', target)
        os.chown(target, 12345, 23456)
        target.chmod(0o640)
        (folder / 'main.cf').symlink_to(target)
        self.assertEqual(real_postconf.ours(folder, '-e', 'a=2').returncode, 0)
        status = target.stat()
        self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid), (0o640, 12345, 23456))
        self.assertTrue((folder / 'main.cf').is_symlink())
        self.assertEqual(target.read_text(), 'a = 2\n')
        self.assertEqual([path.name for path in target.parent.iterdir()], ['real.cf'])

    def test_open_reader_keeps_the_old_file(self):
        folder = self.top / self.folder('a = 1\n' * 1000, '')
        with open(folder / 'main.cf', encoding='ascii') as reader:
            self.assertEqual(reader.readline(), 'a = 1\n')
            self.assertEqual(real_postconf.ours(folder, '-X', 'a').returncode, 0)
            self.assertEqual(len(reader.readlines()), 999)
        self.assertEqual((folder / 'main.cf').read_text(), '')

    def test_comment_behind_a_service_stays_there(self):
        """The real one puts it in front of a service whose field it changes."""
        folder = self.top / self.folder('', 'a unix - - n - - x\n\n# about b\nb unix - - n - - x\n')
        self.assertEqual(real_postconf.ours(folder, '-F', 'a/unix/chroot=y').returncode, 0)
        self.assertEqual((folder / 'master.cf').read_text(),
                         'a          unix  -       -       y       -       -       x\n\n# about b\nb unix - - n - - x\n')

    def test_missing_line_end_does_not_join_lines(self):
        folder = self.top / self.folder('a = 1', '')
        self.assertEqual(real_postconf.ours(folder, '-e', 'b=2').returncode, 0)
        self.assertEqual((folder / 'main.cf').read_text(), 'a = 1\nb = 2\n')

    def test_editors_at_once_lose_nothing(self):
        folder = self.top / self.folder('# mine\n', SERVICES)
        command = environment.COMMANDS / 'postconf'
        editors = [subprocess.Popen([command, '-c', folder, '-e', f'name{n}={n}']) for n in range(40)]
        editors += [subprocess.Popen([command, '-c', folder, '-P', f'smtp/inet/name{n}={n}']) for n in range(10)]
        self.assertEqual({editor.wait(60) for editor in editors}, {0})
        self.assertEqual(sorted((folder / 'main.cf').read_text().splitlines()),
                         sorted(['# mine'] + [f'name{n} = {n}' for n in range(40)]))
        for n in range(10):
            self.assertIn(f'-o name{n}={n}\n', (folder / 'master.cf').read_text() + '\n')

    def test_killed_editor_leaves_the_old_or_the_new_file(self):
        body = ''.join(f'name{n} = {"x" * 100}\n' for n in range(20000))
        folder = self.top / self.folder(body + 'a = 0\n', '')
        command = environment.COMMANDS / 'postconf'
        good = {body + f'a = {n}\n' for n in range(3)}
        killed = 0
        for attempt in range(30):
            editor = subprocess.Popen([command, '-c', folder, '-e', f'a={1 + attempt % 2}'])
            try:
                editor.wait(0.001 * attempt)
            except subprocess.TimeoutExpired:
                editor.send_signal(signal.SIGKILL)
            killed += editor.wait(10) != 0
            self.assertIn((folder / 'main.cf').read_text(), good)
        self.assertGreater(killed, 0)
        self.assertEqual(real_postconf.ours(folder, '-e', 'a=1').returncode, 0)
        self.assertEqual((folder / 'main.cf').read_text(), body + 'a = 1\n')
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ['main.cf', 'master.cf'])

    def test_unreadable_request_changes_nothing(self):
        folder = self.top / self.folder(ODD, SERVICES)
        for arguments in (('-e', 'foo=1', 'bad'), ('-Fe', 'smtp/inet/chroot=y', 'smtp/unix/chroot=q'),
                          ('-Fe', 'smtp/inet/chroot='), ('-Fe', 'smtp/inet/command=')):
            self.assertEqual(real_postconf.ours(folder, *arguments).returncode, 1, arguments)
        self.assertEqual((folder / 'main.cf').read_text(), ODD)
        self.assertEqual((folder / 'master.cf').read_text(), SERVICES)

    def test_disk_full_keeps_the_old_file(self):
        folder = self.top / self.folder('', '')
        script = ('mount -t tmpfs -o size=256k tmpfs "$1" && printf "a = 1\\n" >"$1/main.cf" && '
                  'head -c 200k /dev/zero | tr "\\0" x | sed "s/^/b = /" >>"$1/main.cf" && before=$(md5sum "$1/main.cf") && '
                  '"$2" -c "$1" -e a=2; status=$?; [ "$before" = "$(md5sum "$1/main.cf")" ] && ls "$1" && exit $status')
        answer = environment.run('unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', folder,
                                 environment.COMMANDS / 'postconf')
        self.assertEqual((answer.returncode, answer.stdout), (1, 'main.cf\n'), answer.stderr)


class Ours(Folders):
    def test_json(self):
        import json
        folder = self.folder('mydestination = "x\\y"\nalias_maps =\n', SERVICES)
        settings = {row['name']: row['value'] for row in json.loads(real_postconf.ours(folder, '-jn').stdout)}
        self.assertEqual((settings['mydestination'], settings['alias_maps']), ('"x\\y"', ''))
        services = json.loads(real_postconf.ours(folder, '-jM', 'relay').stdout)
        self.assertEqual(services[0]['command'], 'smtp -o syslog_name=postfix/$service_name')
        self.assertEqual(json.loads(real_postconf.ours(folder, '-jP', 'relay').stdout),
                         [{'service': 'relay/unix', 'name': 'syslog_name', 'value': 'postfix/$service_name'}])
        self.assertEqual(json.loads(real_postconf.ours(folder, '-jF', 'relay/unix/chroot').stdout),
                         [{'service': 'relay/unix', 'name': 'chroot', 'value': 'n'}])
        self.assertEqual(json.loads(real_postconf.ours(folder, '-j', 'nosuch').stdout), [])

    def test_deprecated_names(self):
        folder = self.folder('smtp_use_tls = yes\nsmtpd_client_restrictions = reject_unknown_client\n', '')
        loud, quiet = (real_postconf.ours(folder, *options).stderr for options in (['-n'], ['-nq']))
        self.assertIn('parameter "smtp_use_tls" will be removed', loud)
        self.assertIn('"reject_unknown_client" will be removed', loud)
        self.assertNotIn('will be removed', quiet)

    def test_comment_behind_a_value(self):
        answer = real_postconf.ours(self.folder('myhostname = x # mine\n', ''), '-n')
        self.assertIn('main.cf, line 1: #comment after other text is not allowed: "# mine"', answer.stderr)

    def test_coverage_and_help(self):
        folder = self.folder('', '')
        last = real_postconf.ours(folder, '--coverage').stdout.splitlines()[-1].split()
        self.assertEqual(last[:2], ['all', 'all'])
        self.assertEqual(sum(map(int, last[2:5])), int(last[5]))
        helped = real_postconf.ours(folder, '--help')
        for letter in 'aAbcCdefFhHjlmMnopPqtTvxX#':
            self.assertIn(f'\n  -{letter} ', helped.stdout)
        self.assertEqual((helped.returncode, helped.stderr), (0, ''))

    def test_what_scripts_ask(self):
        folder = self.folder('', '')
        version = real_postconf.ours(folder, '-h', 'mail_version').stdout
        self.assertRegex(version, r'^\d+\.\d+')
        self.assertEqual(real_postconf.ours(folder, '-dh', 'mail_version').stdout, version)
        self.assertIn('hash\n', real_postconf.ours(folder, '-m').stdout)
        self.assertRegex(real_postconf.ours(folder, '-T', 'run-version').stdout, r'^OpenSSL \d')


if __name__ == '__main__':
    scenario.main()
