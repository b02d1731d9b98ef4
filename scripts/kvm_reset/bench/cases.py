# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests that are measured: one case, and one thing varied at a time."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import virtio

MIB = 1 << 20
# A memory module each is a memory slot; this is the smallest useful one.
MODULE_MIB = 16
# Slots that a q35 guest without modules has, by its memory.
BASE_SLOTS = 5
MORE_ABOVE_4G = 1
MEMORY_BELOW_4G = 2048


@dataclass(frozen=True)
class Case:
    """One guest. @slots 0: as many as it has without doing anything."""
    vcpus: int = 2
    irqfds: int = 0
    slots: int = 0
    memory: int = 2048
    touched: bool = False
    varies: str = ''

    @property
    def name(self) -> str:
        if not self.varies:
            return 'base'
        if self.varies == 'corner':
            return f'{self.vcpus} vCPUs, {self.irqfds} irqfds'
        return self.name_as(self.varies)

    def name_as(self, varies: str) -> str:
        """By what varies, the base case too."""
        size = self.size_as(varies)
        return {'vcpus': f'{size} vCPUs', 'irqfds': f'{size} irqfds',
                'slots': f'{size} slots', 'memory': f'{size} MiB',
                'touched': f'{size} MiB, touched'}[varies]

    def size_as(self, varies: str) -> int:
        """What varies, as a number."""
        return {'vcpus': self.vcpus, 'irqfds': self.irqfds,
                'slots': self.slots or BASE_SLOTS, 'memory': self.memory,
                'touched': self.memory}[varies]

    @property
    def modules(self) -> int:
        if not self.slots:
            return 0
        above = MORE_ABOVE_4G if self.memory > MEMORY_BELOW_4G else 0
        return self.slots - BASE_SLOTS - above

    def arguments(self, shared_memory: int) -> list[str]:
        """For QEMU, but for the machine's own properties. @shared_memory is
        an fd: five guests, none of which runs, touch one memory."""
        room = f',slots={self.modules},maxmem=16G' if self.modules else ''
        args = ['-m', f'{self.memory}M{room}', '-smp', str(self.vcpus)]
        for i in range(self.modules):
            args += ['-object',
                     f'memory-backend-ram,id=ram{i},size={MODULE_MIB}M',
                     '-device', f'pc-dimm,memdev=ram{i}']
        if self.touched:
            args += ['-object',
                     f'memory-backend-file,id=ram,size={self.memory}M,'
                     f'share=on,prealloc=on,'
                     f'mem-path=/proc/{os.getpid()}/fd/{shared_memory}']
        return args + virtio.arguments(self.irqfds)

    @property
    def machine(self) -> str:
        return 'q35,memory-backend=ram' if self.touched else 'q35'


BASE = Case()
CORNER = Case(vcpus=64, irqfds=512, varies='corner')

# Besides the base case.
VARIED: dict[str, tuple[int, ...]] = {
    'vcpus': (1, 8, 32, 64),
    'irqfds': (64, 512),
    'slots': (8, 16, 32, 64),
    'memory': (256, 8192),
    'touched': (256, 2048, 8192),
}


def all_cases() -> Iterator[Case]:
    yield BASE
    for what, values in VARIED.items():
        for value in values:
            if what == 'touched':
                yield replace(BASE, memory=value, touched=True, varies=what)
            else:
                yield replace(BASE, **{what: value}, varies=what)
    yield CORNER
