# SPDX-License-Identifier: GPL-2.0-or-later
"""patches/overlay.toml, as it is for our own files."""

import re
import sys
import tomllib
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'scripts'))

from kvm_reset.qemu import series as qemu_series      # noqa: E402


class OverlayTable(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Which would fail if a file were brought by no patch, or by two.
        cls.series = {version: qemu_series.load(TOP / 'patches', version)
                      for version in ('10.0', '10.2')}
        cls.overlay = cls.series['10.0'].overlay

    def test_each_file_is_brought_by_exactly_one_patch(self):
        self.assertGreater(len(self.overlay.sources), 50)
        self.assertEqual(self.overlay.owners.keys(),
                         self.overlay.sources.keys())

    def test_each_pattern_means_a_file(self):
        with open(TOP / 'patches/overlay.toml', 'rb') as file:
            brings = tomllib.load(file)['brings']
        stale = [f'{patch}: {pattern}' for patch, patterns in brings.items()
                 for pattern in patterns
                 if not any(qemu_series.matches(dest, pattern)
                            for dest in self.overlay.sources)]
        self.assertEqual(stale, [])

    def test_no_file_includes_what_a_later_patch_brings(self):
        for version, series in self.series.items():
            with self.subTest(version):
                self.assertEqual(qemu_series.upward_includes(series), [])

    def test_the_last_patch_has_the_whole_list_of_sources(self):
        there = set(self.overlay.sources)
        for dest in self.overlay.lists:
            self.assertEqual(self.overlay.as_listed(dest, there),
                             self.overlay.sources[dest].read_bytes())

    def test_each_list_can_be_made_for_each_patch(self):
        there = set()
        for patch in self.series['10.0'].patches:
            there.update(self.overlay.of(patch.name))
            for dest in self.overlay.lists:
                text = self.overlay.as_listed(dest, there).decode()
                for word in re.findall(r"^\s*'(\S+\.cc?)',$", text, re.M):
                    with self.subTest(patch.name):
                        source = (TOP / dest).parent / word
                        self.assertIn(str(source.resolve().relative_to(TOP)),
                                      there)


if __name__ == '__main__':
    unittest.main()
