# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints what came of each test of confidential guests on the lab's host, and
on the simulated platform.

    judges LAB PLATFORM: what scripts/functional --results wrote
"""

import sys
from pathlib import Path

from .columns import aligned
from .results import Result, read

COLUMNS = ('test', 'lab', 'platform', 'why skipped')


def table(lab: list[Result], platform: list[Result]) -> str:
    there = {result.name: result.outcome for result in platform}
    rows = [COLUMNS] + [
        (result.name, result.outcome, there.get(result.name, 'not run'),
         result.reason if result.outcome == 'skipped' else '')
        for result in sorted(lab, key=lambda result: result.name)]
    return aligned(rows)


def main() -> int:
    if len(sys.argv) != 3:
        print('usage: judges LAB PLATFORM', file=sys.stderr)
        return 2
    lab, platform = (list(read(Path(name))) if Path(name).exists() else []
                     for name in sys.argv[1:])
    print(table(lab, platform))
    return 0
