#!/usr/bin/env python3
"""Attempts to get out of an environment: from a worker that a stranger has taken over (tests/breakout), into the
environment beside it, or to more rights.  The table of all attempts and their ends is printed."""
import os
import pathlib
import pwd
import socket
import subprocess
import unittest

import client
import environment
import processes
import scenario

BREAKOUT = pathlib.Path(os.environ.get('BULKHEAD_BUILD', '/nonexistent')) / 'tests/breakout/breakout'
MASTER_CF = pathlib.Path(__file__).resolve().parents[2] / 'etc/master.cf'

# name of the jail -> chroot column, unpriv column, arguments
JAILS = {
    'chroot': ('y', 'y', ''),                  # cleanup, qmgr, bounce, ...
    'chroot, network': ('y', 'y', 'network'),  # smtpd, smtp
    'no chroot': ('n', 'y', ''),               # saslauth, pipe, spawn
    'mailboxes': ('n', 'n', 'mailboxes'),      # virtual
    'other users': ('n', 'n', 'users'),        # local
}
TASKS = 500
CAPABILITIES = ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')
SETUID_SETGID = 1 << 7 | 1 << 6
STARTER = SETUID_SETGID | 1 << 5 | 1 << 18     # and CAP_KILL, CAP_SYS_CHROOT


class Puppet:
    """A connection to a worker that does what it is told."""

    def __init__(self, port):
        self.connection = socket.create_connection(('127.0.0.1', port), 30)
        self.lines = self.connection.makefile('rb')

    def tries(self, *words):
        self.connection.sendall((' '.join(map(str, words)) + '\n').encode())
        return self.lines.readline().decode().strip()


def shown(rows, heads):
    widths = [max(len(str(row[i])) for row in [heads, *rows]) for i in range(len(heads))]
    return '\n'.join('  '.join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in [heads, *rows])


@unittest.skipUnless(BREAKOUT.exists(), 'the program that tries to break out is not built')
class BreakOut(scenario.Scenario):
    deaths_expected = True    # of the children that the system-call filter ends: of no worker

    def neighbours(self):
        """Environment a with a worker per kind of jail, and b with mail, a key and passwords."""
        system = self.system('a', 'b')
        a, b = system['a'], system['b']
        sinks = {name: self.sink() for name in 'ab'}
        sinks['b'].script['rcpt'] = lambda *_: '450 4.2.0 later'
        self.ports = {}
        for jail, (chroot, unprivileged, words) in JAILS.items():
            self.ports[jail] = environment.ports.free_port()
            a.extra_services += f'127.0.0.1:{self.ports[jail]} inet n {unprivileged} {chroot} - - {BREAKOUT} {words}\n'
        a.config['environment_task_limit'] = TASKS
        for name, sink in sinks.items():
            system[name].relay_to(sink.port)
        self.secrets = {'the TLS key': b.folder / 'key.pem', 'the passwords': b.folder / 'sasl_passwd'}
        for path in self.secrets.values():
            path.write_text('secret\n')
            path.chmod(0o600)
        system.start()
        with b.client() as connection:
            connection.greet()
            connection.message('s@client.example', 'r@dest.example', client.message('break-1'))
        b.wait_spool('deferred=1')
        return system

    def attempts(self, b, others):
        """(what it is, the attempt's words) into b, then to more rights."""
        [message] = b.queue_files('deferred')
        account = pwd.getpwnam(b.user)
        targets = {'a queued message': message, "the spool's folder": b.spool / 'deferred', 'the data folder': b.data,
                   'private sockets': b.spool / 'private', 'main.cf': b.folder / 'main.cf', **self.secrets}
        for what, path in targets.items():
            yield f'read {what}', 'read', path
        yield 'write a queued message', 'write', message
        yield 'write main.cf', 'write', b.folder / 'main.cf'
        yield 'write the log', 'write', b.log
        yield 'make a file in the spool', 'create', b.spool / 'incoming' / 'ABCDEF'
        yield 'the spool from below', 'read', f'../../b/spool/deferred/{message.parent.name}/{message.name}'
        yield 'connect to private/rewrite', 'connect', b.spool / 'private' / 'rewrite'
        yield 'connect to public/cleanup', 'connect', b.spool / 'public' / 'cleanup'
        yield 'connect to public/qmgr', 'connect', b.spool / 'public' / 'qmgr'
        yield "connect to the master's control", 'connect', b.spool / 'pid' / 'control'
        yield 'read its message as its owner', 'read-as', account.pw_uid, message
        yield 'connect as the group of postdrop', 'connect-as-group', environment.grp.getgrnam(environment.GROUP).gr_gid, \
            b.spool / 'public' / 'cleanup'
        for program, pid in others.items():
            yield f'signal {program}', 'signal', pid
            yield f'trace {program}', 'trace', pid
            yield f"read {program}'s memory", 'read-memory', pid
            yield f"take {program}'s descriptor", 'take-descriptor', pid
            yield f"read {program}'s /proc", 'read', f'/proc/{pid}/environ'
            yield f"the files behind {program}'s root", 'read', f'/proc/{pid}/root/deferred'
        yield 'signal to a descriptor', 'signal-by-descriptor'
        yield 'become the other owner', 'become-user', account.pw_uid
        yield 'become root', 'become-user', 0
        yield "become root's group", 'become-group', 0
        yield 'join a group', 'join-group', account.pw_gid
        yield 'read /etc/shadow as root', 'read-as', 0, '/etc/shadow'
        yield 'raise capabilities', 'raise-capabilities'
        yield 'chroot', 'chroot', '.'
        yield 'mount', 'mount', '.'
        yield 'unshare', 'new-namespace'
        yield 'clone into a namespace', 'clone-namespace'
        yield 'clone3 into a namespace', 'clone3-namespace'
        yield 'enter a namespace', 'enter-namespace', '/proc/1/ns/mnt'
        yield 'raw socket', 'raw-socket'
        yield 'packet socket', 'packet-socket'
        yield 'bind port 25', 'bind-port', 25
        yield 'execute a program', 'execute', '/bin/true'
        yield 'make a device', 'make-device', 'device'
        yield 'bpf', 'load-program'
        yield 'keys of the kernel', 'read-keys'
        yield 'open by handle', 'open-by-handle'
        yield 'host name', 'set-host-name', 'mine'
        yield 'clock', 'set-clock'
        yield 'raise its limits', 'raise-limits'
        yield '70,000 descriptors', 'hoard-descriptors', 70000
        yield f'{TASKS + 100} processes', 'hoard-processes', TASKS + 100

    def test_every_attempt_fails(self):
        system = self.neighbours()
        b = system['b']
        others = {'qmgr of b': b.workers('qmgr')[0], 'the master': system.master.pid}
        puppets = {jail: Puppet(port) for jail, port in self.ports.items()}
        self.addCleanup(lambda: [puppet.connection.close() for puppet in puppets.values()])
        rows, holes = [], []
        for what, *words in self.attempts(b, others):
            answers = {jail: puppet.tries(*words) for jail, puppet in puppets.items()}
            rows.append([what, *answers.values()])
            for jail, answer in answers.items():
                if not answer.startswith('no ') and (what, jail) not in self.known():
                    holes.append(f'{what}, {jail}: {answer}')
        print('\n' + shown(rows, ['attempt', *puppets]))
        self.assertEqual(holes, [])
        self.assertTrue(processes.alive(others['qmgr of b']))

    @staticmethod
    def known():
        """Not ways out: main.cf is for every user of the machine, who runs sendmail."""
        return {('read main.cf', jail) for jail in ('no chroot', 'mailboxes', 'other users')} | {
            # local acts as the owners of mailboxes, root among them.
            ('read /etc/shadow as root', 'other users')}

    def test_a_new_neighbour_cannot_be_acted_as(self):
        system = self.neighbours()
        system['a'].config['multi_instance_directories'] = ''
        system['a'].write()
        system['a'].control('reload')
        b, account = system['b'], pwd.getpwnam(system['b'].user)
        [message] = b.queue_files('deferred')
        port = self.ports['other users']
        self.wait(lambda: b.folder.as_posix() not in system['a'].control('status').stdout, message='b does not leave')
        system['a'].control('reload')     # from here on b is nobody to a's workers

        def can_act():
            puppet = Puppet(port)
            self.addCleanup(puppet.connection.close)
            return puppet if puppet.tries('read-as', account.pw_uid, message) == 'yes' else None
        before = self.wait(can_act, message='the attempt is no attempt')
        system['a'].config['multi_instance_directories'] = b.folder
        system['a'].write()
        self.assertEqual(system['a'].control('reload').returncode, 0)
        before.connection.close()
        self.wait(lambda: not can_act(), message='a new neighbour can be acted as')


class EveryWorker(scenario.Scenario):
    """Each worker of the master.cf that is installed, and pipe and spawn, as /proc shows it."""

    # Without a root folder of their own, and why; the column of master.cf says "n".
    OUTSIDE = {'virtual': 'mailboxes are elsewhere', 'local': 'home folders and commands', 'pipe': 'its command',
               'spawn': 'its command', 'proxymap': 'tables anywhere', 'saslauth': 'the user database',
               'postlogd': 'the log file'}
    PRIVILEGED = {'virtual': SETUID_SETGID, 'local': SETUID_SETGID}

    def services(self, here):
        lines = [line for line in MASTER_CF.read_text().splitlines() if line and not line.startswith('#')]
        text = '\n'.join(lines).replace('smtp      inet', f'127.0.0.1:{here.port} inet', 1)
        return text + '\ncommand unix - n n - - pipe flags=R user=nobody argv=/bin/true\n' \
                      'policy unix - n n - 0 spawn user=nobody argv=/bin/cat\n'

    def wake_all(self, here):
        """A client at each socket; the connections, to be kept."""
        open_ones = [here.client()]
        with here.client() as connection:
            connection.greet()
            connection.message('s@client.example', 'r@dest.example', client.message('wake-1'))
        here.wait_spool('deferred=1')
        for folder in ('private', 'public'):
            for path in (here.spool / folder).iterdir():
                if path.name == 'postlog':
                    continue
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(str(path))
                open_ones.append(connection)
        return open_ones

    def test_rights_of_every_worker(self):
        system = self.system('a', 'b')
        for name in 'ab':
            here = system[name]
            here.config |= {'relayhost': '[127.0.0.1]:1', 'queue_run_delay': '300s', 'minimal_backoff_time': '300s',
                            'maximal_backoff_time': '300s', 'alias_maps': '', 'smtpd_sasl_auth_enable': 'no'}
            here.master_cf = lambda here=here: self.services(here)
        system.start()
        rows = []
        for name in 'ab':
            here, account = system[name], pwd.getpwnam(system[name].user)
            keep = self.wake_all(here)
            wanted = {line.split()[7] for line in self.services(here).splitlines()} - {'flush', 'verify'}
            self.wait(lambda: {name[:15] for name in wanted} <= {processes.name_of(pid) for pid in here.workers()},
                      message=f'{wanted} - {[processes.name_of(pid) for pid in here.workers()]}')
            for pid in here.workers():
                words = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().decode().split('\0')
                program, service = words[0], words[2] if len(words) > 2 else ''
                if processes.name_of(pid).endswith('-starter'):
                    program = 'starter of ' + program
                elif program == '/bin/cat':      # what spawn has started, as the user in its line
                    self.assertNotIn(processes.status_of(pid)['Uid'].split()[0], ('0', str(account.pw_uid)))
                    continue
                elif not self.in_jail(pid):
                    continue
                rows.append([name, service, *self.check(here, account, program, pid)])
            for connection in keep:
                connection.close()
        print('\n' + shown(sorted(rows), ['environment', 'service', 'program', 'user', 'root', 'capabilities', 'filter', 'why']))
        self.assertLessEqual({'smtpd', 'cleanup', 'qmgr', 'trivial-rewrite', 'bounce', 'smtp', 'showq', 'error', 'discard',
                              'local', 'virtual', 'proxymap', 'anvil', 'saslauth', 'pickup', 'postlogd', 'pipe', 'spawn'},
                             {row[2] for row in rows})

    def in_jail(self, pid):
        """False for a process that has gone; one that is still starting is waited for."""
        processes.wait_until(lambda: processes.status_of(pid).get('NoNewPrivs', '1') == '1', 10)
        return bool(processes.status_of(pid))

    def check(self, here, account, program, pid):
        status = processes.status_of(pid)
        values = {name: int(status[name], 16) for name in CAPABILITIES}
        root = os.readlink(f'/proc/{pid}/root')
        with self.subTest(environment=here.name, program=program):
            if program.startswith('starter'):
                self.assertEqual((values['CapEff'], values['CapPrm']), (STARTER, STARTER))
                self.assertEqual(values['CapInh'] | values['CapAmb'], 0)
                return program, 'root', root, 'SETUID SETGID KILL SYS_CHROOT', '-', 'starts commands as other users'
            self.assertEqual(status['Uid'].split(), [str(account.pw_uid)] * 4)
            self.assertEqual(status['Gid'].split(), [str(account.pw_gid)] * 4)
            self.assertIn(status['Groups'].split(), ([], [str(account.pw_gid)]))
            for name, value in values.items():
                expected = self.PRIVILEGED.get(program, 0) if name in ('CapPrm', 'CapEff', 'CapBnd') else 0
                self.assertEqual(value, expected, name)
            self.assertEqual(status['NoNewPrivs'], '1')
            self.assertEqual(status['Seccomp'], '0' if environment.SANITIZED else '2')
            self.assertEqual(root, '/' if program in self.OUTSIDE else str(here.spool))
            limits = pathlib.Path(f'/proc/{pid}/limits').read_text()
            self.assertRegex(limits, r'Max processes +10000 +10000')
            self.assertRegex(limits, r'Max core file size +0 +0')
            hard = int(limits.split('Max open files')[1].split()[1])
            self.assertLessEqual(hard, 65536)
        return (program, account.pw_name, 'spool' if root == str(here.spool) else root,
                'SETUID SETGID' if program in self.PRIVILEGED else '-', 'yes', self.OUTSIDE.get(program, ''))

    def test_limits_that_cannot_be_had_are_told_once(self):
        system = self.system('a', 'b')
        system['b'].config['environment_memory_limit'] = 256 << 20
        system.start()
        group = pathlib.Path(f'/proc/{system.master.pid}/cgroup').read_text()
        if '0::/' in group and group.rstrip().endswith('/master'):
            self.skipTest('they are to be had here')      # the unit tests look at the files
        self.assert_log(system['a'], r'warning: b: .*main\.cf, line \d+: limits of memory and CPU have no effect: ')
        self.assertEqual(system['a'].log_text().count('have no effect'), 1)

    def test_secrets_that_others_can_read_are_warned_of(self):
        system = self.system('a')
        here = system['a']
        key = here.folder / 'key.pem'
        key.write_text('key\n')
        key.chmod(0o644)
        passwords = here.folder / 'sasl_passwd'
        passwords.write_text('example.com user:word\n')
        passwords.chmod(0o640)
        here.config |= {'smtpd_tls_key_file': key, 'smtp_sasl_password_maps': f'texthash:{passwords}'}
        system.write()
        answer = here.control('check')
        self.assertIn(f'warning: {here.folder}/main.cf', answer.stderr)
        for path in (key, passwords):
            self.assertRegex(answer.stderr, rf'warning: .*{path}.* can be read by others than')
        for path in (key, passwords):
            path.chmod(0o600)
        self.assertNotIn('can be read by others than', here.control('check').stderr)


if __name__ == '__main__':
    scenario.main()
