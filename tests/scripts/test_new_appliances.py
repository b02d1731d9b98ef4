# SPDX-License-Identifier: GPL-2.0-or-later
"""kvm_reset.new_appliances: when a command begins again."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / 'scripts/kvm_reset'


class NewAppliances(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.tries = Path(self.scratch.name, 'tries')
        self.results = Path(self.scratch.name, 'results')

    def run_it(self, most, results, body, *options):
        """@body is what the command does; $n is which time it is."""
        done = subprocess.run(
            [sys.executable, '-B', PACKAGE, 'new_appliances', *options,
             str(most), results, 'bash', '-c',
             f'echo >>{self.tries}; n=$(wc -l <{self.tries}); {body}'],
            capture_output=True, text=True, check=False)
        return done, len(self.tries.read_text())

    def test_what_ends_by_itself_is_run_once(self):
        for status in (0, 1, 124):
            self.tries.unlink(missing_ok=True)
            done, tries = self.run_it(4, '/dev/null', f'exit {status}')
            self.assertEqual((done.returncode, tries), (status, 1))

    def test_an_appliance_that_failed_is_followed_by_a_new_one(self):
        done, tries = self.run_it(4, '/dev/null', '[ $n -eq 3 ] || exit 125')
        self.assertEqual((done.returncode, tries), (0, 3))
        self.assertEqual(done.stderr.count('going on in a new one'), 2)

    def test_so_many_failures_are_the_end(self):
        done, tries = self.run_it(4, '/dev/null', 'exit 125')
        self.assertEqual((done.returncode, tries), (125, 4))

    def test_what_gets_anywhere_goes_on(self):
        done, tries = self.run_it(
            3, self.results,
            f'[ $n -gt 9 ] || echo >>{self.results}; exit 125')
        self.assertEqual((done.returncode, tries), (125, 12))

    def test_one_that_stands_still_has_failed(self):
        done, tries = self.run_it(4, self.results,
                                  '[ $n -eq 2 ] || exec sleep 60',
                                  '--patience', '1')
        self.assertEqual((done.returncode, tries), (0, 2), done.stderr)
        self.assertIn('stands still for 1 s', done.stderr)

    def test_one_that_shows_life_has_its_time(self):
        done, tries = self.run_it(
            4, self.results,
            f'for i in 1 2 3 4 5 6; do touch {self.results}; sleep 0.5; done',
            '--patience', '2')
        self.assertEqual((done.returncode, tries), (0, 1), done.stderr)


if __name__ == '__main__':
    unittest.main()
