# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that guests share, and the doorbells between them."""

import os
from pathlib import Path

from guest import TIMEOUT, Guest
from ivshmem import GUEST, PEER, VECTORS, Server
from kvm_reset_test import KvmResetTest
from proof import proves

SIZE = 1 << 20
# To the command's end, so that it is not taken for that of the next one.
DONE = r'(?s:.*?)done status=0'


class Ivshmem(KvmResetTest):
    WEIGHT = 30

    def counted(self, guest: Guest) -> int:
        """Interrupts of the doorbell's vector, which is no one else's."""
        return int(guest.command('run grep PIN: /proc/interrupts',
                                 r'PIN: +(\d+)' + DONE))

    def rings_both_ways(self, guest: Guest, server: Server, text: str) -> None:
        guest.command('run guest-tool ivshmem',
                      f'ivshmem position={GUEST}\\s' + DONE)
        self.assertEqual(self.counted(guest), 0)
        for vector in range(VECTORS):
            server.ring(vector)
            # One after the other: two that wait would be one interrupt.
            guest.wait(lambda: self.counted(guest) == vector + 1, TIMEOUT,
                       'the guest to be rung at')
        for vector in range(VECTORS):
            guest.command(f'run guest-tool ivshmem {PEER} {vector}',
                          'done status=0')
            self.assertEqual(server.rung(vector, TIMEOUT), 1)
        guest.command(f'run guest-tool ivshmem put {text}', 'done status=0')
        self.assertEqual(os.pread(server.memory, len(text), 0), text.encode())

    @proves('ivshmem', 'irqfd', 'ioeventfd', 'msi-routes')
    def test_doorbells_ring_both_ways_after_each_rebirth(self) -> None:
        """ivshmem-doorbell: eventfds that a third process made."""
        path = Path(self.socket_dir().name, 'ivshmem')
        server = Server(path, SIZE)
        self.addCleanup(server.close)
        guest = self.start(args=[
            '-chardev', f'socket,id=c,path={path}', '-device',
            f'ivshmem-doorbell,chardev=c,vectors={VECTORS}'])
        guest.wait_boot()
        self.rings_both_ways(guest, server, 'first')
        with self.reborn(guest):
            guest.console.send('reboot linux')
        # What is shared is not this guest's alone, and stays.
        guest.command('run guest-tool ivshmem get',
                      r'ivshmem text=first\s' + DONE)
        self.rings_both_ways(guest, server, 'second')
