# SPDX-License-Identifier: GPL-2.0-or-later
"""The VM that is made ahead of a reset."""

import process
from kvm_reset_test import KvmResetTest, takes
from proof import proves


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

    @proves('pci-bars', 'memory-slots')
    @takes(600)
    def test_a_bar_that_moves_is_followed(self) -> None:
        """A VGA's memory is a slot, which comes and goes with its BAR."""
        guest = self.start(machine='pc,kvm-reset-spare=on', args=[
            '-device', 'VGA,addr=0x5'])
        guest.wait_boot()
        config = '/sys/bus/pci/devices/0000:00:05.0/config'

        def write(at: int, number: int, size: int) -> str:
            octal = ''.join(f'\\{byte:03o}' for byte in
                            number.to_bytes(size, 'little'))
            return (f"printf '{octal}' | dd of={config} bs=1 seek={at} "
                    'conv=notrunc 2>/dev/null')
        off, on = write(4, 0x100, 2), write(4, 0x103, 2)
        here, there = write(0x10, 0xfd000008, 4), write(0x10, 0xfb000008, 4)
        guest.settle()
        for line in (f'for i in 1 2 3 4 5 6 7 8 9 10; do {off}; {there}; '
                     f'{on}; {off}; {here}; {on}; done',
                     f'{off}; {there}; {on}'):
            guest.command(f'run {line}', r'done status=0')
            slots = guest.hmp('info mtree -f')
            self.assertRegex(slots, r'vga\.vram')
            guest.qmp('stop')
            guest.wait(lambda: guest.info()['spare']['state'] == 'ready', 60,
                       'the spare to follow')
            with self.reborn(guest, boots=False):
                guest.qmp('system_reset')
            self.assertTrue(guest.info()['last']['spare'])
            guest.qmp('cont')
            guest.wait_boot()
        guest.command('work 2', r'work ok n=2 ')

    def test_what_a_spare_costs_is_said(self) -> None:
        guest = self.start(firmware=True, machine='q35,kvm-reset-spare=on')
        guest.wait_firmware()
        guest.wait(lambda: guest.info()['spare']['state'] == 'ready', 60,
                   'a spare')
        spare = guest.info()['spare']
        # The device, the VM, the vCPU, and those of statistics.
        self.assertGreaterEqual(spare['fds'], 3)
        self.assertGreater(spare['bytes'], 500)
        self.assertLess(spare['bytes'], 2 << 20)

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
