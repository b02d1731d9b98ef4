# SPDX-License-Identifier: GPL-2.0-or-later
"""The VM that is made ahead of a reset."""

import process
from kvm_reset_test import KvmResetTest


class Spare(KvmResetTest):
    WEIGHT = 25

    def test_the_guest_gets_the_vm_that_was_made_before(self) -> None:
        guest = self.start(firmware=True, machine='q35,kvm-reset-spare=on')
        guest.wait_firmware()
        for _ in range(2):
            old = guest.running_vm()
            # SeaBIOS resets itself once more, which must wait.
            guest.qmp('stop')
            guest.wait(lambda: guest.info()['spare']['state'] == 'ready' and
                       len(process.vms_of(guest.pid)) == 2, 60,
                       'one spare, and none that it took the place of')
            made = [vm for vm in process.vms_of(guest.pid) if vm != old]
            with self.reborn(guest, boots=False):
                guest.qmp('system_reset')
            self.assertTrue(guest.info()['last']['spare'])
            self.assertIn(made[0], process.vms_of(guest.pid))
            guest.qmp('cont')
            guest.wait_firmware()

    def test_without_a_spare_the_vm_is_made_at_the_reset(self) -> None:
        guest = self.start(firmware=True, machine='q35,kvm-reset-spare=off')
        guest.wait_firmware()
        self.assertEqual(guest.info()['spare']['state'], 'off')
        old = guest.running_vm()
        self.assertEqual(process.vms_of(guest.pid), [old])
        with self.reborn(guest, boots=False):
            guest.qmp('system_reset')
        guest.wait_firmware()
        self.assertFalse(guest.info()['last']['spare'])
        self.assertEqual(len(process.vms_of(guest.pid)), 1)
