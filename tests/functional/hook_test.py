# SPDX-License-Identifier: GPL-2.0-or-later
"""Subsystems that get it wrong, and definitions that change behind the
journal's back: a clear word, and a guest that lives."""

from pathlib import Path

import debugger
import planted
import process
from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes

FAILS = {planted.FAILS_BEFORE: 'quiesce', planted.FAILS_ON_NEW_VM: 'new-vm'}


class Planted(KvmResetTest):
    WEIGHT = 90

    def firmware_guest(self, **options: object) -> Guest:
        with planted.preloaded(Path(self.workdir)):
            guest = self.start(firmware=True, memory=64, **options)
        guest.wait_firmware()
        return guest

    def comes_up(self, guest: Guest, old_vm: bool) -> None:
        before = guest.running_vm()
        generation = guest.generation()
        guest.console.skip()
        guest.drop_events()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        guest.wait_firmware()
        self.assertEqual(guest.running_vm() == before, old_vm)
        if not old_vm:
            self.assertEqual(event['outcome'], 'completed')
            return
        self.assertEqual(event['outcome'], 'failed')
        self.assertEqual(guest.generation(), generation)
        self.assertRegex(event['reason'], "hook 'planted' failed in phase ")
        self.assertIn('its card is on fire', event['reason'])
        self.assertIn(event['reason'], guest.qemu_log())
        self.assertRegex(guest.hmp('info kvm-reset'), 'its card is on fire')

    @takes(600)
    def test_a_hook_that_fails_leaves_the_guest_on_its_old_vm(self) -> None:
        """In each phase that has a way back; as often as it is tried."""
        for what, phase in FAILS.items():
            guest = self.firmware_guest(name=phase)
            self.comes_up(guest, old_vm=False)
            self.assertEqual(planted.plant(guest.pid, what), '')
            self.comes_up(guest, old_vm=True)
            self.assertIn(f'phase {phase}', guest.info()['last-error'])
            self.comes_up(guest, old_vm=True)
            # What the other hook of that phase did was put back each time
            # before. (A SeaBIOS that was reset resets itself once more.)
            info = guest.info()
            self.assertGreaterEqual(info['aborted'], 2)
            self.assertIn(f'({info["aborted"] - 1} undone)',
                          info['last-error'])
            guest.stop()

    def test_a_name_that_is_taken_and_a_cycle_are_refused_by_name(self) -> None:
        """The guest goes on with the hooks that it has."""
        for what, code, word in ((planted.TWICE, 'EEXIST', 'planted-good'),
                                 (planted.CYCLE, 'ELOOP', 'a, b')):
            guest = self.firmware_guest(name=word.split(',')[0])
            why = planted.plant(guest.pid, what)
            self.assertIn(f'({code})', why)
            self.assertIn(word, why)
            self.comes_up(guest, old_vm=False)
            guest.stop()

    def test_eventfds_closed_behind_the_journal_are_no_more(self) -> None:
        """Their numbers are other files', which must not become doorbells."""
        guest = self.firmware_guest()
        vm = process.fd_of(guest.pid, 'anon_inode:kvm-vm')
        [made] = debugger.call(
            guest.pid, '((int (*)(void *, int)) kvm_reset_plant_eventfds)'
            f'((void *) &kvm_reset_ioctl_recorded, {vm})')
        self.assertEqual(made, '2')
        self.assertTrue(guest.info()['restartable'])
        self.comes_up(guest, old_vm=False)
        self.assertIn('kvm_reset_stale', guest.qemu_log())
        self.comes_up(guest, old_vm=False)


class Unplugged(KvmResetTest):
    WEIGHT = 60

    def test_a_card_that_was_unplugged_is_not_defined_again(self) -> None:
        """Its doorbells were in the journal, and in the spare VM too."""
        guest = self.start(args=[
            '-device', 'pcie-root-port,id=rp', '-netdev', 'user,id=n',
            '-device', 'virtio-net-pci,netdev=n,romfile=,id=card,bus=rp'])
        guest.wait_boot()
        guest.command('work', r'work ok n=\d+ .*net=[1-9]')
        guest.settle()
        at_first = guest.info()['journal-entries']
        guest.command('work stop', 'work stopped')
        guest.unplug('card')
        self.assertLess(guest.info()['journal-entries'], at_first)
        with self.reborn(guest):
            guest.qmp('system_reset')
        guest.command('work 2', r'work ok n=2 cpu=[1-9]\d* memory=\d+ '
                      r'timer=\d+\s')
        guest.qmp('device_add', driver='virtio-net-pci', netdev='n',
                  romfile='', id='card', bus='rp')
        with self.reborn(guest):
            guest.qmp('system_reset')
        guest.command('work', r'work ok n=\d+ .*net=[1-9]')
