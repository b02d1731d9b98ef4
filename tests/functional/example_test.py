# SPDX-License-Identifier: GPL-2.0-or-later
"""A device that is no part of kvm-reset, and its hook: the example of
docs/adding-a-hook.md."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from guest import Guest
from kvm_reset_test import KvmResetTest

# QEMU with the device in it, of tests/hooks/with_device.py.
QEMU = os.environ.get('KVM_RESET_EXAMPLE_QEMU', '')
HOOK = 'example-mailbox (/machine/peripheral/box)'


class Example(KvmResetTest):
    WEIGHT = 60

    def setUp(self) -> None:
        super().setUp()
        if not QEMU:
            self.skipTest('it is made of a QEMU in its build directory alone')
        self.qemu_bin = QEMU

    def guest_with(self, rebirth: bool = True) -> Guest:
        # With ACPI's way of hot-plugging it would be for the guest to let go.
        guest = self.start(f'rebirth-{rebirth}', firmware=True, memory=64,
                           rebirth=rebirth, args=[
            '-global', 'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off',
            '-device', 'pcie-root-port,id=rp', '-device',
            'example-mailbox,id=box'])
        guest.wait_firmware()
        return guest

    def port_of(self, guest: Guest) -> int:
        """Where the firmware has put the device's register."""
        def find(devices: list[dict[str, Any]]) -> int:
            [box] = [d for d in devices if d['qdev_id'] == 'box']
            return int(box['regions'][0]['address'])
        return find(guest.qmp('query-pci')[0]['devices'])

    def word(self, guest: Guest) -> int:
        said = guest.hmp(f'i/w {self.port_of(guest):#x}')
        match = re.search(r'= (0x[0-9a-f]+)', said)
        assert match, said
        return int(match[1], 16)

    def reset(self, guest: Guest) -> None:
        guest.console.skip()
        guest.qmp('system_reset')
        guest.wait_firmware()

    def test_its_word_comes_to_the_new_vm_and_outlives_no_other_reset(
            self) -> None:
        for rebirth in (True, False):
            guest = self.guest_with(rebirth)
            self.assertIn(HOOK, guest.info()['hooks'])
            guest.hmp(f'o/w {self.port_of(guest):#x} 0x1234')
            self.assertEqual(self.word(guest), 0x1234)
            self.reset(guest)
            self.assertEqual(guest.generation() > 0, rebirth)
            self.assertEqual(self.word(guest), 0x1234 if rebirth else 0)
            guest.stop()

    def test_its_hook_goes_when_it_is_unplugged(self) -> None:
        guest = self.guest_with()
        before = guest.info()['hooks']
        # Of a function that is no card without the first one, the guest is not
        # asked.
        for _ in range(2):
            guest.qmp('device_add', driver='example-mailbox', id='other',
                      bus='rp', addr='0.1')
            self.assertEqual(
                set(guest.info()['hooks']) - set(before),
                {'example-mailbox (/machine/peripheral/other)'})
            guest.qmp('device_del', id='other')
            self.assertEqual(guest.info()['hooks'], before)
        self.reset(guest)
        self.assertGreater(guest.generation(), 0)

    def test_without_kvm_it_finds_all_that_it_calls(self) -> None:
        def symbols(stem: str, *options: str) -> set[str]:
            done = subprocess.run(
                ['nm', *options, Path(QEMU).with_name(f'{stem}.o')],
                capture_output=True, text=True, check=True)
            return {line.split()[-1] for line in done.stdout.splitlines()
                    if 'kvm' in line}
        calls = symbols('mailbox', '--undefined-only')
        self.assertEqual(calls, {'kvm_reset_register_hook'})
        self.assertLessEqual(calls, symbols('stubs', '--defined-only'))
