# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command that is in an appliance, and runs it again in a new one while
the appliance fails. Emulation of AMD-V does fail now and then, with the
appliance's kernel the victim: that says nothing of what ran there.

    new_appliances [--patience SECONDS] MOST RESULTS COMMAND...

RESULTS is a file that gets a line for each thing done: MOST failures in a row
that leave no line more are the end. /dev/null for RESULTS: MOST in all. With
--patience, an appliance has failed, too, that leaves RESULTS alone for so long:
COMMAND then writes a line or touches the file more often. Ends with COMMAND's
status.
"""

import argparse
import math
import subprocess
import sys
import time
from pathlib import Path

# scripts/appliance says so.
APPLIANCE_FAILED = 125


def lines_of(results: Path) -> int:
    try:
        return results.read_bytes().count(b'\n')
    except OSError:
        return 0


def last_written(results: Path) -> float:
    try:
        return results.stat().st_mtime
    except OSError:
        return 0.0


def run_once(results: Path, command: list[str], patience: float) -> int:
    written, since = last_written(results), time.monotonic()
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait(timeout=min(patience, 5))
            except subprocess.TimeoutExpired:
                pass
            if last_written(results) != written:
                written, since = last_written(results), time.monotonic()
            elif time.monotonic() - since >= patience:
                print(f'{sys.argv[0]}: the appliance stands still for '
                      f'{patience:.0f} s', file=sys.stderr, flush=True)
                process.terminate()
                process.wait()
                return APPLIANCE_FAILED


def run(most: int, results: Path, command: list[str],
        patience: float = math.inf) -> int:
    stuck = 0
    while True:
        before = lines_of(results)
        status = run_once(results, command, patience)
        if status != APPLIANCE_FAILED:
            return status
        stuck = stuck + 1 if lines_of(results) == before else 0
        if stuck >= most:
            return status
        print(f'{sys.argv[0]}: the appliance failed: going on in a new one',
              file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--patience', type=float, default=math.inf)
    parser.add_argument('most', type=int)
    parser.add_argument('results', type=Path)
    parser.add_argument('command', nargs=argparse.REMAINDER)
    args = parser.parse_args()
    return run(args.most, args.results, args.command, args.patience)
