# SPDX-License-Identifier: GPL-2.0-or-later
"""Which subsystem of the guest a test is the proof of.

    @proves('xen', 'xen-event-channels')
    def test_a_xen_guest_comes_back_with_its_disk_and_network(self) -> None:

The names are those of docs/subsystems.toml; scripts/subsystems makes the table
of docs/subsystems.md from both, and fails for a name that nobody knows and for
a subsystem that no test proves.
"""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar('T')


def proves(*subsystems: str) -> Callable[[T], T]:
    """Marks a test that fails if one of these does not survive a rebirth. A
    test that only happens to have them is none."""
    if not subsystems or not all(isinstance(name, str) for name in subsystems):
        raise TypeError('proves() takes the names of subsystems')

    def mark(test: T) -> T:
        test.proves = (    # type: ignore[attr-defined]
            *subsystems, *getattr(test, 'proves', ()))
        return test
    return mark
