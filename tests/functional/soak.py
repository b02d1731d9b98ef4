# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets of a busy guest at random moments, thousands of them, with a look at
what QEMU holds every few dozen: it must not grow.

    soak.py --guest linux|firmware --resets N --seconds S --seed X --out DIR

What was done is kept in DIR/state.json: a run that was cut short goes on from
there, in a new QEMU. The report is DIR/soak.md. scripts/soak starts it.
"""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qemu.machine import QEMUMachine

import process
from guest import BOOT_TIMEOUT, Guest
from kvm_reset_test import KvmResetTest

HERE = Path(__file__).resolve().parent

# A process finds its size in its first resets.
WARM_UP = 100
BETWEEN_SAMPLES = 50
# Of anonymous memory, over all that comes after: 200 bytes a reset in 10,000.
# What was taken at a moment of much work may be kept; a leak goes on growing.
MOST_GROWTH_KIB = 2048
LOOKS_THAT_SHOW_A_LEAK = 4
MOST_EVER_KIB = 65536
MOST_MORE_MAPPINGS = 20
# Of QEMU's pool for disks, which come and go with the requests, each with a
# stack and its guard page.
POOL = 'worker'
# VMs of a kernel that has no debugfs, or keeps it shut.
NOT_TOLD = -1


class Grown(AssertionError):
    """Something that has to stay as it is did not."""


@dataclass
class Sample:
    """What QEMU holds, with its guest stopped and all old VMs gone."""
    resets: int
    seconds: float
    fds: int
    threads: int
    mappings: int
    rss_kib: int
    heap_kib: int
    vms: int


@dataclass
class Segment:
    """What was done in one QEMU process."""
    resets: int = 0
    seconds: float = 0
    whole: int = 0          # how often the guest came all the way up
    by_guest: int = 0       # resets that nobody asked for over QMP
    with_spare: int = 0     # of those that were looked at
    looked_at: int = 0
    samples: list[Sample] = field(default_factory=list)


def make_disk(path: Path, scratch: Path) -> None:
    """The busy boot sector, and the sectors that it expects."""
    obj, sector = scratch / 'busy.o', scratch / 'busy.bin'
    subprocess.run(['gcc', '-m32', '-c', '-o', obj, HERE / 'busy.S'],
                   check=True)
    subprocess.run(['ld', '-m', 'elf_i386', '-Ttext', '0x7c00', '-e', 'start',
                    '--oformat', 'binary', '-o', sector, obj], check=True)
    boot = sector.read_bytes()
    assert len(boot) == 512
    path.write_bytes(boot + b''.join(bytes([n]) * 512 for n in range(1, 64))
                     + bytes(1 << 20))


def start_guest(kind: str, scratch: Path, spare: str = 'on') -> Guest:
    # Each thread's own heap takes hundreds of resets to find its size.
    os.environ['MALLOC_ARENA_MAX'] = '1'
    vm = QEMUMachine(os.environ['KVM_RESET_QEMU'], name='soak',
                     log_dir=str(scratch), base_temp_dir=str(scratch))
    disk = scratch / 'disk'
    options: dict[str, Any] = {
        'machine': f'q35,kvm-reset-spare={spare},memory-backend=ram',
        'smp': '2', 'memory': 256,
        # Names of threads: who is of the pool, and who should not be there.
        'args': ['-name', 'soak,debug-threads=on',
                 '-object', 'memory-backend-memfd,id=ram,size=256M', '-object',
                 'iothread,id=io', '-drive',
                 f'file={disk},format=raw,if=none,id=d', '-device',
                 'virtio-blk-pci,drive=d,iothread=io,bootindex=1', '-netdev',
                 'user,id=n', '-device', 'virtio-net-pci,netdev=n,romfile=',
                 '-device', 'virtio-rng-pci', '-device', 'VGA']}
    if kind == 'firmware':
        make_disk(disk, scratch)
        options['firmware'] = True
    else:
        disk.write_bytes(bytes(8 << 20))
        options['append'] = 'kr.work=1'
    return KvmResetTest.launch(vm, 'soak', scratch, **options)


class Soak:
    def __init__(self, guest: Guest, kind: str, seed: int,
                 say: Callable[[str], None]) -> None:
        self.guest = guest
        self.kind = kind
        self.dice = random.Random(seed)
        self.say = say
        self.segment = Segment()
        self.began = time.monotonic()
        self.asked = 0
        self.base: Sample | None = None

    # --- the guest ----------------------------------------------------------

    def must_not_have_failed(self) -> None:
        if 'FAIL' in self.guest.console.text():
            raise Grown('the guest says that its work went wrong: '
                        + self.guest.console.text()[-300:])

    def wait_whole(self) -> None:
        """The guest comes all the way up, and works."""
        if self.kind == 'firmware':
            self.guest.console.wait_for(r'busy', BOOT_TIMEOUT)
        else:
            self.guest.wait_boot()
            self.guest.console.wait_for(r'work ok n=1', BOOT_TIMEOUT)
        self.segment.whole += 1

    def moment(self, often_whole: float) -> None:
        """When the next reset comes: from at once to in the guest's middle."""
        dice = self.dice.random()
        if dice < often_whole:
            self.wait_whole()
        elif dice < 0.2:
            return
        elif dice < 0.6:
            time.sleep(self.dice.uniform(0, 0.02))
        else:
            time.sleep(self.dice.uniform(0, 0.2))

    def reset(self) -> None:
        self.guest.qmp('system_reset')
        self.asked += 1

    # --- what it holds ------------------------------------------------------

    def sample(self) -> Sample:
        """A stopped guest is in no part of its boot that has more of it."""
        guest = self.guest
        guest.qmp('stop')
        # So that there is a spare for it.
        guest.settle()
        self.reset()
        guest.settle()
        usage, info = guest.usage(), guest.info()
        if info['aborted']:
            raise Grown(f'{info["aborted"]} rebirths failed: '
                        f'{info.get("last-error")}')
        if not info['restartable']:
            raise Grown(f'not restartable any more: {info["reason"]}')
        self.segment.looked_at += 1
        self.segment.with_spare += info['last']['spare']
        try:
            vms = (len(process.vms_of(guest.pid))
                   if process.KVM_DEBUGFS.is_dir() else NOT_TOLD)
        except PermissionError:
            vms = NOT_TOLD
        names = process.thread_names(guest.pid)
        workers = names.count(POOL)
        one = Sample(info['generation'],
                     round(time.monotonic() - self.began, 1), usage.fds,
                     len(names) - workers, usage.mappings - 2 * workers,
                     usage.anonymous_kib, usage.heap_kib, vms)
        self.must_not_have_failed()
        guest.console.skip()
        guest.console.forget()
        guest.drop_events()
        guest.rebirths.clear()
        guest.qmp('cont')
        return one

    def check(self, now: Sample) -> None:
        self.segment.samples.append(now)
        self.segment.resets, self.segment.seconds = now.resets, now.seconds
        self.segment.by_guest = max(0, now.resets - self.asked)
        if not self.base:
            if now.resets >= WARM_UP:
                self.base = now
            return
        base = self.base
        for what in ('fds', 'threads'):
            if getattr(now, what) != getattr(base, what):
                raise Grown(f'{getattr(now, what)} {what} after {now.resets} '
                            f'resets, and {getattr(base, what)} after '
                            f'{base.resets}; QEMU\'s threads: '
                            + ', '.join(process.thread_names(self.guest.pid)))
        if now.mappings > base.mappings + MOST_MORE_MAPPINGS:
            raise Grown(f'{now.mappings} mappings after {now.resets} resets, '
                        f'and {base.mappings} after {base.resets}')
        last = [one.rss_kib for one in
                self.segment.samples[-LOOKS_THAT_SHOW_A_LEAK - 1:]]
        goes_on = len(last) > LOOKS_THAT_SHOW_A_LEAK and all(
            before < after for before, after in zip(last, last[1:]))
        if now.rss_kib > base.rss_kib + (MOST_GROWTH_KIB if goes_on
                                         else MOST_EVER_KIB):
            raise Grown(f'{now.rss_kib} KiB of memory after {now.resets} '
                        f'resets, and {base.rss_kib} after {base.resets}')
        if now.vms > 2:
            raise Grown(f'{now.vms} VMs after {now.resets} resets')

    def run(self, resets: int, seconds: float, often_whole: float,
            save: Callable[[], None] = lambda: None) -> None:
        """@resets new VMs, in @seconds at most."""
        self.wait_whole()
        before = 0.0
        while True:
            for _ in range(BETWEEN_SAMPLES):
                self.moment(often_whole)
                self.reset()
            now = self.sample()
            self.check(now)
            self.tell(now, resets)
            if now.seconds - before > 20 or now.resets >= resets:
                before = now.seconds
                save()
            if now.resets >= resets or now.seconds > seconds:
                break
        self.wait_whole()
        self.must_not_have_failed()

    def tell(self, now: Sample, resets: int) -> None:
        rate = now.resets / now.seconds
        left = max(0, resets - now.resets) / rate
        self.say(f'{now.resets}/{resets} resets, {now.seconds:.0f} s '
                 f'({left / 60:.0f} min left): memory {now.rss_kib} KiB, heap '
                 f'{now.heap_kib} KiB, {now.fds} fds, {now.threads} threads, '
                 f'{now.mappings} mappings, '
                 f'{"?" if now.vms == NOT_TOLD else now.vms} VMs')


# --- the report -------------------------------------------------------------

def span(samples: list[Sample], what: str) -> str:
    values = [getattr(sample, what) for sample in samples]
    low, high = min(values), max(values)
    if low == NOT_TOLD:
        return 'not told by the kernel'
    return f'{low}' if low == high else f'{low} to {high}'


def slope(samples: list[Sample], what: str) -> float:
    """By least squares, per 1000 resets."""
    n = len(samples)
    if n < 2:
        return 0
    mean_x = sum(sample.resets for sample in samples) / n
    mean_y = sum(getattr(sample, what) for sample in samples) / n
    above = sum((sample.resets - mean_x) * (getattr(sample, what) - mean_y)
                for sample in samples)
    below = sum((sample.resets - mean_x) ** 2 for sample in samples)
    return 1000 * above / below if below else 0


def report(segments: list[Segment], kind: str, seed: int,
           outcome: str) -> str:
    total = sum(segment.resets for segment in segments)
    lines = ['<!-- SPDX-License-Identifier: GPL-2.0-or-later -->',
             f'{total} resets of a busy {kind} guest, seed {seed}, Linux '
             f'{platform.release().split("-")[0]}: {outcome}.', '',
             '| | QEMU ' + ' | QEMU '.join(
                 str(n + 1) for n in range(len(segments))) + ' |',
             '| --- |' + ' --- |' * len(segments)]

    def row(name: str, value: Callable[[Segment], str]) -> None:
        lines.append(f'| {name} | ' + ' | '.join(
            value(segment) for segment in segments) + ' |')
    row('resets', lambda s: str(s.resets))
    row('of them by the guest or its firmware, at least', lambda s: str(s.by_guest))
    row('minutes', lambda s: f'{s.seconds / 60:.1f}')
    row('times the guest came all the way up and worked',
        lambda s: str(s.whole))
    row('looked at', lambda s: str(s.looked_at))
    row('of those with a spare', lambda s: str(s.with_spare))
    for name, what in (('fds', 'fds'), ('threads, the pool aside', 'threads'),
                       ('mappings, the pool aside', 'mappings'), ('VMs', 'vms'),
                       ('anonymous memory, KiB', 'rss_kib'),
                       ('heap, KiB', 'heap_kib')):
        row(name, lambda s: span(s.samples[2:] or s.samples, what))
    for name, what in (('memory', 'rss_kib'), ('heap', 'heap_kib')):
        row(f'growth of {name} in the second half, KiB in 1000 resets',
            lambda s: f'{slope(s.samples[len(s.samples) // 2:], what):+.1f}')
    return '\n'.join(lines) + '\n'


def load(path: Path, key: dict[str, Any]) -> list[Segment]:
    """What an earlier run of the same kind did."""
    if not path.exists():
        return []
    state = json.loads(path.read_text())
    if state['key'] != key or state['outcome'] != 'cut short':
        return []
    return [Segment(**{**segment, 'samples': [Sample(**sample) for sample in
                                              segment['samples']]})
            for segment in state['segments']]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--guest', choices=('linux', 'firmware'),
                        required=True)
    parser.add_argument('--resets', type=int, default=10000)
    parser.add_argument('--seconds', type=float, default=1e9)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--whole', type=float, default=0.01,
                        help='of how many lives the guest gets all')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    key = {'guest': args.guest, 'seed': args.seed, 'resets': args.resets}
    segments = load(args.out / 'state.json', key)
    done = sum(segment.resets for segment in segments)

    def say(text: str) -> None:
        print(f'soak: {text}', flush=True)
    if done:
        say(f'{done} resets of an earlier run count')
    scratch = Path(os.environ.get('TMPDIR', '/tmp')) / f'soak.{os.getpid()}'
    scratch.mkdir()
    guest = start_guest(args.guest, scratch)
    soak = Soak(guest, args.guest, args.seed + len(segments), say)
    segments.append(soak.segment)

    def save(outcome: str = 'cut short') -> None:
        state = {'key': key, 'outcome': outcome,
                 'segments': [asdict(segment) for segment in segments]}
        new = args.out / 'state.json.new'
        new.write_text(json.dumps(state))
        new.rename(args.out / 'state.json')
        (args.out / 'soak.md').write_text(
            report(segments, args.guest, args.seed, outcome))
    outcome = 'cut short'
    # QEMU goes, and what was done counts, whoever ends it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        soak.run(args.resets - done, args.seconds, args.whole, save)
        if sum(segment.resets for segment in segments) >= args.resets:
            outcome = 'nothing grew'
    except AssertionError as error:
        outcome = str(error)
        say(f'error: {outcome}')
        say(f'QEMU said: {guest.qemu_log()[-500:]}')
    finally:
        guest.vm.kill()
        save(outcome)
    print((args.out / 'soak.md').read_text(), end='', flush=True)
    return 0 if outcome in ('nothing grew', 'cut short') else 1


if __name__ == '__main__':
    sys.exit(main())
