# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine can do for confidential guests, as its kernel says it.

Each finding is a question, what was asked, and the answer: a report has all of
them, the answers that say no above all."""

import ctypes
import fcntl
import os
import re
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

KVM_CHECK_EXTENSION = 0xae03
SEV_ISSUE_CMD = 0xc0105300
SEV_PLATFORM_STATUS = 1
SNP_PLATFORM_STATUS = 9

# <linux/kvm.h>, and the types of <asm/kvm.h> as bits of the first.
CAP_VM_TYPES = 235
CAPABILITIES = {'KVM_CAP_VM_TYPES': CAP_VM_TYPES,
                'KVM_CAP_MEMORY_ATTRIBUTES': 233,
                'KVM_CAP_GUEST_MEMFD': 234}
VM_TYPES = {'sev': 2, 'sev-es': 3, 'snp': 4, 'tdx': 5}
CPU_FLAGS = ('sev', 'sev_es', 'sev_snp', 'tdx_host_platform')
PARAMETERS = ('kvm_amd/parameters/sev', 'kvm_amd/parameters/sev_es',
              'kvm_amd/parameters/sev_snp', 'kvm_intel/parameters/tdx')
OBJECTS = {'sev': 'sev-guest', 'sev-es': 'sev-guest', 'snp': 'sev-snp-guest',
           'tdx': 'tdx-guest'}


@dataclass(frozen=True)
class Finding:
    """@where: what was asked; @answer: what it said, or why nothing."""
    where: str
    answer: str


@dataclass
class Machine:
    """@kinds: of guests that this machine can launch."""
    findings: list[Finding] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    cbitpos: int = 0
    reduced_phys_bits: int = 1

    def note(self, where: str, answer: str) -> None:
        self.findings.append(Finding(where, answer))


def why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def look_at_kvm(machine: Machine, device: str = '/dev/kvm') -> int:
    """The VM types that KVM has, as bits."""
    try:
        kvm = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        machine.note(device, why(error))
        return 0
    types = 0
    try:
        for name, number in CAPABILITIES.items():
            try:
                value = fcntl.ioctl(kvm, KVM_CHECK_EXTENSION, number)
            except OSError as error:
                machine.note(f'{device}, {name}', why(error))
                continue
            machine.note(f'{device}, {name}', hex(value))
            if number == CAP_VM_TYPES:
                types = value
    finally:
        os.close(kvm)
    for kind, bit in VM_TYPES.items():
        machine.note(f'{device}, VMs of type {kind}',
                     'yes' if types >> bit & 1 else 'no')
    return types


def firmware_says(device: int, command: int) -> bytes:
    """The answer of SEV's firmware, or OSError."""
    answer = bytearray(64)
    address = struct_address(answer)
    request = bytearray(struct.pack('<IQI', command, address, 0))
    fcntl.ioctl(device, SEV_ISSUE_CMD, request)
    return bytes(answer)


def struct_address(buffer: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(buffer)).from_buffer(buffer))


def look_at_sev(machine: Machine, device: str = '/dev/sev') -> bool:
    """Whether SEV's firmware can be asked for anything."""
    try:
        sev = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        machine.note(device, why(error))
        return False
    try:
        for name, command in (('SEV_PLATFORM_STATUS', SEV_PLATFORM_STATUS),
                              ('SNP_PLATFORM_STATUS', SNP_PLATFORM_STATUS)):
            try:
                answer = firmware_says(sev, command)
            except OSError as error:
                machine.note(f'{device}, {name}', why(error))
                continue
            machine.note(f'{device}, {name}',
                         f'API {answer[0]}.{answer[1]}, state {answer[2]}')
    finally:
        os.close(sev)
    return True


def look_at_files(machine: Machine, root: Path = Path('/')) -> None:
    """What else tells of support, or of why there is none."""
    cpuinfo = root / 'proc/cpuinfo'
    text = cpuinfo.read_text() if cpuinfo.exists() else ''
    flags = set((re.search(r'^flags\s*:(.*)$', text, re.M) or ['', ''])[1]
                .split())
    model = re.search(r'^model name\s*:\s*(.*)$', text, re.M)
    machine.note('the CPU', model[1] if model else 'unknown')
    for flag in CPU_FLAGS:
        machine.note(f'/proc/cpuinfo, flag {flag}',
                     'yes' if flag in flags else 'no')
    for name in PARAMETERS:
        path = root / 'sys/module' / name
        machine.note(f'/sys/module/{name}', path.read_text().strip()
                     if path.exists() else 'not there')
    ids = root / 'sys/fs/cgroup/misc.capacity'
    machine.note('/sys/fs/cgroup/misc.capacity: ASIDs and key ids',
                 ', '.join(ids.read_text().split('\n')).strip(', ') or 'none'
                 if ids.exists() else 'not there')


def look_at_cpuid(machine: Machine,
                  device: Path = Path('/dev/cpu/0/cpuid')) -> None:
    """Which bit of an address says that it is encrypted."""
    try:
        with device.open('rb', buffering=0) as file:
            file.seek(0x8000001f)
            _, ebx, ecx, _ = struct.unpack('<4I', file.read(16))
    except OSError as error:
        machine.note(f'{device}, leaf 0x8000001f',
                     f'{why(error)} (modprobe cpuid)')
        return
    machine.cbitpos = ebx & 0x3f
    machine.reduced_phys_bits = ebx >> 6 & 0x3f or 1
    machine.note(f'{device}, leaf 0x8000001f',
                 f'C-bit {machine.cbitpos}, {machine.reduced_phys_bits} '
                 f'address bits fewer, {ecx} guests')


def look_at_qemu(machine: Machine, qemu: str) -> set[str]:
    """The objects that it has; nothing is known without a QEMU."""
    if not qemu:
        return set(OBJECTS.values())
    said = subprocess.run([qemu, '-object', 'help'], capture_output=True,
                          text=True, check=False).stdout
    there = {name for name in OBJECTS.values()
             if re.search(rf'^\s*{name}$', said, re.M)}
    machine.note(f'{qemu}, objects', ', '.join(sorted(there)) or 'none')
    return there


def look(qemu: str = '') -> Machine:
    machine = Machine()
    machine.note('the kernel', ' '.join(os.uname()[i] for i in (0, 2, 3)))
    types = look_at_kvm(machine)
    sev = look_at_sev(machine)
    look_at_files(machine)
    look_at_cpuid(machine)
    objects = look_at_qemu(machine, qemu)
    machine.kinds = [kind for kind, bit in VM_TYPES.items()
                     if types >> bit & 1 and (kind == 'tdx' or sev)
                     and OBJECTS[kind] in objects]
    return machine
