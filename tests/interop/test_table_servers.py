#!/usr/bin/env python3
"""mysql, pgsql, sqlite, ldap and memcache tables: real servers, asked by us and by the real postmap."""
import base64
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time

import client
import environment
import processes
import scenario
import table_servers
from table_servers import PASSWORD

DOMAINS = ('example.com', 'mail.example.com', 'other.example', 'a.b.c.d.example', 'localhost')
LOCALS = ('alice', 'bob', "o'hara", 'quote"d', 'back\\slash', 'per%cent', 'plus+tag', 'semi;colon', 'star*', 'paren(s)',
          'grün', 'under_score', 'dash--dash', 'hash#', 'comma,comma', 'equals=x', '<angle>', 'blank blank')
VALUES = ('alice@store.example', 'bare', "it's@o'brien.example", '@nolocal.example', 'nodomain@', '', None,
          'x, y@z.example', 'ümlaut@dömain.example', 'two@at@signs.example', '%s', "\\'")
INJECTIONS = ("' OR '1'='1", "' OR 1=1 -- ", "x'; DROP TABLE alias; -- ", "\\' OR 1=1 -- ", "\\\\' OR 1=1 #", "' UNION SELECT 'x",
              "%' OR address LIKE '%", "a@b' OR 'x'='x", "' OR 1=1 --@example.com", "alice' -- @example.com", '"; DROP TABLE alias',
              '*', '*)(objectclass=*', '*)(|(mail=*', '\\2a', 'alice)(cn=*', 'x,dc=example', 'a=b,c=d', '(', ')', '\\', '\\0', "'", "''")


def rows():
    """(key, value) as all servers have them: keys with none, one and several values."""
    chance = random.Random(7)
    result = []
    for local in LOCALS:
        for domain in DOMAINS + ('',):
            key = (f'{local}@{domain}' if domain else local).lower()
            for _ in range(chance.choice((0, 1, 1, 2, 3))):
                result.append((key, chance.choice(VALUES)))
    result += [('@example.com', 'catch@all.example'), ('example.com', 'a domain'), ('example.com@', 'odd')]
    return result


ROWS = rows()


def keys():
    chance = random.Random(11)
    known = sorted({key for key, _ in ROWS})
    absent = [f'{chance.choice(LOCALS)}{n}@{chance.choice(DOMAINS)}' for n in range(60)]
    shapes = ['@', 'user@', '@nowhere.example', 'a@b@example.com', 'a@.example.com', 'a@example.com.', 'a@example..com', '.', 'a b',
              'x' * 300, 'bare', 'ALICE', 'Alice@EXAMPLE.com']
    return known + [key.upper() for key in known if key.isascii()][:60] + absent + shapes + list(INJECTIONS)


KEYS = keys()
QUERY = "SELECT dest FROM alias WHERE address = '%s' ORDER BY id"
BY_PARTS = "SELECT dest FROM alias WHERE address = '%u@%d' ORDER BY id"

# name: settings that come on top of how to reach the server.
SQL_VARIANTS = {
    'plain': {'query': QUERY},
    'result smtp': {'query': QUERY, 'result_format': 'smtp:[%s]'},
    'result local': {'query': QUERY, 'result_format': '%u'},
    'result domain': {'query': QUERY, 'result_format': '%d'},
    'result both': {'query': QUERY, 'result_format': '%d:%u'},
    'result key': {'query': QUERY, 'result_format': '%S=%s'},
    'result key parts': {'query': QUERY, 'result_format': '%U|%D|%s'},
    'result key labels': {'query': QUERY, 'result_format': '%2.%1 %s'},
    'result percent': {'query': QUERY, 'result_format': '100%% %s'},
    'result constant': {'query': QUERY, 'result_format': 'OK'},
    'parts': {'query': BY_PARTS},
    'upper parts': {'query': BY_PARTS.replace('%u', '%U').replace('%d', '%D')},
    'upper key': {'query': QUERY.replace('%s', '%S')},
    'local part': {'query': "SELECT dest FROM alias WHERE address = '%u' ORDER BY id"},
    'domain part': {'query': "SELECT dest FROM alias WHERE address = '%d' ORDER BY id"},
    'labels': {'query': "SELECT dest FROM alias WHERE address = '%u@%3.%2.%1' ORDER BY id"},
    'five labels': {'query': "SELECT dest FROM alias WHERE address = '%u@%5.%4.%3.%2.%1' ORDER BY id"},
    'two places': {'query': "SELECT '%s', dest FROM alias WHERE address = '%s' AND '%d' <> 'x' ORDER BY id"},
    'columns': {'query': "SELECT dest, id FROM alias WHERE address = '%s' ORDER BY id"},
    'constant': {'query': "SELECT 'x' FROM alias WHERE id = 1"},
    'domain': {'query': QUERY, 'domain': 'example.com, other.example'},
    'domain file': {'query': QUERY, 'domain': '{folder}/domains'},
    'domain table': {'query': QUERY, 'domain': 'inline:{{ mail.example.com=x }} !localhost localhost'},
    'old interface': {'table': 'alias', 'select_field': 'dest', 'where_field': 'address',
                      'additional_conditions': 'AND id > 3 ORDER BY id'},
    'large limit': {'query': QUERY, 'expansion_limit': '1000'},
}

BASE = 'dc=example,dc=com'
FILTER = '(mailacceptinggeneralid=%s)'
LDAP_VARIANTS = {
    'plain': {},
    'default filter': {'query_filter': None},
    'result smtp': {'result_format': 'smtp:[%s]'},
    'result filter': {'result_filter': 'old:[%s]'},
    'result key': {'result_format': '%U at %D is %s'},
    'parts': {'query_filter': '(mailacceptinggeneralid=%u@%d)'},
    'local part': {'query_filter': '(mailacceptinggeneralid=%u)'},
    'labels': {'query_filter': '(mailacceptinggeneralid=%u@%3.%2.%1)'},
    'and': {'query_filter': '(&(objectClass=mailUser)(mailacceptinggeneralid=%s))'},
    'domain': {'domain': 'example.com, other.example'},
    'attributes': {'result_attribute': 'maildrop, mail, cn'},
    'no such attribute': {'result_attribute': 'telephoneNumber'},
    'one': {'scope': 'one'},
    'scope base': {'scope': 'base'},
    'one below': {'scope': 'one', 'search_base': 'ou=people,' + BASE},
    'base of key': {'scope': 'sub', 'search_base': 'cn=%u,ou=people,' + BASE, 'query_filter': '(objectClass=mailUser)'},
    'dereference': {'dereference': '3', 'version': '3'},
    'version 2': {'version': '2'},
    'groups': {'special_result_attribute': 'memberdn'},
    'urls': {'special_result_attribute': 'memberdn memberurl', 'result_attribute': 'maildrop mail'},
    'leaves': {'special_result_attribute': 'memberdn', 'result_attribute': '', 'leaf_result_attribute': 'mail'},
    'terminal': {'special_result_attribute': 'memberdn', 'result_attribute': 'mail', 'terminal_result_attribute': 'maildrop'},
    'all kinds': {'special_result_attribute': 'memberdn,memberurl', 'result_attribute': 'cn', 'leaf_result_attribute': 'mail',
                  'terminal_result_attribute': 'maildrop'},
}
GROUPS = ('staff', 'nested', 'dangling', 'urls', 'mixed')


def ldif():
    def line(name, value):
        value = value.encode()
        return f'{name}:: {base64.b64encode(value).decode()}\n'

    def entry(dn, **attributes):
        text = line('dn', dn)
        for name, values in attributes.items():
            for value in [values] if isinstance(values, str) else values:
                text += line(name, value)
        return text + '\n'

    def escaped(text):
        return ''.join('\\%02x' % byte if chr(byte) in ',+"\\<>;=#' else chr(byte) if byte < 128 else '\\%02x' % byte
                       for byte in text.encode())

    people = 'ou=people,' + BASE
    text = entry(BASE, objectClass=['top', 'dcObject', 'organization'], dc='example', o='Example')
    text += entry(people, objectClass='organizationalUnit', ou='people')
    by_key = {}
    for key, value in ROWS:
        by_key.setdefault(key, []).append(value)
    for number, (key, values) in enumerate(sorted(by_key.items())):
        values = sorted({value for value in values if value})
        more = {'maildrop': values} if values else {}
        text += entry(f'cn=person{number},{people}', objectClass=['inetOrgPerson', 'mailUser'], cn=f'person{number}', sn='x',
                      mailacceptinggeneralid=key, mail=f'p{number}@mail.example', **more)
    for local in LOCALS:
        text += entry(f'cn={escaped(local)},{people}', objectClass=['inetOrgPerson', 'mailUser'], cn=local, sn='y',
                      maildrop=f'by-dn-of {local}')

    def group(name, **attributes):
        return entry(f'cn={name},{BASE}', objectClass=['inetOrgPerson', 'mailUser'], cn=name, sn='g', mailacceptinggeneralid=name,
                     **attributes)
    text += group('staff', memberdn=[f'cn=person{n},{people}' for n in (1, 2, 3)], mail='staff@mail.example')
    text += group('nested', memberdn=[f'cn=staff,{BASE}', f'cn=person4,{people}'], maildrop='nested@drop.example')
    text += group('dangling', memberdn=[f'cn=nobody,{people}', f'cn=person5,{people}'])
    text += group('urls', memberurl=[f'ldap:///{people}?mail?one?(cn=person6)', f'ldap:///{people}??sub?(cn=person7)',
                                     f'ldap:///cn=person8,{people}'])
    text += group('mixed', memberdn=f'cn=urls,{BASE}', memberurl=f'ldap:///{BASE}?maildrop,memberdn?one?(cn=nested)',
                  mail='mixed@mail.example')
    text += group('loop', memberdn=f'cn=loop,{BASE}')
    return text


class TableServers(scenario.Scenario):
    maxDiff = None
    """Has the two postmaps, and servers that all tests of a class share."""

    @classmethod
    def setUpClass(cls):
        peers = pathlib.Path(scenario.required_environment('BULKHEAD_PEERS')) / 'postfix'
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-servers.', dir='/tmp'))
        cls.addClassCleanup(shutil.rmtree, cls.top)
        cls.top.chmod(0o755)
        libraries = peers / 'usr/lib/postfix'
        cls.theirs_environment = os.environ | {'LD_LIBRARY_PATH': str(libraries)}
        cls.theirs_program = peers / 'usr/sbin/postmap'
        (cls.top / 'main.cf').write_text(f'compatibility_level = 3.6\nshlib_directory = {libraries}\nmeta_directory = {cls.top}\n')
        (cls.top / 'dynamicmaps.cf').write_text(''.join(
            f'{kind} postfix-{kind}.so dict_{kind}_open\n' for kind in ('mysql', 'pgsql', 'ldap', 'sqlite')))
        (cls.top / 'domains').write_text('a.b.c.d.example\nexample.com\n')
        cls.count = 0

    @classmethod
    def serve(cls, kind):
        server = kind(cls.top)
        cls.addClassCleanup(server.stop)
        return server

    def definition(self, **settings):
        type(self).count += 1
        path = self.top / f'table{self.count}.cf'
        text = ''.join(f'{name} = {value}\n' for name, value in settings.items() if value is not None)
        path.write_text(text.replace('{folder}', str(self.top)).replace('{{', '{').replace('}}', '}'))
        return path

    def ours(self, spec, *names, **options):
        return environment.run(environment.COMMANDS / 'postmap', '-c', self.top, '-q', *(names or '-'), spec, timeout=60, **options)

    def theirs(self, spec, *names, **options):
        return environment.run(self.theirs_program, '-c', self.top, '-q', *(names or '-'), spec, timeout=60,
                               env=self.theirs_environment, **options)

    def compare(self, spec, names=KEYS):
        text = '\n'.join(names) + '\n'
        theirs, ours = self.theirs(spec, input=text), self.ours(spec, input=text)
        # The real one says which values are empty and which names lead nowhere; the answers are the same.
        complaints = ''.join(line for line in theirs.stderr.splitlines(True)
                             if 'empty lookup result' not in line and 'warning: dict_ldap' not in line)
        self.assertEqual((ours.stdout, ours.returncode, ours.stderr), (theirs.stdout, theirs.returncode, complaints))
        return ours.stdout.count('\n')

    def assert_broken(self, answer, pattern):
        self.assertEqual((answer.returncode, answer.stdout), (1, ''))
        self.assertRegex(answer.stderr, r'postmap: fatal: table \S+: query error: ' + pattern)
        self.assertNotIn(PASSWORD, answer.stderr)

    def assert_broken_as_theirs(self, spec, key, pattern):
        theirs = self.theirs(spec, key)
        self.assertEqual((theirs.returncode, theirs.stdout), (1, ''))
        self.assertRegex(theirs.stderr, r'fatal: (?:table \S+: query error|dict_sqlite_lookup)')
        self.assert_broken(self.ours(spec, key), pattern)


def sql_literal(value):
    return 'NULL' if value is None else "'" + value.replace("'", "''") + "'"


class SqlTests:
    """What holds for each SQL server; the class below it says how to reach one."""

    create_rows = ''.join(f'INSERT INTO alias(id, address, dest) VALUES ({n}, {sql_literal(key)}, {sql_literal(value)});\n'
                          for n, (key, value) in enumerate(ROWS, 1))

    def spec(self, **settings):
        return f'{self.kind}:{self.definition(**(self.access() | settings))}'

    def test_answers_as_the_real_one(self):
        found = 0
        for name, settings in SQL_VARIANTS.items():
            with self.subTest(name):
                found += self.compare(self.spec(**settings))
        print(f'{self.kind}: {len(SQL_VARIANTS)} definitions, {len(SQL_VARIANTS) * len(KEYS)} keys, {found} found')
        self.assertGreater(found, 200)

    def test_every_stored_key_is_found(self):
        """Quoting must not lose anything either."""
        spec = self.spec(query=QUERY)
        wanted = {key for key, value in ROWS if value}
        answer = self.ours(spec, input='\n'.join(sorted(wanted)) + '\n')
        self.assertEqual({line.split('\t')[0] for line in answer.stdout.splitlines()}, wanted)

    def test_nothing_is_injected(self):
        for query in (QUERY, "SELECT dest FROM alias WHERE address = '%u' OR address = '%s'"):
            spec = self.spec(query=query)
            answer = self.ours(spec, input='\n'.join(INJECTIONS) + '\n')
            self.assertEqual((answer.returncode, answer.stdout, answer.stderr), (1, '', ''))
        self.assertEqual(self.stored(), len(ROWS))

    def test_bytes_that_are_not_utf8(self):
        spec = self.spec(query=QUERY)
        for key in (b'\xff', b'alice\xbf\x27 OR 1=1 -- ', b'\xbf\x5c\x27 or 1=1'):
            for program in (self.ours, self.theirs):
                answer = program(spec, key)
                self.assertEqual((answer.returncode, answer.stdout), (1, ''), answer.stderr)

    def test_expansion_limit(self):
        counts = {}
        for key, value in ROWS:
            counts[key] = counts.get(key, 0) + bool(value)
        several = next(key for key, count in counts.items() if count == 2)
        spec = self.spec(query=QUERY, expansion_limit='2')
        self.assertEqual(self.ours(spec, several).stdout, self.theirs(spec, several).stdout)
        self.assert_broken_as_theirs(self.spec(query=QUERY, expansion_limit='1'), several, '.*more than 1 values')

    def test_a_wrong_query_is_broken(self):
        self.assert_broken_as_theirs(self.spec(query="SELECT nosuch FROM alias WHERE address = '%s'"), 'x', '.*nosuch')

    def test_a_wrong_definition_says_file_and_line(self):
        for settings, complaint in (({'query': "SELECT '%x'"}, r'query: bad use of %'), ({'query': 'x%'}, r'query: bad use of %'),
                                    ({'query': QUERY, 'expansion_limit': 'many'}, r'expansion_limit: '),
                                    ({'query': QUERY, 'result_format': '%'}, r'result_format: bad use of %')):
            spec = self.spec(**settings)
            answer = self.ours(spec, 'x')
            self.assertEqual(answer.returncode, 1)
            self.assertRegex(answer.stderr, rf'^postmap: fatal: {spec.partition(":")[2]}, line \d+: {complaint}')
        answer = self.ours(self.spec(query=QUERY, domain='/nonexistent/x'), 'x@x.example')
        self.assertEqual((answer.returncode, answer.stdout), (1, ''))
        self.assertIn('domain: open /nonexistent/x: No such file', answer.stderr)
        answer = self.ours(self.spec(), 'x')
        self.assertRegex(answer.stderr, 'query: is missing')
        self.assertRegex(self.ours(f'{self.kind}:{self.top}/nosuch.cf', 'x').stderr, 'No such file')


class ServerTests(SqlTests):
    def test_parameters_in_main_cf(self):
        folder = self.top / 'with-parameters'
        folder.mkdir()
        settings = self.access() | {'query': QUERY}
        (folder / 'main.cf').write_text((self.top / 'main.cf').read_text() + ''.join(
            f'mine_{name} = {str(value).replace("$", "$$")}\n' for name, value in settings.items()))
        key = next(key for key, value in ROWS if value)
        theirs = environment.run(self.theirs_program, '-c', folder, '-q', key, f'{self.kind}:mine', env=self.theirs_environment)
        ours = environment.run(environment.COMMANDS / 'postmap', '-c', folder, '-q', key, f'{self.kind}:mine')
        self.assertEqual((ours.stdout, ours.returncode), (theirs.stdout, 0), ours.stderr + theirs.stderr)

    def test_hosts(self):
        key = next(key for key, value in ROWS if value)
        wanted = self.ours(self.spec(query=QUERY), key).stdout
        self.assertTrue(wanted)
        dead = f'127.0.0.1:{table_servers.ports.free_port()}'
        live = f'127.0.0.1:{self.server.port}'
        for hosts in (live, f'inet:{live}', f'{dead} {live}', f'inet:{dead}, inet:{live}', f'unix:/nonexistent/socket {live}',
                      f'localhost.:1 {live}', *self.more_hosts()):
            with self.subTest(hosts):
                answer = self.ours(self.spec(query=QUERY, hosts=hosts), key)
                self.assertEqual((answer.returncode, answer.stdout), (0, wanted), answer.stderr)
        self.assert_broken_as_theirs(self.spec(query=QUERY, hosts=dead), key, rf'.*host {dead}: ')

    def test_a_wrong_password_is_broken_and_not_shown(self):
        spec = self.spec(query=QUERY, password='wr0ng-and-s3cret')
        self.assert_broken_as_theirs(spec, 'x', '.*host .*(denied|authentication)')
        self.assertNotIn('wr0ng-and-s3cret', self.ours(spec, 'x').stderr)

    def test_the_server_stops_and_comes_back(self):
        spec = self.spec(query=QUERY)
        key = next(key for key, value in ROWS if value)
        before = self.ours(spec, key).stdout
        self.server.stop()
        try:
            self.assert_broken_as_theirs(spec, key, f'.*host .*{self.server.port}')
        finally:
            self.server.start()
        self.assertEqual(self.ours(spec, key).stdout, before)

    def test_a_jailed_worker_asks_and_recovers(self):
        """smtpd in its chroot: found, absent, broken while the server is away, and found again."""
        self.server.sql("DELETE FROM alias WHERE address LIKE 'jail-%';"
                        "INSERT INTO alias(id, address, dest) VALUES (9001, 'jail-no@dest.example', 'REJECT by the table');")
        self.addCleanup(self.server.sql, "DELETE FROM alias WHERE address LIKE 'jail-%'")
        stack, a, _ = self.relaying(smtpd_recipient_restrictions=f'check_recipient_access {self.spec(query=QUERY)}, permit_mynetworks, reject')

        def answer(recipient):
            with a.client() as connection:
                connection.greet()
                connection.command('MAIL FROM:<s@client.example>')
                return connection.command(f'RCPT TO:<{recipient}>')
        self.assertEqual(answer('jail-no@dest.example')[0], 554)
        self.assertEqual(answer('jail-yes@dest.example')[0], 250)
        self.server.stop()
        try:
            self.assertEqual(answer('jail-no@dest.example')[0], 451)
            self.assertEqual(answer('jail-yes@dest.example')[0], 451)
            self.assert_log(a, rf'table {self.kind}:\S+: .*host 127\.0\.0\.1:{self.server.port}: ')
        finally:
            self.server.start()
        self.wait(lambda: answer('jail-no@dest.example')[0] == 554, message='the table never came back')
        self.assertEqual(answer('jail-yes@dest.example')[0], 250)


class MySql(ServerTests, TableServers):
    kind = 'mysql'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.serve(table_servers.MariaDb).start()
        cls.server.create()
        cls.server.sql('CREATE TABLE alias(id INT PRIMARY KEY, address VARCHAR(400) COLLATE utf8mb4_bin, dest TEXT, KEY(address));\n'
                       'CREATE PROCEDURE lookup(IN wanted VARCHAR(400)) SELECT dest FROM alias WHERE address = wanted ORDER BY id;\n'
                       'CREATE PROCEDURE nothing() SET @x = 1;\n' + cls.create_rows.replace('\\', '\\\\'))

    def access(self):
        return {'hosts': f'127.0.0.1:{self.server.port}', 'user': 'mail', 'password': PASSWORD, 'dbname': 'mail', 'option_group': ''}

    def more_hosts(self):
        return (f'unix:{self.server.socket}', f'unix:{self.server.socket} 127.0.0.1:1')

    def stored(self):
        return int(self.server.sql('SELECT count(*) FROM alias'))

    def test_stored_procedures(self):
        self.compare(self.spec(query="CALL lookup('%s')"), KEYS[:40])
        self.assert_broken(self.ours(self.spec(query='CALL nothing()'), 'x'), '.*no result set')
        answer = self.ours(self.spec(query='CALL nothing()', require_result_set='no'), 'x')
        self.assertEqual((answer.returncode, answer.stdout, answer.stderr), (1, '', ''))

    def test_option_file(self):
        options = self.top / 'my.cnf'
        options.write_text(f'[client]\npassword="wrong"\n[mine]\nuser=mail\npassword="{PASSWORD}"\n'.replace('"w0rd', '\\"w0rd'))
        options.chmod(0o600)
        spec = f'mysql:{self.definition(hosts=self.access()["hosts"], dbname="mail", query=QUERY, option_file=options, option_group="mine")}'
        key = next(key for key, value in ROWS if value)
        answer = self.ours(spec, key)
        self.assertEqual((answer.returncode, answer.stdout), (0, self.ours(self.spec(query=QUERY), key).stdout), answer.stderr)

    def test_killed_connections_are_made_again(self):
        """One process: between two keys the server ends its connections."""
        stack, a, _ = self.relaying(virtual_alias_maps=self.spec(query=QUERY))
        del stack
        for _ in range(3):
            with a.client() as connection:
                connection.greet()
                self.assertEqual(connection.envelope('s@client.example', 'nobody@dest.example')[0], 354)
                connection.send(client.message('killed') + b'.\r\n')
                self.assertEqual(connection.reply()[0], 250)
            self.server.sql("SELECT concat('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'mail'")
            for number in self.server.sql("SELECT id FROM information_schema.processlist WHERE user = 'mail'").split():
                self.server.sql(f'KILL {number}')
        self.assertNotRegex(a.log_text(), 'mysql:')


class PgSql(ServerTests, TableServers):
    kind = 'pgsql'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.serve(table_servers.PostgreSql).start()
        cls.server.sql('CREATE TABLE alias(id INT PRIMARY KEY, address TEXT, dest TEXT); CREATE INDEX ON alias(address);'
                       'CREATE FUNCTION lookup(TEXT) RETURNS SETOF TEXT AS $$SELECT dest FROM alias WHERE address = $1 ORDER BY id$$ '
                       'LANGUAGE SQL;\n' + cls.create_rows.replace('ümlaut@dömain', 'umlaut@domain'))

    def compare(self, spec, names=KEYS):
        # Before 3.8 the real one talks LATIN1 to this server, whatever its own encoding is.
        return super().compare(spec, [name for name in names if name.isascii()])

    def access(self):
        return {'hosts': f'127.0.0.1:{self.server.port}', 'user': 'mail', 'password': PASSWORD, 'dbname': 'postgres'}

    def more_hosts(self):
        return (f'unix:{self.server.folder}/.s.PGSQL.{self.server.port}',
                f'postgresql://mail@127.0.0.1:{self.server.port}/postgres?sslmode=disable')

    def stored(self):
        return int(self.server.sql('SELECT count(*) FROM alias'))

    def test_function(self):
        self.compare(self.spec(select_function='lookup'), KEYS[:60])

    def test_encoding(self):
        key = 'grün@example.com'
        self.assertEqual(self.ours(self.spec(query="SELECT '%s'"), key).stdout, key + '\n')
        self.assert_broken(self.ours(self.spec(query=QUERY, encoding='nosuch'), key), '.*encoding nosuch')


class Sqlite(SqlTests, TableServers):
    kind = 'sqlite'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.database = cls.top / 'alias.db'
        with sqlite3.connect(cls.database) as database:
            database.execute('CREATE TABLE alias(id INTEGER PRIMARY KEY, address TEXT, dest TEXT)')
            database.executemany('INSERT INTO alias VALUES (?, ?, ?)', [(n, *row) for n, row in enumerate(ROWS, 1)])

    def access(self):
        return {'dbpath': self.database}

    def stored(self):
        with sqlite3.connect(self.database) as database:
            return database.execute('SELECT count(*) FROM alias').fetchone()[0]

    def test_no_such_database(self):
        answer = self.ours(self.spec(dbpath='/nonexistent/x.db', query=QUERY), 'x')
        self.assertEqual(answer.returncode, 1)
        self.assertRegex(answer.stderr, 'fatal: sqlite:.*unable to open database file')


class Ldap(TableServers):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.serve(table_servers.Slapd)
        cls.server.load(ldif())
        cls.server.start()

    def spec(self, **settings):
        access = {'server_host': '127.0.0.1', 'server_port': self.server.port, 'search_base': BASE, 'query_filter': FILTER,
                  'bind': 'yes', 'bind_dn': 'cn=admin,' + BASE, 'bind_pw': self.server.password, 'version': '3'}
        return f'ldap:{self.definition(**(access | settings))}'

    def test_answers_as_the_real_one(self):
        found = 0
        for name, settings in LDAP_VARIANTS.items():
            with self.subTest(name):
                found += self.compare(self.spec(**settings), KEYS + list(GROUPS))
        print(f'ldap: {len(LDAP_VARIANTS)} definitions, {len(LDAP_VARIANTS) * len(KEYS)} keys, {found} found')
        self.assertGreater(found, 200)

    def test_every_stored_key_is_found(self):
        wanted = {key for key, value in ROWS if value}
        answer = self.ours(self.spec(), input='\n'.join(sorted(wanted)) + '\n')
        self.assertEqual({line.split('\t')[0] for line in answer.stdout.splitlines()}, wanted)

    def test_names_are_quoted(self):
        spec = self.spec(**LDAP_VARIANTS['base of key'])
        for local in LOCALS:
            answer = self.ours(spec, local + '@example.com')
            self.assertEqual(answer.stdout, f'by-dn-of {local}\n', answer.stderr)

    def test_nothing_is_injected(self):
        for settings in ({}, LDAP_VARIANTS['and'], LDAP_VARIANTS['base of key']):
            spec = self.spec(**settings)
            answer = self.ours(spec, input='\n'.join(INJECTIONS) + '\n')
            self.assertEqual((answer.returncode, answer.stdout, answer.stderr), (1, '', ''))

    def test_a_search_base_that_is_not_there(self):
        self.assert_broken_as_theirs(self.spec(search_base='ou=nowhere,' + BASE), 'x', '.*No such object')

    def test_limits(self):
        self.assert_broken_as_theirs(self.spec(query_filter='(cn=*)', expansion_limit='2'), 'x', '')
        self.assert_broken_as_theirs(self.spec(query_filter='(cn=*)', size_limit='2'), 'x', '.*[Ss]ize limit')
        self.assert_broken_as_theirs(self.spec(special_result_attribute='memberdn', recursion_limit='20'), 'loop',
                                     '.*recursion_limit')

    def test_hosts_and_binding(self):
        key = next(key for key, value in ROWS if value)
        wanted = self.ours(self.spec(), key).stdout
        self.assertTrue(wanted)
        dead, port = table_servers.ports.free_port(), self.server.port
        escaped = str(self.server.socket).replace('/', '%2F')
        for hosts in (f'127.0.0.1:{port}', f'ldap://127.0.0.1:{port}', f'ldap://127.0.0.1:{port}/', f'ldapi://{escaped}',
                      f'127.0.0.1:{dead} 127.0.0.1:{port}', f'ldap://127.0.0.1:{dead} ldap://127.0.0.1:{port}'):
            with self.subTest(hosts):
                answer = self.ours(self.spec(server_host=hosts), key)
                self.assertEqual((answer.returncode, answer.stdout), (0, wanted), answer.stderr)
        self.assert_broken_as_theirs(self.spec(server_host=f'127.0.0.1:{dead}'), key, '.*host')
        self.assert_broken_as_theirs(self.spec(bind_pw='wr0ng'), key, '.*bind: Invalid credentials')
        self.assertEqual(self.ours(self.spec(bind='no'), key).stdout, self.theirs(self.spec(bind='no'), key).stdout)

    def test_the_server_stops_and_comes_back(self):
        key = next(key for key, value in ROWS if value)
        before = self.ours(self.spec(), key).stdout
        self.server.stop()
        try:
            self.assert_broken_as_theirs(self.spec(), key, '.*host')
        finally:
            self.server.start()
        self.assertEqual(self.ours(self.spec(), key).stdout, before)

    def test_a_wrong_definition_says_file_and_line(self):
        for settings, complaint in (({'scope': 'wide'}, 'scope: want'), ({'bind': 'sasl'}, 'bind: want'), ({'version': '4'}, 'version: '),
                                    ({'search_base': '%'}, 'search_base: bad use'), ({'timeout': 'x'}, 'timeout: ')):
            spec = self.spec(**settings)
            self.assertRegex(self.ours(spec, 'x').stderr, rf'^postmap: fatal: {spec[5:]}, line \d+: {complaint}')


class Memcache(TableServers):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.serve(table_servers.Memcached).start()

    def setUp(self):
        self.server.ask('flush_all\r\n')

    def spec(self, **settings):
        return f'memcache:{self.definition(memcache=f"inet:127.0.0.1:{self.server.port}", **settings)}'

    def store(self, key, value):
        self.assertEqual(self.server.ask(f'set {key} 0 60 {len(value.encode())}\r\n{value}\r\n'), 'STORED\r\n')

    def test_answers_as_the_real_one(self):
        for key, value in ROWS:
            if value and ' ' not in key:
                self.store('k:' + key, value)
        names = [key for key in KEYS if ' ' not in key and len(key) < 200]
        found = sum(self.compare(self.spec(key_format=form), names) for form in ('k:%s', 'k:%u@%d', 'k:%S', 'k:%u', '%s'))
        self.assertGreater(found, 100)

    def test_a_backup_fills_the_cache(self):
        spec = self.spec(backup='inline:{one=1, two@x.example=2}', key_format='b:%s')
        self.assertEqual(self.ours(spec, 'one').stdout, '1\n')
        self.assertIn('VALUE b:one 0 1\r\n1\r\n', self.server.ask('get b:one\r\n'))
        self.store('b:one', 'from the cache')
        self.assertEqual(self.ours(spec, 'one').stdout, 'from the cache\n')
        self.assertEqual((self.ours(spec, 'three').returncode, self.ours(spec, 'three').stdout), (1, ''))

    def test_keys_cannot_hold_commands(self):
        spec = self.spec(backup='inline:{a=1}')
        for key in ('x\r\nset y 0 0 1\r\nz', 'a b', '\t', 'x' * 251):
            self.assertEqual(self.ours(spec, key).returncode, 1)
        self.assertEqual(self.server.ask('get y\r\n'), 'END\r\n')

    def test_limits_and_domain(self):
        self.store('large', 'x' * 2000)
        self.assert_broken(self.ours(self.spec(data_size_limit='1000', max_try='1'), 'large'), '.*data_size_limit')
        self.store('a@x.example', 'yes')
        self.store('a@y.example', 'yes')
        self.compare(self.spec(domain='x.example'), ['a@x.example', 'a@y.example', 'a', '@x.example'])

    def test_the_server_stops_and_comes_back(self):
        self.store('key', 'value')
        with_backup = self.spec(backup='inline:{key=backup}')
        self.server.stop()
        try:
            self.assert_broken(self.ours(self.spec(), 'key'), '.*host .*Connection refused')
            self.assertEqual(self.ours(with_backup, 'key').stdout, 'backup\n')
        finally:
            self.server.start()
        self.assertEqual(self.ours(self.spec(), 'key').returncode, 1)


class Modules(TableServers):
    def test_no_program_is_linked_with_their_libraries(self):
        # The embedded users of smtpd_sasl_type = gsasl are an SQLite database, and these two keep it.
        keep_users = {'bulkhead', 'saslauth'}
        for program in (*(environment.PREFIX / 'sbin').iterdir(), *(environment.PREFIX / 'libexec/bulkhead').iterdir()):
            if program.suffix != '.so' and not program.is_symlink():
                answer = environment.run('ldd', program)
                allowed = '' if program.name in keep_users else '|libsqlite'
                self.assertNotRegex(answer.stdout, 'libmariadb|libpq|libldap' + allowed, str(program))

    def test_a_missing_module_is_a_broken_table(self):
        with tempfile.TemporaryDirectory(dir='/tmp') as top:
            top = pathlib.Path(top)
            (top / 'sbin').mkdir()
            (top / 'libexec/bulkhead').mkdir(parents=True)
            for name in ('postmap', 'postconf'):
                shutil.copy2(environment.COMMANDS / name, top / 'sbin')
            (top / 'x.cf').write_text('query = x\n')
            answer = environment.run(top / 'sbin/postmap', '-q', 'x', f'mysql:{top}/x.cf')
            self.assertEqual(answer.returncode, 1)
            self.assertIn(f'table type mysql: module {top}/libexec/bulkhead/table-mysql.so is not installed (package bulkhead-mysql)',
                          answer.stderr)
            listed = environment.run(top / 'sbin/postconf', '-m').stdout.split()
            self.assertIn('memcache', listed)
            self.assertNotIn('mysql', listed)
            for kind in ('mysql', 'pgsql', 'ldap', 'sqlite'):
                (top / f'libexec/bulkhead/table-{kind}.so').write_bytes(b'not a module')
            self.assertIn('table type mysql: ', environment.run(top / 'sbin/postmap', '-q', 'x', f'mysql:{top}/x.cf').stderr)


if __name__ == '__main__':
    scenario.main()
