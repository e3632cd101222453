#!/usr/bin/env python3
"""The manual: every program, option, parameter and table type has its place in it, nothing else has, and
mandoc finds no fault.  usage: test_manual.py [SOURCE BUILD], a built tree."""
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = SOURCE / 'build/release'
LITERAL = r'"((?:\\.|[^"\\])*)"'


def made_pages():
    """NAME.SECTION -> text, of the pages that are installed."""
    return {page.name: page.read_text() for page in sorted((BUILD / 'docs/man').glob('man[158]/*'))}


def programs(folder):
    return sorted(p.name for p in (BUILD / folder).iterdir() if p.is_file() and p.stat().st_mode & 0o111
                  and not p.name.endswith('.so'))


def sources_of(command):
    """The files that a command's options are read in."""
    if command in ('postmap', 'postalias'):
        return sorted((SOURCE / 'libcommon/table').glob('map_command*.cc'))
    if command in ('mailq', 'newaliases'):
        command = 'sendmail'
    parts = ['spool_inspector', 'life_verbs', 'status_verbs', 'route_command']
    names = [command, *parts] if command == 'bulkhead' else [command]
    files = [file for name in names for file in (SOURCE / f'commands/{name}.cc', SOURCE / f'commands/{name}_options.cc') if file.exists()]
    return files + sorted((SOURCE / 'commands' / command).glob('*.cc'))


def accepted_options(command):
    """Letters, from a table of options, getopt's string or a string that is called options; and long options."""
    text = '\n'.join(file.read_text() for file in sources_of(command))
    words = set(re.findall(r'"--([a-z]+)"', text)) | set(re.findall(r'\{"([a-z]+)", (?:no|required)_argument', text))
    if rows := re.findall(r"^ *\{'(.)', Job::", text, re.M):
        return set(rows), words
    if command in ('postmap', 'postalias'):   # is_aliases ? "..." : "..."
        of_alias, of_map = re.search(r'known =[^?;]*\? "([\w:]+)" : "([\w:]+)";', text).groups()
        return set(of_alias if command == 'postalias' else of_map) - {':'}, words
    strings = re.findall(r'getopt(?:_long)?\(\s*\w+,\s*\w+,\s*' + LITERAL, text)
    strings += re.findall(r'\b\w*options\w*(?:\[\])?\s*=\s*"(\+?[A-Za-z#:]+)"', text)
    letters = set(''.join(strings)) - set('+:')
    return letters, words


def documented_options(page):
    """What .It Fl names, several with commas between them; one letter, or -word."""
    found = set()
    for line in re.findall(r'^\.It (?:Cm \w+ )?Fl (.*)$', page, re.M):
        for item in re.split(r' , (?:Fl )?', line):
            found.add(item.split()[0])
    return found


class Manual(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.pages = made_pages()
        cls.commands = programs('sbin')
        cls.workers = programs('libexec/bulkhead')

    def test_every_program_has_a_page_and_every_page_a_program(self):
        self.assertTrue(self.commands and self.workers)
        self.assertEqual([c for c in self.commands if f'{c}.1' not in self.pages], [])
        self.assertEqual([w for w in self.workers if f'{w}.8' not in self.pages], [])
        known = {f'{c}.1' for c in self.commands} | {f'{w}.8' for w in self.workers} | {'bulkhead-workers.8'}
        self.assertEqual([p for p in self.pages if not p.endswith('.5') and p not in known], [])

    def test_every_option_is_documented_and_every_documented_one_accepted(self):
        for command in self.commands:
            if command in ('mailq', 'newaliases', 'postfix'):   # other names
                continue
            with self.subTest(command):
                letters, words = accepted_options(command)
                self.assertTrue(letters, 'no option found in its sources')
                in_page = documented_options(self.pages[f'{command}.1'])
                short = {option for option in in_page if len(option) == 1}
                self.assertEqual(short, letters)
                # sendmail's -bp is a form of -b
                long = {option[1:] for option in in_page if option.startswith('-')}
                self.assertEqual(long - {'help'}, words - {'help'})

    def test_workers_share_their_options(self):
        text = (SOURCE / 'libcommon/worker/arguments.cc').read_text()
        letters = set(re.findall(r"case '(\w)'", text))
        self.assertEqual(documented_options(self.pages['bulkhead-workers.8']), letters)

    def test_master_options(self):
        letters = set(re.search(r'getopt\(argc, argv, "([a-z:]+)"', (SOURCE / 'master/main.cc').read_text())[1]) - {':'}
        self.assertEqual(documented_options(self.pages['master.8']), letters)

    def test_verbs_of_bulkhead(self):
        text = (SOURCE / 'commands/bulkhead.cc').read_text()
        verbs = set(re.findall(r'\{"([a-z0-9-]+)", \w+, \w+,', text))
        named = {verb for line in re.findall(r'^\.It Cm (.*)$', self.pages['bulkhead.1'], re.M)
                 for verb in line.split(' Fl ')[0].split(' , ')}
        self.assertEqual(named, verbs)

    def test_every_parameter_is_in_main_cf(self):
        text = (SOURCE / 'libcommon/config/known_parameters.inc').read_text()
        names = re.findall(r'^\{"(\w+)", ', text, re.M)
        self.assertGreater(len(names), 900)
        in_page = re.findall(r'^\.It Va "\\&(\w+)"$', self.pages['main.cf.5'], re.M)
        self.assertEqual(sorted(in_page), sorted(names))

    def test_parameters_in_text_exist(self):
        names = set(re.findall(r'^\{"(\w+)", ', (SOURCE / 'libcommon/config/known_parameters.inc').read_text(), re.M))
        for page, text in self.pages.items():
            for name in re.findall(r'^\.Va (\w+)(?: .*)?$', text, re.M):
                with self.subTest(page):
                    self.assertTrue(name in names or name in TABLE_WORDS.get(page, ()), f'.Va {name}')

    def test_every_restriction_is_in_smtpd(self):
        text = (SOURCE / 'smtpd/restrictions.cc').read_text()
        for name in re.findall(r'\{"(\w+)", &AccessCheck::', text):
            with self.subTest(name):
                self.assertTrue(re.search(rf'(?m)^\.(It )?Cm {name}\b', self.pages['smtpd.8']), f'{name} is not in smtpd.8')

    def test_every_table_type_has_a_place(self):
        types = re.findall(r'\{"(\w+)", open_\w+\}', (SOURCE / 'libcommon/table/table.cc').read_text())
        self.assertGreater(len(types), 15)
        overview = self.pages['bulkhead-tables.5']
        named = set(re.findall(r'^\.It Cm (\w+) :', overview, re.M))
        for line, page in re.findall(r'^\.It ([\w, ]+)\n\.Xr (\w+) 5$', overview, re.M):
            self.assertTrue(f'{page}.5' in self.pages, f'no page {page}.5')
            named.update(line.split(', '))
        self.assertEqual(sorted(named), sorted(types))

    def test_every_name_in_a_table_definition_is_documented(self):
        folder = SOURCE / 'libcommon'
        shared = (folder / 'table/server_table.cc').read_text()
        files = {f'{kind}_table.5': (folder / f'table_modules/{kind}.cc').read_text() for kind in ('mysql', 'pgsql', 'ldap', 'sqlite')}
        files['memcache_table.5'] = (folder / 'table/memcache_table.cc').read_text()
        for page, text in files.items():
            if page != 'ldap_table.5' and page != 'memcache_table.5':
                text += (folder / 'table_modules/sql_query.h').read_text()
            pattern = r'\b(?:settings|config)\.(?:text|number|seconds|flag|list|has)\("(\w+)"'
            names = set(re.findall(pattern, text + ('' if page == 'memcache_table.5' else shared)))
            self.assertGreater(len(names), 5)
            pages = self.pages[page] + self.pages['bulkhead-tables.5']
            named = set(re.findall(r'\bCm (\w+)', pages))
            self.assertEqual(names - named, set(), page)

    def test_references_lead_to_pages(self):
        for page, text in self.pages.items():
            for name, section in re.findall(r'^\.Xr (\S+) (\d)', text, re.M):
                with self.subTest(page):
                    self.assertTrue(f'{name}.{section}' in self.pages, f'{page}: no page {name}.{section}')

    def test_nothing_is_left_to_be_made(self):
        for page, text in self.pages.items():
            with self.subTest(page):
                self.assertFalse('.\\" @' in text, page)

    @unittest.skipUnless(shutil.which('mandoc'), 'mandoc is not installed')
    def test_mandoc_finds_no_fault(self):
        files = sorted((BUILD / 'docs/man').glob('man[158]/*'))
        answer = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', *files], capture_output=True, text=True,
                                check=False)
        self.assertEqual(answer.stdout, '')


# What .Va names in the pages of tables besides parameters of main.cf.
TABLE_WORDS = {}

if __name__ == '__main__':
    if len(sys.argv) > 2:
        SOURCE, BUILD = map(pathlib.Path, sys.argv[1:3])
        del sys.argv[1:3]
    unittest.main()
