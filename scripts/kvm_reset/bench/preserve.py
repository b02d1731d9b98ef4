# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a guest stands still when it gets a new VM, and beside it what an
operator would do instead: migrate it to a second QEMU on the same machine, by
QEMU's live migration and by its CPR mode.

A guest runs SeaBIOS, over and over, or is at work: it writes to 16 MiB of its
memory, over and over. Its pause is that which kvm-rebirth tells; that of a
migration, from the STOP of the one QEMU to the RESUME of the other.
"""

import argparse
import json
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .qemu import Qemu, QemuFailed

CPUS = (1, 2, 4, 8, 16, 32, 64)
MEMORY = (256, 2048, 8192)
BASE_CPUS, BASE_MEMORY = 2, 256

# The pause may be so long, in microseconds, and this part of a migration's.
TARGET_US, TARGET_US_A_CPU = 5000, 200
TARGET_OF_MIGRATION = 0.1


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


# Adds 1 to a word of each page from 16 to 32 MiB, for ever. When one of the last
# is not 0, all have been there.
WORKS_AT = 0x1ff0000
WORK = bytes.fromhex('bf00000001'        # 1: mov $0x1000000, %edi
                     'ff07'              # 2: incl (%edi)
                     '81c700100000'      # add $0x1000, %edi
                     '81ff00000002'      # cmp $0x2000000, %edi
                     '72f0'              # jb 2b
                     'ebe9')             # jmp 1b


def kernel_at_work() -> bytes:
    """For -kernel, by the Multiboot specification: a header, whose addresses
    say where all of it goes, and 32-bit code."""
    magic, flags, at, size = 0x1badb002, 1 << 16, 0x100000, 32
    end = at + size + len(WORK)
    return struct.pack('<8I', magic, flags, -(magic + flags) & 0xffffffff,
                       at, at, end, end, at + size) + WORK


@dataclass
class Case:
    cpus: int = BASE_CPUS
    memory: int = BASE_MEMORY
    kernel: str = ''  # none: the firmware alone

    def __str__(self) -> str:
        return (f'{self.cpus} vCPUs, {self.memory} MiB'
                + (', at work' if self.kernel else ''))

    def arguments(self, cpu: str) -> list[str]:
        return ['-machine', 'q35,kvm-reset-spare=on,aux-ram-share=on,'
                'memory-backend=ram', '-cpu', cpu, '-smp', str(self.cpus),
                '-m', f'{self.memory}M', '-object', 'memory-backend-memfd,'
                f'id=ram,size={self.memory}M,share=on,prealloc=on',
                *(['-kernel', self.kernel] if self.kernel else [])]


def start(qemu: Qemu, case: Case) -> None:
    """Until the guest is at what it is to do."""
    qemu.command('cont')
    if case.kernel:
        qemu.until(lambda: ' 0x00000000' not in qemu.command(
            'human-monitor-command', **{'command-line': f'xp /1xw {WORKS_AT}'}),
            'the guest to be at work')
    else:
        time.sleep(0.5)


def wait_spare(qemu: Qemu) -> None:
    qemu.until(lambda: qemu.command('query-kvm-reset')['spare']['state']
               == 'ready', 'a spare')


def pauses(qemu: Qemu, rounds: int) -> list[float]:
    values = []
    for _ in range(rounds):
        wait_spare(qemu)
        values.append(qemu.command('kvm-rebirth', preserve=True)
                      ['total-ns'] / 1e3)
    return values


def stamp(event: dict[str, Any]) -> float:
    at = event['timestamp']
    return at['seconds'] * 1e6 + at['microseconds']


def pause_between(source: Qemu, target: Qemu) -> float:
    """Until the migration is over: how long the guest ran on neither."""
    def over() -> bool:
        now = source.command('query-migrate')
        if now.get('status') == 'failed':
            raise source.failed(f'the migration failed: '
                                f'{now.get("error-desc")}')
        return now.get('status') == 'completed'
    source.until(over, 'the migration')
    return (stamp(target.wait_event('RESUME')) -
            stamp(source.wait_event('STOP')))


def migrated(args: argparse.Namespace, case: Case, there: Path) -> float:
    """By live migration, on a socket."""
    words = case.arguments(args.cpu)
    source = Qemu('source', args.qemu, words)
    try:
        target = Qemu('target', args.qemu, [*words, '-incoming', 'defer'])
        try:
            target.command('migrate-incoming', uri=f'unix:{there}')
            target.command('cont')
            start(source, case)
            source.events.clear()
            source.command('migrate-set-parameters',
                           **{'max-bandwidth': 1 << 40})
            source.command('migrate', uri=f'unix:{there}')
            return pause_between(source, target)
        finally:
            target.stop()
    finally:
        source.stop()


def socket_at(path: Path) -> dict[str, str]:
    return {'transport': 'socket', 'type': 'unix', 'path': str(path)}


def cpr(args: argparse.Namespace, case: Case, there: Path) -> float:
    """The same, but memory and fds stay: mode cpr-transfer, of QEMU 10.0."""
    words = case.arguments(args.cpu)
    source = Qemu('source', args.qemu, words)
    channels = {kind: {'channel-type': kind,
                       'addr': socket_at(there.with_suffix('.' + kind))}
                for kind in ('main', 'cpr')}
    errors: list[Exception] = []

    def send() -> None:
        try:
            source.until(there.with_suffix('.cpr').exists, 'the second QEMU')
            source.command('migrate', channels=list(channels.values()))
        except QemuFailed as error:
            errors.append(error)
    try:
        start(source, case)
        source.events.clear()
        source.command('migrate-set-parameters', mode='cpr-transfer')
        # The second QEMU says nothing on its monitor until it was sent this;
        # and it ends with the thread that started it.
        sender = threading.Thread(target=send)
        sender.start()
        incoming = [word for channel in channels.values()
                    for word in ('-incoming', json.dumps(channel))]
        target = Qemu('target', args.qemu, [*words, *incoming])
        try:
            sender.join()
            if errors:
                raise errors[0]
            target.command('cont')
            return pause_between(source, target)
        finally:
            target.stop()
    finally:
        source.stop()


def measure_pauses(args: argparse.Namespace, case: Case) -> list[float]:
    qemu = Qemu('ours', args.qemu, case.arguments(args.cpu))
    try:
        start(qemu, case)
        return pauses(qemu, args.rounds)
    finally:
        qemu.stop()


def alternative(args: argparse.Namespace, case: Case, scratch: str,
                way: Callable[[argparse.Namespace, Case, Path], float]) \
        -> list[float]:
    return [way(args, case, Path(scratch, f'{way.__name__}{number}'))
            for number in range(args.migrations)]


def line(what: str, values: list[float], note: str) -> None:
    print(f'{what:42} p50 {percentile(values, 0.5):9.0f} us   p99 '
          f'{percentile(values, 0.99):9.0f} us   {note}', flush=True)


def measure_moves(args: argparse.Namespace, cases: list[Case],
                  missed: list[str]) -> dict[str, float]:
    """The medians, by case."""
    medians = {}
    for case in cases:
        values = measure_pauses(args, case)
        target = TARGET_US + TARGET_US_A_CPU * case.cpus
        medians[str(case)] = percentile(values, 0.5)
        line(f'new VM, {case}', values, f'at most {target}')
        if percentile(values, 0.5) > target:
            missed.append(str(case))
    by_memory = [medians[str(case)] for case in cases
                 if case.cpus == BASE_CPUS and not case.kernel]
    if max(by_memory) > 1.5 * min(by_memory) + 500:
        missed.append('the pause grows with memory: ' + ', '.join(
            f'{value:.0f} us' for value in by_memory))
    return medians


def compare(args: argparse.Namespace, case: Case, median: float, scratch: str,
            missed: list[str]) -> None:
    for name, way in (('live migration', migrated), ('CPR', cpr)):
        try:
            values = alternative(args, case, scratch, way)
        except QemuFailed as error:
            print(f'{name}, {case}: not measured: {error}', flush=True)
            continue
        ratio = median / percentile(values, 0.5)
        line(f'{name}, {case}', values, f'a new VM: {ratio:.3f} of it')
        if case.kernel and way is migrated and ratio > TARGET_OF_MIGRATION:
            missed.append(f'{ratio:.3f} of a live migration, not '
                          f'{TARGET_OF_MIGRATION}')


def main() -> int:
    try:
        return measure()
    except QemuFailed as failure:
        sys.exit(f'error: {failure}')


def measure() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--qemu', required=True)
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--migrations', type=int, default=10)
    parser.add_argument('--cpu', default='qemu64')
    parser.add_argument('--most-cpus', type=int, default=64)
    parser.add_argument('--most-memory', type=int, default=8192)
    parser.add_argument('--no-targets', action='store_true')
    args = parser.parse_args()
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        kernel = Path(scratch, 'kernel')
        kernel.write_bytes(kernel_at_work())
        both = [Case(), Case(kernel=str(kernel))]
        medians = measure_moves(args, [
            *(Case(cpus=cpus) for cpus in CPUS if cpus <= args.most_cpus),
            *(Case(memory=memory) for memory in MEMORY
              if BASE_MEMORY < memory <= args.most_memory),
            both[1]], missed)
        for case in both:
            compare(args, case, medians[str(case)], scratch, missed)
    if args.no_targets:
        return 0
    for what in missed:
        print(f'missed: {what}')
    return 1 if missed else 0
