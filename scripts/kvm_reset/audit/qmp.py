# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP over a socket, as little as an audit needs: QEMU's own module is part
of a source tree, which an audit of an installed QEMU does not have."""

import json
import socket
import time
from typing import Any


class QmpError(Exception):
    """QEMU refused a command."""


class Gone(Exception):
    """QEMU ended, or said nothing for too long."""


class Qmp:
    def __init__(self, channel: socket.socket, timeout: float) -> None:
        self.channel = channel
        self.timeout = timeout
        self.heard = b''
        self.events: list[dict[str, Any]] = []
        greeting = self.message(time.monotonic() + timeout)
        self.version: dict[str, Any] = greeting['QMP']['version']
        self.command('qmp_capabilities')

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

    def command(self, name: str, **arguments: Any) -> Any:
        text = json.dumps({'execute': name, 'arguments': arguments})
        try:
            self.channel.sendall(text.encode() + b'\n')
        except OSError as error:
            raise Gone('QEMU ended') from error
        deadline = time.monotonic() + self.timeout
        while True:
            answer = self.message(deadline)
            if 'event' in answer:
                self.events.append(answer)
            elif 'error' in answer:
                raise QmpError(f'{name}: {answer["error"]["desc"]}')
            else:
                return answer['return']

    def wait(self, event: str) -> dict[str, Any]:
        """The next event of that name; earlier ones are forgotten."""
        deadline = time.monotonic() + self.timeout
        while True:
            while self.events:
                first = self.events.pop(0)
                if first['event'] == event:
                    return first
            answer = self.message(deadline)
            if 'event' in answer:
                self.events.append(answer)
