# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures resets of confidential guests; scripts/bench starts it.

The platform (tests/coco-platform) takes as long for its commands as it is told
to, and says in its log how long it was at work. What is left of a reset's time
is what kvm-reset and QEMU add."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .table import Line
from .qemu import Qemu, QemuFailed, machine_properties

DEVICE = '/dev/kvm'
TARGET_MS = 1.0
FEWEST = 20
# For the firmware to have done something.
RUNS_FOR = 1.0
TIMEOUT = 60.0

# What a step takes on hardware, in microseconds; docs/benchmarks.md says where
# that was published, and what is an estimate.
COSTS = ('SNP_LAUNCH_UPDATE:1000/page,SNP_LAUNCH_UPDATE_VMSA:1000,'
         'LAUNCH_UPDATE_DATA:1000/page,LAUNCH_UPDATE_VMSA:1000,'
         'TDX_INIT_MEM_REGION:100/page')

SEV = 'cbitpos=0,reduced-phys-bits=1'
# By kind: the object, and what the machine needs besides.
KINDS = {
    'SEV-SNP': (f'sev-snp-guest,id=cg,{SEV}', '', 'EPYC-v4'),
    'SEV-ES': (f'sev-guest,id=cg,{SEV},policy=5', '', 'EPYC-v4'),
    'TDX': ('tdx-guest,id=cg', ',kernel-irqchip=split', 'host'),
}
# Memory is encrypted in place: nothing can be launched ahead, and KVM must have
# taken down the old VM before.
IN_PLACE = ('SEV-ES',)
SPARES = {'SEV-SNP': ('off', 'on', 'launched'), 'SEV-ES': ('off', 'on'),
          'TDX': ('off', 'on', 'launched')}


def say(text: str) -> None:
    print(f'bench: {text}', file=sys.stderr)


@dataclass
class Measured:
    """Resets of one kind of guest with one kind of spare; milliseconds."""
    kind: str
    spare: str
    total: list[float] = field(default_factory=list)
    platform: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rest(self) -> float:
        return statistics.median(total - work for total, work
                                 in zip(self.total, self.platform))

    def line(self, judged: bool) -> Line:
        return Line(f'{self.kind}, spare={self.spare}', 'ms',
                    bare=statistics.median(self.platform),
                    ours=statistics.median(self.total), value=self.rest,
                    target=TARGET_MS if judged and self.spare != 'off'
                    else None)


class Log:
    """The platform's, as far as it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = 0

    def events(self, name: str) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        lines = self.path.read_text().split('\n')[:-1]
        new = [json.loads(line) for line in lines[self.read:]]
        self.read = len(lines)
        return [event for event in new if event['event'] == name]


class Guest:
    """A confidential guest that has run its firmware and is paused."""

    def __init__(self, args: argparse.Namespace, kind: str, spare: str,
                 scratch: Path) -> None:
        what, machine, cpu = KINDS[kind]
        self.log = Log(scratch / f'{kind}-{spare}.json')
        environment = {'LD_PRELOAD': str(args.platform),
                       'KVM_RESET_COCO_LOG': str(self.log.path),
                       'KVM_RESET_COCO_DELAY': args.costs}
        os.environ.update(environment)
        try:
            self.qemu = Qemu(kind, args.ours, [
                '-machine', f'q35,confidential-guest-support=cg{machine},'
                            f'kvm-reset-spare={spare}',
                '-object', what, '-cpu', cpu, '-smp', '2', '-m', '256',
                '-bios', str(args.firmware)])
        finally:
            for name in environment:
                del os.environ[name]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        self.qemu.until(condition, what)

    def info(self) -> dict[str, Any]:
        return self.qemu.command('query-kvm-reset')

    def settle(self) -> None:
        def settled() -> bool:
            info = self.info()
            return (info['retiring'] == 0
                    and info['spare']['state'] != 'preparing')
        self.until(settled, 'old VMs to go and the spare to be ready')

    def start(self) -> None:
        self.qemu.command('cont')
        self.until(lambda: bool(self.log.events('first_run')),
                   'the guest to run')
        time.sleep(RUNS_FOR)
        self.qemu.command('stop')

    def platforms_work(self, measured: Measured, last: dict[str, Any]
                       ) -> float:
        """What was done while the guest waited that is none of ours, in
        milliseconds."""
        if measured.spare == 'launched':
            return 0.0
        work = self.log.events('launch_work')[-1]
        took = work['launch_us'] / 1000
        if measured.spare == 'off':
            took += work['definition_us'] / 1000
        if measured.kind in IN_PLACE:
            took += last['retire-ns'] / 1e6
        return took

    def reset(self, measured: Measured) -> None:
        self.settle()
        self.log.events('')
        wall = self.qemu.reset() / 1e6
        info = self.info()
        last = info['last']
        if last['spare'] != (measured.spare != 'off'):
            raise self.qemu.failed('the reset was not with the spare that was '
                                   f'asked for: {last}')
        if not info['launch']['measurement']['equal']:
            raise self.qemu.failed('it was measured otherwise')
        measured.wall.append(wall)
        measured.total.append(last['total-ns'] / 1e6)
        measured.phases.append(last)
        measured.platform.append(self.platforms_work(measured, last))


def measure(args: argparse.Namespace, kind: str, spare: str,
            scratch: Path) -> Measured:
    measured = Measured(kind, spare)
    guest = Guest(args, kind, spare, scratch)
    try:
        guest.start()
        for _ in range(args.rounds):
            guest.reset(measured)
    finally:
        guest.qemu.stop()
    return measured


def kinds_of(qemu: str) -> list[str]:
    objects = subprocess.run([qemu, '-object', 'help'], capture_output=True,
                             text=True, check=True).stdout
    return [kind for kind, (what, _, _) in KINDS.items()
            if what.split(',')[0] in objects]


def measure_all(args: argparse.Namespace) -> list[Measured]:
    if 'kvm-reset-spare' not in machine_properties(args.ours):
        raise QemuFailed(f'{args.ours} has no machine property '
                         'kvm-reset-spare: build it with scripts/build-qemu')
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for kind in kinds_of(args.ours):
            for spare in SPARES[kind]:
                say(f'{kind}, spare={spare}')
                results.append(measure(args, kind, spare, Path(scratch)))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--ours', required=True)
    parser.add_argument('--platform', type=Path, required=True)
    parser.add_argument('--firmware', type=Path, required=True)
    parser.add_argument('--costs', default=COSTS)
    parser.add_argument('--rounds', type=int, default=FEWEST)
    parser.add_argument('--no-targets', action='store_true')
    parser.add_argument('--output', type=Path, required=True)
    args = parser.parse_args()
    if not Path(DEVICE).exists():
        why = f'no {DEVICE} here'
        say(f'{why}: nothing of coco is measured; the appliance has one: '
            'scripts/appliance -- scripts/bench coco --no-targets')
        lines = [asdict(Line('coco', 'ms', why_skipped=why))]
        args.output.write_text(json.dumps({'lines': lines}) + '\n')
        return 0
    try:
        results = measure_all(args)
    except QemuFailed as error:
        say(f'error: {error}')
        return 1
    judged = not args.no_targets and args.rounds >= FEWEST
    print('Resets of confidential guests with 2 vCPUs, milliseconds, medians. '
          '"bare": the platform\'s own work while the guest waits;\n"ours": '
          'the whole reset by its own clock; the value is the difference. '
          f'The platform takes {args.costs}.\n')
    args.output.write_text(json.dumps({
        'costs': args.costs,
        'lines': [asdict(result.line(judged)) for result in results],
        'resets': [asdict(result) for result in results]}, indent=1) + '\n')
    return 0
