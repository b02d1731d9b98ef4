# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices with a state of their own in KVM, and CPUs that come and go."""

from pathlib import Path

from guest import Guest
from kvm_reset_test import KvmResetTest

CPU1 = '/sys/devices/system/cpu/cpu1'


class Device(KvmResetTest):
    WEIGHT = 50

    def lit_pixels(self, guest: Guest, name: str) -> int:
        """How many of the screen are not black."""
        path = Path(self.scratch_file(f'{name}.ppm'))
        guest.qmp('screendump', filename=str(path))
        guest.wait(lambda: path.exists() and path.stat().st_size > 1000, 30,
                   'the picture of the screen')
        magic, width, height, depth, pixels = path.read_bytes().split(None, 4)
        self.assertEqual((magic, depth), (b'P6', b'255'))
        return sum(any(pixels[i:i + 3]) for i in range(0, len(pixels), 3))

    def test_a_vga_screen_shows_the_firmware_again(self) -> None:
        """Its planes are written through coalesced MMIO."""
        guest = self.start(firmware=True, args=['-device', 'VGA'])
        guest.wait_firmware()
        before = self.lit_pixels(guest, 'before')
        self.assertGreater(before, 1000)
        with self.reborn(guest, boots=False):
            guest.qmp('system_reset')
        guest.wait_firmware()
        # But for the cursor, which blinks.
        self.assertAlmostEqual(self.lit_pixels(guest, 'after'), before,
                               delta=9 * 16)

    def test_a_guest_with_a_dirty_ring_comes_back(self) -> None:
        guest = self.start(accel='kvm,dirty-ring-size=4096', smp='2',
                           args=['-device', 'VGA'])
        guest.wait_boot()
        for _ in range(2):
            with self.reborn(guest):
                guest.console.send('reboot linux')
        guest.command('work 2', r'work ok n=2 ')

    def plug(self, guest: Guest) -> None:
        guest.qmp('device_add', driver='host-x86_64-cpu', id='cpu1',
                  **{'socket-id': 1, 'core-id': 0, 'thread-id': 0})
        guest.command(f'run while [ ! -d {CPU1} ]; do sleep 0.2; done; '
                      f'[ "$(cat {CPU1}/online)" = 1 ] || '
                      f'echo 1 >{CPU1}/online; nproc', r'\n2\s')

    def unplug(self, guest: Guest) -> None:
        guest.qmp('device_del', id='cpu1')
        guest.event('DEVICE_DELETED', 90)
        guest.command('run nproc', r'\n1\s')

    def test_a_parked_vcpu_is_of_use_again_after_a_rebirth(self) -> None:
        guest = self.start(smp='1,maxcpus=2,sockets=2,cores=1,threads=1')
        guest.wait_boot()
        self.assertEqual(guest.cpus, 1)
        self.plug(guest)
        self.unplug(guest)
        with self.reborn(guest):
            guest.console.send('reboot linux')
        self.assertEqual(guest.cpus, 1)
        self.plug(guest)
        guest.command('work 2', r'work ok n=2 ')
        with self.reborn(guest):
            guest.qmp('system_reset')
        self.assertEqual(guest.cpus, 2)
