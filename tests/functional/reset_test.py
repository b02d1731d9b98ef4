# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets that come from outside of the guest, whatever it is doing."""

import time

from kvm_reset_test import SharedGuestTest


class Reset(SharedGuestTest):
    WEIGHT = 90
    OPTIONS = {'machine': 'pc', 'smp': '2', 'args': ['-device', 'i6300esb', '-action',
                                    'watchdog=reset']}

    def test_system_reset_gives_a_running_guest_a_new_vm(self) -> None:
        with self.reborn(self.guest):
            self.guest.qmp('system_reset')

    def test_system_reset_of_the_human_monitor_gives_a_new_vm(self) -> None:
        with self.reborn(self.guest):
            self.guest.hmp('system_reset')
        self.assertIn('restartable: yes', self.guest.hmp('info kvm-reset'))

    def test_a_paused_guest_has_its_new_vm_before_it_goes_on(self) -> None:
        guest = self.guest
        guest.qmp('stop')
        guest.console.skip()
        with self.reborn(guest, boots=False):
            guest.qmp('system_reset')
        self.assertFalse(guest.qmp('query-status')['running'])
        self.assertEqual(guest.console.unread(), '')
        last = guest.boot_ids[-1]
        guest.qmp('cont')
        self.assertNotEqual(guest.wait_boot(), last)
        guest.must_answer()

    def test_a_guest_that_is_about_to_boot_can_be_reset(self) -> None:
        guest = self.guest
        # From the firmware's first instructions to the kernel's middle.
        for after in (0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
            with self.reborn(guest, boots=False):
                guest.qmp('system_reset')
            time.sleep(after)
        with self.reborn(guest):
            guest.qmp('system_reset')

    def test_twenty_resets_at_once_end_in_a_guest_that_works(self) -> None:
        with self.reborn(self.guest):
            for _ in range(20):
                self.guest.qmp('system_reset')

    def test_a_watchdog_that_starves_gives_a_new_vm(self) -> None:
        guest = self.guest
        guest.command('watchdog 2', 'watchdog armed')
        with self.reborn(guest):
            self.assertEqual(guest.event('WATCHDOG')['action'], 'reset')
