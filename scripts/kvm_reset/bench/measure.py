# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets of one case by everybody in turn."""

import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import virtio
from .cases import MIB, Case
from .qemu import RESTART, SPARE, TIMEOUT, Qemu, QemuFailed

# Who is measured; peer's are missing without one.
PLAIN, WITH_SPARE, WITHOUT_SPARE = 'plain', 'spare', 'no spare'
PEER_PLAIN, PEER = 'peer plain', 'peer'
WARM_UP = 3
# The base case is judged by its p99 too, which of fewer than 100 resets is the
# longest: one blink of the machine.
BASE_TIMES = 4
# What a reset leaves to the kernel's own threads is not the next one's.
PAUSE = 0.01
FIRMWARE = ['-L', '/usr/share/qemu', '-L', '/usr/share/seabios']
PHASES = ('quiesce', 'prepare', 'commit', 'hooks', 'total', 'retire')
FLOOR = ('build', 'swap', 'irqfds away', 'irqfds given', 'close')


Quantile = Callable[[list[float]], float]


def median(values: list[float]) -> float:
    return statistics.median(values)


def p99(values: list[float]) -> float:
    """By nearest rank: of fewer than a hundred it is the largest."""
    return sorted(values)[math.ceil(0.99 * len(values)) - 1]


@dataclass
class Measured:
    """One case; all times in milliseconds, a list has one for each round."""
    case: Case
    resets: dict[str, list[float]] = field(default_factory=dict)
    phases: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    next_spare: list[float] = field(default_factory=list)
    floor: dict[str, list[float]] = field(default_factory=dict)
    floor_ioctls: int = 0
    journal_entries: int = 0
    busy: float = 0.0  # what others used of the CPUs before, per cent
    why_skipped: str = ''

    def added(self, who: str, of: Quantile = median) -> float:
        """By a new VM, to a plain reset of the same QEMU."""
        plain = PEER_PLAIN if who == PEER else PLAIN
        return of(self.resets[who]) - of(self.resets[plain])


class Floor:
    """The bare program, one round for each line."""

    def __init__(self, program: Path, case: Case, slots: 'Slots') -> None:
        self.process = subprocess.Popen(
            [program, '--vcpus', str(case.vcpus), '--irqfds',
             str(case.irqfds), '--ioeventfds', str(case.irqfds),
             '--early', str(slots.early), *slots.all],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def round(self) -> list[int]:
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write('\n')
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ''
        if not line:
            assert self.process.stderr
            raise QemuFailed(self.process.stderr.read().strip() or
                             'reset-floor ended')
        return [int(word) for word in line.split()]

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Slots:
    """A guest's memory slots in the order in which the journal has them;
    @early of them come before the timer."""
    all: list[str]
    early: int


def slots_of(ours: str, args: list[str], machine: str) -> Slots:
    with tempfile.NamedTemporaryFile('r') as log:
        qemu = Qemu('ours', ours, [
            *args, '-machine', machine, '-trace', 'kvm_set_user_memory',
            '-trace', 'kvm_reset_seen', '-D', log.name])
        qemu.stop()
        return slots_in(log.read())


def slots_in(said: str) -> Slots:
    """Of the traces kvm_set_user_memory and kvm_reset_seen."""
    slots: dict[int, str] = {}
    early: set[int] = set()
    for line in said.splitlines():
        match = re.search(r'AddrSpace#0 Slot#(\d+) flags=(\w+) gpa=(\w+) '
                          r'size=(\w+) .*ret=0', line)
        if match:
            number, flags, gpa, size = match.groups()
            slots.pop(int(number), None)
            early.discard(int(number))
            if int(size, 16):
                slots[int(number)] = f'{gpa}:{size}:{flags}'
        elif 'KVM_CREATE_PIT2' in line:
            early = set(slots)
    return Slots(list(slots.values()), len(early))


@contextmanager
def memory_to_touch(case: Case) -> Iterator[int]:
    """An fd, or -1; QemuFailed if the machine has not so much."""
    if not case.touched:
        yield -1
        return
    for line in Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemAvailable:'):
            free = int(line.split()[1]) // 1024
            if free < case.memory + 1024:
                raise QemuFailed(f'{case.memory} MiB cannot be touched: '
                                 f'{free} MiB are free')
    fd = os.memfd_create('guest')
    try:
        os.ftruncate(fd, case.memory * MIB)
        yield fd
    finally:
        os.close(fd)


def busy_elsewhere(seconds: float = 0.3) -> float:
    """The share of all CPUs that others use now, in per cent."""
    def ticks() -> tuple[int, int]:
        words = Path('/proc/stat').read_text().splitlines()[0].split()[1:9]
        user, nice, system, idle, iowait, irq, soft, steal = map(int, words)
        return user + nice + system + irq + soft + steal, idle + iowait

    before = ticks()
    time.sleep(seconds)
    busy, idle = (now - then for now, then in zip(ticks(), before))
    return 100 * busy / max(busy + idle, 1)


def settle(qemu: Qemu) -> dict:
    """Until the old VM is gone and the next one ready; what QEMU says."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        info = qemu.command('query-kvm-reset')
        if info['spare']['state'] == 'failed':
            raise qemu.failed(f'no spare: {info["spare"]["error"]}')
        if info['retiring'] == 0 and info['spare']['state'] != 'preparing':
            return info
        if time.monotonic() > deadline:
            raise qemu.failed('the next VM does not become ready')
        time.sleep(0.002)


class Bench:
    """The programs to measure, and how often."""

    def __init__(self, ours: str, peer: str, floor: Path,
                 rounds: int) -> None:
        self.ours, self.peer, self.floor = ours, peer, floor
        self.rounds = rounds

    def kinds(self) -> dict[str, tuple[str, str]]:
        kinds = {
            PLAIN: (self.ours, f'{SPARE}=off'),
            WITH_SPARE: (self.ours, f'{RESTART}=on,{SPARE}=on'),
            WITHOUT_SPARE: (self.ours, f'{RESTART}=on,{SPARE}=off')}
        if self.peer:
            kinds[PEER_PLAIN] = (self.peer, f'{RESTART}=off')
            kinds[PEER] = (self.peer, f'{RESTART}=on')
        return kinds

    def run(self, case: Case) -> Measured:
        result = Measured(case, busy=busy_elsewhere())
        rounds = self.rounds * (1 if case.varies else BASE_TIMES)
        with ExitStack() as stack:
            memory = stack.enter_context(memory_to_touch(case))
            args = FIRMWARE + case.arguments(memory)
            slots = slots_of(self.ours, args, case.machine)
            if case.slots and len(slots.all) != case.slots:
                raise QemuFailed(f'the guest has {len(slots.all)} slots')
            floor = Floor(self.floor, case, slots)
            stack.callback(floor.stop)
            qemus = []
            for name, (program, properties) in self.kinds().items():
                qemu = Qemu(name, program, [
                    *args, '-machine', f'{case.machine},{properties}'])
                stack.callback(qemu.stop)
                qemus.append(qemu)
            for i in range(-WARM_UP, rounds):
                # In turn, and each one as often before as behind another.
                for qemu in qemus if i % 2 else reversed(qemus):
                    self.reset(qemu, result, i >= 0)
                self.floor_round(floor, result, i >= 0)
                if sys.stderr.isatty():
                    print(f'\r{case.name}: {i + 1}/{rounds} ', end='',
                          file=sys.stderr)
        if sys.stderr.isatty():
            print(end='\r\033[K', file=sys.stderr)
        return result

    def reset(self, qemu: Qemu, result: Measured, counts: bool) -> None:
        reborn = qemu.name in (WITH_SPARE, WITHOUT_SPARE)
        virtio.bring_up(qemu, result.case.irqfds)
        if reborn:
            info = settle(qemu)
            result.journal_entries = info['journal-entries']
        time.sleep(PAUSE)
        took = qemu.reset() / 1e6
        if reborn:
            info = settle(qemu)
            last = info['last']
            if last['spare'] != (qemu.name == WITH_SPARE):
                raise qemu.failed('the spare was not used as it should be')
        if not counts:
            return
        result.resets.setdefault(qemu.name, []).append(took)
        if reborn:
            phases = result.phases.setdefault(qemu.name, {})
            for phase in PHASES:
                phases.setdefault(phase, []).append(last[f'{phase}-ns'] / 1e6)
            if qemu.name == WITH_SPARE:
                result.next_spare.append(info['spare']['duration-ns'] / 1e6)

    @staticmethod
    def floor_round(floor: Floor, result: Measured, counts: bool) -> None:
        time.sleep(PAUSE)
        *times, result.floor_ioctls = floor.round()
        if counts:
            for name, took in zip(FLOOR, times, strict=True):
                result.floor.setdefault(name, []).append(took / 1e6)
