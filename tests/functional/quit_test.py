# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU ends in any phase of a rebirth, at once; and a reset that is to end the
guest, by -action, makes no new VM."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from guest import TIMEOUT, Guest
from kvm_reset.qmp import Monitor
from kvm_reset_test import KvmResetTest, takes
from shim import Shim

MAIN = 'qemu-system-x86'
# Each call of a phase takes this long: QEMU must not wait for so many.
DELAY = 4.0


class Quit(KvmResetTest):
    WEIGHT = 100

    def slow_guest(self, spare: str) -> tuple[Guest, Monitor, Shim]:
        shim = self.shimmed()
        path = str(Path(self.socket_dir().name, 'second'))
        guest = self.start(f'guest{time.monotonic_ns()}', firmware=True,
                           memory=64, machine=f'q35,kvm-reset-spare={spare}',
                           args=['-qmp', f'unix:{path},server=on,wait=off'])
        guest.wait_firmware()
        guest.settle()
        guest.qmp('stop')
        monitor = Monitor.at(path)
        self.addCleanup(monitor.close)
        return guest, monitor, shim

    def ends(self, guest: Guest, patience: float) -> None:
        began = time.monotonic()
        guest.vm.wait(60)
        self.assertEqual(guest.vm.exitcode(), 0, guest.qemu_log())
        self.assertLess(time.monotonic() - began, patience)

    def ends_in(self, spare: str, call: str, thread: str, patience: float,
                times: int = -1) -> None:
        """By the operator's command and by a signal, as the call is made."""
        ways: list[Callable[[Guest, Monitor], None]] = [
            lambda guest, monitor: monitor.send('quit'),
            lambda guest, monitor: os.kill(guest.pid, signal.SIGTERM)]
        for way in ways:
            guest, monitor, shim = self.slow_guest(spare)
            with shim.rule(call, delay=DELAY, times=times,
                           thread=thread) as rule:
                monitor.send('system_reset')
                guest_is_there = time.monotonic() + TIMEOUT
                while not rule.hits:
                    self.assertLess(time.monotonic(), guest_is_there)
                    time.sleep(0.01)
                way(guest, monitor)
                self.ends(guest, patience)

    def test_quit_does_not_wait_for_the_spare(self) -> None:
        self.ends_in('on', 'KVM_CREATE_VCPU', 'kvm-spare', DELAY * 0.75)

    def test_quit_does_not_wait_for_old_vms(self) -> None:
        self.ends_in('off', 'close', 'kvm-retire', DELAY * 0.75)

    def test_quit_while_a_vm_is_built_in_the_reset(self) -> None:
        self.ends_in('off', 'KVM_CREATE_VCPU', MAIN, DELAY * 1.75, 1)

    def test_quit_while_a_vm_is_put_in_place(self) -> None:
        self.ends_in('on', 'dup3', MAIN, DELAY * 1.75, 1)

    def test_quit_while_irqfds_change_their_vm(self) -> None:
        self.ends_in('on', 'KVM_SET_PIT2', MAIN, DELAY * 1.75, 1)

    @takes(600)
    def test_quit_at_any_moment_ends_well(self) -> None:
        """Without delays, that is, at the speed of things."""
        for after in range(0, 30, 2):
            guest = self.start(f'fast{after}', firmware=True, memory=64,
                               machine='q35,kvm-reset-spare=on')
            for _ in range(3):
                guest.qmp('system_reset')
            time.sleep(after / 1000)
            guest.qmp('quit')
            self.ends(guest, 30)


class Action(KvmResetTest):
    """What is to happen at a reset is the operator's to say."""
    WEIGHT = 30

    def start_with(self, *args: str) -> Guest:
        guest = self.start(firmware=True, memory=64, args=args)
        # SeaBIOS resets the machine by itself after a reset, not at a start.
        guest.wait_firmware()
        guest.drop_events()
        guest.rebirths.clear()
        return guest

    def ends_without_a_new_vm(self, guest: Guest) -> None:
        guest.qmp('system_reset')
        event = guest.event('SHUTDOWN')
        self.assertEqual(event['reason'], 'host-qmp-system-reset')
        guest.vm.wait(60)
        self.assertEqual(guest.vm.exitcode(), 0)
        self.assertNotIn('kvm_reset_step quiesce', guest.qemu_log())

    def test_a_guest_of_no_reboot_ends_at_its_reset(self) -> None:
        self.ends_without_a_new_vm(self.start_with('-no-reboot'))

    def test_a_guest_of_reboot_shutdown_ends_at_its_reset(self) -> None:
        self.ends_without_a_new_vm(
            self.start_with('-action', 'reboot=shutdown'))

    def test_set_action_says_what_the_next_reset_does(self) -> None:
        """As a manager does it that wants to be asked: on_reboot=destroy."""
        guest = self.start_with('-action', 'reboot=shutdown,shutdown=pause')
        guest.qmp('system_reset')
        guest.event('SHUTDOWN')
        guest.wait(lambda: guest.qmp('query-status')['status'] == 'shutdown',
                   TIMEOUT, 'the guest to be shut down')
        guest.drop_events()
        self.assertEqual(guest.rebirths, [])
        self.assertEqual(guest.generation(), 0)

        guest.qmp('set-action', reboot='reset')
        with self.reborn(guest, boots=False):
            guest.qmp('system_reset')
        guest.console.skip()
        guest.qmp('cont')
        guest.wait_firmware()

        guest.qmp('set-action', reboot='shutdown')
        generation = guest.generation()
        guest.qmp('system_reset')
        guest.event('SHUTDOWN')
        self.assertEqual(guest.generation(), generation)
