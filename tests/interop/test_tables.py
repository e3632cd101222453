#!/usr/bin/env python3
"""Lookup tables answer as the real Postfix's do: the same sources, a thousand keys for each type.

Also the options, exit statuses and messages of postmap and postalias."""
import os
import pathlib
import random
import re
import shutil
import string
import tempfile

import environment
import postfix
import scenario

KEYS = 1000
PREFIX = pathlib.Path(scenario.required_environment('BULKHEAD_PREFIX'))
WORDS = ['alpha', 'Beta', 'GAMMA', 'user', 'info', 'x-y', 'a_b', 'o\'neil', 'grüße', 'Élan', 'ΣΟΦΙΑ', '用户', 'кот']


class TableTest(scenario.Scenario):
    def setUp(self):
        scenario.required_environment('BULKHEAD_PEERS')
        self.random = random.Random(self.id())
        os.environ['TZ'] = 'UTC'
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bh-tables-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, self.top)
        self.top.chmod(0o755)
        self.theirs_folder, self.ours_folder = self.top / 'theirs', self.top / 'ours'
        self.real = postfix.Postfix(self.top / 'config', self.top / 'spool', self.top / 'data', 'bh-test-a')
        for folder in (self.theirs_folder, self.ours_folder):
            folder.mkdir()

    def source(self, name, text):
        for folder in (self.theirs_folder, self.ours_folder):
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)

    def theirs(self, tool, *arguments, **options):
        return self.real.tool(tool, *arguments, cwd=self.theirs_folder, **options)

    def ours(self, tool, *arguments, **options):
        return environment.run(PREFIX / 'sbin' / tool, '-c', self.top / 'config', *arguments,
                               cwd=self.ours_folder, **options)

    def both(self, tool, *arguments, **options):
        return self.theirs(tool, *arguments, **options), self.ours(tool, *arguments, **options)

    def compare_lookups(self, spec, keys, tool='postmap', options=()):
        """Asks for all keys at once; answers and status must be the same.  The number of answers."""
        theirs, ours = self.both(tool, *options, '-q', '-', spec, input='\n'.join(keys) + '\n')
        self.assertEqual(ours.stdout, theirs.stdout, ours.stderr)
        self.assertEqual(ours.returncode, theirs.returncode, ours.stderr)
        return theirs.stdout.count('\n')

    # ---- made-up contents

    def word(self):
        word = self.random.choice(WORDS)
        return word + str(self.random.randrange(40)) if self.random.random() < 0.7 else word

    def address(self):
        kind = self.random.randrange(8)
        local, domain = self.word(), f'{self.word()}.example'
        if kind == 0:
            return domain
        if kind == 1:
            return '@' + domain
        if kind == 2:
            return local
        if kind == 3:
            return f'"{local} {self.word()}"@{domain}'
        return f'{local}+{self.word()}@{domain}' if kind == 4 else f'{local}@{domain}'

    def varied(self, key):
        """The key, or something that looks like it."""
        change = self.random.randrange(10)
        if change < 5:
            return key
        return [key.upper(), key.lower(), key + ' ', key[:-1], key.swapcase()][change - 5]

    def map_source(self, lines=600):
        keys, text = [], []
        for _ in range(lines):
            kind = self.random.randrange(20)
            key = self.address()
            value = ' '.join(self.word() for _ in range(self.random.randrange(1, 4)))
            if kind == 0:
                text.append(self.random.choice(['', '   ', '# comment', '  # indented comment']))
            elif kind == 1:
                text.append(key)
            elif kind == 2:
                text.append(f'{key} {value},\n   {self.word()}')
            elif kind == 3:
                text.append(f'{key}\t \t{value} \t')
            elif kind == 4:
                text.append(f'"{key} {value}')
            elif kind == 5:
                text.append(f'{key} {value}\n# between\n  {self.word()}')
            else:
                text.append(f'{key} {value}')
            keys.append(key)
        return '\n'.join(text) + '\n', keys

    def questions(self, keys):
        return [self.varied(self.random.choice(keys)) if self.random.random() < 0.8 else self.address()
                for _ in range(KEYS)]

    def domain_rule_source(self, count):
        text = []
        for number in range(count):
            pattern = self.random.choice([
                f'/^{self.word()}/', f'/@{self.word()}\\.example$/', f'/^(.*)\\+(.*)@{self.word()}/',
                f'!/example/', f'/^([a-z]+)([0-9])@/', f'/{self.word()}/i', f'/^{self.word()}.*example$/m',
                f'|^{self.word()}|', f'/(/', f'/{self.word()}', f'/{self.word()}/q'])
            result = self.random.choice([f'r{number}', f'r{number} $1', '${1}-$(2)', '$$x', 'a  b', '$9', '$1x', '${1'])
            line = f'{pattern} {result}'
            kind = self.random.randrange(12)
            if kind == 0:
                line = f'if {self.random.choice(["", "!"])}/{self.word()[:2]}/\n{line}\nendif'
            elif kind == 1:
                line = f'if /@/\nif !/{self.word()[:1]}/\n{line}\nendif\n/{self.word()}/ after\nendif'
            elif kind == 2:
                line = 'endif'
            text.append(line)
        return '\n'.join(text) + '\n'


class SameAnswers(TableTest):
    def compare_database(self, kind):
        text, keys = self.map_source()
        self.source('map', text)
        theirs, ours = self.both('postmap', f'{kind}:map')
        self.assertEqual((ours.returncode, theirs.returncode), (0, 0), ours.stderr)
        self.assertGreater(self.compare_lookups(f'{kind}:map', self.questions(keys)), KEYS // 4)

    def test_hash(self):
        self.compare_database('hash')

    def test_btree(self):
        self.compare_database('btree')

    def test_lmdb(self):
        self.compare_database('lmdb')

    def test_cdb(self):
        self.compare_database('cdb')

    def test_our_cdb_and_lmdb_read_theirs(self):
        text, keys = self.map_source()
        self.source('map', text)
        for kind in ('cdb', 'lmdb'):
            for options in ((), ('-N',)):
                self.assertEqual(self.theirs('postmap', *options, f'{kind}:map').returncode, 0)
                shutil.copy(self.theirs_folder / f'map.{kind}', self.ours_folder / f'map.{kind}')
                self.assertGreater(self.compare_lookups(f'{kind}:map', self.questions(keys)), KEYS // 4)

    def test_their_cdb_and_lmdb_read_ours(self):
        text, keys = self.map_source()
        self.source('map', text)
        for kind in ('cdb', 'lmdb'):
            self.assertEqual(self.ours('postmap', f'{kind}:map').returncode, 0)
            shutil.copy(self.ours_folder / f'map.{kind}', self.theirs_folder / f'map.{kind}')
            self.assertGreater(self.compare_lookups(f'{kind}:map', self.questions(keys)), KEYS // 4)

    def test_texthash(self):
        text, keys = self.map_source()
        self.source('map', text)
        self.assertGreater(self.compare_lookups('texthash:map', self.questions(keys)), KEYS // 4)

    def test_without_folding(self):
        text, keys = self.map_source()
        self.source('map', text)
        self.both('postmap', '-f', 'hash:map')
        self.compare_lookups('hash:map', self.questions(keys), options=('-f',))

    def test_inline(self):
        keys = [self.address() for _ in range(60)]
        pairs = ', '.join(f'{{ {key} = {self.word()} {self.word()} }}' for key in keys if '"' not in key)
        self.assertGreater(self.compare_lookups(f'inline:{{{pairs}, plain=x}}', self.questions(keys)), KEYS // 4)

    def test_static(self):
        keys = [self.address() for _ in range(KEYS)]
        for spec in ('static:x', 'static:{a b}', 'static:a b'):
            self.assertEqual(self.compare_lookups(spec, keys), KEYS)

    def test_environ(self):
        names = ['TZ', 'nothing', '']   # Postfix drops what is not in import_environment
        keys = [self.random.choice(names) for _ in range(KEYS)]
        self.assertGreater(self.compare_lookups('environ:x', keys, options=('-f',)), KEYS // 4)
        self.assertEqual(self.compare_lookups('environ:x', keys), 0)   # names are folded too

    def test_unix(self):
        for kind, path in (('passwd', '/etc/passwd'), ('group', '/etc/group')):
            names = [line.partition(':')[0] for line in pathlib.Path(path).read_text().splitlines()]
            self.assertGreater(self.compare_lookups(f'unix:{kind}.byname', self.questions(names)), KEYS // 4)

    def test_regexp(self):
        self.source('rules', self.domain_rule_source(40))
        keys = [self.address() for _ in range(KEYS)]
        self.assertGreater(self.compare_lookups('regexp:rules', keys), KEYS // 10)

    def test_pcre(self):
        self.source('rules', self.domain_rule_source(40))
        keys = [self.address() for _ in range(KEYS)]
        self.assertGreater(self.compare_lookups('pcre:rules', keys), KEYS // 10)

    def network(self):
        if self.random.random() < 0.3:
            prefix = self.random.randrange(16, 129)
            return f'2001:db8:{self.random.randrange(16):x}::/{prefix}'
        prefix = self.random.randrange(8, 33)
        return f'10.{self.random.randrange(8)}.{self.random.randrange(4)}.{self.random.randrange(4)}/{prefix}'

    def test_cidr(self):
        lines = []
        for number in range(120):
            line = f'{self.random.choice(["", "", "", "!"]) if number > 100 else ""}{self.network()} r{number}'
            if self.random.random() < 0.1:
                line = f'if {self.random.choice(["", "!"])}{self.network()}\n{line}\nendif'
            lines.append(line)
        self.source('rules', '\n'.join(lines) + '\n')
        keys = [f'10.{self.random.randrange(9)}.{self.random.randrange(5)}.{self.random.randrange(6)}'
                for _ in range(KEYS * 2 // 3)]
        keys += [f'2001:db8:{self.random.randrange(18):x}::{self.random.randrange(4)}' for _ in range(KEYS // 3)]
        keys += ['::ffff:10.0.0.1', '[2001:db8::1]', 'x', '10.0.0', '010.0.0.1']
        self.assertGreater(self.compare_lookups('cidr:rules', keys), KEYS // 10)

    def test_randmap_gives_only_its_values(self):
        values = {'a', 'b', 'c d', 'static:x'}
        for tool in (self.theirs, self.ours):
            answer = tool('postmap', '-q', '-', 'randmap:{a, b, static:x}', input='k\n' * KEYS)
            given = {line.partition('\t')[2] for line in answer.stdout.splitlines()}
            self.assertEqual(given, {'a', 'b', 'static:x'} & values)

    def test_pipemap_and_unionmap(self):
        text, keys = self.map_source()
        values = re.findall(r'^\S+ (\S+)$', text, re.M)
        self.source('map', text)
        self.source('second', ''.join(f'{value} next-{value}\n' for value in values[::2]))
        self.source('rules', '/^([a-z])/ first-$1\n')
        questions = self.questions(keys)
        for spec in ('pipemap:{texthash:map, texthash:second}', 'unionmap:{texthash:map,texthash:second}',
                     'unionmap:{texthash:map,pcre:rules,inline:{x=y}}', 'pipemap:{texthash:map,pcre:rules}'):
            with self.subTest(spec):
                self.assertGreater(self.compare_lookups(spec, questions), 10)

    def test_aliases(self):
        keys, lines = [], []
        for _ in range(400):
            key = self.random.choice([self.word(), f'owner-{self.word()}', f'"{self.word()} {self.word()}"', self.address()])
            value = self.random.choice([self.address(), f'{self.word()}, {self.address()}', '|"/bin/x y"', '/var/f',
                                        ':include:/x/y', f'{self.word()},\n  {self.word()}', ''])
            lines.append(f'{key}{self.random.choice([":", ": ", " : "])}{value}')
            keys.append(key.strip('"'))
        self.source('aliases', '\n'.join(lines) + '\n')
        self.both('postalias', 'hash:aliases')
        self.assertGreater(self.compare_lookups('hash:aliases', self.questions(keys), 'postalias'), KEYS // 4)


class SameCommands(TableTest):
    """Exit statuses, output and messages."""

    MESSAGE = 'From: x\nSubject: y\n  z\n\nbody content here\nx\n'

    def messages(self, answer):
        """Without what differs by the format of the database."""
        return sorted(re.sub(r'\b(hash|btree|lmdb):(\w+)|\b(\w+)\.(db|lmdb)\b', r'\2\3', line)
                      for line in answer.stderr.splitlines())

    def assert_same(self, tool, *arguments, messages=True, **options):
        with self.subTest(tool, arguments=arguments):
            theirs, ours = self.both(tool, *arguments, **options)
            self.assertEqual(ours.stdout, theirs.stdout, ours.stderr)
            self.assertEqual(ours.returncode, theirs.returncode, ours.stderr)
            if messages:
                self.assertEqual(self.messages(ours), self.messages(theirs))

    def test_creation(self):
        self.source('map', 'a 1\nb 2\n')
        self.source('bad', 'a 1\na 2\nb\nc: 3\n"x y" 5\n"unterminated 6\n\\z 7\n  cont\n#c\n\nA 5\n')
        self.source('lead', ' a b\nc d\n')
        self.source('bytes', b'\xff y\nb \xc3\xa4\n')
        for arguments in (('hash:map',), ('map',), ('hash:bad',), ('-w', 'hash:bad'), ('-r', 'hash:bad'),
                          ('hash:lead',), ('hash:bytes',), ('hash:nosuch',), ('texthash:map',), ('regexp:map',),
                          ('hash:map', 'hash:bad'), ('-N', 'hash:map'), ('-n', 'hash:map')):
            self.assert_same('postmap', *arguments)
            self.assert_same('postmap', '-q', '-', 'hash:map', input='a\nA\nb \nc\n\n')

    def test_queries(self):
        self.source('map', 'Key value\nother x y\n')
        self.source('rules', '/x/ X\n/body/ B\n')
        self.both('postmap', 'hash:map')
        for arguments in (('-q', 'key', 'hash:map'), ('-q', 'KEY', 'hash:map'), ('-q', 'none', 'hash:map'),
                          ('-q', '', 'hash:map'), ('-fq', 'KEY', 'hash:map'), ('-q', 'a', 'inline:{b=1}', 'static:x'),
                          ('-q', 'key', 'hash:nosuch'), ('-q', 'key', 'texthash:nosuch'), ('-q', 'a', 'pcre:nosuch'),
                          ('-q', 'a', 'nosuch:x'), ('-q', 'a', 'hash:'), ('-q', 'a', ':x'), ('-q', 'a', 'unix:x'),
                          ('-q', 'a', 'internal:x')):
            self.assert_same('postmap', *arguments)
        for options in ('-bq', '-hq', '-bhq', '-hmq', '-bhmq', '-mq'):
            self.assert_same('postmap', options, '-', 'regexp:rules', input=self.MESSAGE)

    def test_syntax_of_types(self):
        for spec in ('inline:a=1', 'inline:{', 'inline:{}', 'inline:{a}', 'inline:{a=1', 'inline:{a=1}x',
                     'inline:{a = 1}', 'inline:{a=}', 'inline:{a=1,a=2}', 'static:', 'static:{', 'static:{a}b', 'static:{}',
                     'unionmap:x', 'unionmap:{}', 'unionmap:{static}', 'unionmap:{static:a,nosuch:x}',
                     'unionmap:{static:{}}', 'pipemap:x', 'pipemap:{}', 'pipemap:{ }', 'pipemap:{static:{}}',
                     'randmap:x', 'randmap:{}', 'randmap:{,}'):
            self.assert_same('postmap', '-q', 'a', spec)
        for spec in ('fail:x', 'unionmap:{static:a,fail:x}', 'pipemap:{fail:x}'):
            self.assert_same('postmap', '-q', 'a', spec, messages=False)

    def test_bad_rules(self):
        rules = ['/a', '/a/', '/a/b 1', '/(a)/ $0', '/(a)/ $12', '/(a)/ $1x', '!/(a)/ $1', 'a 1', ' /a/ 1',
                 '/a/ 1\n  2', 'if /a/\n/./ 1', 'endif\n/./ 1', 'if\n/./ 1\nendif', 'if /a/ x\n/./ 1\nendif',
                 'if /a/\n/./ 1\nendif', 'ifx /a/\n/./ 1', '/a\\/b/ 1', '%a% 1', '{a} 1', '// 1', '/(a)|(b)/ $2']
        for text in rules:
            self.source('rules', text)
            self.assert_same('postmap', '-q', 'a', 'pcre:rules', messages='$' not in text)
            self.assert_same('postmap', '-q', 'a', 'regexp:rules', messages='$' not in text)
        for text in ('10.0.0.1/8 1', '10.0.0.0/33 1', '10.0.0.0/x 1', '10.0.0.0/8', '10.0.0 1', 'x 1', '10.0.0.0/ 1',
                     'if 10.0.0.0/8\n0.0.0.0/0 1', 'endif\n0.0.0.0/0 1', 'endif x\n0.0.0.0/0 1', 'if x\n0.0.0.0/0 1\nendif',
                     'if\n0.0.0.0/0 1\nendif', '2001:db8::1/32 1', '0/0 1', '[10.0.0.0]/8 1'):
            self.source('rules', text)
            self.assert_same('postmap', '-q', '10.1.2.3', 'cidr:rules')

    def test_changes(self):
        self.source('map', 'a 1\nb 2\nC 3\n')
        for kind in ('hash', 'btree', 'lmdb'):
            spec = f'{kind}:map'
            self.both('postmap', spec)
            for arguments, text in ((('-i', spec), 'n 1\n'), (('-i', spec), 'n 2\n'), (('-i', '-r', spec), 'n 3\nm 1\n'),
                                    (('-d', 'a', spec), ''), (('-d', 'a', spec), ''), (('-d', 'B', spec), ''),
                                    (('-fd', 'C', spec), ''), (('-d', '-', spec), 'c\nzz\n'), (('-i', f'{kind}:new{kind}'), 'k v\n'),
                                    (('-d', 'a', 'hash:none'), '')):
                self.assert_same('postmap', *arguments, input=text)
                theirs, ours = self.both('postmap', '-s', spec)
                self.assertEqual(sorted(ours.stdout.splitlines()), sorted(theirs.stdout.splitlines()))
        self.assert_same('postmap', '-d', 'a', 'texthash:map')
        self.assert_same('postmap', '-s', 'regexp:map', messages=False)

    def test_file_values(self):
        self.source('content', 'hello\n')
        self.source('map', 'a content\nb /nonexistent\nc ./content content\n')
        self.assert_same('postmap', '-F', 'lmdb:map')
        self.assert_same('postmap', '-Fq', 'c', 'lmdb:map')
        self.assert_same('postmap', '-Fq', 'a', 'texthash:map')
        self.assert_same('postmap', '-q', 'a', 'lmdb:map')
        self.assert_same('postmap', '-Fq', 'x', 'inline:{x=content}')

    def test_usage(self):
        for tool in ('postmap', 'postalias'):
            for arguments in ((), ('-Z',), ('-q', 'a'), ('-q', 'a', '-d', 'b', 'hash:x'), ('-s', '-d', 'b', 'hash:x')):
                self.assert_same(tool, *arguments, messages=False)
        self.assert_same('postmap', '-bq', 'x', 'static:x')

    def test_postalias(self):
        self.source('aliases', 'a: 1\na: 2\nb\nc 3\nq: |"/bin/x y"\n d\n"u v" : 6\n:x\nz:\na@b: 3\nUP: case, x\n')
        self.assert_same('postalias', 'hash:aliases')
        self.assert_same('postalias', '-q', 'A', 'hash:aliases')
        self.assert_same('postalias', '-q', '-', 'hash:aliases', input='a\nup\nu v\nq\nz\n')
        self.assert_same('postalias', '-i', 'hash:aliases', input='new: entry\n')
        theirs, ours = self.both('postalias', '-s', 'hash:aliases')
        changing = re.compile('^YP_LAST_MODIFIED:.*', re.M)
        self.assertEqual(sorted(changing.sub('', ours.stdout).splitlines()), sorted(changing.sub('', theirs.stdout).splitlines()))

    def test_json(self):
        self.source('map', 'k "v"\\\n')
        self.assertEqual(self.ours('postmap', '-jq', 'k', 'texthash:map').stdout, '{"k": "\\"v\\"\\\\"}\n')


class Ownership(TableTest):
    """postmap run by root in a user's folder."""

    def owners(self, folder, suffix):
        status = (folder / 'home' / f'map.{suffix}').stat()
        return status.st_uid, status.st_gid, status.st_mode & 0o777

    def in_home(self):
        for folder in (self.theirs_folder, self.ours_folder):
            (folder / 'home').mkdir()
            (folder / 'home/map').write_text('a 1\n')
            (folder / 'home/map').chmod(0o640)
            for path in (folder / 'home', folder / 'home/map'):
                os.chown(path, 65534, 65534)

    def test_the_owner_of_the_source_owns_the_database(self):
        for options in ((), ('-p',), ('-o',)):
            with self.subTest(options):
                for folder in (self.theirs_folder, self.ours_folder):
                    shutil.rmtree(folder / 'home', ignore_errors=True)
                self.in_home()
                for kind in ('lmdb', 'cdb'):
                    self.both('postmap', *options, f'{kind}:home/map')
                    self.assertEqual(self.owners(self.ours_folder, kind), self.owners(self.theirs_folder, kind))

    def test_a_link_leads_nowhere(self):
        self.in_home()
        victim = self.top / 'victim'
        victim.write_text('precious')
        (self.ours_folder / 'home/map.lmdb').symlink_to(victim)
        self.ours('postmap', 'lmdb:home/map')
        self.assertEqual(victim.read_text(), 'precious')
        self.assertEqual({path.lstat().st_uid for path in (self.ours_folder / 'home').iterdir()}, {65534})

    def test_a_closed_folder_is_refused(self):
        self.in_home()
        os.chown(self.ours_folder / 'home', 0, 0)
        answer = self.ours('postmap', 'lmdb:home/map')
        self.assertEqual((answer.returncode, list((self.ours_folder / 'home').glob('*.lmdb'))), (1, []), answer.stderr)


if __name__ == '__main__':
    scenario.main()
