# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMUs that may do less than they did at their start: above all, that cannot
open KVM again."""

import os
import signal
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guest import TIMEOUT, Guest
from kvm_reset.qmp import Monitor
from kvm_reset_test import KvmResetTest
from process import kvm_files

KVM = Path('/dev/kvm')
SANDBOX = ('on,obsolete=deny,elevateprivileges=deny,spawn=deny,'
           'resourcecontrol=deny')


class Confined(KvmResetTest):
    """Guests of QEMUs that run with fewer rights."""

    WEIGHT = 150

    def confined(self, *args: str, accel: str = 'kvm',
                 spare: str = 'auto') -> Guest:
        guest = self.start(f'guest-{spare}', firmware=True, memory=64,
                           accel=accel, args=args,
                           machine=f'q35,kvm-reset-spare={spare}')
        guest.wait_firmware()
        return guest

    def error_of(self, guest: Guest, command: str, **arguments: Any) -> str:
        answer = guest.vm.qmp(command, **arguments)
        self.assertIn('error', answer, f'{command} was done, {arguments}')
        return answer['error']['desc']

    def resets(self, guest: Guest) -> None:
        """More often than there are VMs that were made before."""
        for _ in range(3):
            with self.reborn(guest, boots=False):
                guest.qmp('system_reset')
            guest.wait_firmware()
        guest.settle()
        self.assertNotEqual(guest.info()['spare']['state'], 'failed')

    def moves(self, guest: Guest) -> None:
        vm = guest.running_vm()
        guest.qmp('kvm-rebirth', preserve=True)
        self.assertNotEqual(guest.running_vm(), vm)

    def detaches_and_comes_back(self, guest: Guest) -> None:
        self.assertTrue(guest.info()['detachable'], guest.info())
        guest.qmp('kvm-detach', check=True)
        guest.qmp('kvm-detach')
        self.assertEqual(kvm_files(guest.pid), [])
        guest.qmp('kvm-attach')
        self.is_back(guest)

    def is_back(self, guest: Guest) -> None:
        self.assertFalse(guest.info()['detached'])
        self.assertTrue(guest.qmp('query-status')['running'])
        self.resets(guest)

    def works(self, guest: Guest) -> None:
        self.resets(guest)
        self.moves(guest)
        self.detaches_and_comes_back(guest)

    def send_kvm(self, guest: Guest) -> None:
        fd = os.open(KVM, os.O_RDWR)
        try:
            guest.vm.send_fd_scm(fd=fd)
        finally:
            os.close(fd)


class Device(Confined):
    """KVM's device cannot be opened any more."""

    def setUp(self) -> None:
        super().setUp()
        if os.environ.get('KVM_RESET_APPLIANCE') != '1':
            self.skipTest('takes rights on /dev/kvm away: only in the '
                          'appliance')
        self.mode = stat.S_IMODE(KVM.stat().st_mode)
        self.addCleanup(KVM.chmod, self.mode)

    def goes_on(self, guest: Guest, why: str) -> None:
        """It gets new VMs on the fd in use, and is not detached."""
        self.resets(guest)
        self.moves(guest)
        info = guest.info()
        self.assertTrue(info['restartable'])
        self.assertRegex(info['device-error'], why)
        self.assertFalse(info['detachable'])
        self.assertRegex(info['detach-reason'], why)
        self.assertRegex(guest.hmp('info kvm-reset'), why)
        for arguments in {'check': True}, {}:
            said = self.error_of(guest, 'kvm-detach', **arguments)
            self.assertRegex(said, why)
            self.assertRegex(said, 'attach-by-fd.*keeps its VM')
        self.assertTrue(guest.qmp('query-status')['running'])

    def comes_back_by_a_descriptor(self, guest: Guest) -> None:
        guest.qmp('kvm-detach', check=True, attach_by_fd=True)
        self.assertFalse(guest.info()['detached'])
        guest.qmp('kvm-detach', attach_by_fd=True)
        self.assertEqual(kvm_files(guest.pid), [])
        self.assertRegex(self.error_of(guest, 'kvm-attach'),
                         'cannot open the KVM device.*stays detached')
        self.assertRegex(self.error_of(guest, 'kvm-attach', fd='nobody'),
                         "'nobody' has not been found; the guest stays")
        null = os.open('/dev/null', os.O_RDWR)
        guest.vm.send_fd_scm(fd=null)
        os.close(null)
        guest.qmp('getfd', fdname='null')
        self.assertRegex(self.error_of(guest, 'kvm-attach', fd='null'),
                         "is not KVM's device; the guest stays detached")
        self.send_kvm(guest)
        guest.qmp('getfd', fdname='kvm')
        guest.qmp('kvm-attach', fd='kvm')
        self.is_back(guest)

    def test_a_user_who_may_not_open_it(self) -> None:
        for spare in 'on', 'off':
            KVM.chmod(0o660)
            guest = self.confined('-run-with', 'user=nobody', spare=spare)
            self.goes_on(guest, 'Permission denied')
            self.comes_back_by_a_descriptor(guest)
            guest.stop()

    def test_a_user_who_may(self) -> None:
        KVM.chmod(0o666)
        self.works(self.confined('-run-with', 'user=nobody'))

    def test_a_root_directory_without_it(self) -> None:
        jail = Path(self.workdir, 'jail')
        jail.mkdir()
        guest = self.confined('-run-with', f'chroot={jail}')
        self.goes_on(guest, 'No such file')
        self.comes_back_by_a_descriptor(guest)

    def test_it_is_removed(self) -> None:
        guest = self.confined(spare='on')
        away = KVM.with_name('kvm.away')
        KVM.rename(away)
        try:
            self.goes_on(guest, 'No such file')
            # Something else of that name is not taken for it.
            KVM.touch()
            self.resets(guest)
            self.assertRegex(self.error_of(guest, 'kvm-detach', check=True),
                             "/dev/kvm is not KVM's device")
        finally:
            away.rename(KVM)
        self.works(guest)

    def test_a_descriptor_set(self) -> None:
        fd = os.open(KVM, os.O_RDWR)
        os.set_inheritable(fd, True)
        guest = self.confined('-add-fd', f'fd={fd},set=1',
                              accel='kvm,device=/dev/fdset/1')
        os.close(fd)
        self.resets(guest)
        self.moves(guest)
        self.assertNotIn('device-error', guest.info())
        # The set would keep the modules in use.
        self.assertFalse(guest.info()['detachable'])
        for arguments in {}, {'check': True}, {'attach_by_fd': True}:
            self.assertRegex(self.error_of(guest, 'kvm-detach', **arguments),
                             'set 1 keeps the KVM device open.*keeps its VM')
        guest.qmp('remove-fd', fdset_id=1)
        self.goes_on(guest, '/dev/fdset/1')
        self.comes_back_by_a_descriptor(guest)
        for path in {}, {'fd': '/dev/fdset/1'}:
            guest.qmp('kvm-detach', attach_by_fd=True)
            self.assertEqual(kvm_files(guest.pid), [])
            self.send_kvm(guest)
            guest.qmp('add-fd', fdset_id=1)
            guest.qmp('kvm-attach', **path)
            self.is_back(guest)
            self.assertNotIn('device-error', guest.info())
            guest.qmp('remove-fd', fdset_id=1)


class Options(Confined):
    """What else takes something from QEMU, and leaves it KVM."""

    def test_a_sandbox(self) -> None:
        for spare in 'on', 'off':
            guest = self.confined('-sandbox', SANDBOX, spare=spare)
            self.works(guest)
            guest.stop()

    def test_asynchronous_teardown(self) -> None:
        self.works(self.confined('-run-with', 'async-teardown=on'))

    def test_locked_memory_and_a_cpu_of_its_own(self) -> None:
        self.works(self.confined('-overcommit', 'mem-lock=on,cpu-pm=on'))

    def start_daemon(self, *args: str) -> tuple[int, Monitor]:
        home = Path(self.socket_dir().name)
        line: Sequence[str] = self.qemu_args(firmware=True, memory=64, args=[
            '-display', 'none', '-daemonize', '-pidfile', f'{home}/pid',
            '-qmp', f'unix:{home}/qmp,server=on,wait=off', *args])
        subprocess.run([self.qemu_bin, *line], check=True, timeout=TIMEOUT)
        pid = int((home / 'pid').read_text())
        monitor = Monitor.at(home / 'qmp')
        self.addCleanup(monitor.close)
        return pid, monitor

    def test_a_daemon(self) -> None:
        pid, monitor = self.start_daemon()
        self.addCleanup(self.end, pid)
        for _ in range(3):
            monitor.command('system_reset')
            event = monitor.wait('KVM_REBIRTH')
            self.assertEqual(event['data']['outcome'], 'completed', event)
        monitor.command('kvm-rebirth', preserve=True)
        monitor.command('kvm-detach')
        self.assertEqual(kvm_files(pid), [])
        monitor.command('kvm-attach')
        self.assertTrue(monitor.command('query-status')['running'])
        monitor.command('system_reset')
        event = monitor.wait('KVM_REBIRTH')
        self.assertEqual(event['data']['outcome'], 'completed', event)
        monitor.command('quit')

    @staticmethod
    def end(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass    # as it was told to
