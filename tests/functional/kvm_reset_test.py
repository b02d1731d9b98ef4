# SPDX-License-Identifier: GPL-2.0-or-later
"""What the functional tests share: starting guests, and what a rebirth is."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar

from qemu.machine import QEMUMachine
from qemu_test import QemuSystemTest

import process
from guest import QUICK_KERNEL, Guest
from judge import ON_LAB
from shim import Shim

T = TypeVar('T')

# As Debian ships it, and unpacked: an emulated CPU is slow to unpack it.
KERNEL = os.environ.get('KVM_RESET_GUEST_KERNEL', '')
KERNEL_ELF = os.environ.get('KVM_RESET_GUEST_ELF', '')
INITRD = os.environ.get('KVM_RESET_GUEST_INITRD', '')

# Of a KVM that cannot do what its CPUID says, 'host' is none.
CPU = os.environ.get('KVM_RESET_GUEST_CPU', 'host')

# MiB. An SNP guest's firmware validates each page of it.
MEMORY = 192 if ON_LAB else 256

# Told in QEMU's log when a test fails.
TRACES = ('kvm_reset_step', 'kvm_reset_blocked', 'kvm_reset_stale')


def takes(seconds: float) -> Callable[[T], T]:
    """After how long a test is given up; the default is TIME_LIMIT."""
    def mark(test: T) -> T:
        test.time_limit = seconds    # type: ignore[attr-defined]
        return test
    return mark


class KvmResetTest(QemuSystemTest):
    """A test with guests of its own."""

    # Who can judge it (judge.py): on the lab confidential guests alone run.
    JUDGES: tuple[str, ...] = ('platform',)
    # Of each test, in seconds: a busy machine's, so only what hangs meets it.
    TIME_LIMIT = 300
    # About how long all tests of the class take; the longest start first.
    WEIGHT = 10

    def start(self, name: str = 'guest', **options: Any) -> Guest:
        """A guest that runs; see qemu_args() for the options."""
        vm = self.get_vm(name=name)
        return self.launch(vm, name, Path(self.log_file()), **options)

    @classmethod
    def launch(cls, vm: QEMUMachine, name: str, log_dir: Path,
               **options: Any) -> Guest:
        firmware = options.get('firmware', False)
        vm.set_console('isa-debugcon,iobase=0x402' if firmware else None)
        vm.add_args(*cls.qemu_args(**options))
        return Guest(vm, log_dir / f'{name}.console')

    @staticmethod
    def qemu_args(*, machine: str = 'q35', rebirth: bool = True,
                  accel: str = 'kvm', cpu: str = CPU, smp: str = '1',
                  memory: int = MEMORY, append: str = '', packed: bool = False,
                  kernel: str = '', initrd: str = '', firmware: bool = False,
                  stock: bool = False,
                  args: Sequence[str] = ()) -> list[str]:
        """
        :param machine: with its options, irqchip and the like
        :param rebirth: whether an ordinary reset gives a new VM
        :param append: more for the guest's kernel
        :param packed: the kernel as it was shipped, which takes longer
        :param kernel: another one, and so `initrd`
        :param firmware: no more than SeaBIOS, which says on its debug port
                         how it goes
        :param stock: for a QEMU without kvm-reset
        """
        if not stock:
            machine += ',x-change-vmfd-on-reset=' + ('on' if rebirth
                                                     else 'off')
        line = ['-nodefaults', '-no-user-config', '-machine', machine,
                '-accel', accel, '-cpu', cpu, '-smp', smp, '-m', f'{memory}']
        for event in () if stock else TRACES:
            line += ['-trace', event]
        if not firmware:
            kernel = kernel or (KERNEL if packed else KERNEL_ELF)
            line += ['-kernel', kernel,
                     '-initrd', initrd or INITRD,
                     '-append', f'{QUICK_KERNEL} {append}']
        return line + list(args)

    @contextlib.contextmanager
    def reborn(self, guest: Guest, boots: bool = True,
               event: bool = True) -> Iterator[None]:
        """What is done inside gives the guest a new VM in the same process,
        and the guest boots on it and works."""
        before = guest.info()
        old = guest.running_vm()
        born = process.start_time(guest.pid)
        boot_id = guest.boot_ids[-1] if guest.boot_ids else ''
        guest.drop_events()
        yield
        if event:
            rebirth = guest.wait_rebirth()
            self.assertEqual(rebirth['outcome'], 'completed', rebirth)
            self.assertGreater(rebirth['generation'], before['generation'])
            self.assertGreater(rebirth['duration-ns'], 0)
        if boots:
            self.assertNotEqual(guest.wait_boot(), boot_id)
            guest.must_answer()
        after = guest.info()
        self.assertTrue(after['restartable'], after)
        self.assertGreater(after['generation'], before['generation'])
        self.assertEqual(after['aborted'], before['aborted'], after)
        guest.settle()
        self.assertNotIn(old, process.vms_of(guest.pid),
                         'KVM says that the old VM lives')
        if boots:
            self.assertNotEqual(guest.running_vm(), old)
        self.assertEqual(process.start_time(guest.pid), born)
        self.assertEqual(guest.vm.get_pid(), guest.pid)

    def scratch_disk(self, size: int, name: str = 'disk.raw') -> Path:
        """An empty image of @size bytes."""
        path = Path(self.scratch_file(name))
        with path.open('wb') as file:
            file.truncate(size)
        return path

    def shimmed(self) -> Shim:
        """In front of the libc calls of all QEMUs that are started from now."""
        shim = Shim(Path(self.workdir))
        self.addCleanup(shim.forget)
        return shim

    def require_file(self, path: str, what: str) -> None:
        if not os.path.exists(path):
            self.skipTest(f'no {path}: {what}')

    def log_dirs(self) -> list[str]:
        """What tells of a failure."""
        return [self.outputdir]


class SharedGuestTest(KvmResetTest):
    """Tests that do one thing each to a guest that they share: to boot one
    takes most of a test's time. After a failure the next test has a new one."""

    OPTIONS: dict[str, Any] = {}

    _shared: Optional[Guest] = None

    def setUp(self) -> None:
        super().setUp()
        cls = type(self)
        if cls._shared is None:
            log_dir = Path(self.build_file('shared', cls.__name__))
            log_dir.mkdir(parents=True, exist_ok=True)
            vm = QEMUMachine(self.qemu_bin, name='guest', log_dir=str(log_dir),
                             base_temp_dir=str(log_dir))
            cls._shared = cls.launch(vm, 'guest', log_dir, **self.OPTIONS)
            if self.OPTIONS.get('firmware'):
                cls._shared.wait_firmware()
            else:
                cls._shared.wait_boot()
        self.guest = cls._shared

    def run(self, result: Any = None) -> Any:
        bad = len(result.failures) + len(result.errors)
        outcome = super().run(result)
        if len(result.failures) + len(result.errors) > bad:
            self.drop_guest()
        return outcome

    @classmethod
    def drop_guest(cls) -> None:
        guest, cls._shared = cls._shared, None
        if guest:
            guest.vm.kill()

    @classmethod
    def tearDownClass(cls) -> None:
        guest, cls._shared = cls._shared, None
        if guest:
            guest.stop()

    def log_dirs(self) -> list[str]:
        return [self.outputdir,
                self.build_file('shared', type(self).__name__)]
