#!/usr/bin/env python3
"""The lints themselves: what they let pass and what they refuse."""
import importlib.machinery
import importlib.util
import pathlib
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


awaits = load('awaits')
floors = load('floors')
parameters = load('parameters')

ALLOWED = [
    'co_await stream.write(reply);',
    'const auto line = co_await client.read_line();',
    'std::optional<Task<int>>& x = co_await f(a, std::move(b));',
    'reply = co_await dispatch(*line);',
    'session->state.reply = co_await f();',
    'co_return co_await f();',
    '(void)co_await f();',
    'CO_TRY(const auto host, co_await resolve(name));',
    'CO_TRY_VOID(co_await resolve(name));',
    'if (full)\n    co_await drain();',
    'if (x)\n    y();\nelse\n    co_await z();',
    'for (int i = 0; i < 3; ++i)\n    co_await step(i);',
    'auto operator co_await() && noexcept;',
    '// if (co_await f())\n',
    'log("x = {co_await f()}");',
    'switch (x) {\ncase Kind::a:\n    co_return co_await f();\n}',
]
REFUSED = [
    'if (co_await f())\n    g();',
    'while (co_await f()) {}',
    'const int x = 1 + co_await f();',
    'auto r = co_await f({1, 2});',
    'co_await f(Agg{x, 1});',
    'co_await f([a] { return a; });',
    'co_await [a]() -> Task<> { co_return; }();',
    'Agg a{co_await x(), 3};',
    'g(co_await f());',
    'auto x = ok ? co_await f() : 0;',
    'auto x = co_await f() && y;',
    'auto x = co_await f(co_await g());',
    'for (int i = 0; i < co_await f(); ++i)\n    g();',
]


class Awaits(unittest.TestCase):
    def test_lets_plain_forms_pass(self):
        for text in ALLOWED:
            with self.subTest(text):
                self.assertEqual(list(awaits.findings('void f()\n{\n' + text + '\n}\n')), [])

    def test_refuses_dangerous_forms(self):
        for text in REFUSED:
            with self.subTest(text):
                self.assertTrue(list(awaits.findings('void f()\n{\n' + text + '\n}\n')))


class Floors(unittest.TestCase):
    def findings(self, path, text):
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            for name in ('libcommon/base/text.h', 'libcommon/ipc/channel.h', 'libcommon/smtp/reply.h', 'cleanup/store.h',
                         'smtp/session.h'):
                (top / name).parent.mkdir(parents=True, exist_ok=True)
                (top / name).touch()
            file = top / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            return [why for _, why in floors.findings(top, file)]

    def test_down_is_allowed(self):
        self.assertEqual(self.findings('libcommon/ipc/x.cc', '#include "base/text.h"\n'), [])
        self.assertEqual(self.findings('smtp/x.cc', '#include "smtp/reply.h"\n#include "session.h"\n'), [])

    def test_up_is_refused(self):
        self.assertEqual(len(self.findings('libcommon/base/x.cc', '#include "ipc/channel.h"\n')), 1)

    def test_another_program_is_refused(self):
        self.assertEqual(len(self.findings('smtpd/x.cc', '#include "cleanup/store.h"\n')), 1)
        self.assertEqual(len(self.findings('smtpd/x.cc', '#include "../cleanup/store.h"\n')), 1)

    def test_owned_system_header_is_refused(self):
        self.assertEqual(len(self.findings('smtpd/x.cc', '#include <event2/event.h>\n')), 1)


class Parameters(unittest.TestCase):
    """Each on a small tree of its own."""

    TABLE = '{"%s", %s, builtin, 1, "area", "bool", "%s", "help"},\n'

    def findings(self, table, source):
        with tempfile.TemporaryDirectory() as name:
            tree = pathlib.Path(name)
            (tree / 'libcommon/config').mkdir(parents=True)
            (tree / 'smtpd').mkdir()
            (tree / parameters.TABLE).write_text(table)
            (tree / 'libcommon/config/known_parameters.cc').write_text('')
            (tree / 'smtpd/params.h').write_text(source)
            return list(parameters.disagreements(tree))

    def test_a_declared_name_is_in_effect(self):
        declaration = 'Param<bool> x{this, "x", "no", "help"};'
        self.assertEqual(self.findings(self.TABLE % ('x', 'in_effect', 'no'), declaration), [])
        self.assertIn('it is read', self.findings(self.TABLE % ('x', 'not_yet', 'no'), declaration)[0])

    def test_a_name_in_effect_is_read(self):
        table = self.TABLE % ('x', 'in_effect', 'no')
        self.assertIn('nothing reads it', self.findings(table, '// config.get("x")')[0])
        self.assertEqual(self.findings(table, 'auto v = config.get_bool("x");'), [])

    def test_a_name_that_a_default_mentions_is_in_effect(self):
        table = self.TABLE % ('old', 'in_effect', '') + self.TABLE % ('x', 'in_effect', '${old?{$old}:{yes}}')
        self.assertEqual(self.findings(table, 'Param<bool> x{this, "x", "yes", "help"};'), [])

    def test_totals_count_every_name_once(self):
        table = parameters.rows(self.TABLE % ('a', 'in_effect', '') + self.TABLE % ('b', 'not_yet', ''))
        self.assertEqual(parameters.totals(table).splitlines()[-1], '| all | 1 | 0 | 1 | 2 |')


if __name__ == '__main__':
    unittest.main()
