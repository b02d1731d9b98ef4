# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of confidential guests fail when they should: with a QEMU that
has no kvm-reset, and when a page of the launch is lost or changed."""

import os
import subprocess
import time
from pathlib import Path

import coco_test
import plan_memory
from coco_test import FIRMWARE
from guest import BOOT_TIMEOUT, TIMEOUT, Guest
from process import Vm

# Debian's, of which the appliance is made.
STOCK = os.environ.get('KVM_RESET_STOCK_QEMU', '/usr/bin/qemu-system-x86_64')


class Control(coco_test.Coco):
    WEIGHT = 60

    # --- without the module ------------------------------------------------

    def use_stock_qemu(self) -> None:
        self.require_file(STOCK, 'a QEMU without kvm-reset')
        version = subprocess.run([STOCK, '--version'], capture_output=True,
                                 text=True, check=True).stdout.split()[3]
        if not version.startswith('10.'):
            self.skipTest(f'{STOCK} is QEMU {version}: 10 can be compared')
        properties = subprocess.run(
            [STOCK, '-machine', 'q35,help'], capture_output=True, text=True,
            check=True).stdout
        if 'x-change-vmfd-on-reset' in properties:
            self.skipTest(f'{STOCK} has a reset of its own for such guests')
        self.qemu_bin = STOCK

    def ends_at_its_first_reboot(self) -> None:
        self.use_stock_qemu()
        guest = self.boot(smp='1', stock=True)
        guest.console.send('reboot')
        with self.assertRaisesRegex(AssertionError, 'it was closed'):
            guest.wait_boot()
        deadline = time.monotonic() + TIMEOUT
        while guest.vm.is_running() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertFalse(guest.vm.is_running(), 'QEMU did not end')
        # There is nobody left to be asked to end.
        guest.vm.kill()
        self.assertEqual(len(self.events('launch')), 1)

    # --- a launch that is not the same ---------------------------------------

    def loses(self, fault: str) -> None:
        """A step of the second launch, which no one is told of. So QEMU's
        digest stays, and the platform's shows it."""
        guest = self.boot(smp='1', fault=fault)
        self.must_be_the_same(guest, 1)
        guest.drop_events()
        guest.qmp('system_reset')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        self.assertEqual(len(self.events('fault')), 1)
        self.assertEqual(len(self.events('launch')), 2)
        with self.assertRaisesRegex(AssertionError, 'expects another digest'):
            self.must_be_the_same(guest, 2)

    def change_the_plan(self, guest: Guest) -> None:
        """One byte of the page below the firmware's last, which is padding."""
        tables = Path(FIRMWARE).read_bytes()[-4096:]
        places = plan_memory.places_of(guest.pid, tables)
        self.assertEqual(len(places), 1, 'copies of the firmware in the plan')
        plan_memory.flip(guest.pid, places[0] - 4096)

    def refused_when_changed(self) -> tuple[Guest, Vm]:
        """The guest, which was to get a new VM, and the VM it had."""
        guest = self.boot(smp='1')
        old = guest.running_vm()
        self.change_the_plan(guest)
        guest.drop_events()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'failed', event)
        self.assertIn(f'was measured as {self.expected}', event['reason'])
        return guest, old

    def is_refused_when_changed(self) -> None:
        guest, old = self.refused_when_changed()
        self.assertEqual(guest.qmp('query-status')['status'], 'paused')
        guest.qmp('cont')
        guest.must_answer()
        self.assertEqual(guest.running_vm(), old)
        info = guest.info()
        self.assertEqual(info['aborted'], 1, info)
        self.must_free_ids(guest)

    def is_told_when_changed(self) -> None:
        guest = self.boot(smp='1', machine=',kvm-reset-measurement=any')
        self.must_be_the_same(guest, 1)
        self.change_the_plan(guest)
        guest.drop_events()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'completed', event)
        measurement = event['measurement']
        self.assertFalse(measurement['equal'], measurement)
        self.assertEqual(measurement['first'], self.expected)
        launched = self.events('launch')[-1]['digest']
        self.assertEqual(measurement['last'], launched)
        self.assertNotEqual(launched, self.expected)
        with self.assertRaisesRegex(AssertionError, 'expects another digest'):
            self.must_be_the_same(guest, 2)
        guest.wait_boot(BOOT_TIMEOUT)


class SnpControl(Control):
    TEE = 'snp'

    def test_snp_without_the_module_ends_at_its_first_reboot(self) -> None:
        self.ends_at_its_first_reboot()

    def test_snp_that_loses_a_page_is_not_measured_the_same(self) -> None:
        # The first launch has five: the firmware and what its metadata names.
        self.loses('SNP_LAUNCH_UPDATE:7:LOST')

    def test_snp_with_a_changed_page_is_refused_and_keeps_its_vm(self) -> None:
        self.is_refused_when_changed()

    def test_snp_with_a_changed_page_is_told_if_any_will_do(self) -> None:
        self.is_told_when_changed()


class SevEsControl(Control):
    TEE = 'sev-es'

    def test_sev_es_without_the_module_ends_at_its_first_reboot(self) -> None:
        self.ends_at_its_first_reboot()

    def test_sev_es_that_loses_its_pages_is_not_measured_the_same(self) -> None:
        self.loses('LAUNCH_UPDATE_DATA:2:LOST')

    def test_sev_es_with_a_changed_page_is_refused_and_keeps_its_vm(
            self) -> None:
        self.is_refused_when_changed()


class SevControl(Control):
    TEE = 'sev'

    def test_sev_without_the_module_is_not_launched_again(self) -> None:
        """Its registers are not locked: QEMU resets it where it is."""
        self.use_stock_qemu()
        guest = self.boot(smp='1', stock=True)
        guest.console.send('reboot')
        guest.wait_boot()
        self.assertEqual(len(self.events('init')), 1)
        self.assertEqual(len(self.events('launch')), 1)

    def test_sev_with_a_changed_page_is_refused_and_says_so(self) -> None:
        """Then it is reset as QEMU alone would do it, on its old VM."""
        guest, old = self.refused_when_changed()
        self.assertEqual(guest.running_vm(), old)
        self.assertEqual(len(self.events('launch')), 1)
