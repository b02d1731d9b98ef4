# SPDX-License-Identifier: GPL-2.0-or-later
"""What many rebirths leave behind: nothing."""

import os

from kvm_reset_test import SharedGuestTest, takes


class Leak(SharedGuestTest):
    WEIGHT = 60
    # How far the firmware comes between two resets, and so how much memory it
    # uses, is of no matter here: it is kept apart.
    OPTIONS = {'firmware': True, 'smp': '2', 'memory': 64,
               'machine': 'q35,memory-backend=ram',
               'args': ['-object', 'memory-backend-memfd,id=ram,size=64M',
                        '-device', 'virtio-net-pci,netdev=n', '-netdev',
                        'user,id=n', '-device', 'virtio-rng-pci']}

    def setUp(self) -> None:
        # Each thread's own heap takes hundreds of resets to find its size.
        os.environ['MALLOC_ARENA_MAX'] = '1'
        super().setUp()

    def reset(self, times: int) -> None:
        guest = self.guest
        for _ in range(times):
            before = guest.generation()
            guest.qmp('system_reset')
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
            self.assertGreater(guest.generation(), before)
        # A stopped guest is in no part of its boot that has more of anything.
        guest.qmp('stop')
        guest.qmp('system_reset')
        guest.wait_rebirth()
        guest.settle()

    @takes(600)
    def test_two_hundred_resets_leak_nothing(self) -> None:
        guest = self.guest
        self.reset(30)
        before, info = guest.usage(), guest.info()
        readings = [before.anonymous_kib]
        for _ in range(4):
            guest.qmp('cont')
            self.reset(50)
            readings.append(guest.usage().anonymous_kib)
        after, then = guest.usage(), guest.info()
        self.assertGreaterEqual(then['generation'], info['generation'] + 200)
        self.assertEqual(after.fds, before.fds)
        self.assertEqual(after.threads, before.threads)
        # One leaked in every tenth reset would be 20. Some are the allocator's.
        self.assertLess(after.mappings, before.mappings + 10)
        # What leaks grows in every fifty; a heap has its size some time, and
        # 256 KiB are 5 KiB a reset.
        growth = [b - a for a, b in zip(readings, readings[1:])]
        self.assertLess(min(growth), 256, growth)
        self.assertEqual(then['journal-entries'], info['journal-entries'])
        self.assertLessEqual(then['journal-bytes'], info['journal-bytes'])
        guest.console.skip()
        guest.qmp('cont')
        guest.wait_firmware()
