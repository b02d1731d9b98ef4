# SPDX-License-Identifier: GPL-2.0-or-later
"""Real firmware, of Debian's packages (scripts/lib/firmware.sh)."""

import functools
import hashlib
import subprocess
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# Those whose digests are known.
OVMF = '7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773'
AMDSEV = '3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f'


@functools.cache
def firmware(name: str) -> tuple[Path | None, str]:
    """Where it is, or why it is not there."""
    done = subprocess.run(
        ['bash', '-c', 'set -euo pipefail; . "$1/scripts/lib/common.sh"; '
         '. "$1/scripts/lib/firmware.sh"; firmware "$2"', 'debian_firmware.py',
         str(TOP), name], capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1]
    return Path(done.stdout.strip()), ''


def need(name: str, sha256: str = '') -> Path:
    path, why = firmware(name)
    if path is None:
        raise unittest.SkipTest(f'no firmware {name}: {why}')
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 and found != sha256:
        raise unittest.SkipTest(f'{path.name} is another version than the one '
                                f'whose digest is known: {found}')
    return path
