# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU with a paused guest, and how long its resets take."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..qmp import Gone, Monitor, QmpError, pair

# Beyond this QEMU has hung; loaded machines and emulated CPUs are slow.
TIMEOUT = 120.0

RESTART = 'x-change-vmfd-on-reset'
SPARE = 'kvm-reset-spare'


class QemuFailed(Exception):
    """One line: what failed, on which QEMU."""


def machine_properties(qemu: str) -> set[str]:
    """Those of q35 that this QEMU has."""
    done = subprocess.run([qemu, '-machine', 'q35,help'], capture_output=True,
                          text=True)
    if done.returncode:
        why = (done.stderr.strip() or f'status {done.returncode}')
        raise QemuFailed(f'{qemu} does not know q35: {why.splitlines()[-1]}')
    return {line.split('=')[0].strip() for line in done.stdout.splitlines()
            if '=' in line}


class Qemu:
    """A QEMU whose guest never runs; stop() it when done."""

    def __init__(self, name: str, program: str, args: list[str]) -> None:
        self.name = name
        self.program = program
        self.errors = tempfile.TemporaryFile('w+')
        channel, theirs, monitor = pair()
        qtest, qtests = socket.socketpair()
        qtest.settimeout(TIMEOUT)
        # However this process ends, QEMU does not outlive it.
        command = [
            'setpriv', '--pdeathsig', 'KILL',
            program, '-nodefaults', '-display', 'none', '-S', '-accel', 'kvm',
            *monitor,
            '-chardev', f'socket,id=qtest,fd={qtests.fileno()}',
            '-object', 'qtest,id=qtest,chardev=qtest,log=/dev/null', *args]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.errors,
            stderr=self.errors, pass_fds=[theirs.fileno(), qtests.fileno()],
            start_new_session=True)
        theirs.close()
        qtests.close()
        self.monitor_socket, self.qtest_socket = channel, qtest
        self.qtest = qtest.makefile('rb')
        try:
            with self.named():
                self.monitor = Monitor(channel, TIMEOUT)
        except QemuFailed:
            self.stop()
            raise

    # --- the monitor ------------------------------------------------------

    def failed(self, what: str) -> QemuFailed:
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines()
        return QemuFailed(f'{self.name} ({self.program}): {what}'
                          + (f': {said[-1]}' if said else ''))

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """A failure in here says of which QEMU."""
        try:
            yield
        except QmpError as error:
            raise self.failed(str(error)) from None
        except Gone as gone:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            status = self.process.returncode
            raise self.failed(str(gone) if status is None else
                              f'ended with status {status}') from None

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.monitor.events

    def command(self, name: str, **arguments: Any) -> Any:
        with self.named():
            return self.monitor.command(name, **arguments)

    def wait_event(self, name: str) -> dict[str, Any]:
        with self.named():
            return self.monitor.wait(name)

    def reset(self) -> float:
        """Nanoseconds from system_reset to the next command's answer after
        the RESET event: the reset is over then."""
        self.events.clear()
        began = time.monotonic_ns()
        self.command('system_reset')
        self.wait_event('RESET')
        status = self.command('query-status')
        took = time.monotonic_ns() - began
        if status['running'] or status['status'] not in ('prelaunch',
                                                         'paused'):
            raise self.failed(f'the guest is {status["status"]}, not paused')
        return float(took)

    # --- qtest: what a driver in the guest would do -----------------------

    def qtests(self, lines: list[str]) -> list[str]:
        """Sends all of them and returns what each was answered."""
        answers = []
        # Few enough at a time that neither side's buffer is ever full.
        for i in range(0, len(lines), 200):
            part = lines[i:i + 200]
            self.qtest_socket.sendall('\n'.join([*part, '']).encode())
            for line in part:
                answer = self.qtest.readline().decode().split()
                if not answer or answer[0] != 'OK':
                    raise self.failed(f'qtest "{line}": {" ".join(answer)}')
                answers.append(answer[1] if len(answer) > 1 else '')
        return answers

    # --- the process ------------------------------------------------------

    @property
    def proc(self) -> Path:
        return Path('/proc', str(self.process.pid))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise self.failed(f'waited {TIMEOUT:.0f} s for {what}')
            time.sleep(0.002)

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.monitor_socket.close()
        self.qtest_socket.close()
        self.errors.close()
