# SPDX-License-Identifier: GPL-2.0-or-later
"""A real device that is given to the guest: VFIO's KVM device holds its file,
and a file can be given to one VM only."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import process
from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest
from proof import proves

DEVICES = Path('/sys/bus/pci/devices')
# virtio's vendor; of its cards the one of today's kind, which needs an IOMMU.
NETWORK_CARD = ('0x1af4', '0x1041')
NO_DEVICE = ('no network card is behind an IOMMU here: the appliance has one '
             'with --iommu')


def find_card() -> Optional[Path]:
    for device in sorted(DEVICES.glob('*')):
        ids = tuple((device / name).read_text().strip()
                    for name in ('vendor', 'device'))
        if ids == NETWORK_CARD and (device / 'iommu_group').exists():
            return device
    return None


class Vfio(KvmResetTest):
    WEIGHT = 60

    def setUp(self) -> None:
        super().setUp()
        card = find_card()
        # Only of a machine that is there for tests.
        if card is None or 'KVM_RESET_APPLIANCE' not in os.environ:
            self.skipTest(NO_DEVICE)
        self.card = card
        subprocess.run(['modprobe', 'vfio-pci'], check=True)
        (card / 'driver_override').write_text('vfio-pci')
        if (card / 'driver').exists():
            (card / 'driver' / 'unbind').write_text(card.name)
        Path('/sys/bus/pci/drivers_probe').write_text(card.name)
        self.assertEqual(os.readlink(card / 'driver').rpartition('/')[2],
                         'vfio-pci')

    def works(self, guest: Guest) -> None:
        """Pings by the card's own DMA; its interrupts are irqfds."""
        guest.command('work', r'work ok n=\d+ .*net=[1-9]')
        count = int(guest.command(
            'run grep virtio0-input /proc/interrupts', r'\d+: +(\d+) '))
        self.assertGreater(count, 0)
        guest.command('work stop', 'work stopped')

    @contextlib.contextmanager
    def reborn_with_card(self, guest: Guest) -> Iterator[None]:
        """Linux lets an open device hold the VM that it was opened for until
        it is closed: that one VM stays, and no other does."""
        generation, boot_id = guest.generation(), guest.boot_ids[-1]
        guest.drop_events()
        yield
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        self.assertNotEqual(guest.wait_boot(), boot_id)
        guest.must_answer()
        self.assertGreater(guest.generation(), generation)
        guest.settle()
        ran = [vm for vm in process.vms_of(guest.pid) if vm.exits]
        self.assertLessEqual(len(ran), 2, ran)
        self.assertEqual(guest.info()['held-vms'], len(ran) - 1)

    @proves('vfio', 'irqfd', 'msi-routes')
    def test_a_real_network_card_is_the_guests_again(self) -> None:
        """VFIO: the file moves from the old VM's device to the new one's."""
        guest = self.start(args=['-device', f'vfio-pci,host={self.card.name}'])
        guest.wait_boot()
        self.works(guest)
        for reset in ('reboot linux', 'system_reset', 'reboot sysrq'):
            with self.reborn_with_card(guest):
                guest.restart(reset)
            self.works(guest)

    @proves('vfio')
    def test_a_card_that_comes_and_goes_is_the_new_vms(self) -> None:
        """VFIO: plugged in after the start, and after a rebirth taken out."""
        guest = self.start(args=['-device', 'pcie-root-port,id=rp'])
        guest.wait_boot()
        guest.qmp('device_add', driver='vfio-pci', host=self.card.name,
                  id='card', bus='rp')
        with self.reborn_with_card(guest):
            guest.console.send('reboot linux')
        self.works(guest)
        guest.unplug('card')
        with self.reborn_with_card(guest):
            guest.console.send('reboot linux')
        guest.command('work 2', r'work ok n=2 cpu=[1-9]\d* memory=\d+ '
                      r'timer=\d+\s')
