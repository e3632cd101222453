#!/usr/bin/env python3
"""What commands say of themselves: --help, and what the TAB key of bash offers, on a system with mail in its queue."""
import pathlib
import re
import subprocess

import environment
import scenario

COMPLETIONS = environment.PREFIX / 'share/bash-completion/completions'
FRAMEWORK = pathlib.Path('/usr/share/bash-completion/bash_completion')
KEPT = {'minimal_backoff_time': '600s', 'maximal_backoff_time': '600s', 'fast_flush_domains': 'dest.example'}

# What readline does before and after it calls the function of a command; compopt works inside of it only.
DRIVER = r'''
. "$1"; . "$2"
compopt() { :; }
COMP_LINE=$3 COMP_POINT=${#3} COMP_TYPE=9 COMP_KEY=9
shift 3
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
function=$(complete -p "${1##*/}") && function=${function#* -F } && function=${function%% *}
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
'''


def words_of(line):
    """As readline parts a line: at blanks, and '=' and ':' are words."""
    words = re.findall(r'[=:]+|[^\s=:]+', line)
    return words + [''] if line[-1] in ' =:' else words


class Completion(scenario.Scenario):
    def offered(self, line, user=None):
        """The set of words for a line that begins with the name of a command."""
        name = line.split()[0]
        full = line.replace(name, str(environment.COMMANDS / name), 1)
        answer = environment.run('bash', '--norc', '-c', DRIVER, 'driver', FRAMEWORK, COMPLETIONS / name, full,
                                 *words_of(full), user=user)
        self.assertEqual(answer.stderr, '')
        return set(answer.stdout.split())

    def test_every_command_has_a_completion(self):
        for command in environment.COMMANDS.iterdir():
            with self.subTest(command.name):
                self.assertTrue((COMPLETIONS / command.name).exists())

    def test_every_command_explains_itself(self):
        for command in sorted(environment.COMMANDS.iterdir()):
            with self.subTest(command.name):
                answer = environment.run(command, '--help')
                self.assertEqual((answer.returncode, answer.stderr), (0, ''))
                self.assertRegex(answer.stdout, r'^(usage: )?[a-z]+[: ]')

    def test_options_are_those_of_the_manual(self):
        for command in sorted(environment.COMMANDS.iterdir()):
            page = environment.PREFIX / f'share/man/man1/{command.name}.1'
            if command.name in ('bulkhead', 'mailq', 'newaliases', 'postfix'):
                continue
            with self.subTest(command.name):
                options = {word for line in re.findall(r'^\.It Fl (.*)$', page.read_text(), re.M)
                           for word in re.findall(r'(?:^| , (?:Fl )?)(\S)(?= |$)', line)}
                offered = {word[1:] for word in self.offered(f'{command.name} -') if not word.startswith('--')}
                self.assertEqual(offered, options)

    def test_bulkhead(self):
        self.assertEqual(self.offered('bulkhead re'), {'reload'})
        self.assertEqual(self.offered('bulkhead -v sta'), {'start', 'start-fg', 'status'})
        self.assertEqual(self.offered('bulkhead status '), {'--json', '--pids'})
        self.assertEqual(self.offered('bulkhead spool --w'), {'--wait'})
        self.assertEqual(self.offered('bulkhead spool --wait de'), {'deferred='})

    def test_environments_by_name(self):
        system = self.system('a', 'b')
        system.start()
        folder = system['a'].folder
        self.assertEqual(self.offered(f'bulkhead -c {folder} spool --env '), {'-', 'b'})

    def test_queue_ids(self):
        system, a, sink = self.relaying(**KEPT)
        sink.script['rcpt'] = lambda *_: '450 4.2.0 try later'
        for _ in range(2):
            self.assertEqual(a.sendmail('-f', 's@client.example', 'r@dest.example', input='Subject: x\n\n').returncode, 0)
        a.wait_spool('deferred=2,active=0,incoming=0,maildrop=0')
        ids = {entry['queue_id'] for entry in a.queue()}
        self.assertEqual(len(ids), 2)
        etc = a.folder
        self.assertEqual(self.offered(f'postcat -c {etc} -q '), ids)
        self.assertEqual(self.offered(f'postqueue -c {etc} -i '), ids)
        self.assertEqual(self.offered(f'postsuper -c {etc} -d '), ids | {'ALL', '-'})
        self.assertEqual(self.offered(f'postsuper -c {etc} -H '), {'ALL', '-'})
        self.assertEqual(self.offered(f'postqueue -c {etc} -s '), {'dest.example'})
        some = next(iter(ids))
        self.assertEqual(self.offered(f'postsuper -c {etc} -h {some[:-1]}') & ids, {i for i in ids if i.startswith(some[:-1])})

    def test_parameters_and_services(self):
        _, a, _ = self.relaying()
        etc = a.folder
        self.assertEqual(self.offered(f'postconf -c {etc} smtpd_hel'), {'smtpd_helo_required', 'smtpd_helo_restrictions'})
        self.assertEqual(self.offered(f'postconf -c {etc} -e smtpd_helo_req'), {'smtpd_helo_required='})
        self.assertIn('queue_directory', self.offered(f'postconf -c {etc} -X '))
        self.assertNotIn('smtpd_helo_required', self.offered(f'postconf -c {etc} -X '))
        self.assertIn('qmgr/unix', self.offered(f'postconf -c {etc} -M '))

    def test_tables(self):
        self.assertEqual(self.offered('postmap text'), {'texthash:'})
        self.assertIn('/etc/passwd', self.offered('postmap hash:/etc/pass'))

    def test_words_of_options(self):
        self.assertEqual(self.offered('postlog -p '), {'info', 'warn', 'error', 'fatal', 'panic'})
        self.assertEqual(self.offered('postlock -l f'), {'fcntl', 'flock'})
        self.assertEqual(self.offered('postkick public q'), {'qmgr'})
        self.assertEqual(self.offered('postsuper de'), {'deferred'})
        self.assertEqual(self.offered('sendmail -R '), {'full', 'hdrs'})


if __name__ == '__main__':
    if not FRAMEWORK.exists():
        raise SystemExit(scenario.SKIPPED)
    scenario.main()
