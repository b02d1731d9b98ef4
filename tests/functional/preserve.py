# SPDX-License-Identifier: GPL-2.0-or-later
"""Moves of guests at work from one VM to the next, at random moments. Each
guest checks itself; nothing tells it that it was moved.

    preserve.py --list
    preserve.py --kind NAME --moves N --seconds S --seed X --out DIR
    preserve.py --report --out DIR

What was done with a guest is DIR/NAME.json, and what it said DIR/NAME.console;
the report, DIR/preserve.md, says what each checked, and the pauses.
scripts/preserve starts it.
"""

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qemu.machine import QEMUMachine

from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest

# To its end: the rest may not have come yet.
WORK_LINE = r'work ok n=(\d+)((?: \w+=\d+)+)\s*\n'
GUESTS_GUEST = r'nested runs n=(\d+)\s'
HYPER_V = ','.join(f'hv-{light}' for light in (
    'relaxed', 'vapic', 'time', 'vpindex', 'synic', 'stimer', 'runtime',
    'frequencies', 'reenlightenment', 'tlbflush', 'ipi', 'crash'))

# One guest each: its machine, and how many of its moves come in a thousand.
KINDS: dict[str, dict[str, Any]] = {
    'pc': {'machine': 'pc', 'share': 200},
    'q35, 2 CPUs': {'machine': 'q35', 'smp': '2', 'share': 200},
    'q35, 4 CPUs': {'machine': 'q35', 'smp': '4', 'share': 100},
    'split irqchip': {'machine': 'q35,kernel-irqchip=split', 'smp': '2',
                      'share': 150},
    'Hyper-V': {'machine': 'q35', 'smp': '2', 'cpu': 'host,kvm=off,' + HYPER_V,
                'share': 100},
    'Xen': {'machine': 'q35,kernel-irqchip=split', 'smp': '2',
            'accel': 'kvm,xen-version=0x40011', 'xen': True, 'share': 100},
    'no paravirtualization': {
        'machine': 'pc', 'cpu': 'host,-kvmclock,-kvm-steal-time,-kvm-pv-eoi,'
        '-kvm-asyncpf,-x2apic,kvm=off', 'share': 50},
    'hypervisor': {'machine': 'q35', 'cpu': 'host', 'share': 100, 'starts':
                   'run modprobe -q kvm-amd || modprobe kvm-intel; '
                   'guest-tool nested &'},
}


class Noticed(AssertionError):
    """The guest, or who watches it, saw that it was moved."""


@dataclass
class Record:
    """What was done to one guest, and what it checked meanwhile."""
    kind: str
    moves: int = 0
    seconds: float = 0
    counts: dict[str, int] = field(default_factory=dict)
    pauses: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    outcome: str = 'noticed nothing'


def start_guest(kind: str, scratch: Path, name: str = 'preserve',
                spare: str = 'on', args: Sequence[str] = (),
                smp: str = '') -> Guest:
    what = KINDS[kind]
    scratch.mkdir(parents=True, exist_ok=True)
    disk = scratch / f'{name}.disk'
    disk.write_bytes(bytes(8 << 20))
    xen = what.get('xen', False)
    vm = QEMUMachine(os.environ['KVM_RESET_QEMU'], name=name,
                     log_dir=str(scratch), base_temp_dir=str(scratch))
    options: dict[str, Any] = {
        'machine': f'{what["machine"]},kvm-reset-spare={spare}',
        'smp': smp or what.get('smp', '1'), 'memory': 192, 'append': 'kr.work=1',
        'args': ['-drive', f'file={disk},format=raw,if=none,id=d', '-device',
                 'xen-disk,vdev=xvda,drive=d' if xen else
                 'virtio-blk-pci,drive=d', '-netdev', 'user,id=n', '-device',
                 'xen-net-device,netdev=n' if xen else
                 'virtio-net-pci,netdev=n,romfile=', *args]}
    for option in ('cpu', 'accel'):
        if option in what:
            options[option] = what[option]
    return KvmResetTest.launch(vm, name, scratch, **options)


class Mover:
    def __init__(self, guest: Guest, kind: str, seed: int) -> None:
        self.guest = guest
        self.dice = random.Random(seed)
        self.record = Record(kind)
        guest.wait_boot()
        self.boot_id = guest.boot_ids[-1]
        self.starts = KINDS[kind].get('starts', '')
        if self.starts:
            guest.console.send(self.starts)
            guest.console.wait_for(GUESTS_GUEST, TIMEOUT)
        self.wait_all_works()
        self.first = dict(self.record.counts)

    def check_works(self) -> None:
        """Two lines more: what was written before may be of before."""
        self.guest.console.skip()
        for _ in range(2):
            match = self.guest.console.wait_for(WORK_LINE, 2 * TIMEOUT)
        self.record.counts = {name: int(count) for name, count in
                              re.findall(r' (\w+)=(\d+)', match[2])}
        if self.starts:
            runs = re.findall(GUESTS_GUEST, self.guest.console.text())
            self.record.counts['nested'] = int(runs[-1])

    def wait_all_works(self) -> None:
        """Of a disk it reads all before it counts."""
        for _ in range(30):
            self.check_works()
            if all(self.record.counts.values()):
                return
        raise Noticed(f'it does not all of its work: {self.record.counts}')

    def must_not_have_noticed(self) -> None:
        text = self.guest.console.text()
        for word in ('FAIL', 'BUG:', 'Oops', 'Call Trace', 'kernel panic',
                     'went backwards', 'unstable', 'soft lockup',
                     'kvm-reset-guest: error'):
            if word in text:
                at = text.index(word)
                raise Noticed(f'{self.record.kind} says: {text[max(0, at - 80):at + 200]!r}')
        boots = re.findall(r'boot id=([0-9a-f]{32})', text)
        if boots != [self.boot_id]:
            raise Noticed(f'it booted {len(boots)} times')

    def move(self) -> dict[str, Any]:
        before = self.guest.qmp('query-status')
        pause = self.guest.qmp('kvm-rebirth', preserve=True)
        if self.guest.qmp('query-status') != before:
            raise Noticed('its run state changed')
        self.record.moves += 1
        self.record.pauses.append(pause['total-ns'] // 1000)
        self.record.states.append(pause['state-ns'] // 1000)
        self.record.pieces = pause['pieces']
        return pause

    def moment(self) -> None:
        dice = self.dice.random()
        if dice < 0.3:
            return
        time.sleep(self.dice.uniform(0, 0.02 if dice < 0.7 else 0.3))

    def run(self, moves: int, seconds: float,
            say: Callable[[str], None] = lambda _: None) -> None:
        """@moves, in @seconds at most."""
        began = time.monotonic()
        try:
            while self.record.moves < moves:
                for _ in range(min(10, moves - self.record.moves)):
                    self.moment()
                    self.move()
                self.must_not_have_noticed()
                self.record.seconds = time.monotonic() - began
                if self.record.moves % 50 == 0:
                    self.check_works()
                    say(f'{self.record.moves}/{moves} moves, '
                        f'{self.record.seconds:.0f} s')
                if self.record.seconds > seconds:
                    break
            self.guest.must_answer()
            self.check_works()
            self.must_not_have_noticed()
            for name, count in self.record.counts.items():
                if count <= self.first[name]:
                    raise Noticed(f'its {name} work stood still')
            if self.guest.generation() != self.record.moves:
                raise Noticed('it was not always moved')
        except AssertionError as error:
            self.record.outcome = str(error)
            raise
        finally:
            self.record.seconds = time.monotonic() - began


def start_mover(test: KvmResetTest, kind: str, number: int = 1,
                **options: Any) -> Mover:
    """With a guest at work of the test's own; see start_guest()."""
    guest = start_guest(kind, Path(test.log_file()), f'guest-{number}',
                        **options)
    test.addCleanup(guest.vm.kill)
    return Mover(guest, kind, number)


def percentile(values: list[int], part: float) -> int:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] \
        if values else 0


def report(records: list[Record]) -> str:
    names = sorted({name for record in records for name in record.counts})
    lines = ['<!-- SPDX-License-Identifier: GPL-2.0-or-later -->',
             f'{sum(record.moves for record in records)} moves of guests at '
             'work from one VM to the next.', '',
             '| guest | moves | ' + ' | '.join(f'{name} checks'
                                               for name in names)
             + ' | pause p50, p99, µs | of it state, p50 | pieces | it |',
             '| --- ' * (len(names) + 6) + '|']
    for record in records:
        lines.append(
            f'| {record.kind} | {record.moves} | '
            + ' | '.join(str(record.counts.get(name, '-')) for name in names)
            + f' | {percentile(record.pauses, 0.5)}, '
              f'{percentile(record.pauses, 0.99)} | '
              f'{percentile(record.states, 0.5)} | {len(record.pieces)} | '
              f'{record.outcome} |')
    return '\n'.join(lines) + '\n'


def one(kind: str, moves: int, seconds: float, seed: int,
        console: Path) -> Record:
    scratch = Path(os.environ.get('TMPDIR', '/tmp'), f'preserve.{os.getpid()}')
    guest = start_guest(kind, scratch)
    record = Record(kind, outcome='did not start')
    try:
        mover = Mover(guest, kind, seed)
        record = mover.record
        mover.run(moves, seconds, lambda text: print(
            f'preserve: {kind}: {text}', flush=True))
    except AssertionError as error:
        print(f'preserve: error: {kind}: {error}\n'
              f'{guest.qemu_log()[-500:]}', flush=True)
        record.outcome = str(error)
    finally:
        guest.vm.kill()
        console.write_text(guest.console.text())
    return record


def share_of(kind: str, moves: int) -> int:
    shares = sum(what['share'] for what in KINDS.values())
    return -(-moves * KINDS[kind]['share'] // shares)


def file_of(out: Path, kind: str) -> Path:
    return out / (re.sub(r'\W+', '-', kind) + '.json')


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--moves', type=int, default=1000)
    parser.add_argument('--seconds', type=float, default=1e9)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--kind', choices=list(KINDS))
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--report', action='store_true')
    parser.add_argument('--out', type=Path, default=Path('.'))
    args = parser.parse_args()
    if args.list:
        print('\n'.join(KINDS))
        return 0
    if args.report:
        records = [Record(**json.loads(path.read_text()))
                   for kind in KINDS if (path := file_of(args.out, kind))
                   .exists()]
        (args.out / 'preserve.md').write_text(report(records))
        print(report(records), end='')
        good = Record('').outcome
        return 0 if len(records) == len(KINDS) and \
            all(record.outcome == good for record in records) else 1
    file = file_of(args.out, args.kind)
    record = one(args.kind, share_of(args.kind, args.moves), args.seconds,
                 args.seed, file.with_suffix('.console'))
    file.write_text(json.dumps(asdict(record)))
    return 0 if record.outcome == Record('').outcome else 1


if __name__ == '__main__':
    sys.exit(main())
