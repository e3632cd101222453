"""Private database and directory servers for tests of lookup tables.

Each runs as an ordinary user on 127.0.0.1 and on a UNIX socket, keeps everything in a folder
of its own, and ends with the test at the latest.
"""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import unittest

import environment
import ports
import processes

USER = environment.USERS[0]
PASSWORD = 'se$cret "w0rd'


def program(name, *folders):
    """The path of a server's program; the test is skipped where it is not installed."""
    path = shutil.which(name, path=os.pathsep.join((*folders, '/usr/sbin', '/usr/bin', '/sbin', '/bin')))
    if not path:
        raise unittest.SkipTest(f'{name} is not installed')
    return path


class Server:
    """start() and stop() may be called in turns; the data stays."""

    def __init__(self, top):
        environment.ensure_accounts()
        self.account = pwd.getpwnam(USER)
        self.folder = pathlib.Path(top) / type(self).__name__.lower()
        self.folder.mkdir()
        os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self.port = ports.free_port()
        self.process = None
        self.prepare()

    def run(self, *command, **options):
        answer = environment.run(*command, user=USER, cwd=self.folder, timeout=120, **options)
        if answer.returncode:
            raise RuntimeError(f'{command}: {answer.stdout}{answer.stderr}')
        return answer.stdout

    def prepare(self):
        pass

    def start(self):
        with open(self.folder / 'output', 'ab') as output:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                cwd=self.folder, user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[],
                start_new_session=True)
        if not processes.wait_until(self.answers, 60 * environment.SLOWER):
            raise RuntimeError(f'{self.folder.name} did not start:\n{(self.folder / "output").read_text()[-3000:]}')
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f'{self.folder.name} ended:\n{(self.folder / "output").read_text()[-3000:]}')
        with socket.socket() as probe:
            return probe.connect_ex(('127.0.0.1', self.port)) == 0

    stop_signal = signal.SIGTERM

    def stop(self):
        if not self.process:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


class MariaDb(Server):
    @property
    def socket(self):
        return self.folder / 'socket'

    def prepare(self):
        self.data = self.folder / 'data'
        self.run(program('mariadb-install-db'), '--no-defaults', f'--datadir={self.data}', '--skip-test-db',
                 '--auth-root-authentication-method=normal', f'--user={USER}')

    def command(self):
        return [program('mariadbd'), '--no-defaults', f'--datadir={self.data}', f'--socket={self.socket}',
                f'--port={self.port}', '--bind-address=127.0.0.1', f'--pid-file={self.folder}/pid',
                '--innodb-buffer-pool-size=8M', '--innodb-flush-log-at-trx-commit=0', '--skip-log-bin',
                '--character-set-server=utf8mb4', '--skip-name-resolve']

    def answers(self):
        return super().answers() and environment.run('mariadb', '--no-defaults', '-uroot', f'-S{self.socket}',
                                                     '-e', 'SELECT 1').returncode == 0

    def sql(self, text):
        return self.run('mariadb', '--no-defaults', '--default-character-set=utf8mb4', '-uroot', '-N', '-B',
                        f'-S{self.socket}', *(['mail'] if self.has_database else []), input=text)

    has_database = False

    def create(self):
        self.sql(f"""CREATE DATABASE mail CHARACTER SET utf8mb4;
                     CREATE USER mail@'%' IDENTIFIED BY '{PASSWORD}';
                     CREATE USER mail@localhost IDENTIFIED BY '{PASSWORD}';
                     GRANT ALL ON mail.* TO mail@'%'; GRANT ALL ON mail.* TO mail@localhost;""")
        self.has_database = True


class PostgreSql(Server):
    stop_signal = signal.SIGINT   # "fast": sessions are ended

    def prepare(self):
        self.programs = (sorted(glob.glob('/usr/lib/postgresql/*/bin')) or ['/nonexistent'])[-1]
        self.data = self.folder / 'data'
        password = self.folder / 'password'
        password.write_text(PASSWORD)
        self.run(program('initdb', self.programs), '-D', self.data, '-U', 'mail', '-A', 'md5', f'--pwfile={password}',
                 '--no-sync', '-E', 'UTF8', '--locale=C')

    def command(self):
        return [program('postgres', self.programs), '-D', self.data, '-k', self.folder, '-p', self.port, '-h', '127.0.0.1',
                '-F', '-c', 'shared_buffers=4MB']

    def answers(self):
        return super().answers() and self.psql('SELECT 1').returncode == 0

    def psql(self, text):
        return environment.run(program('psql', self.programs), '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', self.folder,
                               '-p', self.port, '-U', 'mail', 'postgres', input=text,
                               env=os.environ | {'PGPASSWORD': PASSWORD, 'PGCLIENTENCODING': 'UTF8'})

    def sql(self, text):
        answer = self.psql(text)
        if answer.returncode:
            raise RuntimeError(answer.stderr)
        return answer.stdout

    def create(self):
        pass


SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.4203.666.1.201 NAME 'maildrop' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.202 NAME 'mailacceptinggeneralid' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.203 NAME 'memberdn' EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.3.6.1.4.1.4203.666.1.204 NAME 'memberurl' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.4203.666.1.200 NAME 'mailUser' SUP top AUXILIARY MAY ( maildrop $ mailacceptinggeneralid $ memberdn $ memberurl $ mail ) )
modulepath /usr/lib/ldap
moduleload back_mdb
allow bind_v2
pidfile {folder}/pid
argsfile {folder}/args
database mdb
maxsize 67108864
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw "{password}"
directory {folder}/data
dbnosync
index objectClass,mailacceptinggeneralid eq
access to * by dn.exact="cn=admin,dc=example,dc=com" write by anonymous auth
"""


class Slapd(Server):
    password = 'se$cret w0rd'

    def prepare(self):
        program('slapd')
        self.folder.joinpath('data').mkdir()
        os.chown(self.folder / 'data', self.account.pw_uid, self.account.pw_gid)
        self.folder.joinpath('slapd.conf').write_text(SLAPD_CONF.format(folder=self.folder, password=self.password))

    @property
    def socket(self):
        return self.folder / 'ldapi'

    def load(self, ldif):
        (self.folder / 'data.ldif').write_text(ldif)
        self.run(program('slapadd'), '-q', '-f', 'slapd.conf', '-l', 'data.ldif')

    def command(self):
        return [program('slapd'), '-f', 'slapd.conf', '-d', '0', '-h',
                f'ldap://127.0.0.1:{self.port}/ ldapi://{str(self.socket).replace("/", "%2F")}']


class Memcached(Server):
    def command(self):
        return [program('memcached'), '-l', '127.0.0.1', '-p', self.port, '-U', '0', '-m', '16', '-t', '2']

    def ask(self, text):
        with socket.create_connection(('127.0.0.1', self.port), timeout=10) as connection:
            connection.sendall(text.encode())
            return connection.recv(65536).decode()
