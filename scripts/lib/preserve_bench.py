# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a guest stands still when it gets a new VM, and beside it what an
operator would do instead: migrate it to a second QEMU on the same machine, by
QEMU's live migration and by its CPR mode.

A guest runs SeaBIOS, over and over. Its pause is that which kvm-rebirth tells;
that of a migration, from the STOP of the one QEMU to the RESUME of the other.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reset_bench.qemu import Qemu, QemuFailed

CPUS = (1, 2, 4, 8, 16, 32, 64)
MEMORY = (256, 2048, 8192)
BASE_CPUS, BASE_MEMORY = 2, 256

# The pause may be so long, in microseconds, and this part of a migration's.
TARGET_US, TARGET_US_A_CPU = 5000, 200
TARGET_OF_MIGRATION = 0.1


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def arguments(cpus: int, memory: int, cpu: str) -> list[str]:
    return ['-machine', 'q35,kvm-reset-spare=on,aux-ram-share=on,'
            'memory-backend=ram', '-cpu', cpu, '-smp', str(cpus), '-m',
            f'{memory}M', '-object',
            f'memory-backend-memfd,id=ram,size={memory}M,share=on,prealloc=on']


def wait_spare(qemu: Qemu) -> None:
    qemu.until(lambda: qemu.command('query-kvm-reset')['spare']['state']
               == 'ready', 'a spare')


def pauses(qemu: Qemu, rounds: int) -> list[float]:
    values = []
    for _ in range(rounds):
        wait_spare(qemu)
        values.append(float(qemu.command('kvm-rebirth', preserve=True)
                            ['total']))
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


def migrated(program: str, args: list[str], there: Path) -> float:
    """By live migration, on a socket."""
    source = Qemu('source', program, args)
    try:
        target = Qemu('target', program, [*args, '-incoming', 'defer'])
        try:
            target.command('migrate-incoming', uri=f'unix:{there}')
            target.command('cont')
            source.command('cont')
            time.sleep(0.5)
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


def cpr(program: str, args: list[str], there: Path) -> float:
    """The same, but memory and fds stay: mode cpr-transfer, of QEMU 10.0."""
    source = Qemu('source', program, args)
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
        source.command('cont')
        time.sleep(0.5)
        source.events.clear()
        source.command('migrate-set-parameters', mode='cpr-transfer')
        # The second QEMU says nothing on its monitor until it was sent this;
        # and it ends with the thread that started it.
        sender = threading.Thread(target=send)
        sender.start()
        incoming = [word for channel in channels.values()
                    for word in ('-incoming', json.dumps(channel))]
        target = Qemu('target', program, [*args, *incoming])
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


def measure_pauses(args: argparse.Namespace, cpus: int, memory: int) \
        -> list[float]:
    qemu = Qemu('ours', args.qemu, arguments(cpus, memory, args.cpu))
    try:
        qemu.command('cont')
        return pauses(qemu, args.rounds)
    finally:
        qemu.stop()


def alternative(args: argparse.Namespace,
                way: Callable[[str, list[str], Path], float]) -> list[float]:
    values = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(args.migrations):
            values.append(way(args.qemu, arguments(
                BASE_CPUS, BASE_MEMORY, args.cpu),
                Path(scratch, f'socket{number}')))
    return values


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--qemu', required=True)
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--migrations', type=int, default=10)
    parser.add_argument('--cpu', default='qemu64')
    parser.add_argument('--most-cpus', type=int, default=64)
    parser.add_argument('--most-memory', type=int, default=8192)
    parser.add_argument('--no-targets', action='store_true')
    args = parser.parse_args()
    missed = []
    base: list[float] = []
    by_memory: list[float] = []

    def line(what: str, values: list[float], note: str = '') -> None:
        print(f'{what:34} p50 {percentile(values, 0.5):9.0f} us   p99 '
              f'{percentile(values, 0.99):9.0f} us{note}', flush=True)
    cases = [(cpus, BASE_MEMORY) for cpus in CPUS if cpus <= args.most_cpus]
    cases += [(BASE_CPUS, memory) for memory in MEMORY
              if memory <= args.most_memory and memory != BASE_MEMORY]
    for cpus, memory in cases:
        values = measure_pauses(args, cpus, memory)
        target = TARGET_US + TARGET_US_A_CPU * cpus
        if (cpus, memory) == (BASE_CPUS, BASE_MEMORY):
            base = values
        if cpus == BASE_CPUS:
            by_memory.append(percentile(values, 0.5))
        line(f'new VM, {cpus} vCPUs, {memory} MiB', values,
             f'   at most {target}')
        if percentile(values, 0.5) > target:
            missed.append(f'{cpus} vCPUs, {memory} MiB')
    for name, way in (('live migration', migrated), ('CPR', cpr)):
        try:
            values = alternative(args, way)
        except QemuFailed as error:
            print(f'{name}: not measured: {error}', flush=True)
            continue
        ratio = percentile(base, 0.5) / percentile(values, 0.5)
        line(f'{name}, {BASE_CPUS} vCPUs, {BASE_MEMORY} MiB', values,
             f'   a new VM: {ratio:.3f} of it')
        if name == 'live migration' and ratio > TARGET_OF_MIGRATION:
            missed.append(f'{ratio:.3f} of a live migration, not '
                          f'{TARGET_OF_MIGRATION}')
    if max(by_memory) > 1.5 * min(by_memory) + 500:
        missed.append('the pause grows with memory: ' + ', '.join(
            f'{value:.0f} us' for value in by_memory))
    if args.no_targets:
        return 0
    for what in missed:
        print(f'missed: {what}')
    return 1 if missed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except QemuFailed as failure:
        sys.exit(f'error: {failure}')
