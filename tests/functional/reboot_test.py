# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that reboots itself, by every way that a guest has."""

from kvm_reset_test import KvmResetTest, SharedGuestTest


class Reboot(SharedGuestTest):
    WEIGHT = 110
    OPTIONS = {'append': 'panic=1'}

    def reboot(self, how: str) -> None:
        with self.reborn(self.guest):
            self.guest.console.send(how)
        self.assertEqual(self.guest.cpus, 1)

    def test_the_kernels_choice_of_reset_gives_a_new_vm(self) -> None:
        self.reboot('reboot linux')

    def test_a_reset_over_acpi_gives_a_new_vm(self) -> None:
        self.reboot('reboot acpi')

    def test_the_acpi_reset_register_gives_a_new_vm(self) -> None:
        self.reboot('reboot port-acpi')

    def test_the_keyboard_controller_gives_a_new_vm(self) -> None:
        self.reboot('reboot kbd')

    def test_the_keyboard_controllers_port_gives_a_new_vm(self) -> None:
        self.reboot('reboot port-kbd')

    def test_port_cf9_gives_a_new_vm(self) -> None:
        self.reboot('reboot port-cf9')

    def test_port_92_gives_a_new_vm(self) -> None:
        self.reboot('reboot port-92')

    def test_a_triple_fault_gives_a_new_vm(self) -> None:
        self.reboot('triple')

    def test_the_sysrq_key_gives_a_new_vm(self) -> None:
        self.reboot('reboot sysrq')

    def test_a_panic_gives_a_new_vm(self) -> None:
        self.reboot('panic')


class RebootWithoutTheProperty(KvmResetTest):
    WEIGHT = 15

    def test_a_guest_that_asks_for_no_new_vm_keeps_its_vm(self) -> None:
        guest = self.start(rebirth=False, machine='pc')
        first = guest.wait_boot()
        identity = guest.running_vm()
        guest.console.send('reboot linux')
        self.assertNotEqual(guest.wait_boot(), first)
        self.assertEqual(guest.running_vm(), identity)
        self.assertEqual(guest.generation(), 0)
        guest.drop_events()
        self.assertEqual(guest.rebirths, [])
