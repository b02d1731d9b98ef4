# SPDX-License-Identifier: GPL-2.0-or-later
"""The small guest, as far as that needs no guest."""

import subprocess
import sys
import unittest
from pathlib import Path

GUEST = Path(__file__).resolve().parents[1] / 'guest'


class Guest(unittest.TestCase):

    def test_it_knows_the_answers_that_python_computes(self) -> None:
        done = subprocess.run([sys.executable, GUEST / 'check-answers.py'],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ''))


if __name__ == '__main__':
    unittest.main()
