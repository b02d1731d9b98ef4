# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that go to another QEMU, with new VMs before, meanwhile and after."""

import time
from pathlib import Path

from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes
from proof import proves

# Slow enough for a reboot to happen meanwhile.
CRAWL = 256 * 1024
FULL = 1 << 40


class Migration(KvmResetTest):
    WEIGHT = 120

    def start_pair(self, **options: object) -> tuple[Guest, Guest, str]:
        """A guest, the QEMU that waits for it, and where."""
        uri = 'unix:' + str(Path(self.socket_dir().name, 'migration'))
        source = self.start('source', memory=128, **options)
        there = self.start('destination', memory=128,
                           args=['-incoming', 'defer'], **options)
        there.qmp('migrate-incoming', uri=uri)
        source.wait_boot()
        return source, there, uri

    def finish(self, source: Guest, there: Guest) -> None:
        def over() -> bool:
            status = source.qmp('query-migrate').get('status')
            self.assertNotIn(status, ('failed', 'cancelled'),
                             source.qmp('query-migrate'))
            return status == 'completed'
        source.wait(over, 120, 'the migration')
        there.wait(lambda: there.qmp('query-status')['running'], TIMEOUT,
                   'the guest to run in the other QEMU')
        there.boot_ids = list(source.boot_ids)
        said = there.command('id', r'boot id=([0-9a-f]{32})')
        self.assertEqual(said, source.boot_ids[-1])

    def is_whole(self, guest: Guest) -> None:
        """Its memory too: the guest checks what it wrote."""
        guest.command('work 3', r'work ok n=3 ')
        self.assertNotIn('work FAIL', guest.console.text())

    def reborn_meanwhile(self, **options: object) -> None:
        source, there, uri = self.start_pair(**options)
        source.qmp('migrate-set-parameters', max_bandwidth=CRAWL)
        source.qmp('migrate', uri=uri)
        source.wait(lambda: source.qmp('query-migrate')['status'] == 'active',
                    TIMEOUT, 'the migration to begin')
        with self.reborn(source):
            source.console.send('reboot linux')
        # Memory that changes without end, until the guest is stopped.
        source.command('work', r'work ok n=2 ')
        self.assertEqual(source.qmp('query-migrate')['status'], 'active')
        # What it had sent before the rebirth must be sent again.
        source.qmp('migrate-set-parameters', max_bandwidth=FULL,
                   downtime_limit=5000)
        self.finish(source, there)
        there.console.wait_for(r'work ok ', TIMEOUT)
        there.console.send('work stop')
        there.console.wait_for('work stopped', TIMEOUT)
        self.is_whole(there)
        with self.reborn(there):
            there.qmp('system_reset')

    def test_a_reborn_guest_migrates_and_is_reborn_there(self) -> None:
        source, there, uri = self.start_pair(machine='pc')
        with self.reborn(source):
            source.console.send('reboot linux')
        source.qmp('migrate-set-parameters', max_bandwidth=FULL)
        source.qmp('migrate', uri=uri)
        self.finish(source, there)
        self.is_whole(there)
        self.assertEqual(there.generation(), 0)
        with self.reborn(there):
            there.console.send('reboot linux')

    @proves('dirty-log')
    def test_a_guest_is_reborn_while_it_migrates(self) -> None:
        self.reborn_meanwhile(machine='pc')

    @proves('dirty-ring')
    def test_a_guest_is_reborn_while_it_migrates_by_a_dirty_ring(self) -> None:
        self.reborn_meanwhile(accel='kvm,dirty-ring-size=4096', smp='2')

    @proves('dirty-log')
    @takes(600)
    def test_a_guest_is_reset_in_every_phase_of_its_migration(self) -> None:
        uri = 'unix:' + str(Path(self.socket_dir().name, 'migration'))
        source = self.start('source', firmware=True, memory=64)
        there = self.start('destination', firmware=True, memory=64,
                           args=['-incoming', 'defer'])
        there.qmp('migrate-incoming', uri=uri)
        source.wait_firmware()
        # Given up, and begun again.
        source.qmp('migrate-set-parameters', max_bandwidth=CRAWL)
        source.qmp('migrate', uri=f'file:{self.scratch_file("given-up")}')
        source.qmp('system_reset')
        source.qmp('migrate_cancel')
        source.qmp('system_reset')
        source.wait(lambda: source.qmp('query-migrate')['status']
                    == 'cancelled', TIMEOUT, 'the migration to be given up')

        source.qmp('migrate', uri=uri)
        for number in range(200):
            if number == 10:
                source.qmp('migrate-set-parameters', max_bandwidth=FULL,
                           downtime_limit=2000)
            source.qmp('system_reset')
            if source.qmp('query-migrate')['status'] == 'completed':
                break
            self.assertEqual(source.qmp('query-migrate')['status'] in
                             ('setup', 'active', 'device', 'completed'), True)
            time.sleep(0.05)
        there.wait(lambda: there.qmp('query-status')['running'], TIMEOUT,
                   'the guest to run in the other QEMU')
        self.assertEqual(source.info()['aborted'], 0)
        # What was left behind is reset too, and is a guest again.
        for guest in (source, there):
            guest.qmp('stop')
            guest.drop_events()
            guest.qmp('system_reset')
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
            guest.console.skip()
            guest.qmp('cont')
            guest.wait_firmware()

    @proves('dirty-log')
    def test_a_reset_lets_the_dirty_log_be_cleared_to_its_end(self) -> None:
        """Who migrates holds QEMU's lock of the slots for several ioctls; a
        reset that came between two of them must not wait for that lock while
        it keeps him from the next."""
        shim = self.shimmed()
        guest = self.start(firmware=True, memory=64)
        guest.wait_firmware()
        guest.qmp('migrate-set-parameters', max_bandwidth=CRAWL)
        with shim.rule('KVM_CLEAR_DIRTY_LOG', delay=1) as rule:
            guest.qmp('migrate', uri=f'file:{self.scratch_file("copy")}')
            guest.wait(lambda: rule.hits, TIMEOUT, 'the log to be cleared')
            guest.qmp('system_reset')
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
            guest.wait(lambda: rule.hits > 1, TIMEOUT, 'it to go on')
        guest.qmp('migrate_cancel')
        guest.console.skip()
        guest.wait_firmware()

    def test_what_a_reborn_guest_was_is_read_back_from_a_file(self) -> None:
        file = self.scratch_file('guest.migration')
        source = self.start('source', machine='pc', memory=128)
        source.wait_boot()
        with self.reborn(source):
            source.qmp('system_reset')
        source.qmp('migrate-set-parameters', max_bandwidth=FULL)
        source.qmp('migrate', uri=f'file:{file}')
        source.wait(lambda: source.qmp('query-migrate')['status']
                    == 'completed', 120, 'the guest to be written')
        there = self.start('destination', machine='pc', memory=128,
                           args=['-incoming', f'file:{file}'])
        self.finish(source, there)
        with self.reborn(there):
            there.qmp('system_reset')
