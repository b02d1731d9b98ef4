# SPDX-License-Identifier: GPL-2.0-or-later
"""IGVM files and their launch digests, read a second time: to check
kvm-reset-igvm and kvm-reset-measure against.

It shares nothing with the C++ but the documents (docs/igvm.md), and checks
nothing, so it is for files that are known to be good.
"""

import hashlib
import struct
from typing import Iterator, NamedTuple

from launch_reference import PAGE, Snp

NATIVE, SNP, TDX, SEV, SEV_ES = 0, 2, 3, 4, 5

PLATFORM, AREA, PAGE_DATA, INSERT, CONTEXT = 0x1, 0x301, 0x302, 0x303, 0x304
LARGE, UNMEASURED, SHARED = 1, 2, 4
UNMEASURED_PAGE = 4     # of SEV-SNP's


def headers(file: bytes) -> Iterator[tuple[int, bytes]]:
    _magic, _version, at, size = struct.unpack_from('<4I', file)
    end = at + size
    while at < end:
        kind, length = struct.unpack_from('<2I', file, at)
        yield kind, file[at + 8:at + 8 + length]
        at += 8 + (length + 7) // 8 * 8


class Pages(NamedTuple):
    gpa: int
    size: int
    data: bytes | None      # None: zeros
    kind: int = 0           # normal, secrets, CPUID
    flags: int = 0


class Launch:
    """What a file has for one platform, in its order."""

    def __init__(self, file: bytes, platform: int) -> None:
        self.pages: list[Pages] = []
        self.vcpus: dict[int, bytes] = {}
        mask = 0
        areas: dict[int, int] = {}
        for kind, content in headers(file):
            if kind == PLATFORM:
                its, _vtl, which = struct.unpack_from('<IBB', content)
                mask |= its if which == platform else 0
            elif kind == AREA:
                size, index, _data = struct.unpack('<QII', content)
                areas[index] = size
            elif kind == INSERT:
                gpa, its, index = struct.unpack('<QII', content)
                if its & mask:
                    self.pages.append(Pages(gpa, areas[index], None,
                                            flags=UNMEASURED))
            elif kind == PAGE_DATA:
                gpa, its, at, flags, what, _ = struct.unpack('<QIIIHH', content)
                size = 2 << 20 if flags & LARGE else PAGE
                data = file[at:at + size] if at else None
                if its & mask:
                    self.pages.append(Pages(gpa, size, data, what, flags))
            elif kind == CONTEXT:
                _gpa, its, at, vcpu, _ = struct.unpack('<QIIHH', content)
                if its & mask:
                    self.vcpus[vcpu] = file[at:at + PAGE]
        assert mask, 'the file is for another platform'

    def areas(self) -> list[bytes]:
        return [self.vcpus[vcpu] for vcpu in sorted(self.vcpus)]


def snp(file: bytes, zero_kind: int = Snp.ZERO,
        others: list[bytes] | None = None) -> str:
    """@zero_kind is that of pages without data; @others are save areas of
    vCPUs that the file does not have."""
    launch = Launch(file, SNP)
    chain = Snp()
    for page in launch.pages:
        if page.flags & SHARED:
            continue
        if page.kind:
            chain.pages({1: Snp.SECRETS, 2: Snp.CPUID}[page.kind], page.gpa,
                        page.size)
        elif page.flags & UNMEASURED:
            chain.pages(UNMEASURED_PAGE, page.gpa, page.size)
        elif page.data is None:
            chain.pages(zero_kind, page.gpa, page.size,
                        bytes(page.size) if zero_kind == Snp.NORMAL else None)
        else:
            chain.pages(Snp.NORMAL, page.gpa, page.size, page.data)
    for area in launch.areas() + (others or []):
        chain.pages(Snp.VMSA, 0xfffffffff000, PAGE, area)
    return chain.value.hex()


def tdx(file: bytes) -> str:
    mrtd = hashlib.sha384()
    for page in Launch(file, TDX).pages:
        if page.flags & SHARED:
            continue
        data = page.data or bytes(page.size)
        for at in range(0, page.size, PAGE):
            mrtd.update(struct.pack('<16sQ104x', b'MEM.PAGE.ADD',
                                    page.gpa + at))
            if page.flags & UNMEASURED:
                continue
            for chunk in range(at, at + PAGE, 256):
                mrtd.update(struct.pack('<16sQ104x', b'MR.EXTEND',
                                        page.gpa + chunk))
                mrtd.update(data[chunk:chunk + 256])
    return mrtd.hexdigest()


def sev(file: bytes, platform: int = SEV) -> str:
    """Of SEV-ES too, by @platform."""
    launch = Launch(file, platform)
    digest = hashlib.sha256()
    for page in launch.pages:
        if not page.flags & (UNMEASURED | SHARED):
            digest.update(page.data or bytes(page.size))
    if platform == SEV_ES:
        for area in launch.areas():
            digest.update(area)
    return digest.hexdigest()
