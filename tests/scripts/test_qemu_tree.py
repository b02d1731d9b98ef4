# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/lib/qemu-tree.sh: where QEMU's source may come from."""

import os
import subprocess
import tarfile
import unittest

from fake_qemu import TOP, FakeQemu


class QemuTree(FakeQemu):
    def setUp(self):
        super().setUp()
        self.build = self.scratch / 'build'
        self.put(self.qemu, {
            'subprojects/keycodemapdb/meson.build': '',
            'pc-bios/edk2-i386-code.fd.bz2': '',
        })

    def pristine(self, version, source, **environment):
        return subprocess.run(
            ['bash', '-c', 'set -euo pipefail; . "$1/scripts/lib/common.sh"; '
             '. "$1/scripts/lib/qemu-tree.sh"; qemu_pristine "$2" "$3"',
             'build-qemu', str(TOP), version, str(source)],
            capture_output=True, text=True,
            env={**os.environ, 'KVM_RESET_BUILD': str(self.build),
                 **environment})

    def assert_gives(self, version, source):
        done = self.pristine(version, source)
        self.assertEqual((done.returncode, done.stdout),
                         (0, f'{self.build}/src/qemu-10.0.orig\n'), done.stderr)

    def assert_dies(self, version, source, *reasons):
        done = self.pristine(version, source)
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        errors = [line for line in done.stderr.splitlines()
                  if 'error: ' in line]
        self.assertEqual(len(errors), 1, done.stderr)
        for reason in reasons:
            self.assertIn(reason, errors[0])
        self.assertEqual(list(self.build.glob('src/.unpack*')), [])

    def tarball(self):
        path = self.scratch / 'qemu-10.0.13.tar.xz'
        with tarfile.open(path, 'w:xz') as tar:
            tar.add(self.qemu, 'qemu-10.0.13')
        return path

    def test_a_tree_is_copied_and_only_read(self):
        before = self.contents(self.qemu)
        self.assert_gives('', self.qemu)
        self.assertEqual(self.contents(self.qemu), before)
        self.assertEqual(self.contents(self.build / 'src/qemu-10.0.orig'),
                         before)

    def test_a_tree_that_changed_is_copied_again(self):
        self.assert_gives('', self.qemu)
        self.put(self.qemu, {'README.rst': 'new\n'})
        self.assert_gives('', self.qemu)
        copy = self.build / 'src/qemu-10.0.orig/README.rst'
        self.assertEqual(copy.read_text(), 'new\n')

    def test_git_and_build_directories_are_not_copied(self):
        self.put(self.qemu, {'.git/HEAD': '', 'build/meson-private/x': '',
                             'build/x.o': ''})
        self.assert_gives('', self.qemu)
        copy = self.build / 'src/qemu-10.0.orig'
        self.assertFalse((copy / '.git').exists())
        self.assertFalse((copy / 'build/x.o').exists())

    def test_a_tarball_is_unpacked_once(self):
        tarball = self.tarball()
        self.assert_gives('10.0', tarball)
        mark = self.build / 'src/qemu-10.0.orig/mark'
        mark.touch()
        self.assert_gives('10.0', tarball)
        self.assertTrue(mark.exists())
        os.utime(tarball, (1, 1))
        self.assert_gives('10.0', tarball)
        self.assertFalse(mark.exists())

    def test_another_version_than_the_one_asked_for_is_refused(self):
        self.assert_dies('10.2', self.qemu, 'is QEMU 10.0', '--qemu')
        self.assert_dies('10.2', self.tarball(), 'is QEMU 10.0', '--qemu')

    def test_an_unsupported_version_is_refused(self):
        self.put(self.qemu, {'VERSION': '9.1.0\n'})
        self.assert_dies('', self.qemu, 'QEMU 9.1', '10.0 or 10.2')
        self.assert_dies('9.1', '', 'QEMU 9.1', '10.0 or 10.2')

    def test_what_is_no_source_is_refused(self):
        self.assert_dies('', self.scratch / 'none', 'there is no such file')
        self.assert_dies('', self.scratch, 'is not a QEMU tree')
        self.assert_dies('', self.qemu / 'README.rst', 'no directory')
        broken = self.scratch / 'broken.tar.xz'
        broken.write_bytes(b'nothing')
        self.assert_dies('', broken, 'tar cannot unpack')

    def test_a_tree_without_its_subprojects_is_refused(self):
        (self.qemu / 'subprojects/keycodemapdb/meson.build').unlink()
        self.assert_dies('', self.qemu, 'meson subprojects download')

    def test_a_kept_source_of_10_2_is_preferred(self):
        self.put(self.scratch, {'kept/qemu-10.2/qemu_10.2.2.dsc': 'no dsc'})
        done = self.pristine('10.2', '',
                             KVM_RESET_SOURCES=str(self.scratch / 'kept'))
        self.assertIn('kept/qemu-10.2/qemu_10.2.2.dsc', done.stderr)


if __name__ == '__main__':
    unittest.main()
