# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio devices that somebody else drives, the kernel or another process: he
has eventfds of the VM's and maps the guest's memory."""

import hashlib
import socket
import subprocess
from pathlib import Path

import traffic
from guest import TIMEOUT, Guest
from kvm_reset.qmp import Monitor
from kvm_reset_test import KvmResetTest
from proof import proves

CID = 42
ECHO = 7
SHARED = ['-object', 'memory-backend-memfd,id=m,size=256M,share=on']
# Debian's; the one under test is built without exports.
BACK_END = '/usr/bin/qemu-system-x86_64'


class VhostUser(KvmResetTest):
    WEIGHT = 60

    def back_end(self, image: Path) -> str:
        """Another QEMU that has no guest and exports @image; its socket."""
        self.require_file(BACK_END, 'it is the vhost-user back end')
        directory = Path(self.socket_dir().name)
        monitor, path = directory / 'back-end.qmp', directory / 'vhost-user'
        process = subprocess.Popen(
            [BACK_END, '-M', 'none', '-nodefaults', '-display', 'none', '-qmp',
             f'unix:{monitor},server=on,wait=off', '-blockdev',
             f'driver=file,node-name=n,filename={image}'],
            stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        sock = traffic.connect(lambda: socket.socket(socket.AF_UNIX),
                               str(monitor), TIMEOUT)
        sock.close()
        qmp = Monitor.at(monitor)
        self.addCleanup(qmp.close)
        qmp.command('block-export-add', type='vhost-user-blk', id='e',
                **{'node-name': 'n', 'writable': True,
                   'addr': {'type': 'unix', 'path': str(path)}})
        return str(path)

    def is_whole(self, guest: Guest, image: Path) -> None:
        """What the guest reads is what is in the image, and it can write."""
        guest.command('work', r'work ok n=\d+ .*disk=[1-9]')
        guest.command('work stop', 'work stopped')
        said = guest.command('run sync; sha256sum /dev/vda',
                             r'([0-9a-f]{64})  /dev/vda')
        self.assertEqual(said, hashlib.sha256(image.read_bytes()).hexdigest())

    @proves('vhost-user', 'irqfd', 'ioeventfd')
    def test_a_disk_of_another_process_is_whole_after_each_rebirth(self) \
            -> None:
        """vhost-user: a back end that keeps its connection."""
        image = self.scratch_disk(65 * 4096)
        guest = self.start(
            smp='2', machine='q35,memory-backend=m',
            args=[*SHARED, '-chardev',
                  f'socket,id=c,path={self.back_end(image)}', '-device',
                  'vhost-user-blk-pci,chardev=c,num-queues=1'])
        guest.wait_boot()
        self.is_whole(guest, image)
        for reset in ('reboot linux', 'system_reset'):
            with self.reborn(guest):
                guest.restart(reset)
            self.is_whole(guest, image)


class VhostVsock(KvmResetTest):
    WEIGHT = 40

    def setUp(self) -> None:
        super().setUp()
        self.require_file('/dev/vhost-vsock', 'this kernel has no vhost-vsock')

    def listens(self, guest: Guest) -> None:
        guest.command('run guest-tool vsock &', 'vsock listens')

    def connect(self) -> socket.socket:
        return traffic.connect(
            lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
            (CID, ECHO), 30)

    @proves('vhost-vsock', 'irqfd', 'ioeventfd')
    def test_a_connection_to_the_guest_carries_data_after_each_rebirth(self) \
            -> None:
        """vhost-vsock: the kernel's own rings."""
        guest = self.start(
            machine='pc', args=['-device', f'vhost-vsock-pci,guest-cid={CID}'])
        guest.wait_boot()
        for reset in ('reboot linux', 'system_reset', ''):
            self.listens(guest)
            traffic.goes_round(self.connect())
            held = self.connect()
            if not reset:
                held.close()
                break
            with self.reborn(guest):
                guest.restart(reset)
            # The new guest knows of no connection of the old one's.
            try:
                held.sendall(b'?')
                self.assertEqual(held.recv(1), b'')
            except ConnectionError:
                pass
            held.close()
