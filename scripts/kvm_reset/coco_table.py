# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints what tests/functional/coco_matrix_test.py has left: a line for each
kind of guest that came back each time.

    coco_table FILE
"""

import json
import sys
from pathlib import Path
from typing import Any

from .columns import aligned

KINDS = ('sev', 'sev-es', 'snp', 'tdx')
COLUMNS = ('kind', 'QEMU', "Linux' rules", 'vCPUs', 'kernel hashes',
           'reboots', 'resets', 'launches', 'launch digest', 'equal', 'seconds')


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    hashes = '-' if row['kind'] == 'tdx' else 'yes' if row['hashes'] else 'no'
    return (row['kind'], row['qemu'], row['linux'], str(row['vcpus']), hashes,
            str(row['reboots']), str(row['resets']), str(row['launches']),
            row['digest'][:16] + '…', 'yes' if row['equal'] else 'NO',
            str(row['seconds']))


def table(lines: list[str]) -> str:
    """Of two tries the last one counts."""
    rows = {}
    for row in map(json.loads, lines):
        rows[KINDS.index(row['kind']), row['qemu'], row['linux'],
             row['vcpus'], row['hashes']] = cells(row)
    text = [COLUMNS] + [rows[key] for key in sorted(rows)]
    return aligned(text)


def main() -> int:
    if len(sys.argv) != 2:
        print('usage: coco_table FILE', file=sys.stderr)
        return 2
    path = Path(sys.argv[1])
    if not path.exists():
        print('no guest came back each time', file=sys.stderr)
        return 1
    print(table(path.read_text().splitlines()))
    return 0
