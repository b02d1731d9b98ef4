# SPDX-License-Identifier: GPL-2.0-or-later
"""The server of ivshmem-doorbell and one peer of the guest's, as QEMU's
docs/specs/ivshmem-spec describes them."""

import os
import select
import socket
import struct
import threading
from pathlib import Path

PROTOCOL = 0
PEER = 5
GUEST = 9
VECTORS = 2


class Server:
    """Its own peer is there from the start; the guest's QEMU comes once."""

    def __init__(self, path: Path, size: int) -> None:
        self.memory = os.memfd_create('ivshmem')
        os.truncate(self.memory, size)
        self._bells = {number: [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                                for _ in range(VECTORS)]
                       for number in (PEER, GUEST)}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._guest: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        guest, _ = self._listener.accept()
        self._guest.append(guest)

        def send(number: int, *fds: int) -> None:
            socket.send_fds(guest, [struct.pack('<q', number)], fds)
        send(PROTOCOL)
        send(GUEST)
        send(-1, self.memory)
        for number, bells in self._bells.items():
            for bell in bells:
                send(number, bell)

    def ring(self, vector: int) -> None:
        """The guest's."""
        os.eventfd_write(self._bells[GUEST][vector], 1)

    def rung(self, vector: int, timeout: float) -> int:
        """How often the guest rang this peer's since the last time."""
        bell = self._bells[PEER][vector]
        if not select.select([bell], [], [], timeout)[0]:
            return 0
        return os.eventfd_read(bell)

    def close(self) -> None:
        for sock in (*self._guest, self._listener):
            sock.close()
        for fd in (self.memory, *sum(self._bells.values(), [])):
            os.close(fd)
