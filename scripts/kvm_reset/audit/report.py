# SPDX-License-Identifier: GPL-2.0-or-later
"""The half of scripts/audit that says what was found, from what the driver
left: text for people, JSON for machines. Exit status 0: both lives are the
same; 1: they differ; 2: there is nothing to compare."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from .compare import Comparer, Finding, Result
from .record import BadRecord, Record
from .rules import NOT_READ
from .symbols import Frame, Symboliser

TITLES = {
    'run': 'The second life itself',
    'reset': 'What the VM was told, after an ordinary reset and after one '
             'with a new VM',
    'read': 'What KVM says of the VM, at the same two moments',
    'boot': 'What the VM was told, when the guest had booted, the first time '
            'and again',
}
SIGNS = {'lacks': 'LACKS', 'too much': 'TOO MUCH', 'differs': 'DIFFERS',
         'failed': 'FAILED', 'trouble': 'TROUBLE'}


class Audit:
    """One run, read and compared."""

    def __init__(self, directory: Path, lines: bool = True,
                 debug: Optional[list[Path]] = None) -> None:
        self.story: dict[str, Any] = json.loads(
            (directory / 'story').read_text())
        self.record = Record.read(directory / 'record')
        self.result: Result = Comparer(self.record).run()
        for trouble in self.story['troubles']:
            self.result.findings.insert(0, Finding(
                'run', 'trouble', '', 'QEMU', '', 'ran', trouble))
        self.symboliser = Symboliser(
            self.record.modules.values(), lines,
            [Path('/usr/lib/debug'), *(debug or [])])
        self._chains: dict[int, list[Frame]] = {}

    def chain(self, stack: int) -> list[Frame]:
        if stack not in self._chains:
            self._chains[stack] = self.symboliser.chain(
                self.record.stacks.get(stack, []))
        return self._chains[stack]

    def status(self) -> int:
        return 1 if self.result.differences() else 0

    def json(self) -> dict[str, Any]:
        def finding(found: Finding) -> dict[str, Any]:
            frames = [asdict(frame) for frame in self.chain(found.stack)]
            return {**asdict(found), 'stack': frames}
        return {
            'version': 1,
            'qemu': self.story['version'],
            'kernel': self.story['kernel'],
            'arguments': self.story['arguments'],
            'notes': self.story['notes'],
            'calls': self.record.calls,
            'counted': self.counted(),
            'compared': self.result.compared,
            'findings': [finding(f) for f in self.result.findings
                         if not f.known],
            'known': [finding(f) for f in self.result.findings if f.known],
            'volatile': [dict(zip(('what', 'argument', 'why'), row))
                         for row in self.result.volatile],
            'not_read': NOT_READ,
        }

    def counted(self) -> dict[str, dict[str, int]]:
        """How often what was not recorded was issued on each VM, at last."""
        found: dict[str, dict[str, int]] = {}
        for mark in self.record.marks.values():
            for (vm, name), count in mark.counts.items():
                found.setdefault(name, {})[str(vm)] = count
        return found

    def text(self, verbose: bool) -> str:
        lines = [f'QEMU {self.story["version"]} on {self.story["kernel"]}: '
                 f'{self.record.calls} calls that tell KVM something']
        lines += [f'Note: {note}' for note in self.story['notes']]
        for point, title in TITLES.items():
            found = [f for f in self.result.findings if f.point == point
                     and (verbose or not f.known)]
            if point not in self.result.compared and not found:
                continue
            count = self.result.compared.get(point)
            lines += ['', f'{title}:' + (f' {count} things compared'
                                         if count is not None else '')]
            for one in found:
                lines += self.paragraph(one)
        volatile = {(what, why): None for what, _, why in self.result.volatile}
        lines += ['', 'Not compared:']
        lines += [f'  {what}: {why}' for what, why in volatile]
        lines += [f'  {what}: {why}' for what, why in NOT_READ.items()]
        differences = len(self.result.differences())
        known = len(self.result.findings) - differences
        lines += ['', (f'{differences} differences' if differences else
                       'Nothing is lost and nothing is too much')
                  + (f'; {known} more that are right' if known else '')]
        return '\n'.join(lines)

    def paragraph(self, found: Finding) -> list[str]:
        of = f' of {found.object}' if found.object else ''
        argument = f': {found.argument}' if found.argument else ''
        lines = [f'  {SIGNS[found.kind]:8} {found.what}{of}{argument}',
                 f'           first life: {found.first}',
                 f'           second life: {found.second}']
        if found.known:
            lines.append(f'           that is right: {found.known}')
        for i, frame in enumerate(self.chain(found.stack)):
            lines.append(('           issued by ' if i == 0 else
                          '                for  ') + str(frame))
        return lines


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--dir', required=True, type=Path)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--verbose', action='store_true')
    parser.add_argument('--no-lines', action='store_true')
    parser.add_argument('--debug-info', action='append', type=Path)
    args = parser.parse_args()
    try:
        audit = Audit(args.dir, not args.no_lines, args.debug_info)
        if args.json:
            text = json.dumps(audit.json(), indent=1)
            args.json.write_text(text + '\n')
    except (BadRecord, OSError, ValueError) as error:
        print(f'audit: error: {error}', file=sys.stderr)
        return 2
    print(audit.text(args.verbose))
    return audit.status()
