# SPDX-License-Identifier: GPL-2.0-or-later
"""Data that a guest must send back unchanged."""

import os
import socket
import time
from collections.abc import Callable

# Enough for each queue to go round more than once.
SIZE = 1 << 20


def connect(make: Callable[[], socket.socket], address: object,
            timeout: float) -> socket.socket:
    """A guest that has just booted may not listen yet."""
    deadline = time.monotonic() + timeout
    while True:
        sock = make()
        sock.settimeout(timeout)
        try:
            sock.connect(address)
            return sock
        except OSError:
            sock.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def goes_round(sock: socket.socket, size: int = SIZE) -> None:
    """@size random bytes, in pieces that both sides have room for."""
    with sock:
        sent = os.urandom(size)
        for at in range(0, size, 16384):
            piece = sent[at:at + 16384]
            sock.sendall(piece)
            got = b''
            while len(got) < len(piece):
                data = sock.recv(65536)
                if not data:
                    raise AssertionError(
                        f'the guest hung up after {at + len(got)} bytes')
                got += data
            if got != piece:
                raise AssertionError(f'byte {at} and on came back changed')
