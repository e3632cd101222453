"""Keys and certificates for tests, made by the openssl command.

    authority = Authority(folder)
    server = authority.issue('mx', 'mx.a.example')
    server.chain        # file: key and certificate, as smtpd_tls_chain_files wants it
"""
import pathlib
import subprocess

KINDS = {'ec': ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'], 'rsa': ['rsa:2048']}


def openssl(*arguments, data=None):
    return subprocess.run(['openssl', *map(str, arguments)], input=data, capture_output=True, check=True).stdout


class Certificate:
    def __init__(self, folder, name):
        self.key, self.certificate, self.chain = (folder / f'{name}.{end}' for end in ('key', 'crt', 'pem'))

    def join(self):
        self.chain.write_text(self.key.read_text() + self.certificate.read_text())
        for path in (self.key, self.chain):
            path.chmod(0o600)
        return self

    def fingerprint(self):
        text = openssl('x509', '-in', self.certificate, '-noout', '-fingerprint', '-sha256').decode()
        return text.strip().partition('=')[2]

    def key_digest(self):
        der = openssl('pkey', '-in', self.key, '-pubout', '-outform', 'DER')
        return openssl('dgst', '-sha256', '-binary', data=der)


class Authority(Certificate):
    def __init__(self, folder, name='Test CA'):
        self.folder = pathlib.Path(folder)
        super().__init__(self.folder, name.replace(' ', '-'))
        openssl('req', '-x509', '-newkey', *KINDS['ec'], '-nodes', '-days', '30', '-subj', f'/CN={name}',
                '-keyout', self.key, '-out', self.certificate)
        self.join()

    def issue(self, name, *hosts, kind='ec', days=30):
        """days below zero: it has expired."""
        made = Certificate(self.folder, name)
        request, extensions = self.folder / f'{name}.csr', self.folder / f'{name}.ext'
        openssl('req', '-newkey', *KINDS[kind], '-nodes', '-subj', f'/CN={hosts[0]}', '-keyout', made.key, '-out', request)
        extensions.write_text('subjectAltName=' + ','.join(f'DNS:{host}' for host in hosts) + '\n')
        openssl('x509', '-req', '-in', request, '-CA', self.certificate, '-CAkey', self.key, '-CAcreateserial',
                '-days', days, '-extfile', extensions, '-out', made.certificate)
        return made.join()
