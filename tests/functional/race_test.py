# SPDX-License-Identifier: GPL-2.0-or-later
"""Resets at the worst of times: at once with another one, while the next VM is
made, while threads are hit by signals or do not come out of the kernel."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import process
from guest import TIMEOUT, Guest
from kvm_reset.qmp import Monitor
from kvm_reset_test import KvmResetTest, takes


class Race(KvmResetTest):
    WEIGHT = 120

    def firmware_guest(self, spare: str = 'on', **options: object) -> Guest:
        guest = self.start(firmware=True, memory=64, smp='2',
                           machine=f'q35,kvm-reset-spare={spare}', **options)
        guest.wait_firmware()
        guest.settle()
        return guest

    def is_well(self, guest: Guest) -> None:
        """It comes up on a new VM, and is reset as ever."""
        with self.reborn(guest, boots=False):
            guest.console.skip()
            guest.qmp('system_reset')
            guest.wait_firmware()

    def test_resets_from_two_monitors_at_once_end_in_one_guest(self) -> None:
        path = str(Path(self.socket_dir().name, 'second'))
        guest = self.firmware_guest(
            args=['-qmp', f'unix:{path},server=on,wait=off'])
        second = Monitor.at(path)
        self.addCleanup(second.close)
        before = guest.usage()

        def reset_fifty_times() -> None:
            for _ in range(50):
                second.command('system_reset')
        thread = threading.Thread(target=reset_fifty_times)
        thread.start()
        for _ in range(50):
            guest.qmp('system_reset')
        thread.join()
        self.assertTrue(guest.info()['restartable'])
        self.is_well(guest)
        self.assertEqual(guest.info()['aborted'], 0)
        guest.settle()
        self.assertEqual(guest.usage().fds, before.fds)

    @takes(600)
    def test_the_guests_own_reset_races_with_the_operators(self) -> None:
        guest = self.start(smp='2', machine='pc')
        guest.wait_boot()
        for how in ('port-92', 'port-kbd', 'port-cf9', 'triple'):
            with self.reborn(guest):
                guest.console.send('triple' if how == 'triple'
                                   else f'reboot {how}')
                guest.qmp('system_reset')
        guest.command('work 2', r'work ok n=2 ')

    def test_a_reset_waits_for_the_spare_that_is_being_made(self) -> None:
        shim = self.shimmed()
        guest = self.firmware_guest()
        with shim.rule('KVM_CREATE_VCPU', delay=1.5,
                       thread='kvm-spare') as rule:
            guest.qmp('stop')
            guest.drop_events()
            guest.qmp('system_reset')
            guest.wait_rebirth()
            guest.wait(lambda: rule.hits, TIMEOUT, 'the spare to be made')
            self.assertEqual(guest.info()['spare']['state'], 'preparing')
            guest.qmp('system_reset')
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
            self.assertTrue(guest.info()['last']['spare'])
        guest.qmp('cont')
        self.is_well(guest)

    def test_a_spare_that_cannot_be_made_is_no_reason_to_fail(self) -> None:
        shim = self.shimmed()
        guest = self.firmware_guest()
        with shim.rule('KVM_CREATE_VM', error='ENOMEM', thread='kvm-spare'):
            guest.qmp('stop')
            guest.qmp('system_reset')
            guest.wait(lambda: guest.info()['spare']['state'] == 'failed',
                       TIMEOUT, 'the spare to fail')
            self.assertRegex(guest.info()['spare']['error'],
                             r'KVM_CREATE_VM.*ENOMEM')
            self.assertRegex(guest.hmp('info kvm-reset'),
                             r'spare: failed, .*KVM_CREATE_VM')
            guest.drop_events()
            guest.qmp('system_reset')
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
            self.assertFalse(guest.info()['last']['spare'])
        guest.qmp('cont')
        self.is_well(guest)
        guest.wait(lambda: guest.info()['spare']['state'] == 'ready', TIMEOUT,
                   'a spare again')

    def test_a_vcpu_that_is_stuck_in_the_kernel_delays_a_reset(self) -> None:
        shim = self.shimmed()
        guest = self.firmware_guest()
        with shim.rule('KVM_RUN', delay=3, times=1) as rule:
            # The one that is in there leaves, and is stuck on its way back.
            guest.qmp('stop')
            guest.qmp('cont')
            guest.wait(lambda: rule.hits, TIMEOUT, 'a vCPU to be stuck')
            self.is_well(guest)

    def test_a_storm_of_resets_waits_for_old_vms(self) -> None:
        shim = self.shimmed()
        guest = self.firmware_guest(spare='off')
        guest.qmp('stop')
        with shim.rule('close', delay=0.05, thread='kvm-retire'):
            most = 0
            for _ in range(20):
                guest.qmp('system_reset')
                self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
                most = max(most, guest.info()['retiring'])
            self.assertGreater(most, 1)
            self.assertLessEqual(most, 5)
        self.assertGreater(guest.info()['waited-ns'], 0)
        self.assertIn('resets come faster', guest.qemu_log())
        guest.qmp('cont')
        # The last of the storm may have had the number of one that still
        # lived: debugfs does not show it (docs/design.md).
        guest.settle()
        guest.qmp('system_reset')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        self.is_well(guest)

    def test_signals_to_every_thread_do_no_harm(self) -> None:
        guest = self.firmware_guest()
        over = threading.Event()

        def storm() -> None:
            while not over.is_set():
                for thread in os.listdir(f'/proc/{guest.pid}/task'):
                    # What QEMU itself kicks vCPUs with.
                    process.signal_thread(guest.pid, int(thread),
                                          signal.SIGUSR1)
                time.sleep(0.001)
        thread = threading.Thread(target=storm)
        thread.start()
        try:
            for _ in range(100):
                guest.qmp('system_reset')
                self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        finally:
            over.set()
            thread.join()
        self.is_well(guest)

    def test_a_process_that_is_stopped_and_continued_goes_on(self) -> None:
        guest = self.firmware_guest()
        dice = random.Random(3)
        for _ in range(30):
            guest.drop_events()
            guest.qmp('system_reset')
            time.sleep(dice.uniform(0, 0.02))
            os.kill(guest.pid, signal.SIGSTOP)
            time.sleep(dice.uniform(0, 0.02))
            os.kill(guest.pid, signal.SIGCONT)
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        self.is_well(guest)
