# SPDX-License-Identifier: GPL-2.0-or-later
"""VMs that cannot be built again: said beforehand, and refused at the reset."""

import os
import subprocess
from pathlib import Path

import debugger
import process
from guest import Guest
from kvm_reset_test import KvmResetTest

HERE = Path(__file__).resolve().parent
# Of unrecordable.c.
KVM_OF_TOMORROW = 0xaefe
KVM_CREATE_VM = 0xae01


class Refusal(KvmResetTest):
    WEIGHT = 40

    def ioctl(self, guest: Guest, fd: int, request: int) -> None:
        """Has QEMU itself issue an ioctl, the way all of its ioctls go."""
        [said] = debugger.call(
            guest.pid, '((int (*)(int, unsigned long, void *, void *))'
            f'kvm_reset_ioctl_recorded)({fd}, {request}, 0, 0)')
        self.assertFalse(said.startswith('-1'), said)

    def is_refused(self, guest: Guest, reason: str) -> None:
        old = guest.running_vm()
        info = guest.info()
        self.assertFalse(info['restartable'])
        self.assertRegex(info['reason'], reason)
        self.assertRegex(guest.hmp('info kvm-reset'), reason)
        guest.console.skip()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'refused')
        self.assertEqual(event['generation'], 0)
        self.assertEqual(event['duration-ns'], 0)
        self.assertRegex(event['reason'], reason)
        # It gets what it would get without kvm-reset: an ordinary reset.
        guest.wait_firmware()
        self.assertEqual(guest.generation(), 0)
        self.assertEqual(guest.running_vm(), old)
        self.assertRegex(guest.qemu_log(), f'warning: kvm-reset: .*{reason}')

    def test_an_ioctl_that_no_row_names_is_refused_with_its_number(self) \
            -> None:
        library = self.scratch_file('unrecordable.so')
        subprocess.run(['gcc', '-shared', '-fPIC', '-Wall', '-Werror', '-o',
                        library, str(HERE / 'unrecordable.c')], check=True)
        os.environ['LD_PRELOAD'] = library
        self.addCleanup(os.environ.pop, 'LD_PRELOAD', None)
        guest = self.start(firmware=True)
        del os.environ['LD_PRELOAD']
        guest.wait_firmware()
        self.assertTrue(guest.info()['restartable'])
        self.ioctl(guest, process.fd_of(guest.pid, 'anon_inode:kvm-vm'),
                   KVM_OF_TOMORROW)
        self.is_refused(guest, f'ioctl {KVM_OF_TOMORROW:#x}')

    def test_a_second_vm_is_refused(self) -> None:
        guest = self.start(firmware=True, machine='pc')
        guest.wait_firmware()
        self.ioctl(guest, process.fd_of(guest.pid, '/dev/kvm'), KVM_CREATE_VM)
        self.is_refused(guest, 'second VM')
