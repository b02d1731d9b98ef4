# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/functional/stacks.py: where a QEMU is that does not end."""

import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'functional'))

import stacks  # noqa: E402 pylint: disable=wrong-import-position


class Stacks(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def start(self, name):
        """A process that sleeps, in a group of its own."""
        program = self.scratch / name
        shutil.copy(shutil.which('sleep'), program)
        process = subprocess.Popen([program, '60'], start_new_session=True)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        while f'({name[:15]})' not in Path(
                f'/proc/{process.pid}/stat').read_text():
            time.sleep(0.01)
        return process

    def test_each_qemu_of_the_group_is_asked(self):
        process = self.start('qemu-system-x86_64')
        stacks.keep_stacks(process.pid, self.scratch / 'kept')
        kept = self.scratch / f'kept/stacks.{process.pid}'
        self.assertIn('#0', kept.read_text())
        self.assertIsNone(process.poll())

    def test_nobody_else_is_asked(self):
        process = self.start('something-else')
        stacks.keep_stacks(process.pid, self.scratch / 'kept')
        self.assertFalse((self.scratch / 'kept').exists())

    def test_what_cannot_be_asked_is_said(self):
        process = self.start('qemu-system-x86_64')
        process.kill()
        process.wait()
        self.assertTrue(stacks.stack_of(process.pid).strip())


if __name__ == '__main__':
    unittest.main()
