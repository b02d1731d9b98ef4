# SPDX-License-Identifier: GPL-2.0-or-later
"""The one client of QEMU's monitor, QMP: docs/dependencies.md says why it is
ours."""

import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class QmpError(Exception):
    """QEMU refused a command."""


class Gone(Exception):
    """QEMU ended, or said nothing for too long."""


def pair() -> tuple[socket.socket, socket.socket, list[str]]:
    """Our end and QEMU's, which it inherits, and the arguments that make that
    a monitor. It needs no file, so no directory that takes sockets."""
    ours, theirs = socket.socketpair()
    return ours, theirs, [
        '-chardev', f'socket,id=kvm-reset-qmp,fd={theirs.fileno()}',
        '-mon', 'chardev=kvm-reset-qmp,mode=control']


class Monitor:
    """Of one thread. @timeout: seconds for QEMU to answer, or to send an event
    that is waited for. Events that come meanwhile are kept in @events."""

    def __init__(self, channel: socket.socket, timeout: float = 120) -> None:
        self.channel = channel
        self.timeout = timeout
        self.heard = b''
        self.events: list[dict[str, Any]] = []
        greeting = self.message(time.monotonic() + timeout)
        self.version: dict[str, Any] = greeting['QMP']['version']
        self.command('qmp_capabilities')

    @classmethod
    def at(cls, path: str | Path, timeout: float = 120) -> 'Monitor':
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(timeout)
        try:
            channel.connect(str(path))
            return cls(channel, timeout)
        except (Gone, OSError):
            channel.close()
            raise

    def message(self, deadline: float) -> dict[str, Any]:
        while b'\n' not in self.heard:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Gone(f'QEMU said nothing for {self.timeout:.0f} s')
            self.channel.settimeout(left)
            try:
                data = self.channel.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b''
            if not data:
                raise Gone('QEMU ended')
            self.heard += data
        line, self.heard = self.heard.split(b'\n', 1)
        return json.loads(line)

    def send(self, name: str, fds: Sequence[int] = (),
             **arguments: Any) -> None:
        """Without waiting for the answer. @fds come along, for getfd."""
        text = json.dumps({'execute': name, 'arguments': arguments})
        try:
            if fds:
                socket.send_fds(self.channel, [b' '], list(fds))
            self.channel.sendall(text.encode() + b'\n')
        except OSError as error:
            raise Gone('QEMU ended') from error

    def answer(self) -> Any:
        """Of the first command that has none yet."""
        deadline = time.monotonic() + self.timeout
        while True:
            answer = self.message(deadline)
            if 'event' in answer:
                self.events.append(answer)
            elif 'error' in answer:
                raise QmpError(answer['error']['desc'])
            else:
                return answer['return']

    def command(self, name: str, fds: Sequence[int] = (),
                **arguments: Any) -> Any:
        self.send(name, fds, **arguments)
        try:
            return self.answer()
        except QmpError as error:
            raise QmpError(f'{name}: {error}') from None

    def until(self, event: str) -> list[dict[str, Any]]:
        """All events up to the next one of that name."""
        deadline = time.monotonic() + self.timeout
        came: list[dict[str, Any]] = []
        while not came or came[-1]['event'] != event:
            if not self.events:
                self.events.append(self.message(deadline))
            came.append(self.events.pop(0))
        return came

    def wait(self, event: str) -> dict[str, Any]:
        """The next one of that name; those before are forgotten."""
        return self.until(event)[-1]

    def close(self) -> None:
        self.channel.close()
