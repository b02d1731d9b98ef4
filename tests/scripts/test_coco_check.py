# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/coco-check: what it says of machines with and without."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'scripts'))

from kvm_reset.coco_check import look, report  # noqa: E402

SCRIPT = TOP / 'scripts/coco-check'


class CocoCheck(unittest.TestCase):

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def answers(self, machine: look.Machine) -> dict[str, str]:
        return {each.where: each.answer for each in machine.findings}

    def run_script(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPT), *args], capture_output=True, text=True, check=False,
            cwd=self.scratch,
            env={**os.environ, 'KVM_RESET_BUILD': str(self.scratch / 'b')})

    def test_a_missing_device_is_an_answer(self) -> None:
        machine = look.Machine()
        gone = str(self.scratch / 'kvm')
        self.assertEqual(look.look_at_kvm(machine, gone), 0)
        self.assertFalse(look.look_at_sev(machine, gone))
        self.assertEqual(self.answers(machine),
                         {gone: 'no such file or directory'})

    def test_a_device_that_is_none_is_an_answer_for_each_question(
            self) -> None:
        machine = look.Machine()
        self.assertEqual(look.look_at_kvm(machine, '/dev/null'), 0)
        answers = self.answers(machine)
        self.assertIn('inappropriate ioctl',
                      answers['/dev/null, KVM_CAP_VM_TYPES'])
        self.assertEqual(answers['/dev/null, VMs of type snp'], 'no')

    def test_flags_and_parameters_are_read(self) -> None:
        (self.scratch / 'proc').mkdir()
        (self.scratch / 'proc/cpuinfo').write_text(
            'model name\t: A CPU\nflags\t\t: fpu sev sev_snp\n')
        module = self.scratch / 'sys/module/kvm_amd/parameters'
        module.mkdir(parents=True)
        (module / 'sev_snp').write_text('Y\n')
        machine = look.Machine()
        look.look_at_files(machine, self.scratch)
        answers = self.answers(machine)
        self.assertEqual(answers['the CPU'], 'A CPU')
        self.assertEqual(answers['/proc/cpuinfo, flag sev_snp'], 'yes')
        self.assertEqual(answers['/proc/cpuinfo, flag sev_es'], 'no')
        self.assertEqual(
            answers['/sys/module/kvm_amd/parameters/sev_snp'], 'Y')

    def test_the_c_bit_is_where_the_cpu_says(self) -> None:
        leaves = self.scratch / 'cpuid'
        with leaves.open('wb') as file:
            file.seek(0x8000001f)
            file.write(bytes.fromhex('00000000' '73010000' 'fe010000'
                                     '00000000'))
        machine = look.Machine()
        look.look_at_cpuid(machine, leaves)
        self.assertEqual(machine.cbitpos, 51)
        self.assertEqual(machine.reduced_phys_bits, 5)

    def test_a_report_has_what_failed_and_its_log(self) -> None:
        results = self.scratch / 'results'
        results.write_text(json.dumps(
            {'name': 'hardware.snp_reboots', 'outcome': 'failed',
             'reason': 'no event', 'seconds': 3}) + '\n')
        logs = self.scratch / 'failures/hardware.snp_reboots'
        logs.mkdir(parents=True)
        (logs / 'guest.console').write_text('the last words')
        machine = look.Machine(kinds=['snp'])
        path = self.scratch / 'report'
        report.write(path, machine, results, logs.parent, True)
        text = path.read_text()
        self.assertIn('can be launched: snp', text)
        self.assertIn('SIMULATED', text)
        self.assertIn('failed hardware.snp_reboots 3 s: no event', text)
        self.assertIn('the last words', text)

    def test_without_hardware_it_says_so_with_a_status_of_its_own(
            self) -> None:
        if look.look().kinds:
            self.skipTest('this machine has such hardware')
        done = self.run_script()
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn('this machine can launch no confidential guest',
                      done.stderr)
        self.assertIn('/dev/sev', done.stderr)
        self.assertIn('none was run',
                      (self.scratch / 'coco-check.txt').read_text())

    def test_bad_use_is_one_line(self) -> None:
        for args, what in ((['--report'], 'needs a value'),
                           (['--report', '/nonexistent/x'], 'cannot write'),
                           (['--qemu', '/nonexistent'], 'not a program'),
                           (['--what'], 'unknown argument')):
            done = self.run_script(*args)
            self.assertEqual(done.returncode, 1, args)
            self.assertIn(what, done.stderr)
            self.assertEqual(done.stderr.count('\n'), 1, done.stderr)


if __name__ == '__main__':
    unittest.main()
