# SPDX-License-Identifier: GPL-2.0-or-later
"""What came of each injected failure: a file of JSON lines for each sweep,
so that one that was cut short goes on, and the tables made of them.

    fault_table.py DIRECTORY    prints the tables; status 1 if anything was lost
                                or is not there; else the files have served
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from injection import ERRORS

# Each ends with QEMU alive.
NEW_VM = 'new VM'           # in spite of it
OLD_VM = 'old VM'           # and the guest goes on there, or is reset there
STOPPED = 'stopped'         # with the reason, until the next reset
NO_VM = 'no VM'             # the same: the old one made room, and is gone
SPARE = 'spare'             # is there in spite of it
NO_SPARE = 'no spare'       # with the reason, until the next reset
GOOD = (NEW_VM, OLD_VM, STOPPED, NO_VM, SPARE, NO_SPARE)


@dataclass(frozen=True)
class Row:
    number: int             # of the call in the rebirth
    call: str
    error: str
    outcome: str            # one of the above, or what went wrong


class Sweep:
    """One file, called faults-NAME.jsonl."""

    def __init__(self, directory: Path, name: str, key: dict[str, Any]) -> None:
        """@key: what an earlier sweep with the same one did is done."""
        self.path = directory / f'faults-{name}.jsonl'
        self.rows: list[Row] = []
        header = {'sweep': name, **key}
        if self.path.exists():
            old, _, rows = read(self.path)
            if old == header and key['all']:
                self.rows = rows
        with self.path.open('w') as file:
            for line in (header, *map(asdict, self.rows)):
                print(json.dumps(line), file=file)

    def has(self, number: int, error: str) -> bool:
        return any(row.number == number and row.error == error
                   for row in self.rows)

    def append(self, line: dict[str, Any]) -> None:
        with self.path.open('a') as file:
            print(json.dumps(line), file=file)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.append(asdict(row))

    def end(self, seconds: float) -> None:
        self.append({'ended': True, 'seconds': round(seconds)})

    def bad(self) -> list[Row]:
        return [row for row in self.rows if row.outcome not in GOOD]


def read(path: Path) -> tuple[dict[str, Any], bool, list[Row]]:
    """The header, whether it came to its end, and the rows."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break    # cut short in the middle of a line
    ended = bool(lines) and 'ended' in lines[-1]
    header = lines[0] if lines else {}
    return header, ended, [Row(**line) for line in lines[1:]
                           if 'outcome' in line]


def cell(outcomes: Counter[str]) -> str:
    if len(outcomes) == 1:
        return next(iter(outcomes))
    return ', '.join(f'{outcome} {count}' for outcome, count
                     in sorted(outcomes.items()))


def table(rows: Iterable[Row]) -> list[str]:
    """Of a call that comes more than once: how often each outcome was seen."""
    calls: dict[str, set[int]] = defaultdict(set)
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        calls[row.call].add(row.number)
        cells[row.call, row.error][row.outcome] += 1
    errors = [error for error in ERRORS if any(error == key[1]
                                               for key in cells)]
    errors += sorted({key[1] for key in cells} - set(errors))
    grid = [['call', 'times', *errors]]
    grid += [[call, str(len(calls[call])),
              *(cell(cells[call, error]) if (call, error) in cells else ''
                for error in errors)] for call in sorted(calls)]
    widths = [max(len(line[i]) for line in grid) for i in range(len(grid[0]))]
    lines = ['| ' + ' | '.join(word.ljust(width) for word, width
                               in zip(line, widths)) + ' |' for line in grid]
    lines.insert(1, '| ' + ' | '.join('-' * width for width in widths) + ' |')
    return lines


def told(rows: list[Row]) -> str:
    """One line: how many, and how they ended."""
    counts = Counter(row.outcome if row.outcome in GOOD else 'LOST'
                     for row in rows)
    good = len(rows) - counts['LOST']
    share = 100 * good / len(rows) if rows else 0
    share = min(share, 99.9) if counts['LOST'] else share
    return (f'{len(rows)} failures injected, {share:.4g} % ended with QEMU '
            'alive and the guest as it should be: ' + ', '.join(
                f'{counts[outcome]} {outcome}' for outcome in (*GOOD, 'LOST')
                if counts[outcome]))


def main() -> int:
    paths = sorted(Path(sys.argv[1]).glob('faults-*.jsonl'))
    everything: list[Row] = []
    whole = bool(paths)
    for path in paths:
        header, ended, rows = read(path)
        whole = whole and ended
        everything += rows
        print(f'### {header["title"]}\n\n' + '\n'.join(table(rows))
              + f'\n\n{told(rows)}' + ('' if ended else ' (NOT ALL OF IT)')
              + '\n')
        for row in rows:
            if row.outcome not in GOOD:
                print(f'LOST: {row.call}, {row.error}: {row.outcome}')
    print(f'faults: {len(paths)} sweeps, {told(everything)}')
    lost = any(row.outcome not in GOOD for row in everything)
    if not (whole and everything) or lost:
        return 1
    for path in paths:
        path.unlink()
    return 0


if __name__ == '__main__':
    sys.exit(main())
