# SPDX-License-Identifier: GPL-2.0-or-later
"""What a spare costs while nobody resets: memory, CPU, and the time of
whoever changes the definition."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import virtio
from .cases import BASE
from .measure import FIRMWARE, settle
from .qemu import RESTART, SPARE, Qemu

IDLE_SECONDS = 3.0
CHANGES = 10000
# One vector masked and unmasked: its irqfd goes and comes.
CHANGES_EACH = 2
IRQFDS = 1
REPEATS = 5
SPARE_THREAD = 'kvm-spare'


@dataclass
class SpareCost:
    """Memory in MiB, CPU time in milliseconds; by whether there is a spare."""
    anonymous: dict[bool, float]
    fds: int
    idle_runs: int       # times that the spare's thread ran in IDLE_SECONDS
    idle_cpu: float
    burst_cpu: dict[bool, float]   # of the thread that made the changes
    burst_spare_cpu: float
    burst_vcpu_runs: int  # times that a vCPU's thread ran


class Threads:
    """CPU time in ms and number of runs of a process's threads, by name."""

    def __init__(self, qemu: Qemu) -> None:
        self.of: dict[str, tuple[float, int]] = {}
        for task in Path(qemu.proc, 'task').iterdir():
            name = (task / 'comm').read_text().strip()
            if task.name == str(qemu.process.pid):
                name = 'main'
            cpu, _, runs = (task / 'schedstat').read_text().split()
            before = self.of.get(name, (0.0, 0))
            self.of[name] = (before[0] + int(cpu) / 1e6,
                             before[1] + int(runs))

    def since(self, before: 'Threads', name: str) -> tuple[float, int]:
        now, then = self.of.get(name, (0.0, 0)), before.of.get(name, (0.0, 0))
        return now[0] - then[0], now[1] - then[1]


def anonymous_mib(qemu: Qemu) -> float:
    for line in Path(qemu.proc, 'status').read_text().splitlines():
        if line.startswith('RssAnon:'):
            return int(line.split()[1]) / 1024
    raise qemu.failed('no RssAnon in its status')


def burst(qemu: Qemu, mask: int) -> None:
    """Has the definition change CHANGES times, as a driver would do it."""
    qemu.qtests([f'writel {mask:#x} {i % 2 ^ 1}'
                 for i in range(CHANGES // CHANGES_EACH * 2)])


def vector_control(qemu: Qemu) -> int:
    """The address of the first vector's mask."""
    device = virtio.Device(qemu, virtio.slot_of(0))
    device.place_bars(virtio.FIRST_BAR)
    return virtio.find(device)[1] + 12


def measure(ours: str) -> SpareCost:
    args = [*FIRMWARE, *BASE.arguments(-1), *virtio.arguments(IRQFDS),
            '-name', 'guest,debug-threads=on']
    anonymous: dict[bool, float] = {}
    burst_cpu: dict[bool, float] = {}
    with ExitStack() as stack:
        qemus = {}
        for spare in (False, True):
            qemu = Qemu(f'ours, spare {"on" if spare else "off"}', ours, [
                *args, '-machine', f'q35,{RESTART}=on,'
                                   f'{SPARE}={"on" if spare else "off"}'])
            stack.callback(qemu.stop)
            qemus[spare] = qemu
            virtio.bring_up(qemu, IRQFDS)
            info = settle(qemu)
            # A rebirth too: what it leaves behind counts.
            qemu.reset()
            virtio.bring_up(qemu, IRQFDS)
            info = settle(qemu)
            anonymous[spare] = anonymous_mib(qemu)
        fds = info['spare']['fds']

        # The last changes have been followed when the spare is settled.
        time.sleep(0.5)
        before = Threads(qemus[True])
        time.sleep(IDLE_SECONDS)
        idle_cpu, idle_runs = Threads(qemus[True]).since(before,
                                                           SPARE_THREAD)
        for _ in range(REPEATS):
            for spare, qemu in qemus.items():
                mask = vector_control(qemu)
                before = Threads(qemu)
                burst(qemu, mask)
                after = Threads(qemu)
                took = after.since(before, 'main')[0]
                burst_cpu[spare] = min(took, burst_cpu.get(spare, took))
        vcpu_runs = sum(after.since(before, name)[1] for name in after.of
                        if name.startswith('CPU '))
        settle(qemu)
        spare_cpu = Threads(qemu).since(before, SPARE_THREAD)[0]
        vcpus = [name for name in after.of if name.startswith('CPU ')]
        if len(vcpus) != BASE.vcpus:
            raise qemu.failed(f'{len(vcpus)} threads of vCPUs found')
    return SpareCost(anonymous, fds, idle_runs, idle_cpu, burst_cpu,
                     spare_cpu, vcpu_runs)
