# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the programs that owners of guests use: scripts/kvm-reset-*."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get('KVM_RESET_BUILD') or TOP / 'build')

# As much of a bzImage as QEMU looks at.
KERNEL = bytes(0x202) + b'HdrS' + bytes(1000)


def build(name: str) -> None:
    """What is said then is what the user would see."""
    done = subprocess.run([TOP / 'scripts' / name, '--help'],
                          capture_output=True, text=True)
    if done.returncode or not done.stdout.startswith(f'usage: {name} '):
        raise RuntimeError(done.stderr.strip() or done.stdout)


class OwnerTool(unittest.TestCase):
    name = ''

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def put(self, name: str, data: bytes) -> Path:
        path = self.scratch / name
        path.write_bytes(data)
        return path

    def run_tool(self, name: str,
                 *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BUILD / 'tools' / name, *map(str, words)],
                              capture_output=True, text=True)

    def run_it(self, *words: object) -> subprocess.CompletedProcess[str]:
        return self.run_tool(self.name, *words)

    def says(self, *words: object, tool: str = '') -> str:
        """What it prints, without a word of complaint."""
        done = self.run_tool(tool or self.name, *words)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def assert_dies(self, *words: object, says: str) -> None:
        done = self.run_it(*words)
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith(f'{self.name}: error: '))
        self.assertIn(says, lines[0])
