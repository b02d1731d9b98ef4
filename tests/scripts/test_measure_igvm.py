# SPDX-License-Identifier: GPL-2.0-or-later
"""kvm-reset-measure --igvm: against the digests of the same firmware by -bios,
known ones and those of a second implementation; on bad input."""

import json
import sys
import unittest
from pathlib import Path

import igvm_reference
import launch_reference
from debian_firmware import AMDSEV, OVMF, need
from owner_tool import OwnerTool, build

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fuzz'))

from igvm_seeds import File, PAGE, TOP, save_area  # noqa: E402

SNP, TDX, SEV, SEV_ES = 2, 3, 4, 5


def setUpModule() -> None:
    build('kvm-reset-measure')
    build('kvm-reset-igvm')


class MeasureIgvm(OwnerTool):
    name = 'kvm-reset-measure'

    def wrap(self, *words: object) -> Path:
        path = self.scratch / 'wrapped.igvm'
        self.says('wrap', *words, path, tool='kvm-reset-igvm')
        return path

    def digest(self, tee: str, path: Path, *words: object) -> str:
        return self.says('--tee', tee, '--igvm', path, *words).strip()


class Vectors(MeasureIgvm):
    """Of Debian's firmware. The first is a digest that another project's tool
    gave for it by -bios. The others are no third opinion: two implementations
    of ours agree on them, and they are here so that they do not change."""

    def test_snp_of_debians_ovmf(self) -> None:
        path = self.wrap('--ovmf', need('ovmf', OVMF), '--vcpus', 2,
                         '--vcpu-type', 'EPYC-v4')
        self.assertEqual(
            self.digest('snp', path, '--vcpus', 2),
            'a5b54e62ae971b58274dd24cc6c47b842662617036e7bd67d7326c07ac6363f3'
            '5399ef933330a5ea160cead90a00603f')

    def test_tdx_of_debians_ovmf(self) -> None:
        path = self.wrap('--ovmf', need('ovmf', OVMF), '--tee', 'tdx')
        self.assertEqual(
            self.digest('tdx', path, '--vcpus', 2),
            '4c7206f0f483c524f12c366c711e9049030a8d47c471ee5aa9c4999a08de4057'
            'fb887fed0744d5631a212967fb231c47')

    def test_snp_of_firmware_with_parameters(self) -> None:
        path = self.wrap('--ovmf', need('amdsev', AMDSEV))
        self.assertEqual(
            self.digest('snp', path, '--vcpus', 1),
            '1640e7cdff964791302f1fab05b22f6646ff776eaf8cbbaf44fd7bc810472ae5'
            'fa0cca7d52f3c8a98b829f57f4d2d069')


def small(platform: int) -> File:
    return File(platform).page(TOP, bytes(range(256)) * 16).page(0x1000)


class SecondImplementation(MeasureIgvm):
    def test_each_kind_agrees(self) -> None:
        snp = small(SNP).context(0, save_area(1)).context(1, save_area(1))
        sev_es = small(SEV_ES).context(0, save_area(0), 0)
        for tee, file, reference in (
                ('snp', snp, igvm_reference.snp),
                ('tdx', small(TDX), igvm_reference.tdx),
                ('sev', small(SEV), igvm_reference.sev),
                ('sev-es', sev_es,
                 lambda data: igvm_reference.sev(data, SEV_ES))):
            with self.subTest(tee):
                data = file.build()
                path = self.put('file', data)
                self.assertEqual(self.digest(tee, path), reference(data))

    def test_pages_of_zeros_agree_in_both_ways(self) -> None:
        data = small(SNP).context(0, save_area(1)).build()
        path = self.put('file', data)
        zero = self.digest('snp', path, '--zero-pages', 'zero')
        normal = self.digest('snp', path, '--zero-pages', 'normal')
        self.assertEqual(zero, igvm_reference.snp(data))
        self.assertEqual(
            normal, igvm_reference.snp(data, launch_reference.Snp.NORMAL))
        self.assertEqual(zero, self.digest('snp', path))
        self.assertNotEqual(zero, normal)

    def test_vcpus_as_after_a_reset_agree(self) -> None:
        data = small(SNP).context(0, save_area(0x21)).build()
        path = self.put('file', data)
        milan = launch_reference.save_area(0xfffffff0, 0xa00f11, 0x21)
        self.assertEqual(
            self.digest('snp', path, '--vcpus', 3, '--reset-vcpus',
                        '--vcpu-type', 'EPYC-Milan'),
            igvm_reference.snp(data, others=[milan, milan]))


class Answers(MeasureIgvm):
    def test_json_says_what_the_digest_is_of(self) -> None:
        snp = small(SNP).context(0, save_area(0x21)).build()
        self.assertEqual(
            json.loads(self.says('--json', '--tee', 'snp', '--igvm',
                                 self.put('file', snp))),
            {'tee': 'snp', 'digest': igvm_reference.snp(snp),
             'algorithm': 'sha384', 'vcpus': 1, 'guest_features': '0x21'})
        tdx = small(TDX).build()
        self.assertEqual(
            json.loads(self.says('--json', '--tee', 'tdx', '--igvm',
                                 self.put('file', tdx))),
            {'tee': 'tdx', 'digest': igvm_reference.tdx(tdx),
             'algorithm': 'sha384'})

    def test_memory_is_not_measured_and_must_be_there(self) -> None:
        path = self.put('file', small(TDX).page(4 << 30).build())
        self.assert_dies('--tee', 'tdx', '--igvm', path,
                         says='which this guest does not have')
        self.assertEqual(self.digest('tdx', path, '--memory', 4096),
                         self.digest('tdx', path, '--memory', 8192))


class BadInput(MeasureIgvm):
    def test_files_that_are_refused(self) -> None:
        file = self.put('file', small(TDX).build())
        self.assert_dies('--tee', 'snp', '--igvm', file,
                         says=f'{file}: the IGVM file is for TDX, and not for '
                         'SEV-SNP')
        junk = self.put('junk', bytes(PAGE))
        self.assert_dies('--tee', 'snp', '--igvm', junk,
                         says=f'{junk}: this is no IGVM file')
        self.assert_dies('--tee', 'snp', '--igvm', self.scratch / 'missing',
                         says='cannot open --igvm')
        one = self.put('one', small(SNP).context(0, save_area(1)).build())
        self.assert_dies('--tee', 'snp', '--igvm', one, '--vcpus', 2,
                         says='has no VP context for vCPU 1')

    def test_words_that_make_no_sense(self) -> None:
        file = self.put('file', small(TDX).build())
        tdx: list[object] = ['--tee', 'tdx', '--igvm', file]
        for words, says in (
                (['--tee', 'tdx'], 'say --ovmf FILE, or --igvm FILE: the '
                 'firmware is what is measured'),
                ([*tdx, '--ovmf', file], 'has the firmware in it'),
                (['--tee', 'native', '--igvm', file], "--tee 'native'"),
                ([*tdx, '--vcpus', 0], 'no number from 1 to 4096'),
                ([*tdx, '--zero-pages', 'zero'], 'is for snp, not for tdx'),
                (['--tee', 'snp', '--igvm', file, '--zero-pages', 'x'],
                 "--zero-pages 'x' is neither"),
                ([*tdx, '--kernel', file], '--kernel goes with --ovmf'),
                ([*tdx, '--append', 'x'], '--append goes with --ovmf'),
                ([*tdx, '--tdx-pages', 'one-pass'], '--tdx-pages goes with'),
                ([*tdx, '--guest-features', 1], '--guest-features goes with'),
                ([*tdx, '--legacy-vm-type'], '--legacy-vm-type goes with'),
                ([*tdx, '--no-launch-checks'], '--no-launch-checks goes with'),
                (['--tee', 'sev', '--ovmf', file, '--memory', 1],
                 '--memory goes with --igvm'),
                (['--tee', 'sev', '--ovmf', file, '--reset-vcpus'],
                 '--reset-vcpus goes with --igvm'),
                (['--tee', 'sev', '--ovmf', file],
                 'kvm-reset-measure takes it by --igvm')):
            with self.subTest(words):
                self.assert_dies(*words, says=says)


if __name__ == '__main__':
    unittest.main()
