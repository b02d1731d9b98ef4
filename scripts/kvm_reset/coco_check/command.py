# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks at the machine, or writes the report; scripts/coco-check starts it."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from .look import Finding, Machine, look
from .report import write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('look', 'report'))
    parser.add_argument('--qemu', default='')
    parser.add_argument('--findings', type=Path, required=True)
    parser.add_argument('--results', type=Path)
    parser.add_argument('--logs', type=Path)
    parser.add_argument('--simulated', action='store_true')
    parser.add_argument('--report', type=Path)
    args = parser.parse_args()

    if args.what == 'look':
        machine = look(args.qemu)
        args.findings.write_text(json.dumps(asdict(machine)) + '\n')
        print(' '.join(machine.kinds))
        return 0
    said = json.loads(args.findings.read_text())
    said['findings'] = [Finding(**each) for each in said['findings']]
    write(args.report, Machine(**said), args.results, args.logs,
          args.simulated)
    return 0
