# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is not Linux, nor firmware alone: Memtest86+, which sets up its
CPU, its memory and its devices in a way of its own."""

import os
import re

from guest import BOOT_TIMEOUT, Guest
from kvm_reset_test import KvmResetTest
from proof import proves

MEMTEST = os.environ.get('KVM_RESET_MEMTEST', '')
ESCAPE = '\x1b'


class Memtest(KvmResetTest):
    WEIGHT = 40

    def tests_memory(self, guest: Guest) -> None:
        """Through some of its tests; on the serial port is its screen, as it
        is every two seconds."""
        guest.console.wait_for(r'Memtest86\+ v\d', BOOT_TIMEOUT)
        guest.console.wait_for(r'#[3-9] +\[', BOOT_TIMEOUT)
        guest.console.wait_for(r'Pass: +0 +Errors: 0 ', BOOT_TIMEOUT)

    @proves('not-linux')
    def test_memtest86_finds_the_new_vms_memory_good_too(self) -> None:
        """Reset by its own Exit, and from outside."""
        if not MEMTEST:
            self.skipTest('Debian\'s package memtest86+ was not to be had')
        guest = self.start(machine='pc', memory=32, kernel=MEMTEST)
        self.tests_memory(guest)
        for reset in (ESCAPE, 'system_reset'):
            with self.reborn(guest, boots=False):
                if reset == ESCAPE:
                    guest.console.send(reset)
                else:
                    guest.qmp(reset)
                self.tests_memory(guest)
        errors = re.findall(r'Errors: +(\d+)', guest.console.text())
        self.assertEqual(set(errors), {'0'})
