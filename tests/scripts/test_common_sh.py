# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/lib/common.sh, as far as it needs neither root nor a network."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CODENAME = subprocess.run(
    ['bash', '-c', '. /etc/os-release && echo "$VERSION_CODENAME"'],
    capture_output=True, text=True).stdout.strip()

DEB822 = f'''\
Types: deb
URIs: https://elsewhere.example/debian
Suites: {CODENAME}-updates
Components: main

# A comment of the mirror's.
Types: deb deb-src
URIs: https://mirror.example/debian
Suites: {CODENAME} {CODENAME}-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
'''


@unittest.skipUnless(CODENAME in ('bookworm', 'trixie'),
                     'this is neither Debian 12 nor 13')
class CommonSh(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)
        self.etc = self.scratch / 'etc'
        (self.etc / 'sources.list.d').mkdir(parents=True)

    def run_bash(self, text):
        return subprocess.run(
            ['bash', '-c', f'set -euo pipefail; . "$1"; {text}', 'tool',
             str(TOP / 'scripts/lib/common.sh')],
            capture_output=True, text=True,
            env={**os.environ, 'KR_APT_ETC': str(self.etc),
                 'KVM_RESET_BUILD': str(self.scratch / 'build')})

    def entry(self, name, text, suites='sid'):
        (self.etc / name).write_text(text)
        done = self.run_bash(f'kr_apt_entry deb-src {suites}')
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_dies(self, text, *reasons):
        done = self.run_bash(text)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for reason in ('tool: error: ', *reasons):
            self.assertIn(reason, done.stderr)

    def test_a_deb822_entry_is_copied_with_type_and_suite_replaced(self):
        self.assertEqual(self.entry('sources.list.d/debian.sources', DEB822),
                         'Types: deb-src\nSuites: sid\n'
                         'URIs: https://mirror.example/debian\n'
                         'Components: main contrib\nSigned-By:\n'
                         ' -----BEGIN PGP PUBLIC KEY BLOCK-----\n'
                         ' .\n abc\n')

    def test_a_deb822_entry_that_is_off_is_passed_over(self):
        off = f'Enabled: no\n{DEB822.split("# A comment")[0]}'
        off = off.replace('-updates', '')
        self.assertNotIn('elsewhere', self.entry(
            'sources.list.d/debian.sources', off + '\n' + DEB822))

    def test_a_one_line_entry_keeps_its_options(self):
        self.assertEqual(
            self.entry('sources.list',
                       f'deb https://x.example/ {CODENAME}-updates main\n'
                       f'deb [arch=amd64 signed-by=/k.gpg] '
                       f'https://mirror.example/debian {CODENAME} main # ours\n',
                       'trixie trixie-backports'),
            'Types: deb-src\nSuites: trixie trixie-backports\n'
            'URIs: https://mirror.example/debian\nComponents: main\n'
            'Architectures: amd64\nsigned-by: /k.gpg\n')

    def test_no_entry_for_this_release_is_one_clear_line(self):
        self.assert_dies('kr_apt_entry deb sid', f'no apt entry for {CODENAME}')

    def test_too_little_space_is_one_clear_line(self):
        self.assert_dies(f'require_space "{self.scratch}/new/dir" 999999999',
                         str(self.scratch), '999999999 MiB', 'KVM_RESET_BUILD')

    def test_installed_packages_need_no_apt(self):
        done = self.run_bash('apt-get() { false; }; kr_apt_logged() { false; };'
                             ' install_packages bash coreutils')
        self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_an_unreachable_mirror_is_one_clear_line(self):
        (self.etc / 'sources.list').write_text(
            f'deb http://127.0.0.1:9/debian {CODENAME} main\n')
        done = self.run_bash(f'fetch_deb {CODENAME} bash "$KR_CACHE/debs"')
        self.assertEqual(done.returncode, 1)
        self.assertIn('error: cannot get the package lists of ' + CODENAME,
                      done.stderr.splitlines()[-1])
        self.assertIn('is there a network?', done.stderr)

    def test_a_downloaded_package_is_not_downloaded_again(self):
        debs = self.scratch / 'debs'
        debs.mkdir()
        for version in ('9-1', '10-1'):
            (debs / f'linux_{version}_amd64.deb').touch()
        done = self.run_bash(f'fetch_deb trixie linux "{debs}"')
        self.assertEqual(done.stdout, f'{debs}/linux_10-1_amd64.deb\n')

    def test_a_source_is_found_by_a_glob_of_its_version(self):
        (self.scratch / 'qemu_10.0.13+ds-0.dsc').touch()
        done = self.run_bash(f'fetch_source trixie "qemu=10.0*" "$PWD"'
                             .replace('$PWD', str(self.scratch)))
        self.assertEqual(done.stdout, f'{self.scratch}/qemu_10.0.13+ds-0.dsc\n')


if __name__ == '__main__':
    unittest.main()
