#!/usr/bin/env python3
"""What becomes of each recipient, by what servers say at each point: tests/client_dialogues/*.dlg."""
import pathlib
import re
import shutil
import ssl
import tempfile

import certificates
import environment
import processes
import scenario
from scripted_server import ScriptedServer, Step

FILES = pathlib.Path(__file__).parent.parent / 'client_dialogues'

HASTY = ''.join(f' -o {{0}}_{phase}_timeout=1s' for phase in (
    'helo', 'lhlo', 'mail', 'rcpt', 'data_init', 'data_xfer', 'data_done', 'rset'))
LOGIN = ' -o smtp_sasl_auth_enable=yes -o smtp_sasl_password_maps=static:user:secret -o smtp_sasl_security_options='
TRANSPORTS = {
    'smtp': '', 'hasty': HASTY.format('smtp').replace(' -o smtp_lhlo_timeout=1s', ''), 'strict': ' -o smtp_skip_5xx_greeting=no',
    'may': ' -o smtp_tls_security_level=may', 'encrypt': ' -o smtp_tls_security_level=encrypt',
    'authbars': LOGIN.replace('user:secret', 'us:er||sec|ret') + ' -o smtp_sasl_password_result_delimiter=||',
    'auth': LOGIN, 'authhard': LOGIN + ' -o smtp_sasl_auth_soft_bounce=no',
    'lmtp': '', 'lmtphasty': HASTY.format('lmtp').replace(' -o lmtp_helo_timeout=1s', ''),
}

ANSWERED = ['C: MAIL FROM:<>', 'S: 250 2.1.0 ok', 'C: RCPT TO:<a@', 'S: 250 2.1.5 ok', 'C: DATA', 'S: 354 go', 'C: (text)']
EHLO = ['S: 220 mx.test ESMTP', 'C: EHLO']
ABBREVIATIONS = {
    '+E': EHLO + ['S: 250 mx.test'],
    '+EP': EHLO + ['S: 250-mx.test', 'S: 250 PIPELINING'],
    '+A': EHLO + ['S: 250-mx.test', 'S: 250 AUTH PLAIN'],
    '+D': ANSWERED,
    '+1': ANSWERED + ['S: 250 2.0.0 kept'],
} | {f'+C{count}': ['C: MAIL FROM:<>'] + ['C: RCPT TO:<'] * count + ['C: DATA'] for count in (1, 2, 3)}


class Case:
    def __init__(self, name):
        self.name, self.transport, self.recipients = name, 'smtp', ['a']
        self.steps, self.results, self.texts, self.connections = [], {}, 0, 1
        self.domain = name.replace('_', '-') + '.example'
        self.server = None

    def add(self, line, place):
        kind, text = line[0], line[3:]
        if line[1:3] != ': ' or kind not in 'VTSCXRMN':
            raise ValueError(f'{place}: {line!r}')
        if kind in 'SCX':
            self.steps.append(Step(kind, text, place))
        elif kind == 'V':
            self.transport = text
        elif kind == 'T':
            self.recipients = text.split()
        elif kind == 'R':
            who, code, status, reason = text.split(' ', 3)
            self.results[who] = (code, status, reason)
        elif kind == 'M':
            self.texts = int(text)
        else:
            self.connections = int(text)


def read_cases():
    cases = []
    for path in sorted(FILES.glob('*.dlg')):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith('== '):
                cases.append(Case(line[3:]))
                continue
            for part in ABBREVIATIONS.get(line, [line]):
                cases[-1].add(part, f'{path.name}:{number}')
    return cases


class ClientDialogues(scenario.Scenario):
    def setUp(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-dialogues-'))
        self.addCleanup(shutil.rmtree, folder, True)
        certificate = certificates.Authority(folder).issue('server', 'mx.test')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        self.cases = read_cases()
        for case in self.cases:
            case.server = ScriptedServer(case.steps, context)
            self.addCleanup(case.server.stop)
            self.assertEqual(sorted(case.results), case.recipients, case.name)

    def start(self):
        system = self.system('a')
        a = system['a']
        for name, options in TRANSPORTS.items():
            program = 'lmtp' if name.startswith('lmtp') else 'smtp'
            if name != 'smtp':
                a.extra_services += f'{name} unix - - {a.chroot} - - {program}{options}\n'
        routes = a.top / 'routes'
        routes.write_text(''.join(f'{case.domain} {case.transport}:[127.0.0.1]:{case.server.port}\n' for case in self.cases))
        a.config |= {'transport_maps': f'texthash:{routes}', 'smtp_connection_cache_on_demand': 'no',
                     'lmtp_connection_cache_on_demand': 'no', 'minimal_backoff_time': '1000s', 'maximal_backoff_time': '1000s'}
        system.start()
        return a

    @staticmethod
    def outcome(log, case, who):
        """(relay, code, status, text) of the log line about this recipient."""
        match = re.search(rf': to=<{who}@{re.escape(case.domain)}>, relay=([^,]+), .*dsn=([^,]+), status=(\w+) \((.*)\)$', log, re.M)
        return match and match.groups()

    def differences(self, log, case):
        """Where the log and the server's view are not what the case says."""
        host = '127.0.0.1[127.0.0.1]'
        for who, (code, status, text) in case.results.items():
            found = self.outcome(log, case, who)
            if not found:
                yield f'{who}: no outcome'
                continue
            wanted = re.sub(r'\bH\b', lambda _: re.escape(host), re.escape(text).replace(r'\*', '.*'))
            if found[0] != f'{host}:{case.server.port}':
                yield f'{who}: relay={found[0]}'
            if found[1:3] != (code, status) or not re.fullmatch(wanted, found[3]):
                yield f'{who}: {" ".join(found[1:])!r} instead of {code} {status} {text!r}'
        yield from case.server.faults
        if len(case.server.texts) != case.texts:
            yield f'the server has got {len(case.server.texts)} texts, not {case.texts}'
        for text in case.server.texts:
            if not text.endswith(b'\r\n\r\n..dots\r\nand words\r\n'):
                yield f'the text is {text!r}'
        if case.server.connections != case.connections:
            yield f'{case.server.connections} connections, not {case.connections}'

    def test_outcomes(self):
        self.assertGreater(len(self.cases), 60)
        a = self.start()
        with a.client() as connection:
            connection.greet()
            for case in self.cases:
                connection.envelope('', *(f'{who}@{case.domain}' for who in case.recipients))
                connection.send(b'Subject: %s\r\n\r\n..dots\r\nand words\r\n.\r\n' % case.name.encode())
                self.assertEqual(connection.reply()[0], 250, case.name)

        def is_told():
            log = a.log_text()
            return all(self.outcome(log, case, who) for case in self.cases for who in case.recipients)
        processes.wait_until(is_told, 20 * environment.SLOWER)
        log = a.log_text()
        for case in self.cases:
            with self.subTest(case.name):
                self.assertEqual(list(self.differences(log, case)), [])


if __name__ == '__main__':
    scenario.main()
