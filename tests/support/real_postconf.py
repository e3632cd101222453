"""The real postconf beside ours, on equal folders, and what differs on purpose."""
import os
import pathlib
import re

import environment
import scenario

# What only one of the two says on standard error.
ONLY_THEIRS = re.compile(r'overriding earlier entry|configuration "/|open "\w+" configuration')
ONLY_OURS = re.compile(r'overriding earlier entry|#comment after other text|will be removed')


class RealPostconf:
    def __init__(self):
        self.root = pathlib.Path(scenario.required_environment('BULKHEAD_PEERS')) / 'postfix'
        self.environment = os.environ | {'LD_LIBRARY_PATH': str(self.root / 'usr/lib/postfix')}

    def run(self, folder, *arguments, **options):
        """With -c FOLDER; output as text in which every byte survives."""
        return _decoded(environment.run(self.root / 'usr/sbin/postconf', '-c', folder, *arguments, text=False,
                                        env=self.environment, **options))

    def bounce_folder(self, top):
        """A daemon_directory with the real bounce, which finds its libraries without help; for -b and -t."""
        libraries = self.root / 'usr/lib/postfix'
        script = pathlib.Path(top) / 'daemons' / 'bounce'
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {libraries}/sbin/bounce "$@"\n')
        script.chmod(0o755)
        return script.parent


def ours(folder, *arguments, **options):
    return _decoded(environment.run(environment.COMMANDS / 'postconf', '-c', folder, *arguments, text=False, **options))


def _decoded(answer):
    answer.stdout = answer.stdout.decode('latin-1')
    answer.stderr = answer.stderr.decode('latin-1')
    return answer


def complaints(answer, ignored):
    """The lines of standard error without the program's path, in no order, each once."""
    lines = {re.sub(r'^\S*postconf: ', 'postconf: ', line) for line in answer.stderr.splitlines()}
    return sorted(line for line in lines if not ignored.search(line))
