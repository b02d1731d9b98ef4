# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of one thread of QEMU, seen and made to fail by strace.

close() is left out: Linux frees the number whatever it returns, which an
injected failure does not. write() is QEMU's own log.
"""

import re
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ERRORS = ('ENOMEM', 'EINTR', 'EAGAIN', 'EBUSY', 'EMFILE', 'ENOSPC')
INJECTABLE = ('ioctl', 'fcntl', 'dup3', 'mmap', 'munmap', 'openat', 'readlink',
              'epoll_ctl', 'epoll_create1', 'process_vm_readv',
              'process_vm_writev')

CALL = re.compile(r'^(\w+)\((.*)')


@dataclass(frozen=True)
class Call:
    name: str
    nth: int            # of its name, since strace was attached
    text: str

    @property
    def label(self) -> str:
        """An ioctl by what it asks for."""
        match = re.match(r'ioctl\(\d+, ([A-Z]\w+)', self.text)
        return match[1] if match else self.name

    @property
    def injected(self) -> bool:
        return '(INJECTED)' in self.text

    def fails_with(self, error: str) -> str:
        """For Strace."""
        return f'{self.name}:error={error}:when={self.nth}'


class Strace:
    """strace on one thread, while it is open."""

    def __init__(self, thread: int, log: Path, inject: str = '') -> None:
        log.unlink(missing_ok=True)
        self.log = log
        command = ['strace', '-p', str(thread), '-o', str(log), '-s', '64',
                   '-e', 'trace=write,' + ','.join(INJECTABLE)]
        if inject:
            command += ['-e', f'inject={inject}']
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        status = Path(f'/proc/{thread}/status')
        deadline = time.monotonic() + 60
        while f'TracerPid:\t{self.process.pid}\n' not in status.read_text():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError('strace does not attach')
            time.sleep(0.01)

    def close(self) -> list[str]:
        self.process.terminate()
        self.process.wait(60)
        return self.log.read_text(errors='replace').splitlines()


def calls_of(lines: Sequence[str], begins: str = '',
             ends: Sequence[str] = ()) -> list[Call]:
    """Those between two words that QEMU writes into its log, or all."""
    counts: Counter[str] = Counter()
    calls, inside = [], not begins
    for line in lines:
        match = CALL.match(line)
        if not match:
            continue
        counts[match[1]] += 1
        if match[1] == 'write' and begins:
            inside = (inside or begins in line) and \
                not any(end in line for end in ends)
        elif inside and match[1] in INJECTABLE:
            calls.append(Call(match[1], counts[match[1]], line))
    return calls
