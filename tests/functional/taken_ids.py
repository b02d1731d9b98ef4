# SPDX-License-Identifier: GPL-2.0-or-later
"""A host whose ASIDs are nearly all taken: by VMs of ours that do nothing else.

Such a VM has its ASID from KVM_SEV_INIT (or KVM_SEV_ES_INIT, for SEV-ES and
SNP) until it is closed; the secure processor hears nothing of it."""

import ctypes
import errno
import fcntl
import os

KVM_CREATE_VM = 0xae01
KVM_MEMORY_ENCRYPT_OP = 0xc008aeba
COMMANDS = {'sev': 0, 'sev-es': 1}


class Command(ctypes.Structure):
    """struct kvm_sev_cmd of linux/kvm.h."""
    _fields_ = (('id', ctypes.c_uint32), ('pad', ctypes.c_uint32),
                ('data', ctypes.c_uint64), ('error', ctypes.c_uint32),
                ('sev_fd', ctypes.c_uint32))


class TakenIds:
    """All of a kind but @left are taken, until this is closed."""

    def __init__(self, kind: str, left: int) -> None:
        self.vms: list[int] = []
        kvm = os.open('/dev/kvm', os.O_RDWR | os.O_CLOEXEC)
        sev = os.open('/dev/sev', os.O_RDWR | os.O_CLOEXEC)
        try:
            while self.take_one(kvm, sev, kind):
                pass
        finally:
            os.close(kvm)
            os.close(sev)
        assert len(self.vms) >= left, f'the host has {len(self.vms)} ids'
        for vm in self.vms[:left]:
            os.close(vm)
        del self.vms[:left]

    def take_one(self, kvm: int, sev: int, kind: str) -> bool:
        vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
        os.set_inheritable(vm, False)
        command = Command(id=COMMANDS[kind], sev_fd=sev)
        try:
            fcntl.ioctl(vm, KVM_MEMORY_ENCRYPT_OP, command)
        except OSError as error:
            os.close(vm)
            if error.errno != errno.EBUSY:
                raise
            return False
        self.vms.append(vm)
        return True

    def close(self) -> None:
        while self.vms:
            os.close(self.vms.pop())
