# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that fail before the simulated platform sees them, by
before_platform.c: its file, and what its calls are called."""

import errno
import json
import mmap
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from injection import Call

HERE = Path(__file__).resolve().parent

HEAD = struct.Struct('<IIIII')
ONE = struct.Struct('<II')
MOST_CALLS = 4000

# In the order of the enumeration there, from 1 on.
OTHERS = ('openat', 'dup3', 'mmap', 'munmap', 'fcntl', 'readlink', 'epoll_ctl',
          'process_vm_readv', 'process_vm_writev')
# With these the new VM takes the old one's place; behind them there is none but
# those of a launch in place.
LAST = ('dup3', 'mmap')
ENCRYPT_OP = 0xc008aeba
SEV = {0: 'SEV_INIT', 1: 'SEV_ES_INIT', 2: 'LAUNCH_START',
       3: 'LAUNCH_UPDATE_DATA', 4: 'LAUNCH_UPDATE_VMSA', 6: 'LAUNCH_MEASURE',
       7: 'LAUNCH_FINISH', 22: 'SEV_INIT2', 100: 'SNP_LAUNCH_START',
       101: 'SNP_LAUNCH_UPDATE', 102: 'SNP_LAUNCH_FINISH'}
TDX = {1: 'TDX_INIT_VM', 2: 'TDX_INIT_VCPU', 3: 'TDX_INIT_MEM_REGION',
       4: 'TDX_FINALIZE_VM'}
COMMANDS = {'sev': SEV, 'sev-es': SEV, 'snp': SEV, 'tdx': TDX}


@dataclass(frozen=True)
class PlatformCall(Call):
    met: bool = False
    phase: str = ''

    @property
    def label(self) -> str:
        return f'{self.phase}: {self.name}' if self.phase else self.name

    @property
    def injected(self) -> bool:
        return self.met


class Injection:
    """Of the QEMU that is started with its environment."""

    def __init__(self, scratch: Path, tee: str) -> None:
        self.library = scratch / 'before_platform.so'
        subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-Wall', '-Werror',
                        '-o', str(self.library),
                        str(HERE / 'before_platform.c')], check=True)
        self.path = scratch / 'before_platform.control'
        size = HEAD.size + ONE.size * MOST_CALLS
        self.path.write_bytes(bytes(size))
        with self.path.open('r+b') as file:
            self.control = mmap.mmap(file.fileno(), size)
        self.commands = COMMANDS[tee]
        self.ioctls = {}
        for line in Path(os.environ['KVM_RESET_CATALOGUE']).read_text() \
                .splitlines():
            item = json.loads(line)
            if item['kind'] == 'row':
                self.ioctls[item['request']] = item['name']

    def name_of(self, call: int, command: int) -> str:
        if call <= len(OTHERS):
            return OTHERS[call - 1]
        if call == ENCRYPT_OP:
            return self.commands.get(command, f'command {command}')
        return self.ioctls.get(call, f'{call:#x}')

    def arm(self, thread: int, nth: int = 0, error: str = '') -> None:
        code = getattr(errno, error) if error else 0
        HEAD.pack_into(self.control, 0, 0, code, nth, 0, 0)
        struct.pack_into('<I', self.control, 0, thread)

    def disarm(self, whole: bool = False) -> list[PlatformCall]:
        """The calls of the rebirth that came meanwhile; @whole: and of the
        reset of devices after it."""
        struct.pack_into('<I', self.control, 0, 0)
        _, _, fails, hit, made = HEAD.unpack_from(self.control, 0)
        calls = []
        for n in range(made):
            name = self.name_of(*ONE.unpack_from(self.control,
                                                 HEAD.size + n * ONE.size))
            calls.append(PlatformCall(name, n, f'{name}, call {n}',
                                      bool(hit) and n == fails))
        if not hit and not whole:
            last = {*LAST, *self.commands.values()}
            while calls and calls[-1].name not in last:
                calls.pop()
        return calls
