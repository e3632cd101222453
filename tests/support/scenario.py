"""The base of all scenario tests."""
import os
import re
import sys
import unittest

import environment
import processes
from sink import Close, Delay, Reset, Sink  # noqa: F401, for the scenarios

SKIPPED = 77   # ctest's "skipped", when not one test ran

DEATH = re.compile(r'process \S+ pid \d+ (?:exit status [1-9]\d*|killed by signal \d+)|panic: ')


class Scenario(unittest.TestCase):
    """Gives tests real systems and sinks, and looks afterwards whether a worker died.

    A test that kills workers itself sets deaths_expected; what a sanitizer reports is never expected."""

    deaths_expected = False
    maxDiff = 2000

    def system(self, *names):
        system = environment.System(*names)
        self.addCleanup(self._finish, system)
        return system

    def sink(self, **options):
        sink = Sink(**options)
        self.addCleanup(sink.stop)
        return sink

    def relaying(self, **settings):
        """One environment 'a' that relays to a sink; (system, environment, sink)."""
        system, sink = self.system('a'), self.sink()
        system['a'].relay_to(sink.port)
        system['a'].config |= settings
        return system.start(), system['a'], sink

    def wait(self, condition, timeout=10, message='it never came true'):
        value = processes.wait_until(condition, timeout * environment.SLOWER)
        self.assertTrue(value, message)
        return value

    def assert_log(self, where, pattern, timeout=10):
        match = where.wait_log(pattern, timeout)
        self.assertTrue(match, f'no /{pattern}/ in the log of {where.name}:\n{where.log_text()[-3000:]}')
        return match

    def _failed(self):
        result = self._outcome.result
        return any(self in (test, getattr(test, 'test_case', None)) for test, _ in result.failures + result.errors)

    def _finish(self, system):
        try:
            system.stop()
        except Exception as problem:     # the logs below say more
            print(f'stop: {problem}', file=sys.stderr)
        deaths = [] if self.deaths_expected else [
            line for each in system.environments.values() for line in each.log_text().splitlines() if DEATH.search(line)]
        # Workers have the master's standard error, also when their environment's log is gone already.
        deaths += [line for line in system.output().splitlines() if environment.SANITIZER_REPORT.search(line)]
        failed = self._failed() or deaths
        if failed:
            print(f'--- {self.id()} kept {system.top}\n--- master:\n{system.output()[-3000:]}', file=sys.stderr)
            for each in system.environments.values():
                print(f'--- log of {each.name}:\n{each.log_text()[-6000:]}', file=sys.stderr)
        system.clean_up(keep=bool(failed))
        if deaths:
            _remember(f'{self.id()}: {deaths[0]}')
        self.assertEqual(deaths, [], 'workers died')


def _findings():
    """Lies in the staged installation, which every run of ctest makes afresh."""
    return environment.PREFIX / 'findings' / os.path.basename(sys.argv[0])


def _remember(finding):
    """A worker that died is no matter of deadlines: ctest's second try must not hide it."""
    try:
        _findings().parent.mkdir(exist_ok=True)
        with open(_findings(), 'a') as file:
            file.write(finding + '\n')
    except OSError as problem:
        print(f'finding not kept: {problem}', file=sys.stderr)


def main():
    if 'BULKHEAD_BUILD' in os.environ and _findings().exists():
        sys.exit('workers died in the first try:\n' + _findings().read_text())
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun and result.testsRun == len(result.skipped) else 0)


def required_environment(name):
    """A folder that ./test prepares; the test is skipped where it is missing."""
    value = os.environ.get(name, '')
    if not value or not os.path.exists(value):
        raise unittest.SkipTest(f'${name} is not there')
    return value
