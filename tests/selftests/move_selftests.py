# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs KVM's selftests three times each: as they are, with each instruction
completed before KVM_RUN, and with the VM moved before KVM_RUN. A program that
passes twice and fails the third time has noticed.

    move_selftests.py --programs DIR --library FILE --table FILE [--results FILE]
           [--how every|SEED/N] [--timeout S] [NAME]...

Runs inside of the appliance. Prints a line for each program; exit status 1 if
one noticed that need not."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

SKIPPED = 4     # as kselftest has it
PASSED = 0
NEVER_ENDED = 'did not end'


@dataclass
class Run:
    """Of one program, in one way."""
    status: int
    last_line: str
    runs: int = 0
    moves: int = 0
    busy: int = 0
    reasons: tuple[str, ...] = ()

    def outcome(self) -> str:
        if self.status == PASSED:
            return 'passed'
        return 'skipped' if self.status == SKIPPED else 'failed'


def counts(report: str) -> tuple[int, int, int, tuple[str, ...]]:
    """What the library left: of all VMs of a program."""
    sums = [0, 0, 0]
    reasons: dict[str, None] = {}
    for line in report.splitlines():
        found = re.fullmatch(r'(\d+) runs, (\d+) moves, (\d+) busy', line)
        if found:
            sums = [a + int(b) for a, b in zip(sums, found.groups())]
        elif line.startswith('not moved: '):
            reasons[line.removeprefix('not moved: ')] = None
    return sums[0], sums[1], sums[2], tuple(reasons)


class Runner:
    def __init__(self, programs: Path, library: Path, timeout: float) -> None:
        self.programs = programs
        self.library = library
        self.timeout = timeout

    def run(self, name: str, move: Optional[str]) -> Run:
        with tempfile.NamedTemporaryFile('r') as report, \
                tempfile.TemporaryFile('w+', errors='replace') as output:
            environment = dict(os.environ)
            if move:
                environment |= {'LD_PRELOAD': str(self.library),
                                'KVM_RESET_MOVE': move,
                                'KVM_RESET_MOVE_REPORT': report.name}
            child = subprocess.Popen(
                [str(self.programs / name)], stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, env=environment, cwd='/tmp',
                start_new_session=True)
            try:
                status = child.wait(self.timeout)
                text = None
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                status = child.wait()
                text = NEVER_ENDED
            output.seek(0)
            lines = [line.strip() for line in output if line.strip()]
            return Run(status, text or (lines[-1] if lines else ''),
                       *counts(report.read()))


def judge(name: str, runs: dict[str, Run], excuses: dict[str, str]
          ) -> tuple[str, str]:
    """The outcome (passed, skipped, failed), and a remark."""
    plain, complete, moved = runs['plain'], runs['complete'], runs['moved']
    if plain.outcome() != 'passed':
        return 'skipped', f'{plain.outcome()} by itself: {plain.last_line}'
    if complete.outcome() != 'passed':
        return 'skipped', ('notices that an instruction is completed: '
                           f'{complete.last_line}')
    if moved.outcome() != 'passed':
        if name in excuses:
            return 'skipped', f'notices, and must: {excuses[name]}'
        return 'failed', f'noticed: {moved.last_line}'
    if moved.reasons:
        return 'failed', f'not moved: {"; ".join(moved.reasons)}'
    if name in excuses:
        return 'failed', 'noticed nothing, and the table says that it must'
    if not moved.runs:
        return 'skipped', 'no guest of it runs'
    if not moved.moves:
        return 'skipped', 'its VM is never where it can be moved'
    return 'passed', ''


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--programs', type=Path, required=True)
    parser.add_argument('--library', type=Path, required=True)
    parser.add_argument('--table', type=Path, required=True)
    parser.add_argument('--results', type=Path)
    parser.add_argument('--how', default='every')
    parser.add_argument('--timeout', type=float, default=120)
    parser.add_argument('names', nargs='*', metavar='NAME')
    args = parser.parse_args()

    table = tomllib.loads(args.table.read_text())
    there = sorted(path.name for path in args.programs.iterdir())
    names = args.names or there
    if unknown := (set(names) | set(table['notices']) |
                   set(table['left-out'])) - set(there):
        print(f'move_selftests.py: error: there is no program {", ".join(sorted(unknown))}'
              f' in {args.programs}', file=sys.stderr)
        return 2
    runner = Runner(args.programs, args.library, args.timeout)
    kernel = '.'.join(os.uname().release.split('.')[:2])
    failed = 0
    for name in names:
        began = time.monotonic()
        runs: dict[str, Run] = {}
        if name in table['left-out']:
            outcome, remark = 'skipped', table['left-out'][name]
        else:
            runs['plain'] = runner.run(name, None)
            for key, move in (('complete', 'complete'), ('moved', args.how)):
                if runs['plain'].outcome() == 'passed':
                    runs[key] = runner.run(name, move)
                else:
                    runs[key] = runs['plain']
            outcome, remark = judge(name, runs, table['notices'])
        failed += outcome == 'failed'
        moved = runs.get('moved', Run(0, ''))
        row = {'name': f'selftests: Linux {kernel}: {name}',
               'outcome': outcome, 'reason': remark,
               'seconds': round(time.monotonic() - began, 1), 'tries': 0,
               'runs': moved.runs, 'moves': moved.moves, 'busy': moved.busy}
        print(f'{outcome:8}{name:36} {moved.moves:6} moves of {moved.runs} '
              f'{row["seconds"]:6.1f} s  {remark}', flush=True)
        if args.results:
            with args.results.open('a') as file:
                print(json.dumps(row), file=file)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
