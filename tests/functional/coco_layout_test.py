# SPDX-License-Identifier: GPL-2.0-or-later
"""What a confidential guest does to its memory slots does not matter to its
next launch, and nothing that was launched is lost by a reset.

On the simulated platform, with a guest that is firmware alone. That firmware
has the RAM of a PC's first megabyte shown by the PAM registers at each start,
and a page of it is launched into the RAM beside that, whose slot so goes at
each start and comes back at each reset (not with TDX, where QEMU has no ROM in
that megabyte: RAM is there all the time). Devices are moved and memory is
plugged in from outside, while the guest is stopped."""

import json
import os
import subprocess

from chores import Qtest
from coco_fault_test import MAKE_FIRMWARE, CocoFault, TdxFault
from fault_table import NEW_VM, OLD_VM, STOPPED
from guest import Guest
from kvm_reset.bench import virtio

# In the firmware's image, at a whole page.
BAR = 0xfffc0000
# In a PC's first megabyte, and the Q35's PAM register for it: its last byte.
LOW_BAR = 0xd0000
PAM = 0x90
SLOTS = ('KVM_SET_USER_MEMORY_REGION', 'KVM_SET_USER_MEMORY_REGION2')
MODULE = 128 << 20


class Layout(CocoFault):
    FINISH = ''         # the launch's last step, as the platform calls it

    def setUp(self) -> None:
        super().setUp()
        subprocess.run(
            [MAKE_FIRMWARE, self.firmware], check=True,
            env={**os.environ, 'SHIM_FLAGS': '-DPAGE_ABOVE_1M',
                 'SEABIOS': str(self.firmware.with_name('chores.bin'))})
        self.qtest = Qtest()

    def power_on(self, *args: str, machine: str = '',
                 **settings: str) -> Guest:
        guest = self.launch_guest(*self.qtest.arguments(), *args,
                                  machine=machine, platform=settings)
        self.qtest.connect()
        self.addCleanup(self.qtest.close)
        return guest

    def move_bar_over_firmware(self) -> None:
        """As a guest could; it runs in RAM, and so goes on."""
        disk = virtio.Device(self.qtest, virtio.slot_of(0)) # type: ignore
        disk.place_bars(BAR)
        self.assertEqual(disk.bars[1] & ~0xffff, BAR)
        self.work()

    def show_bar_in_ram(self) -> None:
        """By the PAM registers, as a guest could that does not need its
        firmware any more: the slot goes, and so does a TD."""
        virtio.Device(self.qtest, virtio.slot_of(0)).place_bars(   # type: ignore
            LOW_BAR)
        bridge = virtio.Device(self.qtest, 0)
        bridge.write(PAM, bridge.read(PAM) & 0xffffff)

    def calls_of_a_reset(self) -> list[str]:
        """Those that come after the swap."""
        self.injection.arm(self.guest.pid)
        self.assertEqual(self.reset_and_judge(), NEW_VM)
        names = [call.name for call in self.injection.disarm(whole=True)]
        self.before_devices = 1 + max(
            n for n, name in enumerate(names) if name == 'dup3')
        return names[self.before_devices:]

    def must_have_lost_nothing(self) -> None:
        """Of a launch, before the guest ran."""
        ran = set()
        for line in self.events_log.read_text().splitlines():
            event = json.loads(line)
            if event['event'] == 'first_run':
                ran.add(event['vm'])
            elif event['event'] == 'pages_lost':
                self.assertIn(event['vm'], ran, event)

    def bar(self) -> None:
        self.power_on()
        for _ in range(2):
            self.move_bar_over_firmware()
            self.assertEqual(self.reset_and_judge(), NEW_VM)
            self.must_be_whole(NEW_VM)
        self.must_have_lost_nothing()

    def bar_and_failure(self) -> None:
        """The old VM is as it was, and the next reset works."""
        self.power_on(fault=f'{self.FINISH}:2:EIO:9')
        self.move_bar_over_firmware()
        self.assertEqual(self.reset_and_judge(), OLD_VM)
        self.must_be_whole(OLD_VM)
        self.must_have_lost_nothing()

    def pam(self) -> None:
        self.power_on()
        changed = set()
        for _ in range(3):
            self.show_bar_in_ram()
            changed.add(self.events('first_run')[-1]['vm'])
            after = self.calls_of_a_reset()
            self.assertFalse(set(SLOTS) & set(after), after)
            self.must_be_whole(NEW_VM)
        self.must_have_lost_nothing()
        # No slot of another guest went after its launch. But the firmware of
        # an SNP guest changes PAM registers at each start: QEMU has a ROM
        # there, which it has not with TDX.
        moved = 'pages_lost'
        if self.TEE != 'tdx':
            moved = 'convert'
            changed = {event['vm'] for event in self.events('first_run')}
        self.assertEqual({event['vm'] for event in self.events(moved)},
                         changed)

    def spare(self) -> None:
        """One that is launched ahead stays so whatever the guest does."""
        guest = self.power_on(machine=',kvm-reset-spare=launched',
                            es_asids='3', key_ids='3')
        for _ in range(2):
            guest.settle()
            spare = guest.info()['spare']
            self.assertTrue(spare['launched'], spare)
            made = len(self.events('vm_created'))
            self.move_bar_over_firmware()
            guest.settle()
            spare = guest.info()['spare']
            self.assertTrue(spare['launched'], spare)
            self.assertEqual(len(self.events('vm_created')), made)
            self.assertEqual(self.reset_and_judge(), NEW_VM)
            last = guest.info()['last']
            self.assertTrue(last['spare'], last)
            self.work()
        self.must_have_lost_nothing()

    def memory_module(self) -> None:
        """Plugged in after the launch; then its slot cannot be set."""
        guest = self.power_on('-m', 'slots=1,maxmem=1G')
        guest.qmp('object-add', qom_type='memory-backend-ram', id='memory',
                  size=MODULE)
        guest.qmp('device_add', driver='pc-dimm', id='module', memdev='memory')
        self.calls_of_a_reset()
        after = self.calls_of_a_reset()
        setting = [n for n, name in enumerate(after) if name in SLOTS]
        self.assertEqual(len(setting), 1, after)
        self.work()
        private = [event['private'] for event in self.events('first_run')]
        self.assertEqual(private[-1], private[0] + MODULE)

        self.injection.arm(guest.pid, self.before_devices + setting[0],
                           'ENOMEM')
        self.assertEqual(self.reset_and_judge(), STOPPED)
        self.assertTrue(any(call.injected
                            for call in self.injection.disarm()))
        # Said by kvm-reset, or by QEMU while it resets its devices.
        self.assertRegex(guest.info()['failure'], 'guest memory|memory slot')
        self.must_be_whole(STOPPED)
        self.work()
        private = [event['private'] for event in self.events('first_run')]
        self.assertEqual(private[-1], private[0] + MODULE)
        self.must_have_lost_nothing()


class SnpLayout(Layout):
    TEE = 'snp'
    OBJECT = 'sev-snp-guest,id=cg,cbitpos=0,reduced-phys-bits=1'
    CPU = 'EPYC-v4'
    FINISH = 'SNP_LAUNCH_FINISH'

    def test_snp_comes_back_with_a_bar_over_its_firmware(self) -> None:
        self.bar()

    def test_snp_keeps_its_vm_with_a_bar_over_its_firmware(self) -> None:
        self.bar_and_failure()

    def test_snp_has_no_slot_set_after_its_launch(self) -> None:
        self.pam()

    def test_snp_has_its_launched_spare_whatever_it_moves(self) -> None:
        self.spare()

    def test_snp_memory_that_was_plugged_in_is_there_again(self) -> None:
        self.memory_module()


class TdxLayout(Layout):
    TEE = 'tdx'
    OBJECT = TdxFault.OBJECT
    CPU = TdxFault.CPU
    MACHINE = TdxFault.MACHINE
    FINISH = 'TDX_FINALIZE_VM'

    def test_tdx_comes_back_with_a_bar_over_its_firmware(self) -> None:
        self.bar()

    def test_tdx_keeps_its_vm_with_a_bar_over_its_firmware(self) -> None:
        self.bar_and_failure()

    def test_tdx_has_no_slot_set_after_its_launch(self) -> None:
        self.pam()

    def test_tdx_has_its_launched_spare_whatever_it_moves(self) -> None:
        self.spare()

    def test_tdx_memory_that_was_plugged_in_is_there_again(self) -> None:
        self.memory_module()
