# SPDX-License-Identifier: GPL-2.0-or-later
"""Launch digests, made a second time: to check kvm-reset-measure against.

It shares nothing with the C++ but the documents (docs/measurement.md). Where
that finds a table through the one before it, this looks for a signature; it
checks nothing, so it is for firmware that is known to be good.
"""

import hashlib
import struct
import uuid

PAGE = 4096
FOUR_GIB = 1 << 32

RESET_BLOCK = '00f771de-1a7e-4fcb-890e-68c77e2fb44e'
HASH_TABLE_AREA = '7255371f-3a3b-4b04-927b-1da6efa8d454'
HASHES = '9438d606-4f22-4cc9-b479-a793d411fd21'
CMDLINE = '97d02dd8-bd20-4c94-aa78-e7714d36ab2a'
INITRD = '44baf731-3a2f-4bd7-9af1-41e29169781d'
KERNEL = '4de79437-abd2-427f-b835-d5b172d2045b'


def guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


def entry(firmware: bytes, name: str, form: str) -> tuple[int, ...] | None:
    """The numbers before the last place where a GUID stands."""
    at = firmware.rfind(guid(name))
    if at < 0:
        return None
    return struct.unpack_from('<' + form, firmware,
                              at - 2 - struct.calcsize('<' + form))


def table_of(firmware: bytes, signature: bytes, row: str) -> list[tuple]:
    """The rows behind a signature, length, version 1 and count."""
    at = -1
    size = struct.calcsize(row)
    while (at := firmware.find(signature, at + 1)) >= 0:
        length, version, count = struct.unpack_from('<3I', firmware, at + 4)
        if version == 1 and length == 16 + count * size:
            return [struct.unpack_from(row, firmware, at + 16 + i * size)
                    for i in range(count)]
    raise ValueError(f'there is no {signature!r}')


def hash_table(kernel: bytes, initrd: bytes, append: str) -> bytes:
    body = b''
    for name, data in ((CMDLINE, append.encode() + b'\0'), (INITRD, initrd),
                       (KERNEL, kernel)):
        body += guid(name) + struct.pack('<H', 50)
        body += hashlib.sha256(data).digest()
    table = guid(HASHES) + struct.pack('<H', len(body) + 18) + body
    return table.ljust((len(table) + 15) // 16 * 16, b'\0')


def save_area(entry_point: int, signature: int, features: int,
              fpu: bool = True) -> bytes:
    """APM volume 2, appendix B; the order is that of the page."""
    def segment(attributes: int, selector: int = 0, base: int = 0) -> bytes:
        return struct.pack('<HHIQ', selector, attributes, 0xffff, base)

    def quad(value: int) -> bytes:
        return struct.pack('<Q', value)

    pieces = {
        0x000: segment(0x93),
        0x010: segment(0x9b, 0xf000, entry_point & 0xffff0000),
        0x020: segment(0x93) * 4,
        0x060: segment(0),
        0x070: segment(0x82),
        0x080: segment(0),
        0x090: segment(0x8b),
        0x0d0: quad(1 << 12),
        0x148: quad(1 << 6),
        0x158: quad(1 << 4),
        0x160: quad(0x400) + quad(0xffff0ff0) + quad(2) +
        quad(entry_point & 0xffff),
        0x268: bytes([6, 4, 7, 0, 6, 4, 7, 0]),
        0x310: quad(signature),
        0x3b0: quad(features),
        0x3e8: quad(1),
    }
    if fpu:
        pieces[0x408] = struct.pack('<IHHH', 0x1f80, 0, 0, 0x37f)
    page = bytearray(PAGE)
    for at, piece in pieces.items():
        page[at:at + len(piece)] = piece
    return bytes(page)


def save_areas(firmware: bytes, vcpus: int, signature: int, features: int,
               fpu: bool = True) -> list[bytes]:
    found = entry(firmware, RESET_BLOCK, 'I')
    assert found
    return [save_area(0xfffffff0 if i == 0 else found[0], signature, features,
                      fpu)
            for i in range(vcpus)]


def sev(firmware: bytes, kernel: tuple[bytes, bytes, str] | None = None,
        areas: list[bytes] | None = None) -> str:
    table = hash_table(*kernel) if kernel else b''
    return hashlib.sha256(firmware + table + b''.join(areas or [])).hexdigest()


class Snp:
    NORMAL, VMSA, ZERO, SECRETS, CPUID = 1, 2, 3, 5, 6

    def __init__(self) -> None:
        self.value = bytes(48)

    def pages(self, kind: int, gpa: int, size: int,
              data: bytes | None = None) -> None:
        for at in range(0, size, PAGE):
            contents = bytes(48)
            if data is not None:
                contents = hashlib.sha384(data[at:at + PAGE]).digest()
            info = self.value + contents + struct.pack(
                '<HB5xQ', 0x70, kind, gpa + at)
            assert len(info) == 0x70
            self.value = hashlib.sha384(info).digest()


def snp(firmware: bytes, areas: list[bytes],
        kernel: tuple[bytes, bytes, str] | None = None) -> str:
    chain = Snp()
    chain.pages(Snp.NORMAL, FOUR_GIB - len(firmware), len(firmware), firmware)
    for gpa, size, kind in table_of(firmware, b'ASEV', '<3I'):
        if kind == 0x10 and kernel:
            area = entry(firmware, HASH_TABLE_AREA, '2I')
            assert area
            page = bytes(area[0] - gpa) + hash_table(*kernel)
            chain.pages(Snp.NORMAL, gpa, size, page.ljust(size, b'\0'))
        else:
            chain.pages({2: Snp.SECRETS, 3: Snp.CPUID}.get(kind, Snp.ZERO),
                        gpa, size)
    for area in areas:
        chain.pages(Snp.VMSA, 0xfffffffff000, PAGE, area)
    return chain.value.hex()


def tdx(firmware: bytes, two_pass: bool = False) -> str:
    mrtd = hashlib.sha384()

    def record(name: bytes, gpa: int) -> None:
        mrtd.update(struct.pack('<16sQ104x', name, gpa))

    for offset, in_file, gpa, size, _kind, attributes in table_of(
            firmware, b'TDVF', '<2I2Q2I'):
        data = firmware[offset:offset + in_file].ljust(size, b'\0')
        added = [('add', page) for page in range(0, size, PAGE)]
        extended = [('extend', at) for at in range(0, size, 256)
                    if attributes & 1]
        operations = added + extended
        if not two_pass:
            # Stable: of a page, its adding comes first.
            operations.sort(key=lambda one: one[1] // PAGE)
        for operation, at in operations:
            if operation == 'add':
                record(b'MEM.PAGE.ADD', gpa + at)
            else:
                record(b'MR.EXTEND', gpa + at)
                mrtd.update(data[at:at + 256])
    return mrtd.hexdigest()
