# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command that is in an appliance, and runs it again in a new one while
the appliance fails. Emulation of AMD-V does fail now and then, with the
appliance's kernel the victim: that says nothing of what ran there.

    new_appliances MOST RESULTS COMMAND...

RESULTS is a file that gets a line for each thing done: MOST failures in a row
that leave no line more are the end. /dev/null for RESULTS: MOST in all. Ends
with COMMAND's status.
"""

import subprocess
import sys
from pathlib import Path

# scripts/appliance says so.
APPLIANCE_FAILED = 125


def lines_of(results: Path) -> int:
    try:
        return results.read_bytes().count(b'\n')
    except OSError:
        return 0


def run(most: int, results: Path, command: list[str]) -> int:
    stuck = 0
    while True:
        before = lines_of(results)
        status = subprocess.run(command, check=False).returncode
        if status != APPLIANCE_FAILED:
            return status
        stuck = stuck + 1 if lines_of(results) == before else 0
        if stuck >= most:
            return status
        print(f'{sys.argv[0]}: the appliance failed: going on in a new one',
              file=sys.stderr, flush=True)


def main() -> int:
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    most, results, *command = sys.argv[1:]
    return run(int(most), Path(results), command)
