# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of tests/functional/fault_table.py."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.append(str(Path(__file__).resolve().parents[1] / "functional"))

import fault_table  # noqa: E402
from fault_table import NEW_VM, OLD_VM, Row, Sweep  # noqa: E402

KEY = {"title": "A rebirth", "all": True, "calls": 2, "qemu": [1, 2]}


class FaultTable(unittest.TestCase):
    def setUp(self) -> None:
        where = tempfile.TemporaryDirectory()
        self.addCleanup(where.cleanup)
        self.directory = Path(where.name)

    def sweep(self, **changed: object) -> Sweep:
        return Sweep(self.directory, "rebirth", {**KEY, **changed})

    def tables(self) -> tuple[int, str]:
        said = io.StringIO()
        with mock.patch.object(sys, "argv", ["x", str(self.directory)]), \
                contextlib.redirect_stdout(said):
            return fault_table.main(), said.getvalue()

    def fill(self, outcome: str = OLD_VM) -> Sweep:
        sweep = self.sweep()
        sweep.add(Row(0, "dup3", "ENOMEM", NEW_VM))
        sweep.add(Row(1, "dup3", "ENOMEM", outcome))
        return sweep

    def test_each_call_and_error_has_its_outcomes(self) -> None:
        self.fill().end(1)
        status, said = self.tables()
        self.assertEqual(status, 0)
        self.assertIn("| dup3 | 2     | new VM 1, old VM 1 |", said)
        self.assertIn("2 failures injected, 100 % ended", said)

    def test_what_was_lost_is_no_success(self) -> None:
        sweep = self.fill("QEMU ended")
        sweep.end(1)
        self.assertEqual(len(sweep.bad()), 1)
        status, said = self.tables()
        self.assertEqual(status, 1)
        self.assertIn("LOST: dup3, ENOMEM: QEMU ended", said)
        self.assertIn("50 % ended", said)

    def test_a_sweep_that_did_not_end_is_no_success_and_goes_on(self) -> None:
        self.fill()
        self.assertEqual(self.tables()[0], 1)
        again = self.sweep()
        self.assertTrue(again.has(1, "ENOMEM"))
        self.assertFalse(again.has(1, "EINTR"))

    def test_another_qemu_begins_anew(self) -> None:
        self.fill()
        self.assertFalse(self.sweep(qemu=[1, 3]).has(0, "ENOMEM"))

    def test_a_line_cut_short_is_not_counted(self) -> None:
        sweep = self.fill()
        text = sweep.path.read_text()
        sweep.path.write_text(text[:-10])
        self.assertEqual(len(self.sweep().rows), 1)

    def test_nothing_at_all_is_no_success(self) -> None:
        self.assertEqual(self.tables()[0], 1)


if __name__ == "__main__":
    unittest.main()
