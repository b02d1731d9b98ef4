# SPDX-License-Identifier: GPL-2.0-or-later
"""Rebirths that cannot be, since something has run out: the guest is reset on
its old VM, one is told why, and the next reset gives a new VM again."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from guest import Guest
from kvm_reset_test import KvmResetTest, takes


class Limit(KvmResetTest):
    WEIGHT = 100

    def guest_with(self, spare: str, **options: object) -> Guest:
        guest = self.start(f'guest-{spare}', firmware=True, memory=64, smp='2',
                           machine=f'q35,kvm-reset-spare={spare}',
                           args=['-device', 'virtio-rng-pci'], **options)
        guest.wait_firmware()
        guest.settle()
        return guest

    @contextlib.contextmanager
    def limited(self, guest: Guest, what: int, to: int) -> Iterator[None]:
        soft, hard = resource.prlimit(guest.pid, what)
        resource.prlimit(guest.pid, what, (to, hard))
        try:
            yield
        finally:
            resource.prlimit(guest.pid, what, (soft, hard))

    def is_reset_on_its_old_vm(self, guest: Guest, reason: str) -> None:
        before = guest.info()
        guest.console.skip()
        guest.drop_events()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'failed', event)
        self.assertRegex(event['reason'], reason)
        self.assertEqual(event['generation'], before['generation'])
        guest.event('RESET')
        guest.wait_firmware()
        info = guest.info()
        self.assertRegex(info['last-error'], reason)
        self.assertGreater(info['aborted'], before['aborted'])
        self.assertEqual(info['generation'], before['generation'])
        self.assertTrue(info['restartable'])
        self.assertRegex(guest.hmp('info kvm-reset'),
                         'last failure: .*' + reason)
        self.assertRegex(guest.qemu_log(),
                         f'warning: kvm-reset: .*{reason}.*; the guest is '
                         'reset on its old VM')

    def is_reborn(self, guest: Guest) -> None:
        with self.reborn(guest, boots=False):
            guest.console.skip()
            guest.qmp('system_reset')
            guest.wait_firmware()
        self.assertNotIn('last-error', guest.info())

    def highest_fd(self, guest: Guest) -> int:
        return max(int(fd.name) for fd in
                   Path('/proc', str(guest.pid), 'fd').iterdir())

    def test_at_the_fd_limit_the_guest_is_reset_and_told_why(self) -> None:
        for spare in ('off', 'on'):
            guest = self.guest_with(spare)
            with self.limited(guest, resource.RLIMIT_NOFILE,
                              self.highest_fd(guest) + 1):
                self.is_reset_on_its_old_vm(guest, 'EMFILE')
                self.is_reset_on_its_old_vm(guest, 'EMFILE')
            self.is_reborn(guest)

    @takes(600)
    def test_wherever_the_fds_run_out_nothing_is_lost(self) -> None:
        """A rebirth gets one fd further each time, until it has enough."""
        for spare in ('off', 'on'):
            guest = self.guest_with(spare)
            guest.qmp('stop')
            holds = guest.usage()
            failed = 0
            for more in range(1, 60):
                guest.settle()
                before = guest.info()
                with self.limited(guest, resource.RLIMIT_NOFILE,
                                  self.highest_fd(guest) + more):
                    guest.drop_events()
                    guest.qmp('system_reset')
                    outcome = guest.wait_rebirth()['outcome']
                    guest.settle()
                    state = guest.info()['spare']['state']
                self.assertEqual(guest.qmp('query-status')['status'],
                                 'prelaunch')
                after = guest.info()
                self.assertEqual(after['generation'] - before['generation'],
                                 outcome == 'completed')
                # With the limit gone there is a new VM.
                guest.qmp('system_reset')
                self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
                guest.settle()
                self.assertEqual(guest.usage().fds, holds.fds, more)
                if outcome == 'completed' and state != 'failed':
                    break
                failed += outcome == 'failed'
            self.assertGreater(failed, 5)
            self.assertEqual(outcome, 'completed')
            guest.qmp('cont')
            self.is_reborn(guest)

    def test_without_a_vm_to_be_had_the_guest_is_reset_and_told_why(self) \
            -> None:
        shim = self.shimmed()
        for spare in ('off', 'on'):
            guest = self.guest_with(spare)
            for error in ('ENOMEM', 'EBUSY', 'EMFILE'):
                with shim.rule('KVM_CREATE_VM', error=error):
                    if spare == 'on':
                        # The one that is there, of before.
                        guest.qmp('stop')
                        guest.qmp('system_reset')
                        guest.settle()
                        guest.qmp('cont')
                    self.is_reset_on_its_old_vm(guest,
                                                f'KVM_CREATE_VM.*{error}')
                self.is_reborn(guest)

    def test_without_memory_to_map_nothing_is_lost(self) -> None:
        """Not even the new vCPUs' pages, which take the place of the old."""
        for spare in ('off', 'on'):
            guest = self.guest_with(spare)
            status = Path('/proc', str(guest.pid), 'status').read_text()
            mapped = int(status.split('VmSize:')[1].split()[0]) * 1024
            with self.limited(guest, resource.RLIMIT_AS, mapped):
                guest.drop_events()
                guest.console.skip()
                guest.qmp('system_reset')
                self.assertIn(guest.wait_rebirth()['outcome'],
                              ('completed', 'failed'))
                guest.wait_firmware()
            self.is_reborn(guest)
