# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of confidential guests that came back."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))
from kvm_reset import coco_table    # noqa: E402


def line(**other: object) -> str:
    row = {'kind': 'snp', 'qemu': '10.0', 'linux': '7.3', 'vcpus': 2,
           'hashes': False, 'reboots': 20, 'resets': 20, 'launches': 41,
           'digest': 'ab' * 48, 'equal': True, 'seconds': 30}
    return json.dumps(row | other)


class Table(unittest.TestCase):

    def test_rows_are_in_the_order_of_kind_and_vcpus(self) -> None:
        text = coco_table.table([line(vcpus=4), line(kind='tdx'), line(),
                                 line(kind='sev')]).splitlines()
        self.assertEqual([row.split()[0] for row in text],
                         ['kind', 'sev', 'snp', 'snp', 'tdx'])
        self.assertEqual([row.split()[3] for row in text[2:4]], ['2', '4'])

    def test_of_two_tries_the_last_counts(self) -> None:
        text = coco_table.table([line(reboots=3), line()]).splitlines()
        self.assertEqual(len(text), 2)
        self.assertEqual(text[1].split()[5], '20')

    def test_each_kernels_rules_have_a_row(self) -> None:
        text = coco_table.table([line(), line(linux='6.12')]).splitlines()
        self.assertEqual([row.split()[2] for row in text[1:]],
                         ['6.12', '7.3'])

    def test_a_digest_that_differs_is_seen_at_once(self) -> None:
        self.assertIn(' NO ', coco_table.table([line(equal=False)]))

    def test_a_td_has_no_kernel_hashes_to_speak_of(self) -> None:
        row = coco_table.table([line(kind='tdx')]).splitlines()[1]
        self.assertEqual(row.split()[4], '-')


if __name__ == '__main__':
    unittest.main()
