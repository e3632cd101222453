"""A name server with really signed zones: Debian's nsd, and ldns to sign.

    server = SignedNameServer(folder, {'a.test': ['mx A 127.0.0.1', '@ MX 10 mx']})
    server.anchors          # a file with the DS records of all signed zones

Zones in `unsigned` stay as they are.  A record in `forged` takes the place of another one after
the signing: name and type as they stand in the zone's line."""
import pathlib
import shutil
import subprocess

import name_server
import processes

AVAILABLE = all(shutil.which(tool) for tool in ('nsd', 'ldns-signzone', 'ldns-keygen'))


class SignedNameServer(name_server.NameServer):
    def __init__(self, folder, zones, unsigned=(), forged=()):
        self.folder, self.search = pathlib.Path(folder), ''
        self.address = self.own_address()
        self.anchors = self.folder / 'anchors'
        self.anchors.write_text('')
        lines = [f'server:\n ip-address: {self.address}@53\n username: ""\n zonesdir: "{self.folder}"\n database: ""\n'
                 f' pidfile: "{self.folder}/nsd.pid"\n xfrdfile: ""\n zonelistfile: "{self.folder}/zones"\n'
                 f' server-count: 1\nremote-control:\n control-enable: no\n']
        for zone, records in zones.items():
            path = self.folder / zone
            path.write_text(f'$ORIGIN {zone}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n'
                            + ''.join(record + '\n' for record in records))
            if zone not in unsigned:
                path = self._sign(zone, path)
            for old, new in forged:
                path.write_text(path.read_text().replace(old, new))
            lines.append(f'zone:\n name: {zone}\n zonefile: {path}\n')
        configuration = self.folder / 'nsd.conf'
        configuration.write_text(''.join(lines))
        with (self.folder / 'nsd.log').open('w') as log:
            self.process = subprocess.Popen(['nsd', '-d', '-c', configuration], stdout=subprocess.DEVNULL, stderr=log)
        processes.wait_until(self._answers, 10)

    def _run(self, *command):
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def _sign(self, zone, path):
        key = self._run('ldns-keygen', '-r', '/dev/urandom', '-a', 'ECDSAP256SHA256', '-k', zone)
        self._run('ldns-signzone', path, key)
        with self.anchors.open('a') as anchors:
            anchors.write((self.folder / f'{key}.ds').read_text())
        return path.with_name(path.name + '.signed')

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError((self.folder / 'nsd.log').read_text())
        return 'started' in (self.folder / 'nsd.log').read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
