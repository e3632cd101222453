"""Real mail environments for tests: folders of main.cf and master.cf, one real master.

    system = System('a', 'b')           # the first is the primary environment
    system.start()
    system['a'].wait_spool('active=0,incoming=0')
    system.stop()

Programs come from the installation that $BULKHEAD_PREFIX names.  Everything lies in a
folder of its own below /tmp that every user may traverse, since jailed workers must.
"""
import grp
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import ports
import processes
from smtp_raw import RawClient

PREFIX = pathlib.Path(os.environ.get('BULKHEAD_PREFIX', '/usr/local'))
COMMANDS = PREFIX / 'sbin'
GROUP = 'bhdrop'
DEFAULT_FOLDER = pathlib.Path('/etc/bulkhead')
USERS = ('bh-test-a', 'bh-test-b')

# Longer waits where programs run several times slower.
SANITIZED = bool(os.environ.get('BULKHEAD_SANITIZED'))
SLOWER = 4 if SANITIZED else 1
SANITIZER_REPORT = re.compile(r'(?:Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: ')

SERVICES = """\
pickup    unix  n       -       {chroot}       {pickup_wakeup:<7} 1       pickup
cleanup   unix  n       -       {chroot}       -       0       cleanup
qmgr      unix  n       -       {chroot}       300     1       qmgr
rewrite   unix  -       -       {chroot}       -       -       trivial-rewrite
bounce    unix  -       -       {chroot}       -       0       bounce
defer     unix  -       -       {chroot}       -       0       bounce
trace     unix  -       -       {chroot}       -       0       bounce
verify    unix  -       -       {chroot}       -       1       verify
flush     unix  n       -       {chroot}       1000?   0       flush
smtp      unix  -       -       {chroot}       -       -       smtp
relay     unix  -       -       {chroot}       -       -       smtp
showq     unix  n       -       {chroot}       -       -       showq
error     unix  -       -       {chroot}       -       -       error
retry     unix  -       -       {chroot}       -       -       error
discard   unix  -       -       {chroot}       -       -       discard
virtual   unix  -       n       n       -       -       virtual
saslauth  unix  -       -       n       -       -       saslauth
postlog   unix-dgram n  -       n       -       1       postlogd
"""


def ensure_accounts():
    """The system users and the group of the tests; safe when several tests start at once."""
    for make, known, name in [(['groupadd', '--system'], grp.getgrnam, GROUP)] + [
            (['useradd', '--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell',
              '/usr/sbin/nologin'], pwd.getpwnam, user) for user in USERS]:
        for _ in range(5):
            try:
                known(name)
                break
            except KeyError:
                subprocess.run(make + [name], capture_output=True, check=False)
        else:
            known(name)


def run(command, *arguments, user=None, text=True, timeout=30, **options):
    """Runs a program to its end; its CompletedProcess, whatever the exit status."""
    if user:
        account = pwd.getpwnam(user)
        options |= {'user': account.pw_uid, 'group': account.pw_gid, 'extra_groups': []}
    if 'input' not in options:
        options['stdin'] = subprocess.DEVNULL
    answer = subprocess.run([str(command), *map(str, arguments)], capture_output=True, text=text,
                            errors='replace' if text else None, timeout=timeout * SLOWER, check=False, **options)
    complaints = answer.stderr if text else answer.stderr.decode(errors='replace')
    if SANITIZER_REPORT.search(complaints):
        raise AssertionError(f'{command} {arguments}:\n{complaints}')
    return answer


class Environment:
    def __init__(self, name, top, user, primary):
        self.name, self.user = name, user
        self.top = top / name
        self.folder, self.spool, self.data = self.top / 'etc', self.top / 'spool', self.top / 'data'
        self.log, self.mail = self.top / 'log' / 'mail.log', self.top / 'mail'
        self.port = ports.free_port()
        self.chroot = 'y'
        self.pickup_wakeup = 60
        self.extra_services = ''
        self.smtpd_options = ''
        account = pwd.getpwnam(user)
        for folder in (self.folder, self.spool, self.log.parent):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        for folder in (self.data, self.mail):
            folder.mkdir(mode=0o700)
            os.chown(folder, account.pw_uid, account.pw_gid)
        self.config = {
            'compatibility_level': '3.6',
            'syslog_name': name,
            'mail_owner': user,
            'setgid_group': GROUP,
            'queue_directory': self.spool,
            'data_directory': self.data,
            'maillog_file': self.log,
            'maillog_file_prefixes': self.top,
            'myhostname': f'mx.{name}.example',
            'mydomain': f'{name}.example',
            'myorigin': '$mydomain',
            'mydestination': '',
            'mynetworks': '127.0.0.0/8',
            'inet_interfaces': '127.0.0.1',
            'inet_protocols': 'ipv4',
            'smtpd_peername_lookup': 'no',
            'in_flow_delay': '0',
            'notify_classes': '',
            'queue_run_delay': '1s',
            'minimal_backoff_time': '1s',
            'maximal_backoff_time': '2s',
            'transport_retry_time': '1s',
            'service_throttle_time': '1s',
        }
        if not primary:
            self.config |= {'multi_instance_name': name, 'multi_instance_enable': 'yes'}

    # Configuration

    def relay_to(self, port):
        self.config['relayhost'] = f'[127.0.0.1]:{port}'

    def deliver_to_maildir(self):
        """Every recipient's mail goes into one Maildir, as in the demo."""
        account = pwd.getpwnam(self.user)
        self.config |= {
            'default_transport': 'virtual',
            'virtual_transport': 'virtual',
            'virtual_mailbox_domains': '$mydomain',
            'virtual_mailbox_base': self.mail,
            'virtual_mailbox_maps': 'static:inbox/',
            'virtual_uid_maps': f'static:{account.pw_uid}',
            'virtual_gid_maps': f'static:{account.pw_gid}',
        }

    def main_cf(self):
        return ''.join(f'{name} = {value}\n' for name, value in self.config.items())

    def master_cf(self):
        return (f'127.0.0.1:{self.port} inet n - {self.chroot} - - smtpd{self.smtpd_options}\n'
                + SERVICES.format(chroot=self.chroot, pickup_wakeup=self.pickup_wakeup) + self.extra_services)

    def write(self):
        for name, text in (('main.cf', self.main_cf()), ('master.cf', self.master_cf())):
            new = self.folder / (name + '.new')
            new.write_text(text)
            new.chmod(0o644)
            new.rename(self.folder / name)     # a worker that starts now sees a whole file

    # Talking to it

    def client(self, **options):
        return RawClient(self.port, **options)

    def command(self, name, *arguments, **options):
        """Runs a command of the installation with -c FOLDER (-C for sendmail and mailq)."""
        option = '-C' if name in ('sendmail', 'mailq') else '-c'
        return run(COMMANDS / name, option, self.folder, *arguments, **options)

    def command_as(self, user, name, *arguments, **options):
        """Runs a command as an ordinary user, for whom this folder is the installation's own.

        Set-group-id programs trust no other folder, so in a private mount namespace the folder
        takes the place of the default one."""
        DEFAULT_FOLDER.mkdir(exist_ok=True)
        account = pwd.getpwnam(user)
        script = ('mount --bind "$1" "$2" && uid=$3 gid=$4 && shift 4 && '
                  'exec setpriv --reuid "$uid" --regid "$gid" --clear-groups -- "$@"')
        return run('unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', self.folder,
                   DEFAULT_FOLDER, account.pw_uid, account.pw_gid, COMMANDS / name, *arguments, **options)

    def sendmail(self, *arguments, **options):
        return self.command('sendmail', *arguments, **options)

    def control(self, verb, *arguments, **options):
        return self.command('bulkhead', verb, *arguments, **options)

    # Looking at it

    def log_text(self):
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    def wait_log(self, pattern, timeout=10):
        """The match of a regular expression in the log, waited for; None when it does not come."""
        return processes.wait_until(lambda: re.search(pattern, self.log_text(), re.M), timeout * SLOWER)

    def spool_report(self, *arguments, timeout=30):
        """What `bulkhead spool` says about this environment."""
        return run(COMMANDS / 'bulkhead', 'spool', '-c', self.folder, *arguments, timeout=timeout)

    def wait_spool(self, condition, timeout=15):
        """Waits with `bulkhead spool --wait`; fails when the condition does not come."""
        answer = self.spool_report('--wait', condition, '--timeout', timeout * SLOWER, timeout=timeout + 10)
        if answer.returncode:
            raise AssertionError(f'{self.name}: spool never was {condition}: {answer.stdout}{answer.stderr}\n'
                                 + self.command('postqueue', '-p').stdout)

    def wait_empty(self, timeout=15):
        self.wait_spool('incoming=0,active=0,deferred=0,maildrop=0', timeout)

    def queue(self):
        """The queue as `postqueue -j` shows it."""
        return [json.loads(line) for line in self.command('postqueue', '-j').stdout.splitlines()]

    def queue_files(self, *queues):
        """Paths of the files on disk, read without the system's help."""
        names = queues or ('maildrop', 'incoming', 'active', 'deferred', 'hold', 'corrupt')
        return sorted(path for name in names for path in (self.spool / name).rglob('*') if path.is_file())

    def mailbox(self, name='inbox'):
        """The messages of a Maildir, as bytes, in the order of arrival."""
        paths = (self.mail / name / 'new').glob('*')
        return [path.read_bytes() for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)]

    def workers(self, *programs):
        """Workers whose root or working folder is this spool, as /proc tells it."""
        found = []
        for entry in filter(str.isdigit, os.listdir('/proc')):
            try:
                places = {os.readlink(f'/proc/{entry}/root'), os.readlink(f'/proc/{entry}/cwd')}
            except OSError:
                continue
            name = processes.name_of(entry)
            if str(self.spool) in places and processes.alive(int(entry)) and name != 'master':
                if not programs or name in [program[:15] for program in programs]:
                    found.append(int(entry))
        return found


class System:
    """One master and its environments; the first name is the primary one."""

    def __init__(self, *names):
        if os.geteuid() != 0:
            raise RuntimeError('the scenarios must run as root')
        ensure_accounts()
        processes.become_subreaper()
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-scenario.', dir='/tmp'))
        self.top.chmod(0o755)
        names = names or ('a',)
        self.environments = {
            name: Environment(name, self.top, USERS[index % len(USERS)], index == 0) for index, name in enumerate(names)}
        self.primary = self.environments[names[0]]
        if len(names) > 1:
            self.primary.config |= {
                'multi_instance_enable': 'yes',
                'multi_instance_directories': ' '.join(str(self[name].folder) for name in names[1:]),
            }
        self.master = None
        self._seen = set()

    def __getitem__(self, name):
        return self.environments[name]

    def write(self):
        for environment in self.environments.values():
            environment.write()

    def launch(self):
        """Starts the master in the foreground and does not wait for anything."""
        self.write()
        with open(self.top / 'master.out', 'ab') as output:
            self.master = subprocess.Popen([COMMANDS / 'bulkhead', '-c', self.primary.folder, 'start-fg'],
                                           stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd='/')
        return self

    def start(self, *expected):
        """Starts and waits until the named environments (default: all) accept connections."""
        self.launch()
        for name in expected or self.environments:
            self.wait_listening(self[name])
        return self

    def wait_listening(self, environment, timeout=15):
        def listening():
            if self.master.poll() is not None:
                raise AssertionError(f'the master ended with status {self.master.returncode}:\n{self.output()}')
            with socket.socket() as probe:
                probe.settimeout(5)
                return probe.connect_ex(('127.0.0.1', environment.port)) == 0
        if not processes.wait_until(listening, timeout * SLOWER):
            raise AssertionError(f'{environment.name} does not listen on {environment.port}:\n{self.output()}')

    def output(self):
        path = self.top / 'master.out'
        return path.read_text(errors='replace') if path.exists() else ''

    def pids(self):
        """The master and all its descendants."""
        if self.master is None or self.master.poll() is not None:
            return []
        found = [self.master.pid, *processes.descendants(self.master.pid)]
        self._seen.update(found)
        return found

    def stop(self, timeout=10):
        """SIGTERM to the master; processes that are still there when it has ended."""
        if self.master is None or self.master.poll() is not None:
            return []
        pids = self.pids()
        self.master.send_signal(signal.SIGTERM)
        self.master.wait(timeout * SLOWER)
        return [pid for pid in pids if processes.alive(pid)]

    def kill_everything(self):
        """SIGKILL to the master and to every worker, as a power failure of the process tree."""
        pids = set(self.pids()) | {pid for environment in self.environments.values() for pid in environment.workers()}
        processes.kill(pids)
        if self.master is not None:
            self.master.wait(10)
        processes.wait_until(lambda: not any(map(processes.alive, pids)), 5)
        # A worker that was just being started has the listening sockets for another moment.
        processes.wait_until(lambda: not any(self._is_listening(each.port) for each in self.environments.values()), 5)

    @staticmethod
    def _is_listening(port):
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', port)) == 0

    def clean_up(self, keep=False):
        """Ends all that was started; the folder stays only when a test failed."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            pass
        self.kill_everything()
        if not keep:
            shutil.rmtree(self.top, ignore_errors=True)
