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
        self.patch('second', '''
            overlay = ['accel/kvm-reset/later']
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
