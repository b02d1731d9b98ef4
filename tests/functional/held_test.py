# SPDX-License-Identifier: GPL-2.0-or-later
"""An old VM that somebody else has lives until he lets it go."""

import contextlib

import process
from guest import TIMEOUT
from kvm_reset_test import KvmResetTest


class Held(KvmResetTest):

    def test_who_reads_its_statistics_holds_an_old_vm(self) -> None:
        """The first one, which QEMU made, and one that the spare's thread
        made: debugfs names them by their threads."""
        guest = self.start(firmware=True, machine='q35,kvm-reset-spare=on')
        guest.wait_firmware()
        guest.qmp('stop')
        guest.settle()
        both = process.vms_of(guest.pid)
        self.assertEqual(len(both), 2)
        with contextlib.ExitStack() as held:
            for vm in both:
                held.enter_context(
                    (process.KVM_DEBUGFS / vm.directory / 'exits').open())
            for resets in (1, 2):
                guest.qmp('system_reset')
                guest.settle()
                self.assertEqual(guest.info()['held-vms'], resets)
        guest.wait(lambda: not guest.info()['held-vms'], TIMEOUT,
                   'the old VMs to go')
        left = process.vms_of(guest.pid)
        self.assertFalse(set(both) & set(left), left)
