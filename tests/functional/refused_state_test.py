# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets in which KVM refuses what devices or vCPUs put into it: the guest is
stopped with the reason, QEMU lives, and the next reset mends it."""


from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes
from qemu.qmp import ExecuteError

# What every reset of a q35 puts into the kernel, and how it is told.
REFUSED = {
    'KVM_SET_PIT2': 'KVM_SET_PIT2',
    'KVM_SET_IRQCHIP': 'KVM_SET_IRQCHIP',
    'KVM_SET_LAPIC': 'KVM_SET_LAPIC',
    'KVM_SET_MSRS': 'MSR_IA32_APICBASE',
    'KVM_SET_REGS': 'the state of a vCPU',
    'KVM_SET_MP_STATE': 'the state of a vCPU',
    'KVM_SET_USER_MEMORY_REGION': 'memory slot',
}
MAIN = 'qemu-system-x86'


class RefusedState(KvmResetTest):
    WEIGHT = 120

    def setUp(self) -> None:
        super().setUp()
        self.shim = self.shimmed()

    def status(self, guest: Guest) -> str:
        return guest.qmp('query-status')['status']

    def is_stopped(self, guest: Guest, why: str) -> None:
        guest.wait(lambda: self.status(guest) == 'internal-error', TIMEOUT,
                   'the guest to be stopped')
        self.assertIn(why, guest.info()['failure'])
        self.assertRegex(guest.hmp('info kvm-reset'),
                         f'the last reset failed: .*{why}')
        self.assertRegex(guest.qemu_log(), f'kvm-reset: .*{why}')
        with self.assertRaisesRegex(ExecuteError, 'Reset'):
            guest.qmp('cont')

    def is_mended(self, guest: Guest) -> None:
        guest.drop_events()
        guest.qmp('system_reset')
        guest.event('RESET')
        guest.wait(lambda: self.status(guest) == 'prelaunch', TIMEOUT,
                   'the guest to be reset')
        self.assertNotIn('failure', guest.info())
        guest.console.skip()
        guest.qmp('cont')
        guest.wait_firmware()

    def refused(self, guest: Guest, paused: bool) -> None:
        for call, why in REFUSED.items():
            self.log.info('%s, %s', call, 'paused' if paused else 'running')
            guest.settle()
            if paused:
                guest.qmp('stop')
            # A guest that changes slots as it runs is none of a reset's.
            with self.shim.rule(call, error='ENOMEM', thread=MAIN if 'MEMORY'
                                in call else '') as rule:
                guest.qmp('system_reset')
                self.is_stopped(guest, why)
                self.assertGreater(rule.hits, 0)
                # As often as one likes, to no avail.
                guest.qmp('system_reset')
                self.is_stopped(guest, why)
            self.is_mended(guest)

    @takes(900)
    def test_a_guest_without_a_new_vm_is_stopped_with_the_reason(self) -> None:
        # Its memory is a slot, which the reset takes away.
        guest = self.start(firmware=True, memory=64, smp='2', rebirth=False,
                           args=['-device', 'VGA'])
        guest.wait_firmware()
        self.refused(guest, False)
        self.refused(guest, True)

    @takes(900)
    def test_a_guest_on_its_new_vm_is_stopped_with_the_reason(self) -> None:
        guest = self.start(firmware=True, memory=64, smp='2')
        guest.wait_firmware()
        for call in ('KVM_SET_PIT2', 'KVM_SET_LAPIC', 'KVM_SET_REGS'):
            generation = guest.generation()
            with self.shim.rule(call, error='EINTR'):
                guest.qmp('system_reset')
                self.is_stopped(guest, REFUSED[call])
                self.assertEqual(guest.generation(), generation + 1)
            self.is_mended(guest)
            self.assertGreater(guest.generation(), generation + 1)
