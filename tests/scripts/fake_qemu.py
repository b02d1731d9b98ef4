# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree of a few files that says it is QEMU, and a patches/ to edit it."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

FUNNEL = '''\
@@
expression fd, request, arg;
@@
- ioctl(fd, request, arg)
+ kvm_reset_ioctl(fd, request, arg)
'''

KVM_ALL = '''\
#include "qemu/osdep.h"

int kvm_ioctl(int fd, int type, void *arg)
{
    return ioctl(fd, type, arg);
}

int kvm_vm_ioctl(int fd, int type, void *arg)
{
    return ioctl(fd, type, arg);
}
'''


class FakeQemu(unittest.TestCase):
    """Each test has a tree in self.qemu, and a checkout in self.ours with one
    patch called `funnel`, which fits."""

    def setUp(self):
        self._scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(self._scratch.cleanup)
        self.scratch = Path(self._scratch.name)
        self.qemu = self.scratch / 'qemu'
        self.ours = self.scratch / 'ours'
        self.put(self.qemu, {
            'VERSION': '10.0.13\n',
            'README.rst': 'QEMU\n',
            'meson.build': "subdirs = [\n  'kvm',\n  'tcg',\n]\n",
            'accel/kvm/kvm-all.c': KVM_ALL,
        })
        self.put(self.ours, {
            'patches/versions': '10.0 10.2\n',
            'patches/series': 'funnel\n',
            'accel/kvm-reset/meson.build': '# ours\n',
            'accel/kvm-reset/.core.c.swp': 'litter',
        })
        self.overlay(funnel=['accel/kvm-reset/*'])
        self.patch('funnel', '''
            [[insert]]
            file = 'meson.build'
            after = "^  'kvm',$"
            text = "  'kvm-reset',"
            ''')

    def put(self, tree, files):
        for name, text in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def overlay(self, lists=(), **brings):
        """Which patch brings which of what is in accel/."""
        self.put(self.ours, {'patches/overlay.toml': '\n'.join([
            "directories = ['accel']", f'lists = {list(lists)}', '[brings]',
            *(f'{name} = {files}' for name, files in brings.items())])})

    def patch(self, name, rules, message='kvm: let us see\n\nWhy not.\n',
              **cocci):
        self.put(self.ours, {
            f'patches/{name}/message': message,
            f'patches/{name}/rules.toml': rules,
            **{f'patches/{name}/{rule}.cocci': text
               for rule, text in cocci.items()},
        })

    def series(self, *names):
        self.put(self.ours, {'patches/series': '\n'.join(names) + '\n'})

    def list_of_sources(self, text):
        """meson.build and a.c come with `funnel`, b.c with `second`."""
        self.put(self.ours, {'accel/kvm-reset/meson.build': text,
                             'accel/kvm-reset/a.c': 'int a;\n',
                             'accel/kvm-reset/b.c': 'int b;\n'})
        self.series('funnel', 'second')
        self.patch('second', '')
        self.overlay(['accel/kvm-reset/meson.build'],
                     funnel=['accel/kvm-reset/meson.build',
                             'accel/kvm-reset/a.c'],
                     second=['accel/kvm-reset/b.c'])

    def call(self, script, *words):
        """The exit status and what was said on stderr."""
        environment = {**os.environ, 'HOME': str(self.scratch),
                       'GIT_CONFIG_NOSYSTEM': '1'}
        done = subprocess.run(
            [sys.executable, str(TOP / 'scripts' / script), '--patches',
             str(self.ours / 'patches'), *map(str, words)],
            capture_output=True, text=True, env=environment)
        return done.returncode, done.stderr

    def apply(self, *words):
        status, said = self.call('apply-patches', *(words or [self.qemu]))
        self.assertEqual(status, 0, said)

    def assert_refused(self, *reasons, tree=None):
        """Applying fails in one line that has REASONS; the tree is as it was."""
        tree = tree or self.qemu
        before = self.contents(tree)
        status, said = self.call('apply-patches', tree)
        self.assertEqual(status, 1, said)
        errors = [line for line in said.splitlines() if 'error: ' in line]
        self.assertEqual(len(errors), 1, said)
        self.assertNotIn('Traceback', said)
        for reason in reasons:
            self.assertIn(reason, errors[0])
        self.assertEqual(self.contents(tree), before)

    def contents(self, tree):
        return {str(path.relative_to(tree)):
                (path.read_bytes(), path.stat().st_mtime_ns)
                for path in tree.rglob('*')
                if path.is_file() and '.git' not in path.parts}
