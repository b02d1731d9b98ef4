# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's KVM modules are replaced beneath guests at work, by
scripts/kvm-module-swap. The one of three guests at work is part of
`scripts/test preserve`."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from guest import Guest
from kvm_reset_test import KvmResetTest, takes
from preserve import Mover, start_mover

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/kvm-module-swap'
GUESTS = ('pc', 'split irqchip', 'Hyper-V')
MODULES = ('kvm', 'kvm_amd')


def process_named(name: str) -> int:
    for path in Path('/proc').glob('[0-9]*/comm'):
        try:
            if path.read_text().strip() == name:
                return int(path.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return 0


class PreserveModules(KvmResetTest):
    WEIGHT = 150

    def setUp(self) -> None:
        super().setUp()
        if os.environ.get('KVM_RESET_APPLIANCE') != '1':
            self.skipTest('takes the KVM modules away: only in the appliance')
        if os.cpu_count() != 1:
            self.skipTest('an appliance of several CPUs may not survive that '
                          'its last VM goes: docs/testbed.md')
        # Where sockets can be, by short names.
        self.dir = Path(tempfile.mkdtemp(dir='/run'))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.let_go_of_kvm()

    def let_go_of_kvm(self) -> None:
        """The appliance's own VMs are in the way until the test is over."""
        steady = process_named('steady-kvm')
        if not steady:
            return
        copy = self.dir / 'steady-kvm'
        copy.write_bytes(Path(f'/proc/{steady}/exe').read_bytes())
        copy.chmod(0o755)
        os.kill(steady, signal.SIGKILL)
        self.addCleanup(subprocess.run, [copy], check=True)

    def start_one(self, kind: str, number: int) -> Mover:
        """With one CPU, since all guests share the appliance's one."""
        return start_mover(
            self, kind, number, smp='1',
            args=['-qmp', f'unix:{self.socket(number)},server=on,wait=off'])

    def socket(self, number: int) -> str:
        return f'{self.dir}/{number}.qmp'

    def start_firmware(self, *args: str, number: int = 0) -> Guest:
        guest = self.start(f'guest{number}', firmware=True, args=[
            '-qmp', f'unix:{self.socket(number)},server=on,wait=off', *args])
        guest.wait_firmware()
        return guest

    def swap(self, *args: str, status: int = 0) -> str:
        done = subprocess.run([SCRIPT, *args], capture_output=True, text=True,
                              check=False)
        print(done.stdout + done.stderr, flush=True)
        self.log.info('%s', done.stdout + done.stderr)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    @staticmethod
    def loaded() -> list[int]:
        """Another number each time that one is loaded."""
        return [Path('/sys/module', name).stat().st_ino for name in MODULES]

    @unittest.skipUnless(os.environ.get('KVM_RESET_MODULES') == 'all',
                         'takes three minutes: scripts/test preserve, or '
                         'KVM_RESET_MODULES=all')
    @takes(900)
    def test_three_guests_at_work_go_on_with_other_modules(self) -> None:
        movers = []
        for number, kind in enumerate(GUESTS):
            mover = self.start_one(kind, number)
            # The disk's work begins late: it first reads all of it.
            while not all(mover.record.counts.values()):
                mover.check_works()
            mover.first = dict(mover.record.counts)
            movers.append(mover)
            # Out of the way while the next one boots.
            mover.guest.qmp('stop')
        for mover in movers:
            mover.guest.qmp('cont')
        before = self.loaded()
        self.assertIn('would detach 3 guests', self.swap('--dry-run'))
        self.assertEqual(self.loaded(), before)
        for sockets in [], [f'{self.dir}/*.qmp'], [str(self.dir)]:
            said = self.swap(*sockets)
            for old, new in zip(before, self.loaded()):
                self.assertNotEqual(old, new)
            before = self.loaded()
            self.assertEqual(len(re.findall(r'stood still for [\d.]+ ms',
                                            said)), 3)
            for mover in movers:
                self.assertTrue(mover.guest.qmp('query-status')['running'])
                mover.must_not_have_noticed()
        for mover in movers:
            mover.check_works()
            mover.must_not_have_noticed()
            for name, count in mover.record.counts.items():
                self.assertGreater(count, mover.first[name], name)
            self.assertEqual(mover.guest.generation(), 3)

    @takes(500)
    def test_modules_that_lack_a_feature_are_refused_until_they_have_it(
            self) -> None:
        mover = self.start_one('pc', 0)
        said = self.swap('--vendor-options', 'nested=0', status=3)
        self.assertIn('ECX bit 2 (SVM)', said)
        self.assertIn('stays detached', said)
        self.assertTrue(mover.guest.info()['detached'])
        self.swap('--attach', status=3)
        self.assertTrue(mover.guest.info()['detached'])
        said = self.swap(self.socket(0), '--vendor-options', 'nested=1')
        self.assertIn('is detached already', said)
        mover.check_works()
        mover.must_not_have_noticed()

    def test_modules_that_cannot_be_loaded_leave_the_old_ones(self) -> None:
        guest = self.start_firmware()
        wrong = self.dir / 'wrong.ko'
        wrong.write_bytes(b'no module')
        said = self.swap('--vendor-module', str(wrong), status=1)
        self.assertIn('the old modules are back', said)
        self.assertFalse(guest.info()['detached'])
        self.assertTrue(guest.qmp('query-status')['running'])

    def test_who_else_has_kvm_open_is_named_and_nothing_is_done(self) -> None:
        guest = self.start_firmware()
        before = self.loaded()
        with open('/dev/kvm', 'rb') as kvm:
            other = subprocess.Popen(['sleep', '1000'], stdin=kvm)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        for more in [], ['--dry-run']:
            said = self.swap(*more, status=1)
            self.assertIn(f'sleep ({other.pid}) has KVM open', said)
            self.assertIn('nothing was done', said)
        self.assertEqual(self.loaded(), before)
        self.assertEqual(guest.generation(), 0)

    def test_guests_that_cannot_open_kvm_themselves_are_given_it(self) -> None:
        """One may not, for one it is not there, and the modules bring a new
        device that none of them has seen."""
        Path('/dev/kvm').chmod(0o600)
        jail = self.dir / 'jail'
        jail.mkdir()
        guests = {
            'Permission denied': self.start_firmware('-run-with',
                                                     'user=nobody'),
            'No such file': self.start_firmware('-run-with', f'chroot={jail}',
                                                number=1)}
        before = self.loaded()
        for why, guest in guests.items():
            self.assertRegex(guest.info()['device-error'], why)
        self.assertIn('would detach 2 guests', self.swap('--dry-run'))
        said = self.swap()
        self.assertIn('2 guests go on', said)
        for old, new in zip(before, self.loaded()):
            self.assertNotEqual(old, new)
        for why, guest in guests.items():
            info = guest.info()
            self.assertFalse(info['detached'])
            self.assertEqual(info['generation'], 1)
            self.assertRegex(info['device-error'], why)
            self.assertTrue(guest.qmp('query-status')['running'])
            with self.reborn(guest, boots=False):
                guest.qmp('system_reset')
            guest.wait_firmware()

    def test_without_dev_kvm_a_guest_waits_for_it(self) -> None:
        guest = self.start_firmware()
        guest.qmp('kvm-detach')
        os.rename('/dev/kvm', '/dev/kvm.away')
        try:
            self.assertIn('cannot open /dev/kvm for it', self.swap(
                self.socket(0), '--attach', status=3))
        finally:
            os.rename('/dev/kvm.away', '/dev/kvm')
        self.swap(self.socket(0), '--attach')
        self.assertTrue(guest.qmp('query-status')['running'])
        self.assertFalse(guest.info()['detached'])
