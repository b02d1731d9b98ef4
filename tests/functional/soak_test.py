# SPDX-License-Identifier: GPL-2.0-or-later
"""A short soak: a few hundred resets of a busy guest at random moments."""

from pathlib import Path

from kvm_reset_test import KvmResetTest, takes
from proof import proves
from soak import Soak, slope, start_guest


class SoakTest(KvmResetTest):
    WEIGHT = 90

    def soak(self, kind: str, whole: float) -> None:
        guest = start_guest(kind, Path(self.workdir))
        soak = Soak(guest, kind, 7, self.log.info)
        try:
            soak.run(400, 45, whole)
        finally:
            guest.vm.kill()
        done = soak.segment
        # An emulated CPU is slow, but not as slow as that.
        self.assertGreater(done.resets, 100)
        self.assertGreaterEqual(done.whole, 2)
        self.assertGreater(done.with_spare, 0)
        later = done.samples[len(done.samples) // 2:]
        self.log.info('%d resets, %+.1f KiB in 1000', done.resets,
                      slope(later, 'rss_kib'))

    @takes(600)
    def test_a_busy_linux_is_reset_at_random_and_nothing_grows(self) -> None:
        self.soak('linux', 0.005)

    @proves('not-linux')
    @takes(600)
    def test_a_busy_boot_sector_is_reset_at_random_and_nothing_grows(self) \
            -> None:
        self.soak('firmware', 0.02)
