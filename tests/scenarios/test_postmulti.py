#!/usr/bin/env python3
"""postmulti: its actions and lists, and who is refused."""
import json
import os
import pwd
import re
import socket

import environment
import postmulti
import scenario


class Postmulti(postmulti.Scenario):
    # ---- on a system that is stopped

    def test_create_makes_all_of_it(self):
        system, _ = self.primary()
        self.postmulti(system, '-e', 'init')
        top, _ = self.create(system)
        main_cf = (top / 'config/main.cf').read_text()
        for line in ('multi_instance_name = postfix-x', 'multi_instance_group = mta', 'multi_instance_enable = no',
                     'master_service_disable = inet', 'authorized_submit_users =', 'mail_owner = bh-x'):
            self.assertRegex(main_cf, rf'(?m)^{re.escape(line)}$')
        self.assertNotIn('syslog_name', main_cf)
        account = pwd.getpwnam('bh-x')
        self.assertEqual(((top / 'data').stat().st_uid, (top / 'data').stat().st_mode & 0o777), (account.pw_uid, 0o700))
        self.assertEqual((top / 'spool/deferred').stat().st_uid, account.pw_uid)
        self.assertEqual((top / 'config').stat().st_uid, 0)
        self.assertEqual(self.listed(system), [['-', '-', 'y', str(system['a'].folder)],
                                               ['postfix-x', 'mta', 'n', str(top / 'config')]])
        answer = self.postmulti(system, '-l', '-j', '-i', 'postfix-x')
        self.assertEqual(json.loads(answer.stdout), {'name': 'postfix-x', 'group': 'mta', 'enabled': False,
                                                     'config_directory': str(top / 'config')})

    def test_create_that_fails_leaves_nothing(self):
        system, _ = self.primary()
        before = (system['a'].folder / 'main.cf').read_text()
        top = system.top / 'postfix-x'
        top.mkdir()
        (top / 'spool').symlink_to('/nonexistent/place')
        _, answer = self.create(system, status=1)
        self.assertIn('spool', answer.stderr)
        self.assertEqual(sorted(path.name for path in top.iterdir()), ['spool'])
        self.assertRaises(KeyError, pwd.getpwnam, 'bh-x')
        self.assertEqual((system['a'].folder / 'main.cf').read_text(), before)

    def test_what_is_taken_is_refused_with_the_other_name(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        for more in (f'queue_directory={top}/spool', f'data_directory={top}/data', 'mail_owner=bh-x',
                     f'mail_owner={system["a"].user}'):
            with self.subTest(more):
                _, answer = self.create(system, 'postfix-y', more, status=1)
                self.assertRegex(answer.stderr, 'already used by environment (postfix-x|-) ')
        _, answer = self.create(system, 'postfix-x', status=1)
        self.assertIn('already used by environment postfix-x', answer.stderr)
        self.assertRaises(KeyError, pwd.getpwnam, 'bh-y')

    def test_bad_names(self):
        system, _ = self.primary()
        for name in ('nopostfixprefix', 'postfix-', 'postfix-a/b', 'postfix-a b', 'postfix-' + 80 * 'x', 'postfix-\n'):
            with self.subTest(name):
                self.postmulti(system, '-e', 'create', '-I', name, status=1)
        self.assertEqual(len(self.listed(system)), 1)

    def test_deport_import_assign_destroy(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        self.postmulti(system, '-i', 'postfix-x', '-e', 'enable')
        for action in ('deport', 'destroy'):
            self.assertIn('enabled', self.postmulti(system, '-i', 'postfix-x', '-e', action, status=1).stderr)
        self.postmulti(system, '-i', 'postfix-x', '-e', 'disable')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'deport')
        self.assertEqual(len(self.listed(system)), 1)
        self.postmulti(system, '-I', 'postfix-z', '-e', 'import', f'config_directory={top}/config')
        self.postmulti(system, '-i', 'postfix-z', '-I', 'postfix-w', '-G', '-', '-e', 'assign')
        self.assertEqual(self.listed(system)[1], ['postfix-w', '-', 'n', str(top / 'config')])
        (top / 'spool/hold/4F2C1').write_text('x')
        (top / 'spool/hold/4F2C1').chmod(0o700)
        self.assertIn('hold', self.postmulti(system, '-i', 'postfix-w', '-e', 'destroy', status=1).stderr)
        (top / 'spool/hold/4F2C1').unlink()
        self.postmulti(system, '-i', 'postfix-w', '-e', 'destroy')
        self.assertEqual(list(top.iterdir()), [])
        self.assertEqual(len(self.listed(system)), 1)
        self.assertRaises(KeyError, pwd.getpwnam, 'bh-x')

    def test_commands_run_in_the_chosen_ones(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        both = [str(system['a'].folder), str(top / 'config')]
        self.assertEqual(self.postmulti(system, '-x', 'sh', '-c', 'echo $MAIL_CONFIG').stdout.split(), both)
        self.assertEqual(self.postmulti(system, '-R', '-x', 'sh', '-c', 'echo $config_directory').stdout.split(), both[::-1])
        self.assertEqual(self.postmulti(system, '-g', 'mta', '-x', 'postconf', '-h', 'queue_directory').stdout.strip(),
                         str(top / 'spool'))
        self.assertEqual(self.postmulti(system, '-i', '-', '-x', 'false', status=1).stdout, '')
        self.assertIn('no matching', self.postmulti(system, '-i', 'postfix-no', '-l', status=1).stderr)
        for bad in (['-l', '-p', 'start'], ['-a', '-g', 'mta', '-l'], ['-p'], ['-e', 'nosuch'], ['-x', '-j', 'true'], []):
            with self.subTest(bad):
                self.postmulti(system, *bad, status=1)

    def test_one_alone_starts_with_a_master_of_its_own(self):
        system, _ = self.primary()
        top, _ = self.create(system)
        port = self.with_listener(top)
        self.command(system, 'postconf', '-c', top / 'config', '-e', 'master_service_disable=')
        self.postmulti(system, '-i', 'postfix-x', '-e', 'enable')
        self.postmulti(system, '-i', 'postfix-x', '-p', 'start')
        try:
            self.assertEqual(self.say_hello(port), 220)
        finally:
            self.postmulti(system, '-i', 'postfix-x', '-p', 'stop')
        self.assertRaises(OSError, self.say_hello, port)

    # ---- on the running master

    def test_two_with_one_user_are_refused(self):
        system, _ = self.primary('b')
        system['b'].config['mail_owner'] = system['a'].user
        os.chown(system['b'].data, pwd.getpwnam(system['a'].user).pw_uid, -1)
        system.start('a')
        said = re.compile(r'mail_owner .* already used by environment - \(.*\); environment b cannot')
        self.wait(lambda: said.search(system.output()), message='no refusal that names both')

    def test_control_socket_knows_its_friends(self):
        system, _ = self.primary('b')
        system.start()
        path = system['b'].spool / 'pid/control'
        # It gets its mode after its name; who comes in between is asked for his user.
        self.wait(lambda: path.exists() and path.stat().st_mode & 0o777 == 0o600)
        for request in (b'nonsense\n', b'start /nowhere\n', b'drain x y\n', b'\0\0\0\n', b'reload', b'x' * 100_000, b'\n'):
            with self.subTest(request[:20]):
                answer = ask(path, request)
                self.assertFalse(answer.startswith(b'ok'), answer)
        as_other = environment.run('python3', '-c', ASK_AS_OTHER, path, user=system['b'].user)
        self.assertNotIn('ok', as_other.stdout)
        for name in 'ab':
            with system[name].client() as connection:
                connection.greet()


ASK_AS_OTHER = '''
import socket, sys
try:
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"status\\n"); print(s.recv(100))
except OSError as problem:
    print(problem)
'''


def ask(path, request):
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(15)
        door.connect(str(path))
        try:
            door.sendall(request)
            door.shutdown(socket.SHUT_WR)
            return door.recv(4096)
        except OSError:
            return b''


if __name__ == '__main__':
    scenario.main()
