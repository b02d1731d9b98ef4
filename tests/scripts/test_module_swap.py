# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/kvm-module-swap finds out of a host."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

LIB = Path(__file__).resolve().parents[2] / 'scripts'
sys.path.insert(0, str(LIB))

from kvm_reset import kvm_modules    # noqa: E402
from kvm_reset import module_swap    # noqa: E402


class FindingMonitors(unittest.TestCase):
    def found(self, line: str) -> str:
        return module_swap.monitor_of(line.split())

    def test_a_qmp_option_names_its_socket(self) -> None:
        self.assertEqual(self.found(
            'qemu -m 1 -qmp unix:/run/a.qmp,server=on,wait=off -S'),
            '/run/a.qmp')

    def test_a_doubled_comma_is_one(self) -> None:
        self.assertEqual(self.found('qemu -qmp unix:/run/a,,b,server=on'),
                         '/run/a,b')

    def test_a_monitor_on_a_chardev_is_found_whatever_their_order(
            self) -> None:
        self.assertEqual(self.found(
            'qemu -mon chardev=m,mode=control '
            '-chardev socket,id=m,path=/run/m,server=on'), '/run/m')

    def test_a_human_monitor_or_another_socket_is_none(self) -> None:
        self.assertEqual(self.found(
            'qemu -chardev socket,id=m,path=/run/m -mon chardev=m '
            '-serial unix:/run/s'), '')

    def test_a_monitor_on_an_inherited_fd_is_none(self) -> None:
        self.assertEqual(self.found(
            'qemu -chardev socket,id=m,fd=7 -mon chardev=m,mode=control'), '')


class FindingHolders(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.proc = Path(scratch.name)

    def process(self, pid: int, name: str, files: list[str],
                maps: str = '') -> None:
        home = self.proc / str(pid)
        (home / 'fd').mkdir(parents=True)
        (home / 'comm').write_text(name + '\n')
        (home / 'maps').write_text(maps)
        for number, file in enumerate(files):
            os.symlink(file, home / 'fd' / str(number))

    def test_who_has_kvms_files_open_or_mapped_is_a_holder(self) -> None:
        self.process(10, 'a', ['/dev/null', '/dev/kvm'])
        self.process(11, 'b', ['anon_inode:kvm-vm'])
        self.process(12, 'c', ['/dev/null'], 'c000-d000 rw-s 00000000 00:0e '
                     '1024                       anon_inode:kvm-vcpu:0\n')
        self.process(13, 'd', ['anon_inode:[eventfd]', '/tmp/kvm'],
                     'c000-d000 rw-p 00000000 00:00 0 \n')
        self.assertEqual(kvm_modules.holders(self.proc),
                         {10: 'a', 11: 'b', 12: 'c'})

    def test_processes_are_found_by_the_beginning_of_their_names(self) -> None:
        self.process(10, 'qemu-system-x86', [])
        self.process(11, 'sleep', [])
        self.assertEqual(kvm_modules.named('qemu-', self.proc), [10])


class LoadingModules(unittest.TestCase):
    def test_a_source_is_a_file_or_what_modprobe_finds(self) -> None:
        self.assertEqual(str(kvm_modules.Source('kvm', '', ['a=1'])),
                         'modprobe kvm a=1')
        self.assertEqual(str(kvm_modules.Source('kvm', '/x/kvm.ko')),
                         'insmod /x/kvm.ko')

    def test_what_fails_says_which_command(self) -> None:
        with self.assertRaisesRegex(kvm_modules.ModuleError, '^false: status'):
            kvm_modules.run(['false'])
        with self.assertRaisesRegex(kvm_modules.ModuleError, 'no-such-tool'):
            kvm_modules.run(['no-such-tool'])


if __name__ == '__main__':
    unittest.main()
