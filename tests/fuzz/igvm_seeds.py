#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small IGVM files for the fuzzer to begin with: igvm_seeds.py DIRECTORY [PROGRAM]

PROGRAM, if any, is run with the names of all of them. They are made without the module's own writer. Before each is a byte that says
which guest it is for (tests/fuzz/igvm_fuzz.cc).
"""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

NATIVE, SNP, TDX, SEV, SEV_ES = 0, 2, 3, 4, 5
PAGE = 4096
TOP = (1 << 32) - PAGE


class File:
    def __init__(self, platform: int) -> None:
        self.platform = platform
        self.headers: list[tuple[int, bytes]] = []
        self.data: list[bytes] = []
        self.add(0x001, '<IBBHQ', 1, 0, platform, 1, 0)

    def add(self, kind: int, form: str, *values: object) -> 'File':
        self.headers.append((kind, struct.pack(form, *values)))
        return self

    def later(self, data: bytes) -> int:
        """A number that becomes the data's offset."""
        self.data.append(data)
        return 0xd0000000 + len(self.data) - 1

    def page(self, gpa: int, data: bytes = b'', flags: int = 0,
             kind: int = 0) -> 'File':
        where = self.later(data) if data else 0
        return self.add(0x302, '<QIIIHH', gpa, 1, where, flags, kind, 0)

    def context(self, vp: int, data: bytes,
                gpa: int = 0xfffffffff000) -> 'File':
        return self.add(0x304, '<QIIHH', gpa, 1, self.later(data), vp, 0)

    def build(self, version: int = 1) -> bytes:
        body = b''
        for kind, content in self.headers:
            body += struct.pack('<II', kind, len(content))
            body += content + bytes(-len(content) % 8)
        fixed = 24 if version == 1 else 32
        at = fixed + len(body)
        for number, data in enumerate(self.data):
            body = body.replace(struct.pack('<I', 0xd0000000 + number),
                                struct.pack('<I', at))
            at += len(data)
        head = struct.pack('<6I', 0x4d564749, version, fixed, len(body), at, 0)
        head += struct.pack('<II', 0, PAGE) if version == 2 else b''
        crc = zlib.crc32(head + body)
        head = head[:20] + struct.pack('<I', crc) + head[24:]
        return head + body + b''.join(self.data)


def save_area(features: int) -> bytes:
    """A CPU after a reset, as KVM has it measured (docs/measurement.md)."""
    area = bytearray(PAGE)
    for at, (selector, attributes, base) in {
            0x00: (0, 0x93, 0), 0x10: (0xf000, 0x9b, 0xffff0000),
            0x20: (0, 0x93, 0), 0x30: (0, 0x93, 0), 0x40: (0, 0x93, 0),
            0x50: (0, 0x93, 0), 0x60: (0, 0, 0), 0x70: (0, 0x82, 0),
            0x80: (0, 0, 0), 0x90: (0, 0x8b, 0)}.items():
        struct.pack_into('<HHIQ', area, at, selector, attributes, 0xffff, base)
    for at, value in {0xd0: 0x1000, 0x148: 0x40, 0x158: 0x10, 0x160: 0x400,
                      0x168: 0xffff0ff0, 0x170: 2, 0x178: 0xfff0,
                      0x268: 0x0007040600070406, 0x3b0: features,
                      0x3e8: 1}.items():
        struct.pack_into('<Q', area, at, value)
    struct.pack_into('<I', area, 0x408, 0x1f80)
    struct.pack_into('<H', area, 0x410, 0x37f)
    return bytes(area)


def seeds() -> dict[str, tuple[int, bytes]]:
    code = bytes(range(256)) * 16
    snp = File(SNP).add(0x101, '<QII', 0x30000, 1, 0)
    snp.page(TOP, code).page(0x1000).page(0x2000)
    snp.page(0x3000, code, flags=2).page(0x4000, code, flags=4)
    snp.page(0x5000, kind=1).page(0x6000, kind=2)
    snp.add(0x305, '<QIIII', 0, 1, 1 << 20, 0, 0)
    snp.add(0x301, '<QII', PAGE, 3, 0)
    for kind, offset in ((0x307, 0), (0x30c, 0x10), (0x309, 0x100),
                         (0x313, 0x200)):
        snp.add(kind, '<II', 3, offset)
    snp.add(0x303, '<QII', 0x7000, 1, 3)
    snp.context(0, save_area(1)).context(1, save_area(1))
    identity = File(SNP).add(0x101, '<QII', 0x30000, 1, 0).page(TOP, code)
    identity.context(0, save_area(1))
    identity.add(0x30b, '<IB3x48s16s16s4I592x', 1, 0, bytes(48), b'f', b'i',
                 1, 0, 1, 0)
    native = File(NATIVE).page(0x100000, code).page(TOP, code)
    native.context(0, struct.pack('<16QQQQHHHHQHHIIHHIIQQQQQ', *[0] * 16,
                                  0x100000, 2, 0, 0, 0, 0, 0, 0, 8, 0xc09b, 0,
                                  0xffffffff, 16, 0xc093, 0, 0xffffffff, 0,
                                  0x11, 0, 0, 0), gpa=0)
    large = File(TDX).page(TOP, code).page(0x200000, flags=1)
    large.add(0x8000030f, '<Q', 0).add(0x30d, '<QII', 0, 1, PAGE)
    return {
        'snp': (SNP + 36, snp.build()),
        'snp-one': (SNP + 6 * 24, identity.build()),
        'native': (NATIVE, native.build(2)),
        'tdx': (TDX, large.build()),
        'sev': (SEV, File(SEV).page(0x1000, code).page(0x2000).build()),
        'sev-es': (SEV_ES, File(SEV_ES).page(0x1000, code)
                   .context(0, save_area(0), 0).build(2)),
    }


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, (guest, data) in seeds().items():
        (out / name).write_bytes(bytes([guest]) + data)
    for program in sys.argv[2:]:
        subprocess.run([program, *sorted(out.iterdir())], check=True)


if __name__ == '__main__':
    main()
