#!/usr/bin/env python3
"""Lists of waiting mail for a site: kept while mail is deferred, used by postqueue -s, sendmail -qR and the master's wake-up."""
import os
import shutil
import time

import client
import environment
import inner
import processes
import scenario

STARTED, UNAVAILABLE, REFUSED = '0', '1', '2'


class Flush(scenario.Scenario):
    def waiting(self, *recipients, **settings):
        """Mail in deferred/ that is not due for ten minutes."""
        system, a, sink = self.relaying(**{
            'minimal_backoff_time': '600s', 'maximal_backoff_time': '600s', 'relay_domains': 'site.example, b.example',
            **settings})
        sink.script['rcpt'] = lambda *_: '450 4.2.0 later'
        for number, recipient in enumerate(recipients):
            with a.client() as connection:
                connection.greet()
                code, text = connection.message('s@client.example', recipient, client.message(f'flush-{number}'))
                self.assertEqual(code, 250, text)
        a.wait_spool(f'deferred={len(recipients)},active=0,incoming=0')
        sink.script.clear()
        return system, a, sink

    def ids(self, sink):
        return sorted(message.id for message in sink.messages)

    def test_only_the_mail_of_the_site(self):
        _, a, sink = self.waiting('u@site.example', 'v@sub.site.example', 'w@SITE.example', 'x@other.example', 'y@b.example')
        listed = (a.spool / 'flush/site_example').read_text().split()
        self.assertEqual(len(listed), 2)
        self.assertTrue(set(listed) < {path.name for path in a.queue_files('deferred')})
        self.assertEqual(sorted(path.name for path in (a.spool / 'flush').iterdir()),
                         ['b_example', 'site_example', 'sub_site_example'])
        answer = a.command('postqueue', '-s', 'Site.Example')
        self.assertEqual((answer.returncode, answer.stderr), (0, ''))
        a.wait_spool('deferred=3,active=0,incoming=0')
        self.assertEqual(self.ids(sink), ['flush-0', 'flush-2'])
        self.assertEqual((a.spool / 'flush/site_example').read_text(), '')
        self.assertEqual(a.command('sendmail', '-qRsub.site.example').returncode, 0)
        a.wait_spool('deferred=2,active=0,incoming=0')

    def test_a_site_without_a_list_is_refused(self):
        _, a, sink = self.waiting('x@other.example')
        answer = a.command('postqueue', '-s', 'other.example')
        self.assertEqual(answer.returncode, 69)
        self.assertIn('Flush service is not configured for destination "other.example"', answer.stderr)
        self.assertEqual(inner.ask(a.spool / 'public/flush', inner.FLUSH_SITE, site='other.example')[1]['answer'], REFUSED)
        self.assertEqual(inner.ask(a.spool / 'public/flush', inner.FLUSH_SITE, site='b.example')[1]['answer'], STARTED)

    def test_mail_that_fails_again_is_listed_again(self):
        _, a, sink = self.waiting('u@site.example')
        sink.script['rcpt'] = ['450 4.2.0 later']
        self.assertEqual(a.command('postqueue', '-s', 'site.example').returncode, 0)
        self.assert_log(a, r'(?s)status=deferred.*status=deferred')
        a.wait_spool('deferred=1,active=0,incoming=0')
        self.assertEqual(len((a.spool / 'flush/site_example').read_text().split()), 1)
        self.assertEqual(a.command('postqueue', '-s', 'site.example').returncode, 0)
        a.wait_empty()
        self.assertEqual(self.ids(sink), ['flush-0'])

    def test_an_id_of_a_message_that_is_gone_does_no_harm(self):
        _, a, sink = self.waiting('u@site.example')
        with open(a.spool / 'flush/site_example', 'a') as file:
            file.write('AAAAAAAAAAA\n../../etc/passwd\n\n')
        self.assertEqual(a.command('postqueue', '-s', 'site.example').returncode, 0)
        a.wait_empty()
        self.assertEqual((a.spool / 'flush/site_example').read_text(), '')

    def test_old_lists_are_used_and_old_files_removed(self):
        _, a, sink = self.waiting('u@site.example', fast_flush_refresh_time='1h', fast_flush_purge_time='1h')
        empty = a.spool / 'flush/old_example'
        empty.touch()
        shutil.chown(empty, a.user)
        old = time.time() - 7200
        os.utime(empty, (old, old))
        a.command('postkick', 'public', 'flush', 'W')
        self.wait(lambda: not empty.exists())
        self.assertEqual(len(a.queue_files('deferred')), 1)
        os.utime(a.spool / 'flush/site_example', (old, old))
        a.command('postkick', 'public', 'flush', 'W')
        a.wait_empty()
        self.assertEqual(self.ids(sink), ['flush-0'])

    def test_killed_in_between_nothing_is_lost(self):
        self.deaths_expected = True
        recipients = [f'u{number}@site.example' for number in range(60)]
        _, a, sink = self.waiting(*recipients)
        for _ in range(5):
            processes.kill(a.workers('flush'))
            a.command('postqueue', '-s', 'site.example')
            processes.kill(a.workers('flush', 'qmgr'))
        a.wait_spool('active=0,incoming=0', 30)
        self.wait(lambda: a.command('postqueue', '-s', 'site.example').returncode == 0)
        a.command('postqueue', '-f')
        a.wait_empty(30)
        self.assertEqual(len(set(self.ids(sink))), 60)


if __name__ == '__main__':
    scenario.main()
