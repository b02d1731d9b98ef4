# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a selftest: tests/selftests/move_selftests.py."""

import sys
import tomllib
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / 'selftests'
sys.path.insert(0, str(HERE))

import move_selftests as run  # noqa: E402

PASSES = run.Run(0, 'fine', 10, 5)
FAILS = run.Run(254, 'exit_code == 124', 10, 5)
SKIPS = run.Run(4, 'SKIP - no VMX')


def judged(plain=PASSES, complete=PASSES, moved=PASSES, excuses=None):
    runs = {'plain': plain, 'complete': complete, 'moved': moved}
    return run.judge('some_test', runs, excuses or {})


class Judge(unittest.TestCase):
    def test_who_passes_three_times_passes(self):
        self.assertEqual(judged(), ('passed', ''))

    def test_who_notices_the_move_fails(self):
        self.assertEqual(judged(moved=FAILS),
                         ('failed', 'noticed: exit_code == 124'))

    def test_who_is_skipped_when_moved_has_noticed(self):
        self.assertEqual(judged(moved=SKIPS)[0], 'failed')

    def test_who_cannot_run_here_is_skipped_with_the_reason(self):
        self.assertEqual(judged(SKIPS, SKIPS, SKIPS),
                         ('skipped', 'skipped by itself: SKIP - no VMX'))

    def test_who_notices_a_completed_instruction_says_nothing(self):
        self.assertEqual(judged(complete=FAILS)[0], 'skipped')

    def test_an_excuse_is_told(self):
        self.assertEqual(
            judged(moved=FAILS, excuses={'some_test': 'counts pages'}),
            ('skipped', 'notices, and must: counts pages'))

    def test_an_excuse_that_is_not_needed_fails(self):
        self.assertEqual(judged(excuses={'some_test': 'counts'})[0], 'failed')

    def test_a_vm_that_kvm_reset_cannot_move_fails(self):
        moved = run.Run(0, 'fine', 10, 0, 0, ('KVM_X cannot be carried',))
        self.assertEqual(judged(moved=moved),
                         ('failed', 'not moved: KVM_X cannot be carried'))

    def test_who_never_moved_has_not_passed(self):
        self.assertEqual(judged(moved=run.Run(0, '', 0, 0))[0], 'skipped')
        self.assertEqual(judged(moved=run.Run(0, '', 7, 0, 7))[0], 'skipped')


class Counts(unittest.TestCase):
    def test_those_of_all_vms_are_added(self):
        self.assertEqual(
            run.counts('4 runs, 1 moves, 0 busy\n'
                       'not moved: no\n'
                       '6 runs, 2 moves, 3 busy\n'
                       'not moved: no\n'),
            (10, 3, 3, ('no',)))

    def test_a_program_that_left_nothing_has_none(self):
        self.assertEqual(run.counts(''), (0, 0, 0, ()))


class Table(unittest.TestCase):
    def test_each_row_says_why(self):
        table = tomllib.loads((HERE / 'table.toml').read_text())
        self.assertEqual(table.keys(), {'notices', 'left-out'})
        for rows in table.values():
            for name, why in rows.items():
                self.assertRegex(why, r'\w+ \w+', name)


if __name__ == '__main__':
    unittest.main()
