# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/quickstart decides without a guest."""

import errno
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset import kernel_vms, kvm_device  # noqa: E402
from kvm_reset.kernel_vms import KernelVm, Tally  # noqa: E402


def good_tally(resets=3):
    return Tally(
        resets, boot_ids=[f'{i:032x}' for i in range(resets + 1)],
        vms=[KernelVm(f'7-{i}', 100 + i, 1000.0 + i)
             for i in range(resets + 1)],
        rebirths=resets, generation=resets)


class TheTally(unittest.TestCase):
    def assert_problem(self, tally, words):
        problems = list(tally.problems())
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(words, problems[0])

    def test_is_content_when_everything_is_new(self):
        self.assertEqual(list(good_tally().problems()), [])

    def test_sees_a_vm_that_stayed(self):
        tally = good_tally()
        tally.vms[2] = tally.vms[1]
        self.assert_problem(tally, 'did not show 4 VMs')

    def test_sees_a_guest_that_did_not_boot_anew(self):
        tally = good_tally()
        tally.boot_ids[3] = tally.boot_ids[2]
        self.assert_problem(tally, '4 boots had 3 boot ids')

    def test_sees_a_reset_without_a_rebirth(self):
        tally = good_tally()
        tally.rebirths = tally.generation = 2
        self.assert_problem(tally, '3 resets gave 2 rebirths')

    def test_sees_that_qemu_counts_otherwise(self):
        tally = good_tally()
        tally.generation = 6
        self.assert_problem(tally, 'QEMU counts 6')

    def test_sees_a_vm_that_is_older_than_the_one_before(self):
        tally = good_tally()
        tally.vms[3] = KernelVm('7-3', 103, 999.0)
        self.assert_problem(tally, 'older')


class FakeDebugfs(kernel_vms.Debugfs):
    def __init__(self, root):
        self.kvm = root / 'kvm'
        self.proc = root / 'proc'


class Debugfs(unittest.TestCase):
    def test_shows_the_vms_of_all_threads_that_ran_a_guest(self):
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            for task in ('7', '9'):
                (root / 'proc/7/task' / task).mkdir(parents=True)
            for name, exits in (('7-11', 5), ('9-20', 5), ('9-21', 0),
                                ('8-11', 5)):
                (root / 'kvm' / name).mkdir(parents=True)
                (root / 'kvm' / name / 'exits').write_text(f'{exits}\n')
            (root / 'kvm/7-30').mkdir()
            found = list(FakeDebugfs(root).vms(7))
            self.assertEqual(sorted(vm.name for vm in found),
                             ['7-11', '9-20'])


class TheDevice(unittest.TestCase):
    def assert_unusable(self, words, function, *arguments):
        with self.assertRaises(kvm_device.Unusable) as caught:
            function(*arguments)
        text = str(caught.exception)
        self.assertIn(words, text)
        self.assertIn('leave --host-kvm out', text)
        self.assertNotIn('\n', text)

    def test_that_is_missing_is_named(self):
        self.assert_unusable('No such file', kvm_device.check, '/nonexistent')

    def test_that_is_another_is_not_taken_for_kvm(self):
        self.assert_unusable("is not KVM's", kvm_device.check, '/dev/null')

    def test_of_another_api_is_refused(self):
        self.assert_unusable('version 11', kvm_device.check_answers,
                             lambda request, arg: 11, '/dev/kvm')

    def test_without_a_capability_names_it(self):
        def ask(request, arg):
            if request == kvm_device.KVM_GET_API_VERSION:
                return 12
            return int(arg != 36)
        self.assert_unusable('lacks KVM_CAP_IOEVENTFD:',
                             kvm_device.check_answers, ask, '/dev/kvm')

    def test_with_everything_is_taken(self):
        kvm_device.check_answers(
            lambda request, arg:
            12 if request == kvm_device.KVM_GET_API_VERSION else 1,
            '/dev/kvm')

    def test_of_others_says_how_to_get_in(self):
        real = os.open

        def denied(*arguments):
            raise OSError(errno.EACCES, 'Permission denied')
        os.open = denied
        try:
            self.assert_unusable('group kvm', kvm_device.check, '/dev/kvm')
        finally:
            os.open = real


if __name__ == '__main__':
    unittest.main()
