# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots that were taken on one VM and are loaded on another."""

import subprocess
import time
from pathlib import Path

from guest import Guest
from kvm_reset.qmp import Monitor
from kvm_reset_test import KvmResetTest, takes
from proof import proves


class Snapshot(KvmResetTest):
    WEIGHT = 50

    def start_with_disk(self) -> Guest:
        image = self.scratch_file('disk.qcow2')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image,
                        '8M'], check=True)
        self.second = str(Path(self.socket_dir().name, 'second'))
        guest = self.start(machine='pc', memory=192, args=[
            '-drive', f'file={image},format=qcow2,if=none,id=d',
            '-device', 'virtio-blk-pci,drive=d',
            '-qmp', f'unix:{self.second},server=on,wait=off'])
        guest.wait_boot()
        return guest

    def save(self, guest: Guest, name: str) -> None:
        self.assertEqual(guest.hmp(f'savevm {name}').strip(), '')
        self.assertIn(name, guest.hmp('info snapshots'))

    def load(self, guest: Guest, name: str, boot_id: str) -> None:
        """The guest is again the one that booted as @boot_id."""
        generation = guest.generation()
        self.assertEqual(guest.hmp(f'loadvm {name}').strip(), '')
        # Loading is no reset of the guest's: the VM stays.
        self.assertEqual(guest.generation(), generation)
        said = guest.command('id', r'boot id=([0-9a-f]{32})')
        self.assertEqual(said, boot_id)
        guest.command('work 2', r'work ok n=2 ')

    @proves('volatile-state')
    def test_snapshots_go_from_one_vm_to_the_next_and_back(self) -> None:
        guest = self.start_with_disk()
        first = guest.boot_ids[-1]
        self.save(guest, 'before')
        with self.reborn(guest):
            guest.console.send('reboot linux')
        second = guest.boot_ids[-1]
        self.save(guest, 'after')
        self.load(guest, 'before', first)
        self.load(guest, 'after', second)
        with self.reborn(guest):
            guest.qmp('system_reset')
        self.load(guest, 'before', first)
        with self.reborn(guest):
            guest.console.send('reboot linux')

    @proves('volatile-state')
    @takes(600)
    def test_a_guest_is_reset_while_a_snapshot_of_it_is_taken(self) -> None:
        guest = self.start_with_disk()
        second = Monitor.at(self.second)
        self.addCleanup(second.close)
        for name, after in (('early', 0.02), ('middle', 0.1), ('late', 0.4)):
            boot_id = guest.boot_ids[-1]
            with self.reborn(guest):
                second.send('human-monitor-command',
                            **{'command-line': f'savevm {name}'})
                time.sleep(after)
                guest.qmp('system_reset')
                self.assertEqual(second.answer().strip(), '')
            self.load(guest, name, boot_id)
            with self.reborn(guest):
                guest.console.send('reboot linux')
