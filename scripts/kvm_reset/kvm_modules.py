# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's KVM modules, and who has them in use."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

VENDORS = ('kvm_amd', 'kvm_intel')
SYS_MODULE = Path('/sys/module')
PROC = Path('/proc')


class ModuleError(Exception):
    """One line: what failed, on what."""


def is_kvms(target: str) -> bool:
    """Whether that is what /proc says of a file of KVM's."""
    return target.startswith(('/dev/kvm', 'anon_inode:kvm-',
                              'anon_inode:[kvm-')) or \
        target.removesuffix(' (deleted)').endswith('/dev/kvm')    # a chroot's


def holds_kvm(process: Path) -> bool:
    """Whether a process, as a directory of /proc, has files of KVM's open or
    mapped. One that ends meanwhile has none, nor has one that may not be looked
    at: the kernel does not let modules go that are in use."""
    try:
        for entry in (process / 'fd').iterdir():
            try:
                if is_kvms(os.readlink(entry)):
                    return True
            except FileNotFoundError:
                pass
        return any(is_kvms(line.split(maxsplit=5)[5]) for line in
                   (process / 'maps').read_text().splitlines()
                   if line.count(' ') > 5 and len(line.split(maxsplit=5)) > 5)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def holders(proc: Path = PROC) -> dict[int, str]:
    """The processes that have KVM open, and their names."""
    found = {}
    for process in proc.iterdir():
        if process.name.isdigit() and holds_kvm(process):
            try:
                found[int(process.name)] = \
                    (process / 'comm').read_text().strip()
            except FileNotFoundError:
                pass
    return found


def named(prefix: str, proc: Path = PROC) -> list[int]:
    """The processes whose names begin so."""
    found = []
    for process in proc.iterdir():
        try:
            if process.name.isdigit() and \
                    (process / 'comm').read_text().startswith(prefix):
                found.append(int(process.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@dataclass
class Source:
    """Where a module is loaded from, with which options."""
    name: str
    path: str = ''    # empty: modprobe finds it
    options: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        if self.path:
            return ['insmod', self.path, *self.options]
        return ['modprobe', self.name, *self.options]

    def __str__(self) -> str:
        return ' '.join(self.command())


def run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              check=False)
    except OSError as error:
        raise ModuleError(f'{command[0]}: {error.strerror}') from None
    if done.returncode:
        words = ' '.join((done.stderr or done.stdout).split())
        raise ModuleError(f'{" ".join(command)}: '
                          + (words or f'status {done.returncode}'))


def is_loaded(name: str) -> bool:
    """What is compiled in has no initstate."""
    return (SYS_MODULE / name / 'initstate').exists()


def vendor_in_use() -> str:
    for name in VENDORS:
        if is_loaded(name):
            return name
    if any((SYS_MODULE / name).exists() for name in VENDORS):
        raise ModuleError('KVM is compiled into this kernel, so it cannot be '
                          'replaced')
    raise ModuleError('neither kvm_amd nor kvm_intel is loaded')


def parameters(name: str) -> list[str]:
    """Those that it has now, as options."""
    options = []
    for path in sorted((SYS_MODULE / name / 'parameters').glob('*')):
        try:
            value = path.read_text().strip()
        except OSError:
            continue
        if value and ' ' not in value and value != '(null)':
            options.append(f'{path.name}={value}')
    return options


def references(name: str) -> int:
    """By whatever is not a module."""
    path = SYS_MODULE / name
    if not is_loaded(name):
        return 0
    used = int((path / 'refcnt').read_text())
    return used - len(list((path / 'holders').iterdir()))


def wait_unused(vendor: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while (used := references(vendor) + references('kvm')):
        if time.monotonic() > deadline:
            who = ', '.join(f'{name} ({pid})' for pid, name
                            in holders().items())
            raise ModuleError(f'{vendor} or kvm is still in use, {used} times'
                              + (f', by {who}' if who else ''))
        time.sleep(0.01)


def unload(vendor: str) -> None:
    for name in (vendor, 'kvm'):
        if is_loaded(name):
            run(['rmmod', name])


def load(sources: list[Source]) -> None:
    """In that order; all, or none is left."""
    for source in sources:
        try:
            run(source.command())
        except ModuleError:
            for done in reversed(sources):
                if is_loaded(done.name):
                    run(['rmmod', done.name])
            raise
    if not Path('/dev/kvm').exists():
        raise ModuleError('the modules are loaded, and there is no /dev/kvm')
