#!/usr/bin/env python3
"""Queue files in both directions: ours read by the real Postfix's tools, theirs by ours."""
import json
import os
import pathlib
import pwd
import shutil

import client
import environment
import postfix
import scenario

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / 'data' / 'queue-files'


class OursReadByPostfix(scenario.Scenario):
    def setUp(self):
        scenario.required_environment('BULKHEAD_PEERS')
        self.stack, self.a, self.sink = self.relaying(minimal_backoff_time='600s', maximal_backoff_time='600s')
        self.sink.script['rcpt'] = lambda *_: '450 4.2.0 try later'
        self.postfix = postfix.Postfix(self.stack.top / 'postfix', self.a.spool, self.a.data, self.a.user)

    def send(self, text, *recipients):
        with self.a.client() as connection:
            connection.greet()
            self.assertEqual(connection.envelope('s@client.example', *recipients)[0], 354)
            connection.send(text.replace(b'\r\n.', b'\r\n..') + b'.\r\n')
            code, answer = connection.reply()
            self.assertEqual(code, 250, answer)
            return answer.rpartition(' ')[2]

    def test_postcat_shows_our_files(self):
        texts = {
            'plain': client.message('plain'),
            'long': b'X-Ledger-Id: long\r\n\r\n' + b'0123456789' * 1000 + b'\r\n',
            'eight-bit': 'X-Ledger-Id: e\r\n\r\nGrüße\r\n'.encode(),
            'dots': b'X-Ledger-Id: d\r\n\r\n.\r\n..\r\n',
            'large': b'X-Ledger-Id: l\r\n\r\n' + (b'x' * 70 + b'\r\n') * 30000,
        }
        ids = {name: self.send(text, 'r1@dest.example', 'r2@dest.example') for name, text in texts.items()}
        self.a.wait_spool(f'deferred={len(ids)},active=0,incoming=0')
        for name, queue_id in ids.items():
            with self.subTest(name):
                envelope = self.postfix.tool('postcat', '-q', '-e', queue_id)
                self.assertEqual((envelope.returncode, envelope.stderr), (0, ''))
                for line in ('sender: s@client.example', 'recipient: r1@dest.example', 'recipient: r2@dest.example',
                             'original_recipient: r1@dest.example', 'named_attribute: rewrite_context=local',
                             'named_attribute: log_helo_name=client.example', 'named_attribute: client_address=127.0.0.1'):
                    self.assertIn('\n' + line + '\n', envelope.stdout)
                body = self.postfix.tool('postcat', '-q', '-b', queue_id, text=False)
                self.assertEqual((body.returncode, body.stderr), (0, b''))
                self.assertEqual(body.stdout.replace(b'\n', b'\r\n'), b'\r\n' + texts[name].partition(b'\r\n\r\n')[2])
                header = self.postfix.tool('postcat', '-q', '-h', queue_id)
                self.assertIn(f' with ESMTP id {queue_id}', header.stdout)

    def test_ours_and_theirs_print_the_same(self):
        queue_id = self.send(client.message('same'), 'r1@dest.example')
        self.a.wait_spool('deferred=1,active=0,incoming=0')
        for options in ((), ('-e',), ('-h',), ('-b',), ('-o',), ('-v',), ('-r',)):
            with self.subTest(options):
                theirs = self.postfix.tool('postcat', *options, '-q', queue_id)
                ours = self.a.command('postcat', *options, '-q', queue_id)
                self.assertEqual(ours.stdout, theirs.stdout)
                self.assertEqual(ours.returncode, theirs.returncode)

    def test_postqueue_lists_our_spool(self):
        ids = [self.send(client.message(f'list-{n}'), 'r1@dest.example', 'r2@dest.example') for n in range(3)]
        self.a.wait_spool('deferred=3,active=0,incoming=0')
        held = self.a.command('postsuper', '-h', ids[0])
        self.assertEqual(held.returncode, 0, held.stderr)
        before = sorted(self.a.queue(), key=lambda entry: entry['queue_id'])
        self.assertEqual(self.stack.stop(), [])
        answer = self.postfix.tool('postqueue', '-j')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        theirs = sorted(map(json.loads, answer.stdout.splitlines()), key=lambda entry: entry['queue_id'])
        self.assertEqual(theirs, before)
        table = self.postfix.tool('postqueue', '-p').stdout
        self.assertEqual(self.a.command('postqueue', '-p').stdout, table)

    def test_postsuper_finds_nothing_to_repair(self):
        for number in range(3):
            self.send(client.message(f'check-{number}'), 'r@dest.example')
        self.a.wait_spool('deferred=3,active=0,incoming=0')
        before = self.a.queue_files()
        self.assertEqual(self.stack.stop(), [])
        answer = self.postfix.tool('postsuper', '-s')
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(self.a.queue_files(), before)


class TheirsReadByUs(scenario.Scenario):
    def setUp(self):
        self.stack = self.system('a')
        self.a, self.received = self.stack['a'], self.sink()
        self.a.relay_to(self.received.port)
        self.a.config |= {'minimal_backoff_time': '600s', 'maximal_backoff_time': '600s', 'maximal_queue_lifetime': '100d',
                          'bounce_queue_lifetime': '100d'}

    def place(self, name, queue, queue_id=None):
        """Puts a file that Postfix wrote into our spool; its queue id."""
        account = pwd.getpwnam(self.a.user)
        queue_id = queue_id or name.rpartition('.')[2]
        folder = self.a.spool / queue
        for each in (folder, folder / queue_id[0] if queue in ('deferred', 'defer') else folder):
            each.mkdir(exist_ok=True)
            os.chown(each, account.pw_uid, account.pw_gid)
            each.chmod(0o700)
        target = each / queue_id
        shutil.copyfile(FIXTURES / name, target)
        os.chown(target, account.pw_uid, account.pw_gid)
        target.chmod(0o600 if queue == 'defer' else 0o700)
        os.utime(target, (2000000000, 2000000000))
        return queue_id

    def place_all(self):
        self.place('deferlog.A12B6A76072', 'defer')
        return {
            'rest': self.place('deferred-4rcpt-3done.A12B6A76072', 'deferred'),
            'verp': self.place('deferred-verp-dsn-from-sendmail.09EBAA760DC', 'deferred'),
            'edited': self.place('deferred-milter-edited.07A05A76068', 'deferred'),
            'held': self.place('hold-sasl-filter-redirect-from-smtpd.38690A76075', 'hold'),
        }

    def test_our_postcat_prints_what_theirs_prints(self):
        scenario.required_environment('BULKHEAD_PEERS')
        self.stack.write()
        ids = self.place_all()
        theirs = postfix.Postfix(self.stack.top / 'postfix', self.a.spool, self.a.data, self.a.user)
        for name, queue_id in ids.items():
            for options in ((), ('-e',), ('-h',), ('-b',), ('-o',), ('-v',)):
                with self.subTest(name, options=options):
                    expected = theirs.tool('postcat', *options, '-q', queue_id, text=False)
                    ours = self.a.command('postcat', *options, '-q', queue_id, text=False)
                    self.assertEqual(ours.stdout, expected.stdout)
                    self.assertEqual(ours.returncode, expected.returncode)

    def test_our_postqueue_lists_their_files(self):
        self.stack.start()
        ids = self.place_all()
        entries = {entry['queue_id']: entry for entry in self.a.queue()}
        self.assertEqual(set(entries), set(ids.values()))
        rest = entries[ids['rest']]
        self.assertEqual((rest['queue_name'], rest['arrival_time'], rest['message_size'], rest['sender']),
                         ('deferred', 1795332284, 354, 'user1@local.test'))
        self.assertEqual(rest['recipients'], [{
            'address': 't4a@script.test',
            'delay_reason': 'host 127.0.0.1[127.0.0.1] said: 450 4.2.0 <t4a@script.test>: try later '
                            '(in reply to RCPT TO command)'}])
        self.assertEqual(entries[ids['held']]['queue_name'], 'hold')

    def test_their_file_is_delivered(self):
        self.stack.start()
        queue_id = self.place('deferred-4rcpt-3done.A12B6A76072', 'deferred')
        self.place('deferlog.A12B6A76072', 'defer')
        self.assertEqual(self.a.command('postqueue', '-f').returncode, 0)
        message = self.received.wait_for(lambda message: True, 15 * environment.SLOWER)
        self.assertIsNotNone(message, 'not delivered')
        self.assertEqual((message.sender, message.recipients), ('user1@local.test', ['t4a@script.test']))
        self.assert_log(self.a, rf'{queue_id}: removed$')
        self.a.wait_empty()
        self.assertEqual(self.a.queue_files('corrupt'), [])


if __name__ == '__main__':
    scenario.main()
