# SPDX-License-Identifier: GPL-2.0-or-later
"""kvm-reset-measure: on real firmware against digests that another tool made
and against a second implementation; on bad input against its manners."""

import hashlib
import json
import os
import struct
import subprocess
import unittest
import uuid
from pathlib import Path

import launch_reference as reference
from debian_firmware import AMDSEV, OVMF, firmware, need
from owner_tool import BUILD, KERNEL, OwnerTool, build

EPYC, ROME, MILAN = 0x800f12, 0x830f10, 0xa00f11


def setUpModule() -> None:
    build('kvm-reset-measure')


class Measure(OwnerTool):
    name = 'kvm-reset-measure'

    def digest(self, tee: str, ovmf: Path, *words: object) -> str:
        answer = self.says('--tee', tee, '--ovmf', ovmf, *words)
        self.assertTrue(answer.endswith('\n'))
        return answer[:-1]


class KnownDigests(Measure):
    """Made by a tool that has nothing to do with this project."""

    def test_snp_of_debians_ovmf(self) -> None:
        self.assertEqual(
            self.digest('snp', need('ovmf', OVMF), '--vcpus', 2,
                        '--vcpu-type', 'EPYC-v4', '--guest-features', '0x1'),
            'a5b54e62ae971b58274dd24cc6c47b842662617036e7bd67d7326c07ac6363f3'
            '5399ef933330a5ea160cead90a00603f')

    def test_sev_es_of_debians_ovmf(self) -> None:
        for features in ([], ['--guest-features', '0x1']):
            self.assertEqual(
                self.digest('sev-es', need('ovmf', OVMF), '--vcpus', 2,
                            '--vcpu-type', 'EPYC-v4', *features),
                '5b1d28d8e8b3c2c9939d39bf18a7f05b16935279425c1c1e1ab19109acca'
                '9ffd')

    def test_sev_of_debians_ovmf(self) -> None:
        self.assertEqual(self.digest('sev', need('ovmf', OVMF)),
                         OVMF)

    def kernel(self) -> list[object]:
        # Its kernel is two bytes, which QEMU would not boot.
        return ['--no-launch-checks', '--kernel', self.put('kernel', b'k\n'), '--initrd',
                self.put('initrd', bytes(1000)), '--append', 'console=ttyS0']

    def test_snp_with_kernel_hashes(self) -> None:
        self.assertEqual(
            self.digest('snp', need('amdsev', AMDSEV), '--vcpus', 4,
                        '--vcpu-type', 'EPYC-v4', '--guest-features', '0x1',
                        *self.kernel()),
            '326a87bbb5cbcb7dda2fcaf33090d24ab0c932c566b72a4f48af0d18832e3e0a'
            'f0650ac7c35da7823bed4bf4f2738db6')

    def test_sev_with_kernel_hashes(self) -> None:
        self.assertEqual(
            self.digest('sev', need('amdsev', AMDSEV), '--vcpus', 4,
                        '--vcpu-type', 'EPYC-v4', '--guest-features', '0x1',
                        *self.kernel()),
            'cf5c3c26755b65b869fa56690405003d89c38f4a9bff28ad9e40098a7b7c23'
            'dc')


class SecondImplementation(Measure):
    def every_firmware(self) -> list[Path]:
        found = [path for name in ('ovmf', 'amdsev', 'inteltdx')
                 if (path := firmware(name)[0])]
        return found or [need('ovmf')]

    def test_sev_agrees(self) -> None:
        for path in self.every_firmware():
            self.assertEqual(self.digest('sev', path),
                             reference.sev(path.read_bytes()), path)

    def test_sev_es_agrees_whatever_the_vcpus(self) -> None:
        path = need('ovmf')
        image = path.read_bytes()
        for vcpus, model, signature in ((1, 'EPYC', EPYC),
                                        (4, 'EPYC-Rome-v2', ROME),
                                        (255, 'EPYC-Milan', MILAN)):
            areas = reference.save_areas(image, vcpus, signature, 0)
            self.assertEqual(
                self.digest('sev-es', path, '--vcpus', vcpus, '--vcpu-type',
                            model),
                reference.sev(image, areas=areas))

    def test_sev_es_agrees_on_the_features_but_that_of_snp(self) -> None:
        path = need('ovmf')
        image = path.read_bytes()
        areas = reference.save_areas(image, 2, EPYC, 0x20)
        for features in ('0x20', '0x21', '33', '32'):
            self.assertEqual(
                self.digest('sev-es', path, '--vcpus', 2, '--vcpu-type',
                            'EPYC', '--guest-features', features),
                reference.sev(image, areas=areas))

    def test_sev_es_agrees_on_the_older_way_to_start(self) -> None:
        path = need('ovmf')
        image = path.read_bytes()
        areas = reference.save_areas(image, 2, EPYC, 0, fpu=False)
        self.assertEqual(
            self.digest('sev-es', path, '--vcpus', 2, '--vcpu-type', 'EPYC',
                        '--legacy-vm-type'),
            reference.sev(image, areas=areas))

    def test_snp_agrees_whatever_the_vcpus_and_features(self) -> None:
        path = need('ovmf')
        image = path.read_bytes()
        for vcpus, signature, features in ((1, EPYC, 1), (3, MILAN, 0x21),
                                           (64, 0xb00f00, 1 << 63 | 1)):
            areas = reference.save_areas(image, vcpus, signature, features)
            self.assertEqual(
                self.digest('snp', path, f'--vcpus={vcpus}',
                            f'--vcpu-sig={signature:#x}',
                            f'--guest-features={features:#x}'),
                reference.snp(image, areas))

    def test_sev_family_agrees_on_kernels(self) -> None:
        path = need('amdsev')
        image = path.read_bytes()
        kernel = self.put('kernel', os.urandom(300000))
        initrd = self.put('initrd', os.urandom(70000))
        for words, contents in (
                ([], (b'', '')),
                (['--append', ''], (b'', '')),
                (['--append', 'root=LABEL=é quiet'],
                 (b'', 'root=LABEL=é quiet')),
                (['--initrd', initrd], (initrd.read_bytes(), '')),
                (['--initrd', initrd, '--append=a=b'],
                 (initrd.read_bytes(), 'a=b'))):
            hashed = (kernel.read_bytes(), *contents)
            words = ['--no-launch-checks', '--kernel', kernel, *words]
            vcpus = ['--vcpus', 2, '--vcpu-type', 'EPYC-Milan-v2']
            with self.subTest(words):
                self.assertEqual(self.digest('sev', path, *words),
                                 reference.sev(image, hashed))
                areas = reference.save_areas(image, 2, MILAN, 0)
                self.assertEqual(self.digest('sev-es', path, *vcpus, *words),
                                 reference.sev(image, hashed, areas))
                areas = reference.save_areas(image, 2, MILAN, 1)
                self.assertEqual(self.digest('snp', path, *vcpus, *words),
                                 reference.snp(image, areas, hashed))

    def test_snp_without_a_kernel_agrees_where_one_could_be(self) -> None:
        path = need('amdsev')
        image = path.read_bytes()
        areas = reference.save_areas(image, 1, EPYC, 1)
        self.assertEqual(
            self.digest('snp', path, '--vcpus', 1, '--vcpu-type', 'EPYC-IBPB'),
            reference.snp(image, areas))

    def test_tdx_agrees(self) -> None:
        for path in self.every_firmware():
            with self.subTest(path.name):
                if 'amdsev' in path.name:
                    continue
                image = path.read_bytes()
                digests = {}
                for words, two_pass in (([], False),
                                        (['--tdx-pages', 'one-pass'], False),
                                        (['--tdx-pages', 'two-pass'], True)):
                    digests[two_pass] = self.digest('tdx', path, *words)
                    self.assertEqual(digests[two_pass],
                                     reference.tdx(image, two_pass))
                self.assertNotEqual(*digests.values())

    def test_tdx_depends_on_nothing_but_the_firmware(self) -> None:
        path = need('ovmf')
        self.assertEqual(
            self.digest('tdx', path),
            self.digest('tdx', path, '--vcpus', 7, '--vcpu-type', 'EPYC-v4',
                        '--guest-features', '0x1'))


class Answers(Measure):
    """Needs no firmware but what is made here."""

    def test_json_says_what_the_digest_is_of(self) -> None:
        image = self.put('image', bytes(4096))
        done = self.run_it('--tee', 'sev', '--ovmf', image, '--json')
        self.assertEqual(json.loads(done.stdout), {
            'tee': 'sev', 'digest': hashlib.sha256(bytes(4096)).hexdigest(),
            'algorithm': 'sha256', 'kernel_hashes': False})

    def test_json_says_which_vcpus(self) -> None:
        done = self.run_it('--tee', 'snp', '--ovmf', need('ovmf'), '--vcpus',
                           2, '--vcpu-family', 25, '--vcpu-model', 1,
                           '--vcpu-stepping', 1, '--json')
        answer = json.loads(done.stdout)
        self.assertEqual((answer['vcpus'], answer['vcpu_sig'],
                          answer['guest_features'], answer['algorithm']),
                         (2, '0xa00f11', '0x1', 'sha384'))

    def test_help_and_the_list_of_models(self) -> None:
        for word in ('--help', '-h'):
            done = self.run_it(word)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            self.assertIn('--guest-features', done.stdout)
        done = self.run_it('--list-vcpu-types')
        self.assertIn('EPYC-Rome-v4 0x830f10\n', done.stdout)

    def test_a_kernel_for_tdx_is_said_not_to_be_measured(self) -> None:
        done = self.run_it('--tee', 'tdx', '--ovmf', need('ovmf'),
                           '--kernel', self.put('kernel', b'k'))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(len(done.stdout), 97)
        self.assertIn('note: MRTD does not cover --kernel', done.stderr)


class LaunchChecks(Measure):
    """No digest of a guest that QEMU would not launch, unless it is wanted
    all the same."""

    def assert_checked(self, *words: object, says: str) -> None:
        self.assert_dies(*words, says=says)
        done = self.run_it('--no-launch-checks', *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, '^[0-9a-f]{64,96}\n$')

    def snp(self, image: Path) -> list[object]:
        return ['--tee', 'snp', '--ovmf', image, '--vcpus', 1, '--vcpu-type',
                'EPYC']

    def code(self) -> Path:
        """A firmware without its first part, as OVMF_CODE is."""
        image = need('inteltdx' if firmware('inteltdx')[0] else 'ovmf')
        return self.put('OVMF_CODE.fd', image.read_bytes()[0x84000:])

    def test_snp_and_tdx_take_whole_64_kib(self) -> None:
        self.assert_dies('--tee', 'tdx', '--ovmf', self.code(),
                         says='take the whole OVMF.fd')
        image = need('ovmf').read_bytes()
        # One page more than the code's: its tables are at its end.
        cut = self.put('cut', image[0x1000:])
        self.assert_checked(*self.snp(cut), says="QEMU's -bios takes whole "
                            '64 KiB: if this is the OVMF_CODE part of a pair, '
                            'take the whole OVMF.fd')
        self.digest('sev', cut)

    def test_a_firmware_that_is_an_igvm_file(self) -> None:
        image = self.put('guest.igvm', b'IGVM' + bytes(4092))
        self.assert_checked('--tee', 'sev', '--ovmf', image,
                            says='this is an IGVM file')

    def test_a_firmware_that_is_an_svsm(self) -> None:
        image = bytearray(need('ovmf').read_bytes())
        # The table's last entry but one gives its name to that of an SVSM.
        name = uuid.UUID('00f771de-1a7e-4fcb-890e-68c77e2fb44e').bytes_le
        svsm = uuid.UUID('a789a612-0597-4c4b-a49f-cbb1fe9d1ddd').bytes_le
        self.assertEqual(image.count(name), 1)
        at = image.index(name)
        image[at:at + 16] = svsm
        self.assert_checked('--tee', 'sev', '--ovmf',
                            self.put('svsm', bytes(image)),
                            says='this is an SVSM')

    def test_a_firmware_with_another_number_of_td_hobs_than_one(self) -> None:
        path = need('inteltdx')
        rows = reference.table_of(path.read_bytes(), b'TDVF', '<2I2Q2I')
        kinds = [row[4] for row in rows]
        self.assertEqual(kinds.count(2), 1)
        at = path.read_bytes().index(b'TDVF') + 16
        for index, kind, count in ((kinds.index(2), 3, 0),
                                   (kinds.index(3), 2, 2)):
            image = bytearray(path.read_bytes())
            struct.pack_into('<I', image, at + 32 * index + 24, kind)
            if kind == 2:
                struct.pack_into('<I', image, at + 32 * index + 28, 0)
            self.assert_checked('--tee', 'tdx', '--ovmf',
                                self.put('hobs', bytes(image)),
                                says=f'has {count} sections for the TD HOB')

    def test_snp_without_its_feature(self) -> None:
        for features in ('0x0', '0x20'):
            self.assert_checked(*self.snp(need('ovmf')), '--guest-features',
                                features, says='lacks bit 0 (SNP is active)')

    def test_snp_with_an_empty_section(self) -> None:
        path = need('inteltdx')
        image = path.read_bytes()
        self.assertTrue([row for row in
                         reference.table_of(image, b'ASEV', '<3I')
                         if not row[1]])
        self.assert_checked(*self.snp(path), says='has an empty section')
        areas = reference.save_areas(image, 1, EPYC, 1)
        self.assertEqual(self.digest('snp', path, '--vcpus', 1, '--vcpu-type',
                                     'EPYC', '--no-launch-checks'),
                         reference.snp(image, areas))

    def test_a_kernel_that_qemu_does_not_hash(self) -> None:
        sev: list[object] = ['--tee', 'sev', '--ovmf', need('amdsev')]
        self.assert_checked(*sev, '--kernel', '/bin/ls', says='is no bzImage')
        self.assert_checked(*sev, '--kernel', self.put('cut', bytes(0x204)),
                            says='/cut: it is no bzImage')
        for kernel in (KERNEL, KERNEL[:0x206], b''):
            self.digest('sev', need('amdsev'), '--kernel',
                        self.put('kernel', kernel))


class BadInput(Measure):
    def test_words_that_make_no_sense(self) -> None:
        image = self.put('image', bytes(4096))
        sev: list[object] = ['--tee', 'sev', '--ovmf', image]
        snp: list[object] = ['--tee', 'snp', '--ovmf', image]
        two: list[object] = [*snp, '--vcpus', 2]
        for words, says in (
                ([], 'say --tee sev, sev-es, snp or tdx'),
                (['--tee', 'sgx'], "--tee 'sgx' is none of"),
                (['--tee', 'sev'], 'say --ovmf FILE'),
                (['--tee'], '--tee needs a value'),
                ([*sev, '--firmware', 'x'], "no option '--firmware'"),
                ([*sev, 'x'], "no option 'x'"),
                ([*sev, '-'], "no option '-'"),
                ([*sev, ''], "no option ''"),
                ([*sev, '--'], "no option '--'"),
                ([*sev, '--=x'], "no option '--=x'"),
                ([*sev, '--json=1'], '--json takes no value'),
                ([*sev, '--tee', 'snp'], '--tee is given twice'),
                ([*sev, '--append', 'a'], '--append goes with --kernel'),
                ([*sev, '--initrd', 'a'], '--initrd goes with --kernel'),
                (snp, 'say --vcpus N'),
                (two, 'say --vcpu-type'),
                ([*two, '--vcpu-type', 'EPYC', '--vcpu-sig', 1],
                 'not more than one'),
                ([*two, '--vcpu-type', 'Skylake'], "no CPU model 'Skylake'"),
                ([*two, '--vcpu-family', 25], '--vcpu-model is missing'),
                ([*two, '--vcpu-sig', '0x100000000'], '0xffffffff'),
                ([*two, '--vcpu-sig', 1, '--legacy-vm-type'], 'nothing for'),
                ([*sev, '--tdx-pages', 'one-pass'], 'is for tdx, not for sev'),
                (['--tee', 'tdx', '--ovmf', image, '--tdx-pages', 'two'],
                 "--tdx-pages 'two' is neither"),
                ([*snp, '--vcpu-sig', 1, '--vcpus', 0], 'at least one'),
                ([*snp, '--vcpu-sig', 1, '--vcpus', 4097], '0 to 4096'),
                ([*snp, '--vcpu-sig', 1, '--vcpus', -1], "'-1' is no number"),
                ([*snp, '--vcpu-sig', 1, '--vcpus', '2x'], "'2x' is no"),
                ([*snp, '--vcpu-sig', 1, '--vcpus', ''], "'' is no number"),
                ([*two, '--vcpu-sig', 1, '--guest-features', '0x'],
                 "'0x' is no number"),
                ([*two, '--vcpu-sig', 1, '--guest-features', '1' * 21],
                 'is no number'),
                ([*two, '--vcpu-family', 25, '--vcpu-model', 256,
                  '--vcpu-stepping', 0], 'no CPU of family 25, model 256')):
            with self.subTest(words):
                self.assert_dies(*words, says=says)

    def test_files_that_cannot_be_read(self) -> None:
        image = self.put('image', bytes(4096))
        sev: list[object] = ['--tee', 'sev', '--ovmf']
        self.assert_dies(*sev, '/nonexistent/x', says='(ENOENT)')
        self.assert_dies(*sev, self.scratch, says='(EISDIR)')
        self.assert_dies(*sev, '', says='(ENOENT)')
        self.assert_dies(*sev, image, '--kernel', '/nonexistent/k',
                         says='cannot open --kernel /nonexistent/k')
        kernel = self.put('kernel', KERNEL)
        self.assert_dies(*sev, image, '--kernel', kernel, '--initrd',
                         self.scratch, says='cannot read --initrd')

    def test_files_that_are_no_firmware(self) -> None:
        for tee in ('sev', 'sev-es', 'snp', 'tdx'):
            rest = ['--vcpus', '1', '--vcpu-type', 'EPYC']
            for data, says in ((b'', 'has 0 bytes'),
                               (bytes(100), 'no multiple of 4096'),
                               (bytes((16 << 20) + 4096), '16 MiB at most')):
                path = self.put('image', data)
                self.assert_dies('--tee', tee, '--ovmf', path, *rest,
                                 says=f'{path}: the firmware')
                self.assert_dies('--tee', tee, '--ovmf', path, *rest,
                                 says=says)
        self.assert_dies('--tee', 'sev', '--ovmf', '/dev/zero',
                         says='16 MiB at most')
        image = self.put('image', bytes(4096))
        image = self.put('image', bytes(65536))
        self.assert_dies('--tee', 'tdx', '--ovmf', image,
                         says='built without TDX')
        self.assert_dies('--tee', 'snp', '--ovmf', image, *rest,
                         says='built without SEV-ES')

    def test_real_firmware_that_is_cut_short(self) -> None:
        image = need('ovmf').read_bytes()
        half = self.put('half', image[len(image) // 2:])
        # What metadata TDX has lies in the second half, what it names does not.
        self.assert_dies('--tee', 'tdx', '--ovmf', half, says='of the file')
        first = self.put('first', image[:len(image) // 2])
        self.assert_dies('--tee', 'tdx', '--ovmf', first,
                         says='built without TDX')

    def test_firmware_that_has_no_place_for_kernel_hashes(self) -> None:
        kernel = self.put('kernel', KERNEL)
        rest = ['--vcpus', '1', '--vcpu-type', 'EPYC', '--kernel', kernel]
        for tee in ('sev', 'sev-es', 'snp'):
            self.assert_dies('--tee', tee, '--ovmf', need('ovmf'), *rest,
                             says='ovmf-amdsev')

    def test_an_answer_that_cannot_be_written(self) -> None:
        image = self.put('image', bytes(4096))
        with open('/dev/full', 'w') as full:
            done = subprocess.run(
                [BUILD / 'tools' / self.name, '--tee', 'sev', '--ovmf', image], stdout=full,
                stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn('cannot write the answer', done.stderr)


if __name__ == '__main__':
    unittest.main()
