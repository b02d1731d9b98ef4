# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/audit --matrix: its command lines, and what it makes of each."""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'scripts'))

from kvm_reset.audit.matrix import BadMatrix, Line, Matrix, read_matrix  # noqa: E402
from kvm_reset.results import of_audit  # noqa: E402


class Lines(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def read(self, text: str) -> list[Line]:
        path = self.scratch / 'matrix.toml'
        path.write_text(text)
        return read_matrix(path)

    def test_each_has_what_the_others_have_and_its_own(self) -> None:
        line = Line('a', '-machine pc -drive file={disk},if=none', 'linux',
                    append='x=y')
        disk = self.scratch / 'disk'
        args = line.qemu_args(disk, 'kernel', 'initrd')
        self.assertIn(f'file={disk},if=none', args)
        self.assertGreater(disk.stat().st_size, 0)
        self.assertEqual(args[args.index('-kernel') + 1], 'kernel')
        self.assertTrue(args[args.index('-append') + 1].endswith(' x=y'))
        self.assertEqual(args[args.index('-accel') + 1], 'kvm')

    def test_its_own_accelerator_is_the_only_one(self) -> None:
        line = Line('a', '-accel kvm,xen-version=0x40011', 'firmware')
        args = line.qemu_args(self.scratch / 'disk', '', '')
        self.assertEqual([args[i + 1] for i, word in enumerate(args)
                          if word == '-accel'], ['kvm,xen-version=0x40011'])
        self.assertFalse((self.scratch / 'disk').exists())

    def test_the_matrix_has_every_machine_and_both_guests(self) -> None:
        lines = read_matrix()
        text = ' '.join(line.args for line in lines)
        for word in ('pc', 'q35', 'microvm'):
            self.assertIn(f'-machine {word}', text)
        for word in ('kernel-irqchip=split', 'xen-version', 'hv-synic',
                     'vmbus', 'dirty-ring-size', 'intel-iommu', 'pflash'):
            self.assertIn(word, text)
        self.assertEqual({line.boots for line in lines}, {'linux', 'firmware'})

    def test_a_matrix_that_is_wrong_says_where(self) -> None:
        good = '[[line]]\nname = "a"\nargs = "-m 1"\nboots = "linux"\n'
        self.assertEqual(self.read(good)[0].name, 'a')
        for text, word in ((good + good, 'two lines a'),
                           (good.replace('linux', 'dos'), 'boots "dos"'),
                           (good + 'more = 1\n', 'more'),
                           ('[[line', 'matrix.toml'), ('', 'line')):
            with self.subTest(word), self.assertRaisesRegex(BadMatrix, word):
                self.read(text)


class Runs(unittest.TestCase):
    """With audits whose outcome is known."""

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.results = Path(scratch.name) / 'results'
        self.outcomes: list[str] = []

    def run_matrix(self, *lines: Line, outcomes: str = '') -> int:
        matrix = Matrix(argparse.Namespace(
            results=self.results, kernel='k', initrd='i', keep=None))
        left = outcomes.split()

        def audit(line: Line, keep: Any) -> dict[str, Any]:
            outcome = left.pop(0)
            return {'outcome': outcome, 'reason': f'because {outcome}'
                    if outcome != 'same' else ''}
        matrix.audit = audit    # type: ignore[method-assign]
        with contextlib.redirect_stdout(io.StringIO()) as said:
            status = matrix.run(list(lines))
        self.said = said.getvalue()
        self.assertEqual(left, [])
        return status

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line)
                for line in self.results.read_text().splitlines()]

    a = Line('a', '-m 1', 'linux')
    b = Line('b', '-m 1', 'firmware')

    def test_all_the_same_is_0_and_is_said(self) -> None:
        self.assertEqual(self.run_matrix(self.a, self.b,
                                         outcomes='same same'), 0)
        self.assertEqual([row['outcome'] for row in self.told()],
                         ['same', 'same'])

    def test_a_difference_twice_is_1(self) -> None:
        self.assertEqual(self.run_matrix(self.a, self.b, outcomes='differs '
                                         'differs same'), 1)
        self.assertIn('DIFFERS  a [because differs]', self.said)

    def test_one_that_is_not_met_again_is_said_and_no_difference(self) -> None:
        self.assertEqual(self.run_matrix(self.a, outcomes='differs same'), 0)
        self.assertIn('at the second try; the first: because differs',
                      self.told()[0]['reason'])

    def test_nothing_to_compare_is_2(self) -> None:
        self.assertEqual(self.run_matrix(self.a,
                                         outcomes='nothing nothing'), 2)

    def test_what_was_run_is_not_run_again(self) -> None:
        self.run_matrix(self.a, outcomes='differs differs')
        self.assertEqual(self.run_matrix(self.a, self.b, outcomes='same'), 1)

    def test_what_cannot_be_run_is_skipped_with_the_reason(self) -> None:
        c = Line('c', '-m 1', 'firmware', needs='/nowhere/firmware')
        self.assertEqual(self.run_matrix(c), 0)
        self.assertEqual(self.told()[0]['reason'],
                         'there is no /nowhere/firmware')

    def test_each_line_is_a_test_of_scripts_test(self) -> None:
        c = Line('c', '-m 1', 'firmware', needs='/nowhere/firmware')
        self.run_matrix(self.a, self.b, c,
                        outcomes='same nothing nothing')
        self.assertEqual([(r.name, r.outcome) for r in of_audit(self.results)],
                         [('audit: a loses nothing', 'passed'),
                          ('audit: b loses nothing', 'failed'),
                          ('audit: c loses nothing', 'skipped')])
        [gone] = of_audit(Path('/nowhere/audit'))
        self.assertEqual(gone.outcome, 'failed')


if __name__ == '__main__':
    unittest.main()
