# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/export-series, on trees of a few files, with the real git."""

import os
import shutil
import subprocess
import unittest

from fake_qemu import FakeQemu


@unittest.skipUnless(shutil.which('git'), 'git is not installed: '
                     'apt-get install git')
class ExportSeries(FakeQemu):
    def setUp(self):
        super().setUp()
        self.series('funnel', 'second')
        self.overlay(funnel=['accel/kvm-reset/*'],
                     second=['accel/kvm-reset/later/*'])
        self.patch('second', '''
            [[insert]]
            file = 'README.rst'
            after = 'QEMU'
            text = 'and more'
            ''', message='docs: say more\n\nIt was little.\n')
        self.put(self.ours, {'accel/kvm-reset/later/late.cc': '// late\n'})
        self.out = self.scratch / 'series'

    def export(self, *words):
        return self.call('export-series', '--qemu', self.qemu, '--out',
                         self.out, *(words or ['--signoff', 'A B <a@b.org>']))

    def git(self, *words):
        environment = {**os.environ, 'HOME': str(self.scratch),
                       'GIT_CONFIG_NOSYSTEM': '1'}
        return subprocess.run(
            ['git', '-c', 'user.name=C D', '-c', 'user.email=c@d.org',
             *map(str, words)], cwd=self.qemu, check=True, env=environment,
            capture_output=True, text=True).stdout

    def make_repository(self):
        self.git('init', '-q')
        self.git('add', '-f', '.')
        self.git('commit', '-q', '-m', 'QEMU as released')

    def test_git_am_takes_it_and_the_tree_is_the_patched_one(self):
        self.assertEqual(self.export()[0], 0)
        work = self.scratch / 'work'
        self.apply('--from', self.qemu, work)
        self.make_repository()
        self.git('am', *sorted(self.out.iterdir()))
        texts = {name: data for name, (data, _) in
                 self.contents(self.qemu).items()}
        self.assertEqual(texts, {name: data for name, (data, _) in
                                 self.contents(work).items()})

    def test_each_patch_is_one_commit_with_its_own_files(self):
        self.export()
        self.make_repository()
        self.git('am', *sorted(self.out.iterdir()))
        log = self.git('log', '--reverse', '--name-only', '--format=%s', '-2')
        self.assertEqual(log.split('\n'), [
            'kvm: let us see', '', 'accel/kvm-reset/meson.build',
            'meson.build', 'docs: say more', '',
            'README.rst', 'accel/kvm-reset/later/late.cc', ''])

    def test_each_patch_is_signed_off(self):
        self.export()
        for patch in self.out.iterdir():
            text = patch.read_text()
            self.assertIn('\nFrom: A B <a@b.org>\n', text)
            self.assertIn('\nSigned-off-by: A B <a@b.org>\n', text)

    def quilt(self):
        status, said = self.export('--format', 'quilt', '--signoff',
                                   'A B <a@b.org>')
        self.assertEqual(status, 0, said)

    @unittest.skipUnless(shutil.which('patch'), 'patch is not installed: '
                         'apt-get install patch')
    def test_patch_takes_what_quilt_lists_in_its_order(self):
        self.quilt()
        work = self.scratch / 'work'
        self.apply('--from', self.qemu, work)
        for name in (self.out / 'series').read_text().split():
            subprocess.run(['patch', '-p1', '-s', '-F0', '-i',
                            self.out / name], cwd=self.qemu, check=True)
        texts = {name: data for name, (data, _) in
                 self.contents(self.qemu).items()}
        self.assertEqual(texts, {name: data for name, (data, _) in
                                 self.contents(work).items()})

    def test_a_quilt_patch_says_what_dep_3_wants(self):
        self.patch('funnel', "upstream = true\n", 'kvm: see\n\nWhy.\n\nSo.\n')
        self.quilt()
        text = (self.out / 'kvm-reset/funnel.patch').read_text()
        self.assertRegex(
            text, r'\ADescription: kvm: see\n Why.\n .\n So.\n'
            r'Author: A B <a@b.org>\nForwarded: no\n'
            r'Last-Update: \d{4}-\d\d-\d\d\n---\n\ndiff --git ')
        self.assertIn('\nForwarded: not-needed\n',
                      (self.out / 'kvm-reset/second.patch').read_text())

    def test_quilt_patches_follow_those_that_are_there(self):
        self.put(self.out, {'series': '# Debian\ntheirs.patch\n',
                            'theirs.patch': 'theirs'})
        self.quilt()
        self.quilt()
        self.assertEqual((self.out / 'series').read_text(),
                         '# Debian\ntheirs.patch\nkvm-reset/funnel.patch\n'
                         'kvm-reset/second.patch\n')
        self.assertEqual((self.out / 'theirs.patch').read_text(), 'theirs')

    def test_an_include_of_a_file_that_comes_later_is_refused(self):
        self.put(self.ours, {
            'accel/kvm-reset/core.cc': '#include "late.h"\n',
            'accel/kvm-reset/later/late.h': '// late\n'})
        status, said = self.export()
        self.assertEqual(status, 1)
        self.assertIn('accel/kvm-reset/core.cc comes with funnel and includes '
                      'late.h, which comes with second', said)
        self.assertFalse(self.out.exists())

    def test_the_tree_is_only_read(self):
        before = self.contents(self.qemu)
        self.export()
        self.assertEqual(self.contents(self.qemu), before)

    def test_the_same_series_comes_out_again(self):
        self.export()
        first = {path.name: path.read_bytes() for path in self.out.iterdir()}
        self.export()
        self.assertEqual({path.name: path.read_bytes()
                          for path in self.out.iterdir()}, first)

    def test_a_patch_that_is_gone_is_gone_from_the_directory(self):
        self.export()
        self.series('funnel')
        self.overlay(funnel=['accel/kvm-reset/*', 'accel/kvm-reset/later/*'])
        self.export()
        self.assertEqual(len(list(self.out.iterdir())), 1)

    def test_a_rule_that_does_not_fit_writes_no_series(self):
        self.put(self.qemu, {'README.rst': 'no such word\n'})
        status, said = self.export()
        self.assertEqual(status, 1)
        self.assertIn('patch second, insert 1', said)
        self.assertFalse(self.out.exists())

    def test_an_odd_signoff_is_refused(self):
        status, said = self.export('--signoff', 'nobody')
        self.assertEqual(status, 1)
        self.assertIn('"Your Name <you@example.org>"', said)


if __name__ == '__main__':
    unittest.main()
