"""A private dovecot that takes mail by LMTP, over a UNIX socket and over TCP.

Users ann, bob and full @d.example; the last one's quota is used up at once.
"""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import ports
import processes

AVAILABLE = pathlib.Path('/usr/lib/dovecot/lmtp').exists()

CONFIG = """\
base_dir = {top}/run
state_dir = {top}/state
log_path = {top}/log
protocols = lmtp
ssl = no
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{top}/mail/%n
mail_uid = {user}
mail_gid = {group}
passdb {{
  driver = passwd-file
  args = {top}/users
}}
userdb {{
  driver = passwd-file
  args = {top}/users
  default_fields = home={top}/mail/%n
}}
mail_plugins = quota
plugin {{
  quota = count:user
  quota_vsizes = yes
}}
protocol lmtp {{
  postmaster_address = postmaster@dovecot.example
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
service lmtp {{
  chroot =
  unix_listener {socket} {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
service anvil {{
  chroot =
}}
"""


class Dovecot:
    def __init__(self, user, socket):
        """socket: where the UNIX socket shall lie; its folder exists."""
        self.top = pathlib.Path(tempfile.mkdtemp(prefix='bulkhead-dovecot-'))
        self.top.chmod(0o755)
        self.port = ports.free_port()
        account = pwd.getpwnam(user)
        for name in ('run', 'state', 'mail'):
            (self.top / name).mkdir()
        os.chown(self.top / 'mail', account.pw_uid, account.pw_gid)
        (self.top / 'users').write_text(
            'ann@d.example:{PLAIN}x::::::\nbob@d.example:{PLAIN}x::::::\n'
            'full@d.example:{PLAIN}x::::::userdb_quota_rule=*:bytes=100\n')
        config = self.top / 'dovecot.conf'
        config.write_text(CONFIG.format(top=self.top, user=user, group=account.pw_name, socket=socket, port=self.port))
        self.process = subprocess.Popen(['/usr/sbin/dovecot', '-F', '-c', config], stdin=subprocess.DEVNULL)
        if not processes.wait_until(pathlib.Path(socket).exists, 15):
            complaints = self.log()
            self.stop()
            raise RuntimeError(f'dovecot does not start: {complaints}')

    def log(self):
        path = self.top / 'log'
        return path.read_text(errors='replace') if path.exists() else ''

    def mailbox(self, user):
        return [path.read_bytes() for path in sorted((self.top / 'mail' / user / 'new').glob('*'))]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.top, ignore_errors=True)
