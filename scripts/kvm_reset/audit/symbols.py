# SPDX-License-Identifier: GPL-2.0-or-later
"""Names for return addresses, from the symbol tables and debug information of
the files that they lie in; by nm and addr2line of binutils."""

import bisect
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .record import Module

# What every KVM ioctl of QEMU goes through: says nothing of who wanted it.
FUNNELS = {'kvm_ioctl', 'kvm_vm_ioctl', 'kvm_vcpu_ioctl', 'kvm_device_ioctl',
           'kvm_vm_check_extension', 'start_thread', 'clone3', 'clone',
           '_start', '__libc_start_main'}
# The module's own part of a call that QEMU makes.
MODULE = re.compile(r'kvm_reset(::|_)')
OURS = ('libkvm-audit.so', 'libkvm-forget.so')


@dataclass
class Frame:
    function: str
    file: str = ''
    line: str = ''

    def __str__(self) -> str:
        return self.function + (f' ({self.line})' if self.line else '')


@dataclass
class Symbols:
    """Of one file, sorted by address."""
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def find(self, address: int) -> str:
        i = bisect.bisect_right(self.starts, address) - 1
        # The nearest name before a hole is somebody else's.
        if i >= 0 and address < self.ends[i]:
            return self.names[i]
        return ''


def run(*command: str) -> str:
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.DEVNULL, check=False).stdout
    except FileNotFoundError:
        return ''


def parse_nm(text: str) -> Symbols:
    rows = []
    for line in text.splitlines():
        words = line.split(maxsplit=3)
        if len(words) == 4 and words[2] in 'tTwWiV':
            start, size = int(words[0], 16), int(words[1], 16)
            rows.append((start, start + size,
                         words[3].split('@')[0].split('.')[0]))
    rows.sort()
    return Symbols([r[0] for r in rows], [r[1] for r in rows],
                   [r[2] for r in rows])


def debug_file(path: str, directories: Iterable[Path]) -> str:
    """Where debug information of a stripped file lies, or the file itself."""
    for line in run('readelf', '-n', path).splitlines():
        if 'Build ID:' in line:
            name = line.split()[-1]
            for directory in directories:
                found = directory / '.build-id' / name[:2] / f'{name[2:]}.debug'
                if found.exists():
                    return str(found)
    return path


def short_path(path: str) -> str:
    """Without where the tree is that QEMU was built from."""
    return re.sub(r'^.*/src/[^/]+/|^(.*?/)?qemu[^/]*/', '', os.path.normpath(path))


class Symboliser:
    def __init__(self, modules: Iterable[Module], lines: bool = True,
                 debug: Iterable[Path] = (Path('/usr/lib/debug'),)) -> None:
        self.modules = list(modules)
        self.lines = lines
        self.debug = list(debug)
        self._symbols: dict[str, Symbols] = {}
        self._files: dict[str, str] = {}

    def module(self, address: int) -> Module | None:
        for module in self.modules:
            if module.start <= address < module.end:
                return module
        return None

    def symbols(self, path: str) -> Symbols:
        if path not in self._symbols:
            self._files[path] = debug_file(path, self.debug)
            text = run('nm', '-C', '-S', '--defined-only', self._files[path])
            if not text:
                text = run('nm', '-D', '-S', '--defined-only', path)
            self._symbols[path] = parse_nm(text)
        return self._symbols[path]

    def chain(self, addresses: list[int], limit: int = 6) -> list[Frame]:
        """Who called, and on whose behalf, without what all have in common."""
        frames: list[tuple[Frame, Module, int]] = []
        for address in addresses:
            module = self.module(address)
            if not module or module.file.endswith(OURS):
                continue
            # A return address is behind the call.
            offset = address - 1 - module.bias
            name = self.symbols(module.file).find(offset)
            if name in FUNNELS or (not name and '/libc.so' in module.file):
                continue
            name = name or f'{Path(module.file).name}+{offset:#x}'
            frames.append((Frame(name, module.file), module, offset))
        # Nothing but the module: it replays what somebody once wanted.
        wanted = [row for row in frames if not MODULE.match(row[0].function)]
        frames = (wanted or frames)[:limit]
        if self.lines:
            self.add_lines(frames)
        return [frame for frame, _, _ in frames]

    def add_lines(self, frames: list[tuple[Frame, Module, int]]) -> None:
        for path in {module.file for _, module, _ in frames}:
            mine = [(frame, offset) for frame, module, offset in frames
                    if module.file == path]
            said = run('addr2line', '-e', self._files.get(path, path),
                       *(f'{offset:#x}' for _, offset in mine)).splitlines()
            for (frame, _), line in zip(mine, said):
                if not line.startswith('??'):
                    frame.line = short_path(line.split(' (')[0])
