# SPDX-License-Identifier: GPL-2.0-or-later
"""One more QMP monitor of a QEMU, for who asks while the first one waits."""

import json
import socket
from typing import Any


class Monitor:
    """Of one thread; events are dropped."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        self._socket.connect(path)
        self._lines = self._socket.makefile('r')
        self._lines.readline()
        self.cmd('qmp_capabilities')

    def send(self, command: str, **arguments: Any) -> None:
        """Without waiting for the answer."""
        text = json.dumps({'execute': command, 'arguments': arguments})
        self._socket.sendall(text.encode() + b'\n')

    def answer(self) -> Any:
        while line := self._lines.readline():
            message = json.loads(line)
            if 'return' in message:
                return message['return']
            if 'error' in message:
                raise AssertionError(f'QMP: {message["error"]["desc"]}')
        raise EOFError('the monitor was closed')

    def cmd(self, command: str, **arguments: Any) -> Any:
        self.send(command, **arguments)
        return self.answer()

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
