#!/usr/bin/env python3
"""Each command beside the real Postfix 3.7's command of that name: the same arguments and input in a folder
of its own, the same exit code, the same output, the same mail in maildrop/.

Rows are data: a name, the words of the command, and what differs from the usual.  {spool} and {etc} in a word
are the folders of the side that runs it.  Text that is the product's own is compared only where a row says so;
what goes wrong must be told on standard error, and in few lines."""
import collections
import concurrent.futures
import os
import pathlib
import pwd
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import time

import environment
import scenario

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / 'data' / 'queue-files'
PLACED = {'deferred-4rcpt-3done.A12B6A76072': 'deferred', 'deferred-verp-dsn-from-sendmail.09EBAA760DC': 'deferred',
          'hold-sasl-filter-redirect-from-smtpd.38690A76075': 'hold', 'deferlog.A12B6A76072': 'defer'}
SET_GROUP_ID = ('postdrop', 'postqueue')
SIDES = ('theirs', 'ours')
PAIRS = 12   # the real commands sleep a second before they fail

HANGS = 10   # seconds

Row = collections.namedtuple('Row', 'name words user input stdout mail stderr differs prepare')
Answer = collections.namedtuple('Answer', 'code stdout stderr mail')


def row(name, *words, user='nobody', input=b'Subject: x\n\ntext\n', stdout=True, mail=False, stderr=True, differs='',
        prepare=None):
    """stdout: is compared.  mail: so is what lies in maildrop/.  stderr: a failure must say something.
    differs: why our exit code is another one than theirs.  prepare: called with each side first."""
    return Row(name, words, user, input, stdout, mail, stderr, differs, prepare)


class Side:
    """One product's commands, configuration and spool."""

    def __init__(self, top, kind, settings=''):
        self.kind, self.top = kind, top / kind
        self.etc, self.spool, self.log = self.top / 'etc', self.top / 'spool', self.top / 'log'
        self.peers = pathlib.Path(scenario.required_environment('BULKHEAD_PEERS')) / 'postfix'
        for folder in (self.etc, self.spool, self.top / 'data'):
            folder.mkdir(parents=True)
        shutil.chown(self.top / 'data', 'bh-test-a')
        self.sbin = environment.COMMANDS if kind == 'ours' else self.copy_commands()
        self.settings = f'''\
compatibility_level = 3.6
queue_directory = {self.spool}
data_directory = {self.top}/data
command_directory = {self.sbin}
mail_owner = bh-test-a
setgid_group = {environment.GROUP}
myhostname = mx.peer.example
mydestination =
fast_flush_domains = dest.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_database =
''' + settings + (f'maillog_file = {self.log}\nmaillog_file_prefixes = {self.top}\n' if kind == 'ours' else f'daemon_directory = {self.peers}/usr/lib/postfix/sbin\n'
                  'shlib_directory = /usr/lib/postfix\n')
        self.configure()

    def configure(self, more=''):
        (self.etc / 'main.cf').write_text(self.settings + more)
        if not (self.etc / 'master.cf').exists():
            (self.etc / 'master.cf').write_text('')

    def copy_commands(self):
        sbin = self.top / 'sbin'
        shutil.copytree(self.peers / 'usr/sbin', sbin, symlinks=True)
        for alias in ('mailq', 'newaliases'):
            (sbin / alias).symlink_to('sendmail')
        for name in SET_GROUP_ID:
            shutil.chown(sbin / name, 'root', environment.GROUP)
            (sbin / name).chmod(0o2755)
        return sbin

    def refill(self):
        """The spool as it is at the start of each row."""
        self.configure()
        self.log.unlink(missing_ok=True)
        shutil.rmtree(self.spool)
        self.spool.mkdir()
        owner = pwd.getpwnam('bh-test-a')
        for name in ('maildrop', 'incoming', 'active', 'deferred', 'hold', 'corrupt', 'bounce', 'defer', 'trace', 'flush',
                     'private', 'public', 'pid', 'saved'):
            folder = self.spool / name
            folder.mkdir()
            folder.chmod({'maildrop': 0o1730, 'public': 0o2710}.get(name, 0o700))
            os.chown(folder, 0 if name == 'pid' else owner.pw_uid, -1)
            if name in ('maildrop', 'public'):
                shutil.chown(folder, group=environment.GROUP)
                folder.chmod({'maildrop': 0o1730, 'public': 0o2710}[name])
        (self.spool / 'pid').chmod(0o755)
        for name, queue in PLACED.items():
            queue_id = name.rpartition('.')[2]
            folder = self.spool / queue
            if queue in ('deferred', 'defer'):
                folder = folder / queue_id[0]
                folder.mkdir(exist_ok=True)
                os.chown(folder, owner.pw_uid, -1)
                folder.chmod(0o700)
            shutil.copyfile(FIXTURES / name, folder / queue_id)
            os.chown(folder / queue_id, owner.pw_uid, -1)
            (folder / queue_id).chmod(0o600 if queue == 'defer' else 0o700)

    def run(self, words, user, input):
        """Runs a command with this side's folder in the place of the default one."""
        words = [word.replace('{spool}', str(self.spool)).replace('{etc}', str(self.etc)).replace('{top}', str(self.top))
                 if isinstance(word, str) else word for word in words]
        account = pwd.getpwnam(user)
        default = '/etc/bulkhead' if self.kind == 'ours' else '/etc/postfix'
        script = ('test "$2" = /etc/bulkhead || mount --bind "$6" /usr/lib/postfix || exit 99; '
                  'mount --bind "$1" "$2" && uid=$3 gid=$4 top=$5 && shift 6 && cd / && '
                  'exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"')
        command = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', self.etc, default,
                   account.pw_uid, account.pw_gid, self.top, self.peers / 'usr/lib/postfix', self.sbin / words[0], *words[1:]]
        closed = {'stdin': subprocess.DEVNULL} if input is None else {'input': input}
        try:
            return subprocess.run([str(word) for word in command], capture_output=True, timeout=HANGS, check=False,
                                  env={'PATH': f'{self.sbin}:/usr/sbin:/usr/bin:/sbin:/bin', 'TZ': 'UTC'}, **closed)
        except subprocess.TimeoutExpired as hung:
            return subprocess.CompletedProcess(command, 'hangs', hung.stdout or b'', hung.stderr or b'')

    def tidy(self, text):
        """Without what must differ: folders, queue ids, times."""
        text = text.decode(errors='backslashreplace') if isinstance(text, bytes) else text
        text = text.replace(str(self.top), 'TOP')
        return re.sub(r'\b(?!A12B6A76072|09EBAA760DC|38690A76075)[0-9A-F]{10,12}\b', 'ID', text)

    def mail(self):
        """What lies in maildrop/: each file's records, without its time."""
        return [[(kind, self.tidy(data) if kind != 'T' else 'TIME') for kind, data in records(path.read_bytes())]
                for path in sorted((self.spool / 'maildrop').iterdir())]


def records(file):
    """A queue file's records: a type, a length of seven bits per byte, the data."""
    found, at = [], 0
    while at < len(file):
        kind, size, shift, more = file[at:at + 1].decode('latin-1'), 0, 0, True
        at += 1
        while more:
            size, shift, more = size | (file[at] & 0x7f) << shift, shift + 7, file[at] >= 0x80
            at += 1
        found.append((kind, file[at:at + size]))
        at += size
    return found


class Comparison(scenario.Scenario):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        scenario.required_environment('BULKHEAD_PEERS')
        environment.ensure_accounts()
        cls.made = [path for path in map(pathlib.Path, ('/etc/postfix', '/etc/bulkhead', '/usr/lib/postfix')) if not path.exists()]
        for path in cls.made:
            path.mkdir()
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-compared.', dir='/tmp'))
        cls.top.chmod(0o755)
        cls.pairs = queue.SimpleQueue()
        for number in range(PAIRS):
            cls.pairs.put({kind: Side(cls.top / str(number), kind) for kind in SIDES})
        cls.compared = 0

    @classmethod
    def tearDownClass(cls):
        for process in pathlib.Path('/proc').glob('[0-9]*'):   # what a command that hung had started
            try:
                if os.readlink(process / 'exe').startswith(f'{cls.top}/'):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                pass    # not ours to look at, or gone
        shutil.rmtree(cls.top, ignore_errors=True)
        for path in cls.made:
            try:
                path.rmdir()
            except OSError:
                pass    # another test uses it
        print(f'{cls.__name__}: {cls.compared} invocations compared')

    @staticmethod
    def ask(side, row):
        side.refill()
        if row.prepare:
            row.prepare(side)
        answer = side.run(row.words, row.user, row.input)
        mail = side.mail() if row.mail and (side.spool / 'maildrop').exists() else None
        return Answer(answer.returncode, side.tidy(answer.stdout), side.tidy(answer.stderr), mail)

    def ask_both(self, row):
        pair = self.pairs.get()
        try:
            return [self.ask(pair[kind], row) for kind in SIDES]
        finally:
            self.pairs.put(pair)

    def compare(self, rows, shown=str):
        with concurrent.futures.ThreadPoolExecutor(PAIRS) as pool:
            answers = list(pool.map(self.ask_both, rows))
        type(self).compared += len(rows)
        for each, (theirs, ours) in zip(rows, answers, strict=True):
            with self.subTest(each.name):
                told = f'{" ".join(map(str, each.words))}\ntheirs: {theirs.code} {theirs.stderr}\nours: {ours.code} {ours.stderr}'
                if each.differs:
                    self.assertNotEqual((ours.code, ours.mail), (theirs.code, theirs.mail), f'no longer different: {told}')
                    self.assertNotEqual(ours.code, 'hangs', told)
                    continue
                self.assertEqual(ours.code, theirs.code, told)
                if each.stdout:
                    self.assertEqual(shown(ours.stdout), shown(theirs.stdout), told)
                if each.mail:
                    self.assertEqual(ours.mail, theirs.mail, told)
                if ours.code and each.stderr:
                    self.assertIn(len(ours.stderr.splitlines()), range(1, 3), told)


def text(*lines):
    return '\n'.join(lines).encode() + b'\n'


R = 'r@dest.example'
S = ('-f', 's@client.example')


def sendmail(name, *words, **options):
    return row(f'sendmail {name}', 'sendmail', *words, **({'mail': True} | options))


def message(name, data, *words, **options):
    """A message of any bytes, to one recipient unless words say otherwise."""
    return sendmail(name, *S, *(words or (R,)), input=data, **options)


SENDMAIL_OPTIONS = [
    sendmail('recipient', R), sendmail('two recipients', R, 'q@dest.example'), sendmail('comma list', 'a@x.example, b@x.example'),
    sendmail('angle brackets', '<r@dest.example>'), sendmail('phrase', 'Joe User <r@dest.example>'),
    sendmail('comment', 'r@dest.example (Joe)'), sendmail('bare name', 'joe'), sendmail('quoted', '"a b"@dest.example'),
    sendmail('group', 'team: a@x.example, b@x.example;'), sendmail('empty recipient', '', differs='nobody is no recipient'), sendmail('null recipient', '<>', differs='nobody is no recipient'),
    sendmail('option behind recipient', R, '-t'), sendmail('double dash', '--', R), sendmail('recipient with dash', '--', '-x@dest.example'),
    sendmail('no recipient'), sendmail('no recipient, no input', input=None), sendmail('unknown option', '-Z', R),
    sendmail('long option', '--nonsense'), sendmail('sender', *S, R), sendmail('sender -r', '-r', 's@client.example', R),
    sendmail('joined sender', '-fs@client.example', R), sendmail('null sender', '-f', '', R), sendmail('null sender <>', '-f', '<>', R),
    sendmail('sender phrase', '-f', 'Joe <joe@client.example>', R), sendmail('sender comment', '-f', 'joe@client.example (Joe)', R),
    sendmail('sender blank', '-f', ' ', R), sendmail('two senders', '-f', 'a@x.example, b@x.example', R),
    sendmail('sender twice', '-f', 'a@x.example', '-f', 'b@x.example', R), sendmail('sender group', '-f', 'g:;', R),
    sendmail('quoted sender', '-f', '"a b"@client.example', R), sendmail('missing sender', '-f'),
    sendmail('full name', *S, '-F', 'Joe User', R), sendmail('joined full name', *S, '-FCronDaemon', R),
    sendmail('empty full name', *S, '-F', '', R), sendmail('full name 8 bit', *S, '-F', 'J\u00f6rg', R),
    sendmail('full name with line', *S, '-F', 'a\nb', R, differs='a line break would make another record further on'), sendmail('sender with line', '-f', 'a\nb@x.example', R, differs='a line break would make another record further on'),
    sendmail('recipient with line', *S, 'a\nb@x.example', differs='a line break would make another record further on'), sendmail('long recipient', *S, 'a' * 5000 + '@dest.example'),
    sendmail('long sender', '-f', 'a' * 5000 + '@dest.example', R), sendmail('long name', *S, '-F', 'x' * 100000, R),
    sendmail('very many recipients', *S, *(f'u{n}@dest.example' for n in range(2000))),
    *(sendmail(f'ignored {option}', *option.split(), *S, R) for option in
      ('-Am', '-Ac', '-n', '-h 5', '-L tag', '-m', '-U', '-o7', '-o8', '-oi', '-oem', '-odi', '-odb', '-odq', '-oep', '-oee', '-oew',
       '-om', '-os', '-oT3d', '-ow', '-on', '-oAx', '-O MaxMessageSize=1', '-ODeliveryMode=b', '-p SMTP:host', '-x', '-i', '-G',
       '-bm', '-ba', '-BZZZ', '-B 7BIT', '-B8BITMIME', '-B 8bitmime', '-B binarymime', '-e m', '-c', '-d', '-d9', '-E', '-s',
       '-X /tmp/nothing-here', '-XV', '-XV+=', '-XV+', '-XV+==', '-XVab', '-XV\\a\\b', '-D log', '-t9', '-J', '-g', '-I', '-V',
       '-oO', '-o', '-H', '-bz', '-b', '-bt', '-bh', '-bH', '-q', '-q1h', '-qx', '-qI', '-qSx', '-l x', '-M', '-P', '-T')),
    *(sendmail(f'dsn {words}', *words.split('|'), *S, R) for words in
      ('-N|never', '-Nsuccess', '-N|failure,delay', '-N|success,failure,delay', '-N|NEVER', '-N|never,success', '-N|nonsense', '-N|',
       '-N|success,success', '-R|full', '-R|hdrs', '-R|FULL', '-Rhdrs', '-R|nonsense', '-R|', '-V|env1', '-V|', '-V|a+2Bb', '-V|a b',
       '-V|a+ZZ', '-Vab=c', f'-V|{"x" * 200}', '-V|\u00e4')),
    sendmail('null sender verp', '-f', '', '-XV', R), sendmail('-bv', '-bv', *S, R, mail=False), sendmail('-bv -t', '-bv', '-t', *S),
    sendmail('-bv nobody', '-bv'), sendmail('-v', '-v', *S, R), sendmail('-vv', '-v', '-v', *S, R), sendmail('-v root', '-v', *S, R, user='root'),
    sendmail('as root', R, user='root'), sendmail('unlisted -C', '-C', '{top}', R), sendmail('-C default', '-C', '{etc}', R),
    sendmail('-C main.cf', '-C', '{etc}/main.cf', R, user='root'), sendmail('-C missing', '-C', '/nonexistent', R),
    sendmail('-C missing, root', '-C', '/nonexistent', R, user='root'), sendmail('-C empty', '-C', '', R, user='root'),
    sendmail('-bp', '-bp'), sendmail('-bp root', '-bp', user='root'), sendmail('-bi', '-bi'), sendmail('-I', '-I'), sendmail('-q', '-q'),
    sendmail('-q root', '-q', user='root'), sendmail('-qI', '-qIA12B6A76072'), sendmail('-qI bad', '-qIbad/id'), sendmail('-qS', '-qSdest.example', differs='3.7 has no -qS: ours flushes a site'),
    sendmail('-qR', '-qRdest.example'), sendmail('-qR other', '-qRother.example'), sendmail('-q30m', '-q30m', R), sendmail('-bp words', '-bp', 'x'),
    sendmail('-bd user', '-bd', differs='a start that was refused is no success'), sendmail('-bl user', '-bl', differs='a start that was refused is no success'), sendmail('-bt', '-bt', R), sendmail('-bD user', '-bD'),
    sendmail('-bs', '-bs', input=b'EHLO x\r\nMAIL FROM:<s@client.example>\r\nRCPT TO:<r@dest.example>\r\nDATA\r\nSubject: x\r\n\r\nt\r\n.\r\nQUIT\r\n', stdout=False, mail=False),
    sendmail('-bs -t', '-bs', '-t', input=b'QUIT\r\n', stdout=False), sendmail('-bs closed', '-bs', input=None, stdout=False),
]

NO_ADDRESS = 'words that are no address are not guessed to be three'
HEAD = b'From: a@x.example\nSubject: s\n'
MESSAGES = [
    message('empty', b''), message('no input', None), message('one line end', b'\n'), message('only body', b'hello\n'),
    message('no end of line', b'Subject: x\n\nend'), message('only headers', b'Subject: x\n'), message('cr lf', b'Subject: x\r\n\r\nbody\r\n'),
    message('mixed line ends', b'Subject: x\r\n\nbody\r\nmore\n'), message('lone cr', b'Subject: x\n\na\rb\n'), message('cr at the end', b'Subject: x\n\na\r'),
    message('two cr', b'Subject: x\n\na\r\r\nb\n'), message('dot', HEAD + b'\na\n.\nb\n'), message('dot -i', HEAD + b'\na\n.\nb\n', '-i', R),
    message('dot -oi', HEAD + b'\na\n.\nb\n', '-oi', R), message('dot cr', HEAD + b'\na\r\n.\r\nb\r\n'), message('dot first', b'.\nSubject: x\n'),
    message('dot in headers', b'Subject: x\n.\nTo: y@x.example\n'), message('dots', b'Subject: x\n\n..\n...\n.x\n'), message('dot without end', b'Subject: x\n\na\n.'),
    message('From_', b'From joe Mon Jan 1 00:00:00 2024\nSubject: x\n\nb\n'), message('>From_', b'>From joe\nSubject: x\n\nb\n'),
    message('From_ twice', b'From joe\nFrom ann\nSubject: x\n\nb\n'), message('From_ in body', b'Subject: x\n\nFrom here\n'),
    message('blank line first', b'\nSubject: x\n\nb\n'), message('nul', b'Subject: a\0b\n\nx\0y\n'), message('8 bit', 'Subject: \u00e4\n\n\u00f6\n'.encode()),
    message('latin', b'Subject: \xe4\n\n\xf6\n'), message('all bytes', b'Subject: x\n\n' + bytes(set(range(256)) - {10, 13}) + b'\n'),
    message('2047', b'Subject: x\n\n' + b'y' * 2047 + b'\n'), message('2048', b'Subject: x\n\n' + b'y' * 2048 + b'\n'),
    message('2049', b'Subject: x\n\n' + b'y' * 2049 + b'\n'), message('4096', b'Subject: x\n\n' + b'y' * 4096 + b'\n'), message('long line', b'Subject: x\n\n' + b'y' * 100000 + b'\n'),
    message('long line, cr', b'Subject: x\n\n' + b'y' * 2048 + b'\r\n'), message('long line, no end', b'Subject: x\n\n' + b'y' * 5000),
    message('long header', b'Subject: ' + b'y' * 200000 + b'\n\nx\n'), message('many headers', b'X-A: b\n' * 5000 + b'\nx\n'),
    message('-t bad address', b'To: a b c\n\nb\n', '-t', differs=NO_ADDRESS), message('-t unclosed', b'To: "a b <c@x.example>\n\nb\n', '-t', differs=NO_ADDRESS),
    # cleanup takes the blank and the route away
    message('-t blank before colon', b'To : a@x.example\n\nb\n', '-t', mail=False), message('-t route', b'To: <@r.example:a@x.example>\n\nb\n', '-t', mail=False),
    *(message(name, data, '-t') for name, data in (
        ('-t to', b'To: a@x.example\n\nb\n'), ('-t all', b'To: a@x.example\nCc: b@x.example\nBcc: c@x.example\n\nb\n'),
        ('-t none', b'Subject: x\n\nb\n'), ('-t empty', b''), ('-t empty to', b'To:\n\nb\n'), ('-t case', b'tO: a@x.example\n\n'),
        ('-t list', b'To: a@x.example, "B, C" <b@x.example>,\n c@x.example (comment)\n\nb\n'), ('-t group', b'To: team: a@x.example, b@x.example;\n\nb\n'),
        ('-t undisclosed', b'To: undisclosed-recipients:;\nBcc: a@x.example\n\nb\n'), ('-t resent', b'To: a@x.example\nResent-To: b@x.example\n\nb\n'),
        ('-t resent all', b'Resent-To: a@x.example\nResent-Cc: b@x.example\nResent-Bcc: c@x.example\nTo: d@x.example\n\nb\n'),
        ('-t resent from', b'Resent-From: a@x.example\nTo: b@x.example\n\nb\n'), ('-t folded', b'To:\n a@x.example,\n\tb@x.example\n\nb\n'),
        ('-t To in body', b'Subject: x\n\nTo: a@x.example\n'), 
        ('-t twice', b'To: a@x.example\nTo: b@x.example\n\nb\n'), ('-t duplicates', b'To: a@x.example, a@x.example\n\nb\n'), ('-t cr', b'To: a@x.example\r\n\r\nb\r\n'),
        ('-t From_', b'From joe\nTo: a@x.example\n\nb\n'), ('-t not a header', b'hello\nTo: a@x.example\n\nb\n'),
        ('-t null', b'To: <>\n\nb\n'), ('-t long', b'To: ' + b', '.join(b'u%d@x.example' % n for n in range(3000)) + b'\n\nb\n'),
        ('-t apparently', b'Apparently-To: a@x.example\n\nb\n'), ('-t 8 bit', 'To: J\u00f6rg <a@x.example>\n\nb\n'.encode()), ('-t dot', b'To: a@x.example\n.\nCc: b@x.example\n'),
        ('-t Mail-Followup', b'Reply-To: z@x.example\nTo: a@x.example\n\n'), ('-t bare', b'To: joe, ann\n\nb\n'))),
    message('-t and words', b'To: a@x.example\n\nb\n', '-t', 'c@x.example'), message('-t -i', b'To: a@x.example\n\nx\n.\ny\n', '-t', '-i'),
    message('-t -N', b'To: a@x.example\n\nx\n', '-t', '-N', 'never'),
]


def small(side):
    side.configure('message_size_limit = 2000\n')


def unauthorized(side):
    side.configure('authorized_submit_users = !nobody, static:all\nauthorized_mailq_users = root\nauthorized_flush_users = root\n')


def no_main_cf(side):
    (side.etc / 'main.cf').unlink()


def broken_main_cf(side):
    side.configure('this is no setting\n')


def unreadable_main_cf(side):
    (side.etc / 'main.cf').unlink()
    side.configure()
    (side.etc / 'main.cf').chmod(0o600)


def closed_maildrop(side):
    (side.spool / 'maildrop').chmod(0o700)


def no_maildrop(side):
    (side.spool / 'maildrop').rmdir()


def no_spool(side):
    side.configure('queue_directory = /nonexistent\n')


def no_postdrop(side):
    side.configure('command_directory = /nonexistent\n')


def no_alias(side):
    side.configure('alias_database = texthash:{}/nothing\n'.format(side.etc))


HANGS_THERE = '3.7 tries again for ever'
TROUBLE = [
    *(sendmail(name, *S, R, prepare=prepare) for name, prepare in (
        ('not authorized', unauthorized), ('no main.cf', no_main_cf), ('broken main.cf', broken_main_cf), ('closed main.cf', unreadable_main_cf))),
    sendmail('closed maildrop', *S, R, prepare=closed_maildrop, differs=HANGS_THERE), sendmail('no maildrop', *S, R, prepare=no_maildrop, differs=HANGS_THERE), sendmail('no spool', *S, R, prepare=no_spool), sendmail('no postdrop', *S, R, prepare=no_postdrop, differs='ours finds postdrop beside itself, not by command_directory'),
    message('at the limit', b'x' * 1900 + b'\n', prepare=small), message('too big', b'x' * 5000 + b'\n', prepare=small),
    message('huge, too big', b'x' * 70 + b'\n' + b'y' * 3000000, prepare=small), message('too big -t', b'To: a@x.example\n\n' + b'x' * 5000, '-t', prepare=small),
    sendmail('-bp refused', '-bp', prepare=unauthorized), sendmail('-q refused', '-q', prepare=unauthorized),
    row('mailq refused', 'mailq', prepare=unauthorized), row('postqueue -f refused', 'postqueue', '-f', prepare=unauthorized),
    row('postqueue -p no main.cf', 'postqueue', '-p', prepare=no_main_cf), row('postcat no main.cf', 'postcat', '-q', 'A12B6A76072', user='root', prepare=no_main_cf),
    row('postsuper no main.cf', 'postsuper', '-d', 'ALL', user='root', prepare=no_main_cf), row('postlog no main.cf', 'postlog', 'x', prepare=no_main_cf, stderr=False),
    row('newaliases no source', 'newaliases', user='root', prepare=no_alias), row('newaliases none', 'newaliases', user='root'),
    row('newaliases no main.cf', 'newaliases', prepare=no_main_cf),
]


def tool(command, *words, **options):
    return row(' '.join((command, *words))[:100], command, *words, **({'user': 'root'} | options))


def damaged(name, cut=None, patch=None):
    """A queue file of A12B…'s content that ends early, or has other bytes."""
    def prepare(side):
        path = side.spool / 'deferred/A/A12B6A76072'
        data = path.read_bytes()[:cut]
        for at, new in (patch or {}).items():
            data = data[:at] + new + data[at + len(new):]
        path.write_bytes(data)
    return prepare


ID, VERP, HELD = 'A12B6A76072', '09EBAA760DC', '38690A76075'
BAD_IDS = ('', '.', '..', 'A', '../A12B6A76072', 'A12B6A7607', 'deferred/A/A12B6A76072', 'a12b6a76072', 'A12B6A76072 ', 'x' * 300, 'A12B6A76072*', '-', 'ALL')

QUEUE = [
    tool('postqueue'), tool('postqueue', '-p'), tool('postqueue', '-p', user='nobody'), tool('postqueue', '-j'), tool('postqueue', '-j', user='nobody'),
    tool('postqueue', '-f'), tool('postqueue', '-f', user='nobody'), tool('postqueue', '-p', '-f'), tool('postqueue', '-p', '-p'), tool('postqueue', '-p', 'word'),
    tool('postqueue', '-Z'), tool('postqueue', 'word'), tool('postqueue', '-i'), tool('postqueue', '-s'), tool('postqueue', '-v', '-p', user='nobody'),
    tool('postqueue', '-i', ID), *(tool('postqueue', '-i', bad) for bad in BAD_IDS),
    tool('postqueue', '-s', 'dest.example'), tool('postqueue', '-s', 'dest.example', user='nobody'), tool('postqueue', '-s', 'other.example'), tool('postqueue', '-s', '[dest.example]'),
    tool('postqueue', '-s', '[127.0.0.1]'), tool('postqueue', '-s', ''), tool('postqueue', '-s', 'bad domain'), tool('postqueue', '-s', 'x' * 2000), tool('postqueue', '-s', '127.0.0.1'),
    tool('postqueue', '-c', '{etc}', '-p'), tool('postqueue', '-c', '/nonexistent', '-p'), tool('postqueue', '-c', '/nonexistent', '-p', user='nobody'),
    tool('postqueue', '-c', '{top}', '-p', user='nobody'), tool('postqueue', '-c', '', '-p'), tool('mailq'), tool('mailq', user='nobody'), tool('mailq', '-v', user='nobody'), tool('mailq', '-Z'),
    tool('postsuper', '-d', 'ALL', user='nobody'), tool('postsuper', user='nobody'), tool('postsuper', '-Z'), tool('postsuper', '-d'),
    *(tool('postsuper', option, target) for option in ('-d', '-e', '-f', '-h', '-H', '-r') for target in (ID, HELD, 'ALL', 'FFFFF000001')),
    *(tool('postsuper', '-d', bad, input=b'') for bad in BAD_IDS if bad != '-'),
    *(tool('postsuper', option, '-', input=f'{ID}\n{HELD}\n'.encode()) for option in ('-d', '-h', '-H', '-r', '-e')),
    tool('postsuper', '-d', '-', input=b'bad id\n\n../x\n' + b'y' * 3000 + b'\n' + ID.encode()), tool('postsuper', '-d', '-', '-h', '-', input=ID.encode()), tool('postsuper', '-d', 'ALL', 'hold'),
    tool('postsuper', '-d', 'ALL', 'deferred'), tool('postsuper', '-h', 'ALL', 'deferred'), tool('postsuper', '-d', ID, 'hold'), tool('postsuper', '-d', 'ALL', 'nonsense'), tool('postsuper', '-d', 'ALL', 'bounce'),
    tool('postsuper', '-p'), tool('postsuper', '-c', '/nonexistent', '-p'), tool('postsuper', '-d', ID, '-d', HELD), tool('postsuper', '-h', ID, '-H', ID), tool('postsuper', '-d', 'ALL', '/tmp'),
    tool('postsuper', '-H', 'ALL', 'deferred'), tool('postsuper', '-r', 'ALL', 'maildrop'), tool('postsuper', '-e', 'ALL', 'hold'),
    *(tool('postcat', *options.split(), '-q', each) for options in ('', '-e', '-h', '-b', '-eh', '-o', '-d', '-od', '-v') for each in (ID, VERP, HELD)),
    *(tool('postcat', '-q', bad, stdout=False) for bad in BAD_IDS if bad not in ('ALL', '-')), tool('postcat', '-q', ID, user='nobody', stdout=False), tool('postcat', '-q', 'FFFFF000001'),
    tool('postcat', '-q', ID, VERP), tool('postcat', '-q', differs='what begins with another record is no queue file, cut or not'), tool('postcat', '/nonexistent'), tool('postcat', '{spool}'), tool('postcat', '/dev/null'), tool('postcat', input=b''),
    tool('postcat', input=b'rubbish\n'), tool('postcat', input=(FIXTURES / 'maildrop-verp-dsn.AD607A76053').read_bytes(), stdout=False, differs='ours reads a pipe to its end'), tool('postcat', '-Z'), tool('postcat', '-s', 'x', '-q', ID),
    tool('postcat', '-s', '-5', '-q', ID), tool('postcat', '-s', '99999', '-q', ID), tool('postcat', '-s', '97', '-q', ID), tool('postcat', '-c', '/nonexistent', '-q', ID),
    tool('postcat', '{spool}/deferred/A/A12B6A76072'), tool('postcat', '{spool}/deferred/A/A12B6A76072', '/nonexistent'), tool('postcat', '/etc/passwd'),
    *(tool('postcat', '-q', ID, prepare=damaged('cut', cut=cut)) for cut in (0, 1, 2, 50, 120, 300, 500, 600)),
    tool('postcat', '-q', ID, prepare=damaged('cut', cut=97), differs='3.7 says nothing of a file that ends after its first record'),
    tool('postcat', '-q', ID, prepare=damaged('patched', patch={0: b'\x00'}), stdout=False),   # 3.7 shows it, ours says what it is
    *(tool('postcat', '-q', ID, prepare=damaged('patched', patch={at: new})) for at, new in ((97, b'Z'), (97, b'\xff\xff\xff\xff\xff\xff'), (98, b'\x80\x80\x80\x80\x80'), (97, b'p'), (1, b'\x10'))),
    tool('postkick'), tool('postkick', 'public', 'qmgr'), tool('postkick', 'public', 'qmgr', 'I'), tool('postkick', 'public', 'nosuch', 'I'), tool('postkick', 'nosuch', 'qmgr', 'I'), tool('postkick', '-Z', 'public', 'qmgr', 'I'),
    tool('postkick', 'public', 'qmgr', 'I', 'x'), tool('postkick', '-c', '/nonexistent', 'public', 'qmgr', 'I'), tool('postkick', 'public', 'qmgr', 'I', user='nobody'), tool('postkick', 'public', '../x', 'I'), tool('postkick', 'public', '', ''),
]


def held_dotlock(side):
    side.configure('deliver_lock_attempts = 1\ndeliver_lock_delay = 1s\n')
    (side.top / 'box.lock').write_text('')


def impatient(side):
    side.configure('deliver_lock_attempts = 1\ndeliver_lock_delay = 1s\n')
    (side.top / 'box.lock').unlink(missing_ok=True)


def lock(*words, **options):
    return tool('postlock', *words, **({'prepare': impatient} | options))


OTHERS = [
    lock(), lock('{top}/box'), lock('{top}/box', 'true'), lock('{top}/box', 'false', stderr=False), lock('{top}/box', 'sh', '-c', 'exit 7', stderr=False), lock('{top}/box', 'sh', '-c', 'echo out'), lock('{top}/box', 'sh', '-c', 'kill -9 $$', stderr=False),
    lock('{top}/box', '/nonexistent', stderr=False), lock('/nonexistent/box', 'true'), lock('-l', 'fcntl', '{top}/box', 'true'), lock('-l', 'flock', '{top}/box', 'true'), lock('-l', 'dotlock', '{top}/box', 'true'),
    lock('-l', 'fcntl, dotlock', '{top}/box', 'true'), lock('-l', 'nonsense', '{top}/box', 'true'), lock('-l', '', '{top}/box', 'true'), lock('-l', 'dotlock', '{top}/box', 'true', prepare=held_dotlock),
    lock('-l', 'fcntl', '{top}/box', 'true', prepare=held_dotlock), lock('-l', 'fcntl', '{top}/box', 'postlock', '-Z'), lock('-Z', '{top}/box', 'true'), lock('-c', '/nonexistent', '{top}/box', 'true'), lock('{top}/box', 'true', user='nobody'),
    lock('{spool}', 'true'), lock('-v', '{top}/box', 'true', stderr=False), lock('{top}/box', 'cat', input=b'hello\n'), lock('{top}/box', 'ls', '-Z-nonsense', stderr=False), lock('-l', 'dotlock', '{top}/box', 'test', '-e', '{top}/box.lock'),
    *(tool('postlog', *words, user=user, stderr=False) for user in ('root', 'nobody') for words in (
        ('hello',), ('two', 'words'), ('-p', 'warn', 'x'), ('-p', 'WARN', 'x'), ('-p', 'error', 'x'), ('-p', 'fatal', 'x'), ('-p', 'panic', 'x'), ('-p', 'info', 'x'), ('-p', 'notice', 'x'), ('-p', 'debug', 'x'), ('-p', 'nonsense', 'x'), ('-p', ''),
        ('-t', 'tag', 'x'), ('-t', '', 'x'), ('-i', 'x'), ('-v', 'x'), ('-Z',), ('-c', '/nonexistent', 'x'), ('x' * 5000,), ('a\nb\x01\x7f\x1b[m',), ('',), ())),
    tool('postlog', input=b'', stderr=False), tool('postlog', input=b'no end', stderr=False), tool('postlog', input=b'x' * 100000 + b'\n', stderr=False), tool('postlog', input=b'a\0b\n\xff\n\n', stderr=False),
]


def record(kind, data=b''):
    size = b''
    left = len(data)
    while True:
        size += bytes([left & 0x7f | (0x80 if left > 0x7f else 0)])
        left >>= 7
        if not left:
            return kind + size + data


GOOD_HEAD = (record(b'A', b'rewrite_context=local') + record(b'S', b's@client.example') + record(b'R', b'r@dest.example') + record(b'M'))
GOOD_BODY = record(b'N', b'Subject: x') + record(b'N') + record(b'N', b'text')
GOOD_TAIL = record(b'X') + record(b'E')


def drop(name, data, *words, **options):
    return row(f'postdrop {name}', 'postdrop', *(words or ('-r',)), input=data, **({'mail': True, 'stderr': False, 'stdout': False} | options))


RECORDS = [
    drop('good', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, stdout=True), drop('nothing', b''), drop('no end', GOOD_HEAD + GOOD_BODY), drop('no extracted end', GOOD_HEAD + GOOD_BODY + record(b'X')), drop('cut in a record', (GOOD_HEAD + GOOD_BODY)[:-3]),
    drop('rubbish', b'rubbish\n'), drop('zeros', b'\0' * 100, differs='zeros are no records'), drop('long length', b'S' + b'\xff' * 10), drop('huge length', b'S\xff\xff\xff\x7f'), drop('no sender', record(b'R', b'x@y.example') + record(b'M') + GOOD_BODY + GOOD_TAIL, differs='3.7 leaves the file it refuses'),
    drop('no recipient', record(b'S', b's@x.example') + record(b'M') + GOOD_BODY + GOOD_TAIL, differs='3.7 leaves the file it refuses'), drop('no message', record(b'S', b's@x.example') + record(b'R', b'r@x.example') + record(b'E')), drop('recipient first', record(b'R', b'r@x.example') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL, differs='pickup wants the sender first'),
    drop('two senders', record(b'S', b'a@x.example') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL, differs='a message has one sender'), drop('own time', record(b'T', b'1000000000 5') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL, differs='3.7 refuses T, ours replaces it'), drop('size record', record(b'C', b'1 1 1 1 1 1') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL),
    drop('pointer', record(b'p', b'0'.rjust(15)) + GOOD_HEAD + GOOD_BODY + GOOD_TAIL), drop('pointer in content', GOOD_HEAD + record(b'p', b'5'.rjust(15)) + GOOD_TAIL), drop('done recipient', record(b'D', b'd@x.example') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL),
    drop('filter', record(b'L', b'smtp:evil.example') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL), drop('redirect', record(b'>', b'e@x.example') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL), drop('original recipient', GOOD_HEAD[:-2] + record(b'O', b'o@x.example') + record(b'R', b'q@x.example') + record(b'M') + GOOD_BODY + GOOD_TAIL),
    *(drop(f'attribute {attribute.decode()}', record(b'A', attribute) + GOOD_HEAD + GOOD_BODY + GOOD_TAIL) for attribute in (
        b'encoding=8bit', b'encoding=7bit', b'encoding=', b'encoding=evil', b'envelope_id=x', b'ret_flags=1', b'notify_flags=1', b'dsn_orig_rcpt=rfc822;a@b', b'create_time=5', b'rewrite_context=remote', b'rewrite_context=evil',
        b'trace_flags=512', b'log_client_name=evil', b'sasl_username=root', b'no equals', b'=x', b'')),
    drop('extracted recipient', GOOD_HEAD + GOOD_BODY + record(b'X') + record(b'R', b'z@x.example') + record(b'E')), drop('extracted encoding', GOOD_HEAD + GOOD_BODY + record(b'X') + record(b'A', b'encoding=8bit') + record(b'E')), drop('extracted sender', GOOD_HEAD + GOOD_BODY + record(b'X') + record(b'S', b'z@x.example') + record(b'E')),
    drop('behind the end', GOOD_HEAD + GOOD_BODY + GOOD_TAIL + b'more'), drop('content in envelope', record(b'N', b'x') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL), drop('empty recipient', record(b'S', b's@x.example') + record(b'R') + record(b'M') + GOOD_BODY + GOOD_TAIL, differs='nobody is no recipient'),
    drop('full name', record(b'F', b'Joe') + GOOD_HEAD + GOOD_BODY + GOOD_TAIL), drop('verp', GOOD_HEAD[:-2] + record(b'V', b'+=') + record(b'M') + GOOD_BODY + GOOD_TAIL), drop('bad verp', GOOD_HEAD[:-2] + record(b'V', b'x') + record(b'M') + GOOD_BODY + GOOD_TAIL, differs='two characters, or none'),
    drop('long record', GOOD_HEAD + record(b'N', b'x' * 100000) + GOOD_TAIL), drop('too big', GOOD_HEAD + record(b'N', b'x' * 2000) * 5 + GOOD_TAIL, prepare=small), drop('not authorized', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, prepare=unauthorized),
    drop('usage', b'', '-Z'), drop('word', b'', 'word'), drop('-c unlisted', b'', '-c', '{top}'), drop('-c missing', b'', '-c', '/nonexistent'), drop('-v by a user', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, '-v', '-r'), drop('no main.cf', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, prepare=no_main_cf),
    drop('closed maildrop', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, prepare=closed_maildrop, differs=HANGS_THERE), drop('no spool', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, prepare=no_spool, differs='2 is a write error for us too'), drop('root', GOOD_HEAD + GOOD_BODY + GOOD_TAIL, user='root'),
]


def many_domains(side):
    """Thirty messages of many ages, domains and subdomains in deferred/."""
    owner = pwd.getpwnam('bh-test-a')
    for number in range(30):
        arrival = int(time.time()) - 30 - number * number * 300
        envelope = (record(b'T', b'%d 0' % arrival) + record(b'A', b'create_time=%d' % arrival)
                    + record(b'S', b'' if number % 9 == 8 else b's%d@From%d.example' % (number, number % 4))
                    + b''.join(record(kind, address) for kind, address in (
                        (b'R', b'r@%c.deep.one.example' % (97 + number % 7)), (b'R', b'"a@b"@Two%d.example' % (number % 3)),
                        (b'D', b'd@done.example'), (b'R', b'r@[127.0.0.%d]' % (number % 2)), (b'R', b'x' * 60 + b'.example'), (b'R', b'bare'))))
        sizes = record(b'C', b'%15d %15d %15d %15d %15d %15d' % (len(GOOD_BODY), 97 + len(envelope) + 2, 5, 0, len(GOOD_BODY), 0))
        path = side.spool / 'deferred/A' / ('A%010X' % (0x12345 + number))
        path.write_bytes(sizes + envelope + record(b'M') + GOOD_BODY + GOOD_TAIL)
        os.chown(path, owner.pw_uid, -1)
        path.chmod(0o700)


SHAPES = [tool('qshape', *words, prepare=many_domains) for words in (
    (), ('deferred',), ('-s', 'deferred'), ('-p', 'deferred'), ('-p', '-m', '2', 'deferred'), ('-p', '-s', '-m', '1', 'deferred'), ('-l', 'deferred'), ('-b', '3', 'deferred'),
    ('-b', '14', 'deferred'), ('-t', '1', 'deferred'), ('-l', '-t', '60', '-b', '20', 'deferred'), ('-w', '120', 'deferred'), ('-w', '40', 'deferred'), ('-n', '2', '-N', '3', 'deferred'),
    ('hold',), ('deferred', 'hold', 'active', 'incoming'), ('{spool}/hold',), ('maildrop',), ('nosuch',))]


class CommandsAsPostfix(Comparison):
    def test_shapes_of_queues(self):
        self.compare(SHAPES, lambda text: sorted(text.splitlines()))   # equal counts have no order there

    def test_options_of_sendmail(self):
        self.compare(SENDMAIL_OPTIONS)

    def test_messages_by_sendmail(self):
        self.compare(MESSAGES)

    def test_trouble(self):
        self.compare(TROUBLE)

    def test_queue_commands(self):
        self.compare(QUEUE)

    def test_other_commands(self):
        self.compare(OTHERS)

    def test_records_for_postdrop(self):
        self.compare(RECORDS)


if __name__ == '__main__':
    scenario.main()
