# SPDX-License-Identifier: GPL-2.0-or-later
"""A table for people, in a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """The rows, all of one length, with their cells beneath each other."""
    width = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join('  '.join(map(str.ljust, row, width)).rstrip()
                     for row in rows)
