"""Many deferred files at once: copies of one that the system itself has deferred.

    template = made_spool.template(environment, sink)     # running; the queue is empty afterwards
    made_spool.fill(environment, template, 20000)         # stopped or running
"""
import dataclasses
import os
import time

import client

NAMES_OF_ONE_FILE = 50_000      # ext4 allows 65,000


@dataclasses.dataclass
class Template:
    file: bytes
    log: bytes
    owner: tuple


def template(environment, sink, identity='template', recipient='recipient@dest.example'):
    """One message that the sink puts off, as it lies in deferred/ and defer/; it is removed again."""
    sink.script['rcpt'] = lambda *_: '450 4.2.0 hold it'
    with environment.client() as connection:
        connection.greet()
        reply = connection.message('sender@client.example', recipient, client.message(identity, 4096))
    assert reply[0] == 250, reply
    environment.wait_spool('deferred=1,active=0,incoming=0')
    file, = environment.queue_files('deferred')
    log, = environment.queue_files('defer')
    status = file.stat()
    made = Template(file.read_bytes(), log.read_bytes(), (status.st_uid, status.st_gid))
    environment.command('postsuper', '-d', 'ALL')
    sink.script.clear()
    return made


def fill(environment, made, count, due=3600, logs=True, linked=False):
    """`count` files in deferred/, due in so many seconds, with logs in defer/.

    linked: names of few files instead of files, where only the names matter."""
    when = time.time() + due
    folders = set()

    def folder(queue, letter):
        path = environment.spool / queue / letter
        if path not in folders:
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, *made.owner)
            folders.add(path)
        return path

    def write(path, content, mode):
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, mode)
        os.write(handle, content)
        os.fchown(handle, *made.owner)
        os.fchmod(handle, mode)
        os.close(handle)

    source = None
    for number in range(count):
        name = f'{number * 7919 % 1_000_000:05X}{0x1000000 + number:X}'
        path = folder('deferred', name[0]) / name
        if linked and number % NAMES_OF_ONE_FILE:
            os.link(source, path)
        else:
            write(path, made.file, 0o700)
            os.utime(path, (when, when))
            source = path
        if logs:
            write(folder('defer', name[0]) / name, made.log, 0o600)
