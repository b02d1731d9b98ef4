# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel whose calls fail or take long on demand: shim.c, preloaded."""

import contextlib
import errno
import json
import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent

RULE = struct.Struct('<IiIiII16s')
RULES = 8

# What shim.c calls that which is no ioctl.
OTHERS = {'close': 1, 'dup3': 2, 'mmap': 3}


def number_of(call: str) -> int:
    """An ioctl's request, from the catalogue."""
    if call in OTHERS:
        return OTHERS[call]
    for line in Path(os.environ['KVM_RESET_CATALOGUE']).read_text() \
            .splitlines():
        item = json.loads(line)
        if item['kind'] == 'row' and item['name'] == call:
            return item['request']
    raise KeyError(call)


class Shim:
    """Of every QEMU that is started while it is there."""

    def __init__(self, scratch: Path) -> None:
        library = scratch / 'shim.so'
        subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-Wall', '-Werror',
                        '-o', str(library), str(HERE / 'shim.c')], check=True)
        path = scratch / 'shim.rules'
        path.write_bytes(bytes(RULE.size * RULES))
        with path.open('r+b') as file:
            self._rules = mmap.mmap(file.fileno(), RULE.size * RULES)
        self._free = list(range(RULES))
        os.environ['KVM_RESET_SHIM'] = str(path)
        os.environ['LD_PRELOAD'] = str(library)

    @staticmethod
    def forget() -> None:
        os.environ.pop('KVM_RESET_SHIM', None)
        os.environ.pop('LD_PRELOAD', None)

    @contextlib.contextmanager
    def rule(self, call: str, *, error: str = '', delay: float = 0,
             times: int = -1, thread: str = '',
             word: int = 0) -> Iterator['Rule']:
        """
        :param error: that the call fails with, 'ENOMEM'
        :param delay: before the call, in seconds
        :param times: how often; -1 for always
        :param thread: only on the threads of that name
        :param word: only if the argument begins with this 32-bit word
        """
        at = self._free.pop()
        rule = Rule(self._rules, at * RULE.size)
        rule.write(number_of(call), getattr(errno, error) if error else 0,
                   int(delay * 1000), times, thread, word)
        try:
            yield rule
        finally:
            rule.write(0, 0, 0, 0, '', 0)
            self._free.append(at)


class Rule:
    def __init__(self, rules: mmap.mmap, at: int) -> None:
        self._rules = rules
        self._at = at

    def write(self, call: int, error: int, delay_ms: int, times: int,
              thread: str, word: int) -> None:
        """The call goes last, since QEMU reads meanwhile."""
        # That none is half of one rule and half of another.
        self._rules[self._at:self._at + 4] = bytes(4)
        rule = RULE.pack(call, error, delay_ms, times, 0, word,
                         thread.encode())
        self._rules[self._at + 4:self._at + RULE.size] = rule[4:]
        self._rules[self._at:self._at + 4] = rule[:4]

    @property
    def hits(self) -> int:
        return RULE.unpack_from(self._rules, self._at)[4]
