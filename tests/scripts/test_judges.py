# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/kvm_reset/judges.py: one suite, two judges."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))
from kvm_reset import judges            # noqa: E402
from kvm_reset.results import Result    # noqa: E402


class Table(unittest.TestCase):

    def test_each_test_on_the_lab_has_a_line_with_what_both_say(self) -> None:
        text = judges.table(
            [Result('b', 'failed'), Result('a', 'passed')],
            [Result('a', 'failed'), Result('c', 'passed')])
        self.assertEqual([line.split() for line in text.splitlines()[1:]],
                         [['a', 'passed', 'failed'],
                          ['b', 'failed', 'not', 'run']])

    def test_of_one_that_was_skipped_the_reason_is_told(self) -> None:
        text = judges.table([Result('a', 'skipped', 'no such fault')], [])
        self.assertTrue(text.endswith('no such fault'), text)


if __name__ == '__main__':
    unittest.main()
