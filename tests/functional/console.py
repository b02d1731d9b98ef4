# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's console: read all the time, searched from where one left off."""

import re
import socket
import threading
import time
from pathlib import Path


class Silence(AssertionError):
    """What was waited for did not come."""


class Console:
    """Reads by a thread of its own, so that a guest never waits for us."""

    def __init__(self, sock: socket.socket, log: Path) -> None:
        self._sock = sock
        self._log = log.open('wb')
        self._text = ''
        self._seen = 0
        self._closed = False
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = self._sock.recv(65536)
            except OSError:
                data = b''
            with self._changed:
                if data:
                    self._log.write(data)
                    self._log.flush()
                    self._text += data.decode(errors='replace')
                else:
                    self._closed = True
                self._changed.notify_all()
            if not data:
                return

    def send(self, line: str) -> None:
        self._sock.sendall(line.encode() + b'\n')

    def wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        """The first match after that of the last call."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                match = re.compile(pattern).search(self._text, self._seen)
                if match:
                    self._seen = match.end()
                    return match
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    why = 'it was closed' if self._closed else f'{timeout} s'
                    raise Silence(f'{why}: the console did not say {pattern!r};'
                                  f' its last words: {self._text[-120:]!r}')
                self._changed.wait(left)

    def skip(self) -> None:
        """Only what comes from now on counts."""
        with self._changed:
            self._seen = len(self._text)

    def forget(self) -> None:
        """What was matched or skipped, which may be much by and by."""
        with self._changed:
            self._text = self._text[self._seen:]
            self._seen = 0

    def unread(self) -> str:
        """What came since the last match; it is not consumed."""
        with self._changed:
            return self._text[self._seen:]

    def text(self) -> str:
        """All that was ever said."""
        with self._changed:
            return self._text
