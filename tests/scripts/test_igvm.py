# SPDX-License-Identifier: GPL-2.0-or-later
"""kvm-reset-igvm: on real firmware, whose digest is known by other ways; on
files that were made without its own writer; on bad input."""

import os
import sys
import unittest
from pathlib import Path

import igvm_reference
import launch_reference
from debian_firmware import AMDSEV, OVMF, firmware, need
from owner_tool import KERNEL, OwnerTool, build

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'fuzz'))

from igvm_seeds import File, PAGE, TOP, save_area  # noqa: E402

NATIVE, SNP, TDX, SEV, SEV_ES = 0, 2, 3, 4, 5


def setUpModule() -> None:
    build('kvm-reset-igvm')
    build('kvm-reset-measure')


class Igvm(OwnerTool):
    name = 'kvm-reset-igvm'

    def wrap(self, ovmf: Path, *words: object) -> Path:
        path = self.scratch / 'wrapped.igvm'
        self.assertEqual(self.says('wrap', '--ovmf', ovmf, *words, path), '')
        return path

    def digest(self, tee: str, path: Path, *words: object) -> str:
        """As check prints it, in its last line."""
        answer = self.says('check', '--tee', tee, *words, path)
        word, digest = answer.splitlines()[-1].split()
        self.assertEqual(word, 'digest')
        return digest

    def by_bios(self, tee: str, ovmf: Path, *words: object) -> str:
        return self.says('--tee', tee, '--ovmf', ovmf, *words,
                         tool='kvm-reset-measure').strip()


class KnownDigests(Igvm):
    """Made by a tool that has nothing to do with this project, of the same
    firmware by -bios."""

    def test_snp_of_debians_ovmf(self) -> None:
        path = self.wrap(need('ovmf', OVMF), '--vcpus', 2, '--vcpu-type',
                         'EPYC-v4')
        self.assertEqual(
            self.digest('snp', path),
            'a5b54e62ae971b58274dd24cc6c47b842662617036e7bd67d7326c07ac6363f3'
            '5399ef933330a5ea160cead90a00603f')


class WrappedFirmware(Igvm):
    """Three ways to a digest: of the file, by kvm-reset-igvm and by the second
    implementation; of the firmware by -bios."""

    def assert_equal_digests(self, *digests: str) -> None:
        self.assertEqual(len(set(digests)), 1, digests)

    def test_snp_is_measured_as_by_bios(self) -> None:
        for name in ('ovmf', 'amdsev'):
            ovmf = need(name)
            image = ovmf.read_bytes()
            for words, vcpus, signature, features in (
                    (['--vcpu-sig', '0x800f12'], 1, 0x800f12, 1),
                    (['--vcpus', 3, '--vcpu-type', 'EPYC-Milan',
                      '--guest-features', '0x21'], 3, 0xa00f11, 0x21)):
                with self.subTest(name, words=words):
                    path = self.wrap(ovmf, '--no-parameters', *words)
                    areas = launch_reference.save_areas(image, vcpus,
                                                        signature, features)
                    self.assert_equal_digests(
                        self.digest('snp', path),
                        igvm_reference.snp(path.read_bytes()),
                        launch_reference.snp(image, areas),
                        self.by_bios('snp', ovmf, *words,
                                     *([] if vcpus > 1 else ['--vcpus', 1])))

    def test_snp_with_kernel_hashes_is_measured_as_by_bios(self) -> None:
        ovmf = need('amdsev')
        kernel = ['--kernel', self.put('kernel', KERNEL + os.urandom(9000)),
                  '--initrd', self.put('initrd', os.urandom(5000)),
                  '--append', 'console=ttyS0']
        vcpu = ['--vcpus', 1, '--vcpu-sig', 0]
        path = self.wrap(ovmf, '--no-parameters', *kernel)
        self.assert_equal_digests(
            self.digest('snp', path), igvm_reference.snp(path.read_bytes()),
            self.by_bios('snp', ovmf, *vcpu, *kernel))
        self.assertNotEqual(self.digest('snp', path),
                            self.by_bios('snp', ovmf, *vcpu))

    def test_snp_with_parameters_is_measured_with_their_page_unmeasured(
            self) -> None:
        ovmf = need('amdsev', AMDSEV)
        path = self.wrap(ovmf)
        digest = self.digest('snp', path)
        self.assert_equal_digests(digest,
                                  igvm_reference.snp(path.read_bytes()))
        self.assertNotEqual(digest, self.by_bios('snp', ovmf, '--vcpus', 1,
                                                 '--vcpu-sig', 0))
        self.assertIn('\nunmeasured 0x1000 bytes at 0x812000\n',
                      self.says('check', path))
        # Whatever the guest is that fills them in.
        self.assertEqual(digest, self.digest('snp', path, '--memory', 9000))

    def test_tdx_is_measured_as_by_bios(self) -> None:
        names = [name for name in ('ovmf', 'amdsev', 'inteltdx')
                 if firmware(name)[0]]
        for name in names or ['ovmf']:
            with self.subTest(name):
                ovmf = need(name)
                path = self.wrap(ovmf, '--tee', 'tdx')
                self.assert_equal_digests(
                    self.digest('tdx', path, '--vcpus', 7),
                    igvm_reference.tdx(path.read_bytes()),
                    launch_reference.tdx(ovmf.read_bytes()),
                    self.by_bios('tdx', ovmf))

    def test_sev_is_measured_as_by_bios(self) -> None:
        ovmf = need('ovmf')
        path = self.wrap(ovmf, '--tee', 'sev,sev-es', '--vcpus', 2,
                         '--vcpu-type', 'EPYC-v4')
        self.assert_equal_digests(self.digest('sev', path),
                                  self.by_bios('sev', ovmf))
        self.assert_equal_digests(
            self.digest('sev-es', path),
            self.by_bios('sev-es', ovmf, '--vcpus', 2, '--vcpu-type',
                         'EPYC-v4'))
        path = self.wrap(ovmf, '--tee', 'sev-es', '--legacy-vm-type')
        self.assert_equal_digests(
            self.digest('sev-es', path),
            self.by_bios('sev-es', ovmf, '--legacy-vm-type', '--vcpus', 1,
                         '--vcpu-sig', 0))

    def test_one_file_for_all_platforms(self) -> None:
        ovmf = need('ovmf')
        path = self.wrap(ovmf, '--tee', 'native,tdx,snp')
        answer = self.says('check', path)
        self.assertEqual([line.split(':')[0] for line in answer.splitlines()
                          if 'MiB' in line], ['native', 'tdx', 'snp'])
        self.assertEqual(
            [line.split()[1] for line in answer.splitlines()
             if line.startswith('digest')],
            [self.by_bios('tdx', ovmf),
             self.by_bios('snp', ovmf, '--vcpus', 1, '--vcpu-sig', 0)])
        image = ovmf.read_bytes()
        native, = igvm_reference.Launch(path.read_bytes(), NATIVE).pages[:1]
        self.assertEqual((native.gpa, native.data),
                         ((1 << 32) - len(image), image[:PAGE]))


def several(platform: int) -> File:
    """What a file can have, but for what SEV-SNP alone has."""
    code = bytes(range(256)) * 16
    file = File(platform).page(TOP, code).page(0x1000).page(0x2000)
    file.page(0x3000, code, flags=2).page(0x4000, code, flags=4)
    file.page(0x200000, flags=1)
    file.add(0x301, '<QII', 2 * PAGE, 3, 0).add(0x307, '<II', 3, 0x10)
    return file.add(0x303, '<QII', 0x7000, 1, 3)


class OtherFiles(Igvm):
    """Made without the module's own writer."""

    def test_digests_are_those_of_the_second_implementation(self) -> None:
        snp = several(SNP).page(0x5000, kind=1).page(0x6000, kind=2)
        snp.context(1, save_area(0x21)).context(0, save_area(0x21))
        sev_es = several(SEV_ES).context(1, save_area(0), 0)
        sev_es.context(0, save_area(0), 0)
        for tee, file, reference in (
                ('snp', snp, igvm_reference.snp),
                ('tdx', several(TDX), igvm_reference.tdx),
                ('sev', several(SEV), igvm_reference.sev),
                ('sev-es', sev_es, lambda bytes: igvm_reference.sev(
                    bytes, SEV_ES))):
            for version in (1, 2):
                with self.subTest(tee, version=version):
                    data = file.build(version)
                    path = self.put('file', data)
                    self.assertEqual(self.digest(tee, path), reference(data))
                    self.assertEqual(self.says('check', path),
                                     self.says('check', '--tee', tee, path))

    def test_vcpus_without_a_context(self) -> None:
        path = self.put('file', several(SNP).context(0, save_area(1)).build())
        words = ['--vcpus', 2]
        self.assert_dies('check', *words, path, says='as snp: the IGVM file has no '
                         'VP context for vCPU 1')
        one = self.digest('snp', path)
        two = self.digest('snp', path, *words, '--reset-vcpus')
        milan = self.digest('snp', path, *words, '--reset-vcpus',
                            '--vcpu-type', 'EPYC-Milan')
        self.assertEqual(len({one, two, milan}), 3)

    def test_memory_that_the_guest_has_not(self) -> None:
        file = File(NATIVE).page(TOP, bytes(PAGE)).page(4 << 30)
        path = self.put('file', file.build())
        self.says('check', '--memory', 4096, path)
        for memory in ([], ['--memory', '0xb00']):
            self.assert_dies('check', *memory, path,
                             says='which this guest does not have')

    def test_inspect_says_each_header(self) -> None:
        file = File(SNP).add(0x101, '<QII', 0x30000, 1, 0)
        code = bytes(PAGE)
        file.page(0x1000, code).page(0x2000, code)
        file.later(code)        # so that the next one's data is elsewhere
        file.page(0x3000, code).page(0x4000).page(0x5000)
        file.page(0x6000, code, flags=2).page(0x200000, flags=1 | 4)
        file.page(0x9000, kind=1).page(0xa000, kind=2).page(0xb000, kind=3)
        file.add(0x305, '<QIIII', 0, 1, 1 << 20, 0, 0)
        file.add(0x301, '<QII', PAGE, 3, 0).add(0x30c, '<II', 3, 0x10)
        file.add(0x303, '<QII', 0x7000, 1, 3).context(0, save_area(1))
        file.add(0x30d, '<QII', 0x8000, 1, PAGE).add(0x80000399, '<B', 0)
        file.add(0x30b, '<IB3x48s16s16s4I592x', 1, 0, b'\xab' * 48, b'', b'',
                 1, 7, 1, 0)
        self.assertEqual(self.says('inspect', self.put('file', file.build())),
                         '''\
IGVM, version 1: 0x64f0 bytes, 19 headers, and 1 skipped
platform, mask 0x1: SEV-SNP, version 1, highest VTL 0, shared memory from 0x0
guest policy, mask 0x1: 0x30000
page data, mask 0x1: 0x2000 bytes at 0x1000, data at 0x4f0
page data, mask 0x1: 0x1000 bytes at 0x3000, data at 0x34f0
page data, mask 0x1: 0x2000 bytes at 0x4000, no data
page data, mask 0x1: 0x1000 bytes at 0x6000, data at 0x44f0, unmeasured
page data, mask 0x1: 0x200000 bytes at 0x200000, no data, 2 MiB pages, shared
page data, mask 0x1: 0x1000 bytes at 0x9000, no data, secrets
page data, mask 0x1: 0x1000 bytes at 0xa000, no data, CPUID
page data, mask 0x1: 0x1000 bytes at 0xb000, no data, type 3
required memory, mask 0x1: 0x100000 bytes at 0x0
parameter area: area 3, 0x1000 bytes, no data
memory map: area 3, offset 0x10
parameter insert, mask 0x1: area 3 at 0x7000
VP context, mask 0x1: vCPU 0 at 0xfffffffff000, data at 0x54f0
error range, mask 0x1: 0x1000 bytes at 0x8000
SNP ID block, mask 0x1: version 1, guest SVN 7, no author key, digest '''
                         + 'ab' * 48 + '\n')


class BadInput(Igvm):
    def test_files_that_are_refused(self) -> None:
        good = several(TDX).build()
        damaged = bytearray(good)
        damaged[40] ^= 1
        for name, data, says in (
                ('empty', b'', 'this is no IGVM file'),
                ('cut', good[:-1], 'are there'),
                ('damaged', bytes(damaged), 'is damaged')):
            path = self.put(name, data)
            for command in ('inspect', 'check'):
                self.assert_dies(command, path, says=f'{path}: ')
                self.assert_dies(command, path, says=says)
        path = self.put('tdx', good)
        self.assert_dies('check', '--tee', 'snp', path,
                         says=f'{path}: as snp: the IGVM file is for TDX, and '
                         'not for SEV-SNP')
        vsm = self.put('vsm', File(1).page(TOP, bytes(PAGE)).build())
        self.says('inspect', vsm)
        self.assert_dies('check', vsm, says='is for VSM alone')
        missing = self.scratch / 'missing'
        self.assert_dies('inspect', missing, says=f'cannot open {missing}: ')
        self.assert_dies('inspect', self.scratch, says='cannot read')

    def test_firmware_that_is_refused(self) -> None:
        out = self.scratch / 'out'
        image = self.put('image', bytes(0x10000))
        igvm = self.put('igvm', several(TDX).build())
        for words, says in (
                (['--ovmf', image], 'image: the firmware has no SEV metadata'),
                (['--ovmf', image, '--tee', 'native,tdx'], 'no TDVF metadata'),
                (['--ovmf', igvm], 'this is an IGVM file'),
                (['--ovmf', self.put('odd', bytes(0x11000))], '64 KiB'),
                (['--ovmf', self.put('no', b'x'), '--tee', 'native'],
                 'no multiple of 4096'),
                (['--ovmf', image, '--guest-features', 0], 'lacks bit 0'),
                (['--ovmf', self.scratch / 'missing'], 'cannot open --ovmf'),
                (['--ovmf', image, '--kernel', image], 'is no bzImage'),
                (['--ovmf', image, '--kernel', self.scratch / 'missing'],
                 'cannot open --kernel')):
            with self.subTest(words):
                self.assert_dies('wrap', *words, out, says=says)
                self.assertFalse(out.exists())
        self.assert_dies('wrap', '--ovmf', image, '--tee', 'native',
                         self.scratch / 'no/out', says='cannot create')
        self.assert_dies('wrap', '--ovmf', image, '--tee', 'native',
                         '/dev/full', says='cannot write /dev/full')

    def test_a_file_that_no_reset_would_take_is_not_made(self) -> None:
        ovmf = need('ovmf')
        out = self.scratch / 'out'
        # DebugSwap's bit is known, the one beside it is not.
        self.assert_dies('wrap', '--ovmf', ovmf, '--guest-features', '0x41',
                         out, says='its SEV_FEATURES are 0x41')
        self.assertFalse(out.exists())

    def test_words_that_make_no_sense(self) -> None:
        path = self.put('file', several(TDX).build())
        wrap: list[object] = ['wrap', '--ovmf', path, path]
        for words, says in (
                ([], 'say inspect, check or wrap;'),
                (['view', path], 'say inspect, check or wrap, and not view'),
                (['inspect'], 'say FILE'),
                (['inspect', path, path], f"'{path}' is a word too many"),
                (['inspect', path, '--tee', 'tdx'], "no option '--tee'"),
                (['check', '--tee', 'tdx'], 'say FILE'),
                (['check', '--tee', 'sgx', path], "--tee 'sgx' is none of"),
                (['check', '--tee', 'tdx,snp', path], 'is none of'),
                (['check', '--vcpus', 0, path], 'no number from 1 to 4096'),
                (['check', '--memory', 0, path], 'no number from 1 to'),
                (['check', '--vcpu-type', 'i486', path], "model 'i486'"),
                (['check', '--ovmf', path, path], "no option '--ovmf'"),
                (['wrap', path], 'say --ovmf FILE'),
                (['wrap', '--ovmf', path], 'say OUTPUT'),
                ([*wrap, '--tee', 'sgx'], "--tee 'sgx' is none of snp, sev"),
                ([*wrap, '--tee', 'sev', '--kernel', path],
                 '--kernel is for snp'),
                ([*wrap, '--tee', 'snp,'], "--tee '' is none of"),
                ([*wrap, '--tee', ''], "--tee '' is none of"),
                ([*wrap, '--tee', 'snp,snp'], 'names snp twice'),
                ([*wrap, '--tee', 'tdx', '--kernel', path],
                 '--kernel is for snp'),
                ([*wrap, '--append', 'x'], '--append goes with --kernel'),
                ([*wrap, '--legacy-vm-type'], '--legacy-vm-type is for sev-es'),
                ([*wrap, '--vcpus', 4097], 'from 1 to 4096'),
                ([*wrap, '--policy', '3x'], "--policy '3x' is no number"),
                ([*wrap, '--vcpu-sig', 1, '--vcpu-type', 'EPYC'],
                 'not more than one of these')):
            with self.subTest(words):
                self.assert_dies(*words, says=says)

    def test_help(self) -> None:
        for words in (['--help'], ['-h'], ['inspect', '--help'],
                      ['check', '-h'], ['wrap', '--help']):
            answer = self.says(*words)
            for word in ('inspect FILE', '--reset-vcpus', '--no-parameters'):
                self.assertIn(word, answer)


if __name__ == '__main__':
    unittest.main()
