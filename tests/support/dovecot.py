"""A private Dovecot that only answers authentication requests, from a passwd-file."""
import pathlib
import shutil
import subprocess

import processes

PROGRAM = shutil.which('dovecot') or '/usr/sbin/dovecot'

CONFIG = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/dovecot.log
auth_verbose = yes
protocols =
ssl = no
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=plain {top}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0600
    user = {user}
  }}
  inet_listener {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""


class Dovecot:
    def __init__(self, top, socket, user, port, users, mechanisms='plain login cram-md5 scram-sha-256'):
        self.top = pathlib.Path(top)
        self.socket = pathlib.Path(socket)
        self.top.mkdir(mode=0o755)
        (self.top / 'users').write_text(''.join(f'{name}:{password}\n' for name, password in users.items()))
        self.config = self.top / 'dovecot.conf'
        self.config.write_text(CONFIG.format(top=self.top, mechanisms=mechanisms, socket=socket, user=user, port=port))
        self.process = None

    def start(self):
        self.process = subprocess.Popen([PROGRAM, '-F', '-c', self.config], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        if not processes.wait_until(self.socket.exists, 15):
            raise AssertionError(f'dovecot does not start:\n{self.log()}')

    def log(self):
        path = self.top / 'dovecot.log'
        return path.read_text(errors='replace') if path.exists() else ''

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            # Its auth would go on as long as somebody is connected.
            children = processes.descendants(self.process.pid)
            self.process.terminate()
            self.process.wait(10)
            processes.kill(filter(processes.alive, children))
        self.process = None
        self.socket.unlink(missing_ok=True)
