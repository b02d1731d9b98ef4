# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks and networks that are busy while the guest gets a new VM."""

import hashlib
import os
import re
import socket
import subprocess
from pathlib import Path

import traffic
from guest import Guest
from kvm_reset_test import KvmResetTest
from proof import proves

BLOCK = 4096
# Of the guest's log, after its head. It reads them all when it starts.
SLOTS = 64
# As the guest's log has it: magic, number, data, SHA-256 of what is before.
MAGIC = b'kvm-reset block\0'
WORK_LINE = r'work ok n=\d+ [^\n]*disk=(\d+)'


def blocks_of(image: Path) -> set[int]:
    """The numbers of the whole blocks in a raw image."""
    found = set()
    with image.open('rb') as file:
        for data in iter(lambda: file.read(BLOCK), b''):
            body, digest = data[:-32], data[-32:]
            if body.startswith(MAGIC) and \
                    hashlib.sha256(body).digest() == digest:
                found.add(int.from_bytes(body[16:24], 'little'))
    return found


class Virtio(KvmResetTest):
    WEIGHT = 100

    def disk(self, name: str = 'disk.raw') -> Path:
        return self.scratch_disk((1 + SLOTS) * BLOCK, name)

    def acknowledged(self, guest: Guest, at_least: int) -> int:
        """The last block of which the guest said that it is on the disk."""
        while True:
            match = guest.console.wait_for(WORK_LINE, 60)
            if int(match[1]) >= at_least:
                return int(match[1])

    def reset_at_work(self, guest: Guest, reset: str) -> None:
        """Resets while the guest writes; each acknowledged block is kept."""
        last = 0
        for _ in range(2):
            written = self.acknowledged(guest, last + 5)
            with self.reborn(guest):
                if reset == 'guest':
                    # The work goes on until the very end.
                    guest.console.send('reboot sysrq')
                else:
                    guest.qmp('system_reset')
                # What it still said before it was reset counts as well.
                said = re.findall(WORK_LINE, guest.console.text())
                written = max(written, int(said[-1]))
            found = int(guest.command('', r'disk found=(\d+)\s'))
            self.assertGreaterEqual(found, written)
            last = found
        self.acknowledged(guest, last + 5)
        self.assertNotIn('work FAIL', guest.console.text())

    def check_image(self, guest: Guest, image: Path) -> None:
        """From outside, with the guest gone by force."""
        written = int(re.findall(WORK_LINE, guest.console.text())[-1])
        guest.vm.kill()
        blocks = blocks_of(image)
        self.assertGreaterEqual(max(blocks), written)
        # One more may have been under way, in the slot of the oldest.
        oldest = max(1, max(blocks) - SLOTS + 2)
        self.assertLessEqual(set(range(oldest, written + 1)), blocks)

    @proves('virtio-pci', 'irqfd', 'ioeventfd', 'msi-routes')
    def test_no_acknowledged_write_is_lost_in_a_reset(self) -> None:
        image = self.disk()
        guest = self.start(smp='2', append='kr.work=1', args=[
            '-drive', f'file={image},format=raw,if=none,id=d,cache=none'
                      if self.direct_io(image) else
                      f'file={image},format=raw,if=none,id=d',
            '-device', 'virtio-blk-pci,drive=d',
            '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,romfile=',
            '-device', 'virtio-rng-pci'])
        guest.wait_boot()
        self.reset_at_work(guest, 'monitor')
        self.check_image(guest, image)

    @proves('iothread', 'irqfd', 'ioeventfd')
    def test_an_iothreads_disk_survives_the_guests_own_reboot(self) -> None:
        image = self.disk()
        guest = self.start(machine='pc', append='kr.work=1', args=[
            '-object', 'iothread,id=io',
            '-drive', f'file={image},format=raw,if=none,id=d',
            '-device', 'virtio-blk-pci,drive=d,iothread=io'])
        guest.wait_boot()
        self.reset_at_work(guest, 'guest')
        self.check_image(guest, image)

    @proves('virtio-pci')
    def test_a_user_network_is_busy_before_and_after(self) -> None:
        guest = self.start(machine='pc', append='kr.work=1', args=[
            '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n,romfile='])
        guest.wait_boot()
        for _ in range(2):
            guest.console.wait_for(r'work ok n=\d+ .*net=[1-9]', 60)
            with self.reborn(guest):
                guest.qmp('system_reset')
            guest.console.wait_for(r'work ok n=\d+ .*net=[1-9]', 60)

    def direct_io(self, path: Path) -> bool:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
        except OSError:
            return False
        return True


class Mmio(KvmResetTest):
    WEIGHT = 30

    @proves('virtio-mmio', 'ioeventfd', 'irqfd')
    def test_devices_without_a_bus_are_a_microvms_again(self) -> None:
        """virtio-mmio: doorbells in memory and lines of the IOAPIC."""
        path = self.scratch_disk((1 + SLOTS) * BLOCK)
        guest = self.start(
            machine='microvm,pit=off,pic=off,rtc=on', append='reboot=t',
            args=['-drive', f'file={path},format=raw,if=none,id=d', '-device',
                  'virtio-blk-device,drive=d', '-netdev', 'user,id=n',
                  '-device', 'virtio-net-device,netdev=n', '-device',
                  'virtio-rng-device'])
        guest.wait_boot()
        for _ in range(2):
            guest.command('work', r'work ok n=\d+ .*disk=[1-9]\d* net=[1-9]')
            guest.command('run sync; cat /proc/interrupts', r'virtio\d')
            with self.reborn(guest):
                guest.console.send('reboot linux')


class VhostNet(KvmResetTest):
    """The kernel's own virtio-net, which has the eventfds of a VM's queues."""
    WEIGHT = 30
    TAP = 'krtap0'

    def ip(self, *words: str) -> None:
        done = subprocess.run(['ip', *words], capture_output=True, text=True)
        if done.returncode:
            self.skipTest(f'ip {" ".join(words)}: {done.stderr.strip()}')

    def setUp(self) -> None:
        super().setUp()
        self.require_file('/dev/net/tun', 'this kernel has no tap devices')
        self.require_file('/dev/vhost-net', 'this kernel has no vhost-net')
        try:
            os.close(os.open('/dev/vhost-net', os.O_RDWR))
        except OSError as error:
            self.skipTest(f'/dev/vhost-net: {error.strerror}')
        self.ip('tuntap', 'add', self.TAP, 'mode', 'tap')
        self.addCleanup(subprocess.run, ['ip', 'link', 'del', self.TAP])
        self.ip('addr', 'add', '192.168.77.1/24', 'dev', self.TAP)
        self.ip('link', 'set', self.TAP, 'up')

    def connect(self) -> socket.socket:
        return traffic.connect(lambda: socket.socket(socket.AF_INET),
                               ('192.168.77.2', 7), 30)

    @proves('vhost-net', 'irqfd', 'ioeventfd')
    def test_the_kernels_virtio_net_is_busy_before_and_after(self) -> None:
        guest = self.start(
            machine='pc',
            append='kr.work=1 kr.ip=192.168.77.2/24 kr.gateway=192.168.77.1',
            args=['-netdev', f'tap,id=n,ifname={self.TAP},script=no,'
                             'downscript=no,vhost=on,vhostforce=on',
                  '-device', 'virtio-net-pci,netdev=n,romfile='])
        guest.wait_boot()
        for _ in range(2):
            guest.console.wait_for(r'work ok n=\d+ .*net=[1-9]', 60)
            traffic.goes_round(self.connect())
            with self.reborn(guest):
                guest.qmp('system_reset')
            guest.console.wait_for(r'work ok n=\d+ .*net=[1-9]', 60)
            traffic.goes_round(self.connect())
