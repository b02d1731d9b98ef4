# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel, not QEMU, says of a process and of its KVM VMs."""

import contextlib
import ctypes
import os
from dataclasses import dataclass, field
from pathlib import Path

TGKILL = 234    # of x86-64
KVM_DEBUGFS = Path('/sys/kernel/debug/kvm')


@dataclass(frozen=True)
class Usage:
    """What a process holds, and what a leak would make more of."""
    fds: int
    threads: int
    mappings: int
    anonymous_kib: int
    heap_kib: int = 0

    @classmethod
    def of(cls, pid: int) -> 'Usage':
        proc = Path('/proc', str(pid))
        status = (proc / 'status').read_text().splitlines()
        # Without the guest's own memory where that is shared, as in a memfd.
        anonymous = next(line for line in status if line.startswith('RssAnon'))
        return cls(fds=len(os.listdir(proc / 'fd')),
                   threads=len(os.listdir(proc / 'task')),
                   mappings=(proc / 'maps').read_text().count('\n'),
                   anonymous_kib=int(anonymous.split()[1]),
                   heap_kib=heap_kib(proc))


def heap_kib(proc: Path) -> int:
    """Of the main heap, what is in memory."""
    inside = False
    for line in (proc / 'smaps').read_text().splitlines():
        if line.endswith('[heap]'):
            inside = True
        elif inside and line.startswith('Rss:'):
            return int(line.split()[1])
    return 0


def fd_of(pid: int, name: str) -> int:
    """The first one that is open on @name."""
    return min(int(fd.name) for fd in Path('/proc', str(pid), 'fd').iterdir()
               if os.readlink(fd) == name)


@dataclass(frozen=True)
class Vm:
    """A VM as KVM's debugfs has it. KVM makes the directory with the VM, so
    no two have the same number."""
    directory: str
    number: int
    exits: int = field(compare=False)


def vms_of(pid: int) -> list[Vm]:
    """The VMs that live in this process; one may go while one looks. Their
    names begin with the number of the thread that made them."""
    vms = []
    for thread in os.listdir(f'/proc/{pid}/task'):
        for entry in KVM_DEBUGFS.glob(f'{thread}-*'):
            with contextlib.suppress(FileNotFoundError):
                vms.append(Vm(entry.name, entry.stat().st_ino,
                              int((entry / 'exits').read_text())))
    return vms


def signal_thread(pid: int, thread: int, number: int) -> None:
    """One that is gone meanwhile is none."""
    ctypes.CDLL(None).syscall(TGKILL, pid, thread, number)


def thread_names(pid: int) -> list[str]:
    names = []
    for task in Path('/proc', str(pid), 'task').iterdir():
        # One may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append((task / 'comm').read_text().strip())
    return sorted(names)


def thread_of(pid: int, name: str) -> int:
    """The number of the thread of that name; there must be one."""
    return next(int(task.name) for task in Path('/proc', str(pid), 'task')
                .iterdir() if (task / 'comm').read_text().strip() == name)


def start_time(pid: int) -> int:
    """With the number it names a process for ever."""
    stat = Path('/proc', str(pid), 'stat').read_text()
    return int(stat.rpartition(')')[2].split()[19])


def kvm_files(pid: int) -> list[str]:
    """What a process has of KVM's, open or mapped."""
    proc = Path('/proc', str(pid))
    names = []
    for entry in (proc / 'fd').iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(entry))
    names += [line.split(maxsplit=5)[5] for line
              in (proc / 'maps').read_text().splitlines()
              if len(line.split(maxsplit=5)) > 5]
    return [name for name in names if 'kvm' in name and
            name.startswith(('/dev/', 'anon_inode:'))]


def vcpu_mapping(pid: int, vcpu: int = 0) -> int:
    """Where the process has what it shares with KVM for that vCPU."""
    for line in Path('/proc', str(pid), 'maps').read_text().splitlines():
        if line.endswith(f'anon_inode:kvm-vcpu:{vcpu}'):
            return int(line.partition('-')[0], 16)
    raise LookupError(f'process {pid} has no vCPU {vcpu}')
