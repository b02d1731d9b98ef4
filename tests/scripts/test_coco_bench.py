# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/bench coco decides without a guest."""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset.bench import coco as bench  # noqa: E402

LAST = {'retire-ns': 5_000_000}


class CocoBench(unittest.TestCase):

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name, 'log')

    def work(self, kind: str, spare: str) -> float:
        """Of a launch that took 80 ms, after 3 ms of making the guest."""
        self.path.write_text('\n'.join(json.dumps(event) for event in (
            {'event': 'launch'},
            {'event': 'launch_work', 'definition_us': 3000,
             'launch_us': 80000})) + '\n')
        guest = bench.Guest.__new__(bench.Guest)
        guest.log = bench.Log(self.path)
        return guest.platforms_work(bench.Measured(kind, spare), LAST)

    def test_without_a_spare_all_of_the_launch_is_the_platforms(self) -> None:
        self.assertEqual(self.work('SEV-SNP', 'off'), 83)

    def test_with_a_spare_the_guest_was_made_before(self) -> None:
        self.assertEqual(self.work('SEV-SNP', 'on'), 80)

    def test_what_was_launched_ahead_is_no_work_at_all(self) -> None:
        self.assertEqual(self.work('TDX', 'launched'), 0)

    def test_memory_in_place_waits_for_the_old_vm_to_go(self) -> None:
        self.assertEqual(self.work('SEV-ES', 'on'), 85)

    def test_what_is_judged_is_what_is_left(self) -> None:
        measured = bench.Measured('SEV-SNP', 'on', total=[90.5, 92, 91],
                                  platform=[90, 90.2, 90.4])
        line = measured.line(judged=True)
        self.assertAlmostEqual(line.value or 0, 0.6)
        self.assertEqual(line.verdict, 'pass')
        measured.platform = [89, 89, 89]
        self.assertEqual(measured.line(judged=True).verdict, 'FAIL')
        self.assertEqual(measured.line(judged=False).verdict, '')

    def test_a_vm_that_is_built_then_has_no_target_here(self) -> None:
        measured = bench.Measured('TDX', 'off', total=[30], platform=[10])
        self.assertIsNone(measured.line(judged=True).target)

    def test_half_a_line_of_the_log_is_read_when_it_is_whole(self) -> None:
        log = bench.Log(self.path)
        self.assertEqual(log.events('a'), [])
        self.path.write_text('{"event": "a"}\n{"event"')
        self.assertEqual(len(log.events('a')), 1)
        self.path.write_text('{"event": "a"}\n{"event": "a"}\n')
        self.assertEqual(len(log.events('a')), 1)

    def test_without_kvm_it_says_so(self) -> None:
        said = io.StringIO()
        with mock.patch.object(bench, 'DEVICE', '/nonexistent'), \
                mock.patch.object(sys, 'argv', [
                    'x', '--ours', 'q', '--platform', 'p', '--firmware', 'f',
                    '--output', str(self.path)]), \
                contextlib.redirect_stderr(said):
            self.assertEqual(bench.main(), 0)
        self.assertIn('nothing of coco is measured', said.getvalue())
        line = json.loads(self.path.read_text())['lines'][0]
        self.assertIn('no /nonexistent', line['why_skipped'])


if __name__ == '__main__':
    unittest.main()
