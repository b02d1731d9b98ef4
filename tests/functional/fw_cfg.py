# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine's fw_cfg, driven by DMA over qtest as a guest drives it."""

import base64
import struct

from chores import Qtest

# The port of its DMA address: two words, big endian, the higher one first.
DMA = 0x514
READ, SKIP, SELECT, WRITE, ERROR = 2, 4, 8, 16, 1
DIRECTORY = 0x19
# What QEMU does not use of the guest's memory while that is stopped.
REQUEST, BUFFER = 0x7000000, 0x7001000


class FwCfg:
    def __init__(self, qtest: Qtest) -> None:
        self.qtest = qtest

    def write_memory(self, address: int, data: bytes) -> None:
        piece = 1 << 20
        for at in range(0, len(data), piece):
            part = data[at:at + piece]
            self.qtest.qtests([f'b64write {address + at:#x} {len(part):#x} '
                               + base64.b64encode(part).decode()])

    def read_memory(self, address: int, size: int) -> bytes:
        [said] = self.qtest.qtests([f'b64read {address:#x} {size:#x}'])
        return base64.b64decode(said)

    def ask(self, control: int, address: int, length: int) -> int:
        """The control word as QEMU leaves it."""
        self.write_memory(REQUEST, struct.pack('>IIQ', control, length,
                                               address))
        low, = struct.unpack('<I', struct.pack('>I', REQUEST))
        self.qtest.qtests([f'outl {DMA:#x} 0x0', f'outl {DMA + 4:#x} {low:#x}'])
        left, = struct.unpack('>I', self.read_memory(REQUEST, 4))
        return int(left)

    def read(self, key: int, size: int) -> bytes:
        assert self.ask(key << 16 | SELECT | READ, BUFFER, size) == 0
        return self.read_memory(BUFFER, size)

    def write(self, key: int, data: bytes, offset: int = 0) -> int:
        """0, or ERROR."""
        assert self.ask(key << 16 | SELECT | SKIP, 0, offset) == 0
        self.write_memory(BUFFER, data)
        return self.ask(WRITE, BUFFER, len(data))

    def find(self, name: str) -> int:
        """The key of that file; 0: there is none."""
        count, = struct.unpack('>I', self.read(DIRECTORY, 4))
        files = self.read(DIRECTORY, 4 + 64 * count)[4:]
        for at in range(0, len(files), 64):
            _, key, _, path = struct.unpack('>IHH56s', files[at:at + 64])
            if path.rstrip(b'\0').decode() == name:
                return int(key)
        return 0
