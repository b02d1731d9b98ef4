# SPDX-License-Identifier: GPL-2.0-or-later
"""Audits one command line after the other on the machine that this is: those
of matrix.toml. A line of text for each, and of JSON in --results:

    {"name": …, "outcome": "same"|"differs"|"nothing"|"skipped",
     "reason": …, "told": …, "read": …, "boot": …, "known": …, "seconds": …}

"nothing": there was nothing to compare, which a second try did not change.
What is in --results already is not run again. Exit status as of scripts/audit:
0 all are the same, 1 one differs, 2 there was nothing to compare in one.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .report import Audit

PACKAGE = Path(__file__).resolve().parents[1]
MATRIX = Path(__file__).with_name('matrix.toml')
COMMON = ['-nodefaults', '-display', 'none', '-accel', 'kvm', '-cpu', 'host',
          '-m', '256']
READY = 'kvm-reset-guest: ready'
KERNEL = ('console=ttyS0 quiet mitigations=off nokaslr random.trust_cpu=on '
          'rcupdate.rcu_expedited=1 rcupdate.rcu_cpu_stall_suppress=1 '
          'nowatchdog')
WORDS = {'same': 'same', 'differs': 'DIFFERS', 'nothing': 'NOTHING',
         'skipped': 'skipped'}


class BadMatrix(Exception):
    """matrix.toml is not what it should be; says where."""


@dataclass
class Line:
    """One command line."""
    name: str
    args: str
    boots: str
    append: str = ''
    needs: str = ''

    def qemu_args(self, disk: Path, kernel: str, initrd: str) -> list[str]:
        """@disk: made if it is wanted."""
        own = [word.replace('{disk}', str(disk))
               for word in shlex.split(self.args)]
        common = list(COMMON)
        # Of -accel the first that works counts, not the last.
        if '-accel' in own:
            del common[common.index('-accel'):common.index('-accel') + 2]
        if '{disk}' in self.args:
            with disk.open('wb') as file:
                file.truncate(65 * 4096)
        if self.boots == 'linux':
            own += ['-serial', 'stdio', '-kernel', kernel, '-initrd', initrd,
                    '-append', f'{KERNEL} {self.append}'.strip()]
        return common + own


def read_matrix(path: Path = MATRIX) -> list[Line]:
    try:
        with path.open('rb') as file:
            rows = tomllib.load(file)['line']
        lines = [Line(**row) for row in rows]
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise BadMatrix(f'{path}: {error}') from error
    names = [line.name for line in lines]
    for line in lines:
        if line.boots not in ('linux', 'firmware'):
            raise BadMatrix(f'{path}: {line.name} boots "{line.boots}": take '
                            'linux or firmware')
        if names.count(line.name) > 1:
            raise BadMatrix(f'{path}: there are two lines {line.name}')
    return lines


class Matrix:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.done: dict[str, dict[str, Any]] = {}
        if args.results.exists():
            for text in args.results.read_text().splitlines():
                result = json.loads(text)
                self.done[result['name']] = result

    def why_not(self, line: Line) -> str:
        if line.needs and not os.path.exists(line.needs):
            return f'there is no {line.needs}'
        if line.boots == 'linux' and not self.args.kernel:
            return 'there is no guest to boot: set --kernel and --initrd'
        return ''

    def drive(self, line: Line, out: Path) -> str:
        """Empty, or why there is nothing to compare."""
        command = [sys.executable, '-B', str(PACKAGE), 'audit.drive',
                   '--qemu', self.args.qemu, '--out', str(out),
                   '--recorder', self.args.recorder,
                   '--quiet', str(self.args.quiet),
                   '--patience', str(self.args.patience)]
        for library in self.args.preload:
            command += ['--preload', library]
        if line.boots == 'linux':
            command += ['--until', READY]
        done = subprocess.run(
            [*command, '--', *line.qemu_args(out / 'disk', self.args.kernel,
                                             self.args.initrd)],
            check=False, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        if done.returncode == 0:
            return ''
        words = done.stdout.strip().splitlines()
        return words[-1] if words else f'status {done.returncode}'

    def audit(self, line: Line, keep: Optional[Path]) -> dict[str, Any]:
        out = Path(tempfile.mkdtemp(prefix='audit.'))
        try:
            why = self.drive(line, out)
            if why:
                return {'outcome': 'nothing', 'reason': why}
            audit = Audit(out, lines=False)
            differences = audit.result.differences()
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f'{line.name}.txt').write_text(audit.text(True) + '\n')
                (keep / f'{line.name}.json').write_text(
                    json.dumps(audit.json(), indent=1) + '\n')
            compared = audit.result.compared
            first = differences[0] if differences else None
            return {'outcome': 'differs' if first else 'same',
                    'reason': f'{len(differences)}, the first: {first.kind} '
                    f'{first.what} {first.argument} {first.second}'.strip()
                    if first else '',
                    'qemu': audit.story['version'],
                    'kernel': audit.story['kernel'],
                    'told': compared.get('reset', 0),
                    'read': compared.get('read', 0),
                    'boot': compared.get('boot', 0),
                    'known': sum(bool(f.known)
                                 for f in audit.result.findings)}
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def one(self, line: Line) -> dict[str, Any]:
        began = time.monotonic()
        why = self.why_not(line)
        if why:
            result: dict[str, Any] = {'outcome': 'skipped', 'reason': why}
        else:
            result = self.audit(line, self.args.keep)
            # Emulated CPUs lose a guest now and then, in either life.
            if result['outcome'] in ('nothing', 'differs'):
                first = result
                result = self.audit(line, self.args.keep)
                if result['outcome'] == 'same':
                    result['reason'] = 'at the second try; the first: ' \
                        + first['reason']
        return {'name': line.name, **result,
                'seconds': round(time.monotonic() - began, 1)}

    def tell(self, result: dict[str, Any]) -> None:
        text = f'{WORDS[result["outcome"]]:8} {result["name"]}'
        if 'told' in result:
            text += (f': {result["told"]} things told, {result["read"]} read, '
                     f'{result["boot"]} at boot, {result["known"]} known')
        if result['reason']:
            text += f' [{result["reason"]}]'
        print(text, flush=True)

    def run(self, lines: list[Line]) -> int:
        for line in lines:
            if line.name in self.done:
                continue
            result = self.done[line.name] = self.one(line)
            self.tell(result)
            with self.args.results.open('a') as file:
                file.write(json.dumps(result) + '\n')
        outcomes = {self.done[line.name]['outcome'] for line in lines}
        return 1 if 'differs' in outcomes else 2 if 'nothing' in outcomes \
            else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--match', default='', type=re.compile)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--qemu')
    parser.add_argument('--recorder')
    parser.add_argument('--preload', default=[], action='append')
    parser.add_argument('--results', type=Path)
    parser.add_argument('--keep', type=Path)
    parser.add_argument('--kernel', default='')
    parser.add_argument('--initrd', default='')
    parser.add_argument('--quiet', type=float, default=4)
    parser.add_argument('--patience', type=float, default=180)
    args = parser.parse_args()
    try:
        lines = [line for line in read_matrix() if args.match.search(line.name)]
    except BadMatrix as error:
        print(f'audit: error: {error}', file=sys.stderr)
        return 2
    if not lines:
        print(f'audit: error: no line of {MATRIX.name} is named '
              f'"{args.match.pattern}"', file=sys.stderr)
        return 2
    if args.list:
        print('\n'.join(line.name for line in lines))
        return 0
    return Matrix(args).run(lines)
