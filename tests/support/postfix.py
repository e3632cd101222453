"""The real Postfix's tools, from the package that ./test unpacked, on a spool of ours.

Nothing of it is installed; its programs find their libraries by $LD_LIBRARY_PATH.
"""
import os
import pathlib

import environment
import scenario

QUEUES = ('maildrop', 'incoming', 'active', 'deferred', 'hold', 'corrupt', 'bounce', 'defer', 'trace', 'flush',
          'private', 'public', 'pid', 'saved')


class Postfix:
    def __init__(self, folder, spool, data, user):
        self.root = pathlib.Path(scenario.required_environment('BULKHEAD_PEERS')) / 'postfix'
        libraries = self.root / 'usr/lib/postfix'
        self.environment = os.environ | {'LD_LIBRARY_PATH': str(libraries)}
        self.folder = pathlib.Path(folder)
        daemons = self.folder / 'daemons'
        daemons.mkdir(parents=True)
        # postqueue starts showq with an emptied environment.
        showq = daemons / 'showq'
        showq.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {libraries}/sbin/showq "$@"\n')
        showq.chmod(0o755)
        (self.folder / 'main.cf').write_text(f'''\
compatibility_level = 3.6
queue_directory = {spool}
data_directory = {data}
command_directory = {self.root}/usr/sbin
daemon_directory = {daemons}
shlib_directory = {libraries}
meta_directory = {self.folder}
mail_owner = {user}
setgid_group = {environment.GROUP}
myhostname = mx.peer.example
''')
        (self.folder / 'master.cf').write_text('')
        # Debian packs these table types apart, and says here which module has them.
        (self.folder / 'dynamicmaps.cf').write_text(
            ''.join(f'{kind}\tpostfix-{kind}.so\tdict_{kind}_open\n' for kind in ('ldap', 'mysql', 'pcre', 'pgsql', 'sqlite'))
            + ''.join(f'{kind}\tpostfix-{kind}.so\tdict_{kind}_open\tmkmap_{kind}_open\n' for kind in ('cdb', 'lmdb')))

    def tool(self, name, *arguments, **options):
        return environment.run(self.root / 'usr/sbin' / name, '-c', self.folder, *arguments, env=self.environment, **options)
