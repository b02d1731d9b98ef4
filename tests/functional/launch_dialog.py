# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says to vm-launch-update, and hears, by fw_cfg DMA over qtest."""

import struct
from typing import NamedTuple

from chores import Qtest
from fw_cfg import FwCfg
from guest import Guest

FILE = 'etc/vmlaunchupdate'
DISABLE, HOSTS, IS_IGVM = 1 << 0, 1 << 1, 1 << 32
SUCCESS, FAILED = 0, 1
LAYOUT = struct.Struct('<HHIQQQQQQ')
# Where the guest has its image, and what it hands itself.
IMAGE, OPAQUE = 0x8000000, 0xc000000
RAM = 256 << 20


class File(NamedTuple):
    version: int = 0
    status: int = 0
    padding: int = 0
    capabilities: int = 0
    control: int = 0
    address: int = 0
    size: int = 0
    opaque: int = 0
    opaque_size: int = 0


class LaunchDialog:
    """Part of a test that has these."""

    guest: Guest
    fw_cfg: FwCfg
    key: int

    def begin_dialog(self, qtest: Qtest) -> None:
        """@qtest: is connected"""
        self.fw_cfg = FwCfg(qtest)
        self.key = self.fw_cfg.find(FILE)
        assert self.key

    def file(self) -> File:
        return File(*LAYOUT.unpack(self.fw_cfg.read(self.key, LAYOUT.size)))

    def ask(self, status: int, control: int, address: int = 0, size: int = 0,
            opaque: int = 0, opaque_size: int = 0) -> str:
        """The reason that QEMU gives."""
        seen = len(self.guest.qemu_log())
        asked = File(0x7777, 0x7777, 0x7777, 0x7777, control, address, size,
                     opaque, opaque_size)
        assert self.fw_cfg.write(self.key, LAYOUT.pack(*asked)) == 0
        taken = status == SUCCESS
        answer, wanted = self.file(), asked._replace(
            version=1, status=status, padding=0, capabilities=IS_IGVM,
            address=0 if taken else address, size=0 if taken else size)
        assert answer == wanted, (answer, wanted)
        said = self.guest.qemu_log()[seen:]
        assert f'accepted {int(taken)}' in said, said
        return said

    def bring(self, image: bytes, control: int = 0, status: int = SUCCESS,
              **opaque: int) -> str:
        self.fw_cfg.write_memory(IMAGE, image)
        return self.ask(status, control | IS_IGVM, IMAGE, len(image), **opaque)
