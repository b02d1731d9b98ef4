# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/kvm-module-swap finds out of a host."""

import contextlib
import io
import os
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

LIB = Path(__file__).resolve().parents[2] / 'scripts'
sys.path.insert(0, str(LIB))

from kvm_reset import kvm_modules    # noqa: E402
from kvm_reset import module_swap    # noqa: E402
from kvm_reset import monitors    # noqa: E402
from kvm_reset.qmp import QmpError    # noqa: E402


class FindingMonitors(unittest.TestCase):
    def found(self, line: str) -> str:
        return monitors.monitor_of(line.split())

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
        self.process(14, 'e', ['/srv/jail/dev/kvm'])
        self.process(15, 'f', ['/srv/jail/dev/kvm (deleted)'])
        self.process(13, 'd', ['anon_inode:[eventfd]', '/tmp/kvm'],
                     'c000-d000 rw-p 00000000 00:00 0 \n')
        self.assertEqual(kvm_modules.holders(self.proc),
                         {10: 'a', 11: 'b', 12: 'c', 14: 'e', 15: 'f'})

    def test_one_that_may_not_be_looked_at_is_passed_over(self) -> None:
        self.process(1, 'init', ['/dev/null'])
        self.process(10, 'a', ['/dev/kvm'])
        readlink = os.readlink

        def denied(path: Path) -> str:
            if '/1/' in str(path):
                raise PermissionError(13, 'Permission denied')
            return readlink(path)
        with mock.patch.object(os, 'readlink', denied):
            self.assertEqual(kvm_modules.holders(self.proc), {10: 'a'})

    def test_processes_are_found_by_the_beginning_of_their_names(self) -> None:
        self.process(10, 'qemu-system-x86', [])
        self.process(11, 'sleep', [])
        self.assertEqual(kvm_modules.named('qemu-', self.proc), [10])


class FakeMonitor:
    """Knows which commands fail, and keeps what it is asked."""

    timeout = 0.0

    def __init__(self, info: dict[str, Any], **failures: str) -> None:
        self.info = {'detached': False, **info}
        self.failures = failures
        self.asked: list[str] = []
        self.given: list[os.stat_result] = []

    def command(self, name: str, fds: Sequence[int] = (),
                **arguments: Any) -> Any:
        words = [f'{key}={value}' for key, value in arguments.items()]
        if name.startswith(('kvm-', 'getfd')):
            self.asked.append(' '.join([name, *words]))
        self.given += [os.fstat(fd) for fd in fds]
        failure = self.failures.get(name.replace('-', '_'))
        if failure and 'fd' not in arguments:
            raise QmpError(failure)
        return {'query-kvm': {'enabled': True}, 'query-kvm-reset': self.info,
                'query-commands': [{'name': 'kvm-detach'},
                                   {'name': 'kvm-attach'}]}.get(
            name, {'total-ns': 1, 'bytes': 1, 'pause-ns': 1, 'running': True})


class Attaching(unittest.TestCase):
    def setUp(self) -> None:
        device = tempfile.NamedTemporaryFile()
        self.addCleanup(device.close)
        patched = mock.patch.object(module_swap, 'KVM', device.name)
        patched.start()
        self.addCleanup(patched.stop)
        self.device = os.stat(device.name)

    def swap(self, monitor: FakeMonitor) -> module_swap.Guest:
        guest = module_swap.Guest('/run/a')
        guest.qmp = monitor    # type: ignore[assignment]
        with contextlib.redirect_stdout(io.StringIO()):
            guest.check()
            guest.detach()
            guest.attach()
        return guest

    def test_who_opens_kvm_is_left_to_it(self) -> None:
        monitor = FakeMonitor({})
        self.swap(monitor)
        self.assertEqual(monitor.asked, ['kvm-detach check=True',
                                         'kvm-detach', 'kvm-attach'])

    def test_who_cannot_is_given_a_descriptor(self) -> None:
        monitor = FakeMonitor({'device-error': 'not for you'})
        self.assertFalse(self.swap(monitor).detached)
        self.assertEqual(monitor.asked, [
            'kvm-detach check=True attach-by-fd=True',
            'kvm-detach attach-by-fd=True',
            'getfd fdname=kvm-module-swap', 'kvm-attach fd=kvm-module-swap'])
        self.assertEqual([got.st_ino for got in monitor.given],
                         [self.device.st_ino])

    def test_who_could_and_cannot_any_more_is_given_one_too(self) -> None:
        monitor = FakeMonitor({'detached': True}, kvm_attach='cannot open the '
                              'KVM device /dev/kvm anew: no')
        self.assertFalse(self.swap(monitor).detached)
        self.assertEqual(monitor.asked, [
            'kvm-attach', 'getfd fdname=kvm-module-swap',
            'kvm-attach fd=kvm-module-swap'])

    def test_another_failure_is_told_as_it_is(self) -> None:
        monitor = FakeMonitor({}, kvm_attach='this KVM lacks it')
        with self.assertRaisesRegex(module_swap.Failure, 'lacks it'):
            self.swap(monitor)
        self.assertEqual(monitor.given, [])

    def test_without_a_device_of_our_own_that_is_said(self) -> None:
        monitor = FakeMonitor({'device-error': 'not for you'})
        with mock.patch.object(module_swap, 'KVM', '/nowhere/kvm'), \
                self.assertRaisesRegex(module_swap.Failure,
                                       'cannot open /nowhere/kvm for it: No'):
            self.swap(monitor)


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
