#!/usr/bin/env python3
"""A table that changes: workers hand over to fresh ones, and no session is dropped."""
import os
import pathlib
import struct

import scenario

CHANGING = ('lmdb', 'hash', 'cdb', 'texthash', 'regexp', 'pcre', 'cidr')


class TableChange(scenario.Scenario):
    def start(self, kind):
        self.kind = kind
        self.stack, self.sink = self.system('a'), scenario.Sink()
        self.addCleanup(self.sink.stop)
        self.a = self.stack['a']
        self.a.relay_to(self.sink.port)
        self.source = self.a.folder / 'clients'
        self.a.config |= {
            'smtpd_client_restrictions': f'check_client_access {kind}:{self.source}',
            'smtpd_delay_reject': 'no',
        }
        self.a.write()
        self.put('OK')
        self.stack.start()

    def put(self, action):
        """The table then gives this action for every client."""
        pattern = {'regexp': '/./', 'pcre': '/./', 'cidr': '127.0.0.0/8'}.get(self.kind, '127.0.0.1')
        fresh = pathlib.Path(f'{self.source}.new')
        fresh.write_text(f'{pattern} {action}\n')
        fresh.rename(self.source)
        if self.kind in ('lmdb', 'hash', 'cdb'):
            answer = self.a.command('postmap', f'{self.kind}:{self.source}')
            self.assertEqual(answer.returncode, 0, answer.stderr)

    def greeting(self):
        with self.a.client() as connection:
            return connection.reply()[0]

    def change_is_noticed(self, kind):
        self.start(kind)
        with self.a.client() as session:
            session.greet()
            self.put('554 5.7.1 not you')
            self.assertEqual(self.greeting(), 554, 'a new session did not see the new contents')
            # The session that began before goes on to its end.
            self.assertEqual(session.envelope('s@client.example', 'r@dest.example')[0], 354)
            session.send(b'Subject: x\r\n\r\ntext\r\n.\r\n')
            self.assertEqual(session.reply()[0], 250)
        self.put('OK')
        self.assertEqual(self.greeting(), 220, 'a new session did not see the table of before')


for each in CHANGING:
    setattr(TableChange, f'test_{each}', lambda self, kind=each: self.change_is_noticed(kind))


class Aliases(scenario.Scenario):
    def test_an_alias_counts_from_its_next_message_on(self):
        """Also over the connections that the queue manager keeps to local and trivial-rewrite."""
        stack, sink = self.system('a'), self.sink()
        a = stack['a']
        a.relay_to(sink.port)
        a.extra_services = 'local     unix  -       n       n       -       -       local\n'
        a.config |= {'mydestination': 'here.example', 'local_recipient_maps': '',
                     'virtual_alias_maps': f'hash:{a.folder}/virtual',
                     'alias_maps': f'hash:{a.folder}/aliases', 'alias_database': f'hash:{a.folder}/aliases'}
        a.write()

        def put(number):
            (a.folder / 'aliases').write_text(f'foo: r{number}@dest.example\n')
            (a.folder / 'virtual').write_text(f'v@here.example w{number}@dest.example\n')
            for answer in (a.command('sendmail', '-bi'), a.command('postmap', f'hash:{a.folder}/virtual')):
                self.assertEqual(answer.returncode, 0, answer.stderr)
        put(0)
        stack.start()
        for number in range(4):
            if number:
                put(number)
            subject = f'change-{number}'
            with a.client() as connection:
                connection.greet()
                connection.envelope('s@client.example', 'foo@here.example', 'v@here.example')
                connection.send(f'Subject: {subject}\r\n\r\ntext\r\n.\r\n'.encode())
                self.assertEqual(connection.reply()[0], 250)
            self.wait(lambda: len(self.recipients(sink, subject)) == 2)
            self.assertEqual(self.recipients(sink, subject), [f'r{number}@dest.example', f'w{number}@dest.example'])

    def recipients(self, sink, subject):
        return sorted(address for message in sink.messages if f'Subject: {subject}'.encode() in message.header
                      for address in message.recipients)


class Sizes(scenario.Scenario):
    def test_the_first_size_of_a_database(self):
        a = self.system('a')['a']
        a.config |= {'lmdb_map_size': '1048576'}
        a.write()
        (a.folder / 'table').write_text('key value\n')
        answer = a.command('postmap', f'lmdb:{a.folder}/table')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        # The size is the third number of a meta page.
        data = (a.folder / 'table.lmdb').read_bytes()
        self.assertEqual(struct.unpack_from('<Q', data, 32), (1048576,))


class BerkeleyDatabases(scenario.Scenario):
    def test_a_copied_configuration_works(self):
        """Debian's files: sources with Berkeley DB databases beside them."""
        stack, sink = self.system('a'), self.sink()
        a = stack['a']
        a.relay_to(sink.port)
        for name, text in (('access', '127.0.0.1 554 5.7.1 from the source\n'), ('aliases', 'postmaster: root\n')):
            (a.folder / name).write_text(text)
            (a.folder / f'{name}.db').write_bytes(b'\0' * 12 + b'\x61\x15\x06\0')
        os.chown(a.folder / 'access', 65534, 65534)
        a.folder.chmod(0o777)
        a.config |= {'smtpd_client_restrictions': f'check_client_access hash:{a.folder}/access',
                     'smtpd_delay_reject': 'no'}
        stack.start()
        with a.client() as connection:
            self.assertEqual(connection.reply()[0], 554)
        self.assert_log(a, r'hash:\S*/access: made \S*/access.lmdb from its source')
        self.assertEqual((a.folder / 'access.lmdb').stat().st_uid, 65534)
        a.folder.chmod(0o755)
        answer = a.command('postalias', '-q', 'Postmaster', f'hash:{a.folder}/aliases')
        self.assertEqual((answer.returncode, answer.stdout), (0, 'root\n'), answer.stderr)


if __name__ == '__main__':
    scenario.main()
