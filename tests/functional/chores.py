# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is up at once and does checkable work: chores.S. While it is
stopped, a disk of its machine can be brought up in its place over qtest, so
that KVM has irqfds, ioeventfds and routes to lose."""

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from guest import TIMEOUT, Guest
from kvm_reset.bench import virtio

HERE = Path(__file__).resolve().parent

QUEUES = 2
SIZE = 256 << 10
WORK_TIMEOUT = TIMEOUT


def make_firmware(path: Path) -> None:
    """As large as SeaBIOS, whose place it can take."""
    with tempfile.TemporaryDirectory() as name:
        obj, image = Path(name, 'chores.o'), Path(name, 'chores')
        subprocess.run(['gcc', '-m32', '-c', '-o', obj, HERE / 'chores.S'],
                       check=True)
        subprocess.run(['ld', '-m', 'elf_i386', '-Ttext', '0', '-e', 'start',
                        '--oformat', 'binary', '-o', image, obj], check=True)
        code = image.read_bytes()
    assert len(code) == 0x10000
    path.write_bytes(bytes(SIZE - len(code)) + code)


class Qtest:
    """What a vCPU would do to devices, done from outside: a QEMU with
    arguments() has it."""

    def __init__(self) -> None:
        # Short: the address of a socket has 108 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix='qt', dir='/tmp'))
        self.path = self.directory / 'sock'

    def arguments(self) -> list[str]:
        return ['-chardev', f'socket,id=qtest,path={self.path},server=on,'
                'wait=off', '-object', 'qtest,id=qtest,chardev=qtest,'
                'log=/dev/null', *virtio.arguments(QUEUES)]

    def connect(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(str(self.path))
        self.answers = self.socket.makefile('rb')

    def close(self) -> None:
        self.socket.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def failed(self, what: str) -> AssertionError:
        return AssertionError(what)

    def qtests(self, lines: list[str]) -> list[str]:
        self.socket.sendall('\n'.join([*lines, '']).encode())
        found = []
        for line in lines:
            answer = self.answers.readline().decode().split()
            if not answer or answer[0] != 'OK':
                raise self.failed(f'qtest "{line}": {" ".join(answer)}')
            found.append(answer[1] if len(answer) > 1 else '')
        return found

    def bring_up_disk(self) -> None:
        """After a reset."""
        virtio.bring_up(self, QUEUES)    # type: ignore[arg-type]


def must_work(guest: Guest) -> None:
    """Both CPUs and the timer go on, from wherever the guest was stopped."""
    guest.console.skip()
    guest.qmp('cont')
    for _ in range(2):
        word = guest.console.wait_for('busy|FAIL', WORK_TIMEOUT)[0]
        if word == 'FAIL':
            raise AssertionError('the guest says that its work went wrong')
    guest.qmp('stop')
    guest.console.forget()
