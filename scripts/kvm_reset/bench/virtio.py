# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver for virtio-blk over PCI that does no more than bring a device up,
so that KVM has an ioeventfd and an irqfd for each of its queues.

It speaks through qtest, which reads and writes what a vCPU would, so that the
guest need not run. Registers are those of the PCI and the Virtio 1.x
specification.
"""

from .qemu import Qemu

ADDRESS, DATA = 0xCF8, 0xCFC

VENDOR, COMMAND, STATUS, BAR0, CAPABILITIES = 0x00, 0x04, 0x06, 0x10, 0x34
MEMORY_AND_MASTER = 0x0006
VIRTIO_VENDOR = 0x1AF4

CAP_VENDOR, CAP_MSIX = 0x09, 0x11
COMMON_CFG = 1
MSIX_ENABLE = 1 << 31

# Fields of the common configuration.
DRIVER_FEATURE_SELECT, DRIVER_FEATURE = 0x08, 0x0C
CONFIG_VECTOR, DEVICE_STATUS = 0x10, 0x14
QUEUE_SELECT, QUEUE_SIZE, QUEUE_VECTOR, QUEUE_ENABLE = 0x16, 0x18, 0x1A, 0x1C
QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE = 0x20, 0x28, 0x30

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
NO_VECTOR = 0xFFFF

# BARs lie below the IOAPIC, far above the memory below 4 GiB.
FIRST_BAR = 0xF0000000
RINGS = 0x100000
MOST_QUEUES = 512


def arguments(irqfds: int) -> list[str]:
    """A QEMU whose guest has disks with so many queues in all."""
    args = []
    for number, queues in enumerate(split(irqfds)):
        args += ['-blockdev', f'null-co,node-name=disk{number},size=1048576',
                 '-device', f'virtio-blk-pci,drive=disk{number},'
                 f'addr={slot_of(number):#x},disable-legacy=on,'
                 f'num-queues={queues},vectors={queues + 1}']
    return args


def split(irqfds: int) -> list[int]:
    return [min(MOST_QUEUES, irqfds - i)
            for i in range(0, irqfds, MOST_QUEUES)]


def slot_of(number: int) -> int:
    return 0x10 + number


class Device:
    """One PCI function on bus 0."""

    def __init__(self, qemu: Qemu, slot: int) -> None:
        self.qemu = qemu
        self.base = 1 << 31 | slot << 11
        self.bars: dict[int, int] = {}

    def read(self, offset: int, width: int = 4) -> int:
        suffix = {1: 'b', 2: 'w', 4: 'l'}[width]
        return int(self.qemu.qtests([
            f'outl {ADDRESS:#x} {self.base | offset & ~3:#x}',
            f'in{suffix} {DATA + (offset & 3):#x}'])[1], 16)

    def write(self, offset: int, value: int) -> None:
        self.qemu.qtests([f'outl {ADDRESS:#x} {self.base | offset:#x}',
                          f'outl {DATA:#x} {value:#x}'])

    def place_bars(self, at: int) -> int:
        """Gives each memory BAR an address from @at on; the next free one."""
        number = 0
        while number < 6:
            offset = BAR0 + 4 * number
            self.write(offset, 0xFFFFFFFF)
            mask = self.read(offset)
            wide = mask & 7 == 4
            if mask and not mask & 1:
                size = -(mask & ~0xF) & 0xFFFFFFFF
                at = (at + size - 1) & -size
                self.write(offset, at)
                if wide:
                    self.write(offset + 4, 0)
                self.bars[number] = at
                at += size
            number += 2 if wide else 1
        self.write(COMMAND, MEMORY_AND_MASTER)
        return at

    def capabilities(self) -> list[tuple[int, int]]:
        found, at = [], self.read(CAPABILITIES, 1)
        while at:
            found.append((self.read(at, 1), at))
            at = self.read(at + 1, 1)
        return found


def find(device: Device) -> tuple[int, int, int]:
    """Addresses of the common configuration and of the vectors, and the
    offset of the capability that switches these on."""
    common = table = msix = 0
    for kind, at in device.capabilities():
        if kind == CAP_MSIX:
            msix = at
            where = device.read(at + 4)
            table = device.bars[where & 7] + (where & ~7)
        elif kind == CAP_VENDOR and device.read(at + 3, 1) == COMMON_CFG:
            common = (device.bars[device.read(at + 4, 1)]
                      + device.read(at + 8))
    return common, table, msix


def bring_up(qemu: Qemu, irqfds: int) -> None:
    """After a start or a reset: has the devices use @irqfds irqfds."""
    bar = FIRST_BAR
    for number, queues in enumerate(split(irqfds)):
        device = Device(qemu, slot_of(number))
        if device.read(VENDOR, 2) != VIRTIO_VENDOR:
            raise qemu.failed(f'no virtio device in slot {slot_of(number)}')
        bar = device.place_bars(bar)
        common, table, msix = find(device)
        if not (common and table):
            raise qemu.failed('the disk lacks a capability')
        qemu.qtests(vectors(table, queues + 1))
        device.write(msix, device.read(msix) | MSIX_ENABLE)
        qemu.qtests(driver(common, queues))
        status = qemu.qtests([f'readb {common + DEVICE_STATUS:#x}'])[0]
        if not int(status, 16) & DRIVER_OK:
            raise qemu.failed(f'the disk did not come up (status {status})')


def vectors(table: int, count: int) -> list[str]:
    lines = []
    for i in range(count):
        lines += [f'writel {table + 16 * i:#x} 0xfee00000',
                  f'writel {table + 16 * i + 4:#x} 0',
                  f'writel {table + 16 * i + 8:#x} {0x20 + i % 0xD0:#x}',
                  f'writel {table + 16 * i + 12:#x} 0']
    return lines


def driver(common: int, queues: int) -> list[str]:
    def status(value: int) -> str:
        return f'writeb {common + DEVICE_STATUS:#x} {value:#x}'

    lines = [
        status(0), status(ACKNOWLEDGE), status(ACKNOWLEDGE | DRIVER),
        # Bit 32, version 1, and no other.
        f'writel {common + DRIVER_FEATURE_SELECT:#x} 0',
        f'writel {common + DRIVER_FEATURE:#x} 0',
        f'writel {common + DRIVER_FEATURE_SELECT:#x} 1',
        f'writel {common + DRIVER_FEATURE:#x} 1',
        status(ACKNOWLEDGE | DRIVER | FEATURES_OK),
        f'writew {common + CONFIG_VECTOR:#x} {NO_VECTOR:#x}']
    for queue in range(queues):
        rings = RINGS + queue * 0x1000
        lines += [f'writew {common + QUEUE_SELECT:#x} {queue:#x}',
                  f'writew {common + QUEUE_SIZE:#x} 2',
                  f'writew {common + QUEUE_VECTOR:#x} {queue:#x}']
        for field, address in ((QUEUE_DESC, rings),
                               (QUEUE_DRIVER, rings + 0x400),
                               (QUEUE_DEVICE, rings + 0x800)):
            lines += [f'writel {common + field:#x} {address:#x}',
                      f'writel {common + field + 4:#x} 0']
        lines.append(f'writew {common + QUEUE_ENABLE:#x} 1')
    lines.append(status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK))
    return lines
