# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a KVM device can carry a guest at all: asked before QEMU is, so that
the answer says what to do."""

import errno
import fcntl
import os
import sys
from typing import Callable

DEVICE = "/dev/kvm"

KVM_GET_API_VERSION = 0xAE00
KVM_CHECK_EXTENSION = 0xAE03
API_VERSION = 12

# What QEMU 10 refuses to start without, and what a rebirth builds on.
NEEDED = {
    "KVM_CAP_IRQCHIP": 0,
    "KVM_CAP_USER_MEMORY": 3,
    "KVM_CAP_SET_TSS_ADDR": 4,
    "KVM_CAP_EXT_CPUID": 7,
    "KVM_CAP_MP_STATE": 14,
    "KVM_CAP_DESTROY_MEMORY_REGION_WORKS": 21,
    "KVM_CAP_IRQ_ROUTING": 25,
    "KVM_CAP_JOIN_MEMORY_REGIONS_WORKS": 30,
    "KVM_CAP_IRQFD": 32,
    "KVM_CAP_IOEVENTFD": 36,
    "KVM_CAP_SET_IDENTITY_MAP_ADDR": 37,
    "KVM_CAP_ADJUST_CLOCK": 39,
    "KVM_CAP_INTERNAL_ERROR_DATA": 40,
    "KVM_CAP_VCPU_EVENTS": 41,
    "KVM_CAP_DEBUGREGS": 50,
    "KVM_CAP_X86_ROBUST_SINGLESTEP": 51,
    "KVM_CAP_XSAVE": 55,
    "KVM_CAP_SIGNAL_MSI": 77,
    "KVM_CAP_IOEVENTFD_ANY_LENGTH": 122,
    "KVM_CAP_IMMEDIATE_EXIT": 136,
}

INSTEAD = "or leave --host-kvm out, and the appliance brings a KVM"


class Unusable(Exception):
    """One line: what is wrong with the device, and what to do."""


def open_device(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        what = f"{path} cannot be opened ({os.strerror(error.errno)})"
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            raise Unusable(f"{what}: turn virtualization on in the machine's "
                           "firmware and load kvm_amd or kvm_intel, "
                           f"{INSTEAD}") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Unusable(f"{what}: become root or a member of group kvm, "
                           f"{INSTEAD}") from None
        raise Unusable(f"{what}: {INSTEAD[3:]}") from None


def check_answers(ask: Callable[[int, int], int], path: str) -> None:
    """@ask is ioctl() on the device: request, argument, answer."""
    try:
        version = ask(KVM_GET_API_VERSION, 0)
    except OSError as error:
        raise Unusable(f"{path} is not KVM's ({os.strerror(error.errno)}): "
                       "see what made it, "
                       f"{INSTEAD}") from None
    if version != API_VERSION:
        raise Unusable(f"{path} speaks version {version} of KVM's API, not "
                       f"{API_VERSION}: take another kernel, {INSTEAD}")
    missing = [name for name, number in NEEDED.items()
               if ask(KVM_CHECK_EXTENSION, number) <= 0]
    if missing:
        raise Unusable(f"this kernel's KVM lacks {', '.join(missing)}: take "
                       f"Linux 6.1 or newer, {INSTEAD}")


def check(path: str = DEVICE) -> None:
    fd = open_device(path)
    try:
        check_answers(lambda request, arg: fcntl.ioctl(fd, request, arg), path)
    finally:
        os.close(fd)


def main() -> None:
    try:
        check()
    except Unusable as why:
        sys.exit(str(why))
