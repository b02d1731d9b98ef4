# SPDX-License-Identifier: GPL-2.0-or-later
"""The listing in docs/adding-a-hook.md is the device that is compiled and run."""

import textwrap
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


class HookListing(unittest.TestCase):

    def test_the_listing_is_in_the_source(self):
        text = (TOP / 'docs/adding-a-hook.md').read_text()
        source = (TOP / 'tests/functional/example_device/mailbox.c').read_text()
        section = text[text.index('## Write one'):text.index('## Choose')]
        lines = section.splitlines()
        code = [n for n, line in enumerate(lines) if line.startswith('    ')]
        listing = textwrap.dedent('\n'.join(lines[code[0]:code[-1] + 1]))
        self.assertIn('kvm_reset_register_hook(', listing)
        self.assertIn(listing, source)
