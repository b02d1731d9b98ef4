# SPDX-License-Identifier: GPL-2.0-or-later
"""The listing in docs/adding-a-hook.md is the device that is compiled and run."""

import itertools
import textwrap
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


class HookListing(unittest.TestCase):

    def test_the_listing_is_in_the_source(self):
        text = (TOP / 'docs/adding-a-hook.md').read_text()
        source = (TOP / 'tests/functional/example_device/mailbox.c').read_text()
        section = text[text.index('## Write one'):text.index('## Choose')]
        # The first block; the commands that follow are another.
        _, _, code = section.partition('\n    ')
        lines = itertools.takewhile(
            lambda line: not line or line.startswith('    '),
            ('    ' + code).splitlines())
        listing = textwrap.dedent('\n'.join(lines)).rstrip()
        self.assertIn('kvm_reset_register_hook(', listing)
        self.assertIn(listing, source)
