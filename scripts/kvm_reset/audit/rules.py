# SPDX-License-Identifier: GPL-2.0-or-later
"""What is not compared, or is right though it differs, and why.

Everything else that a VM was told must be told to the next one. This does not
ask the catalogue of kvm-reset or its journal: they may be wrong.
"""

import re
from dataclasses import dataclass

# Set over and over as a guest runs, and at each reset: compared after a reset
# by value, and between two boots only by whether it was set at all.
STATE = {
    'KVM_SET_REGS', 'KVM_SET_SREGS', 'KVM_SET_SREGS2', 'KVM_SET_FPU',
    'KVM_SET_XSAVE', 'KVM_SET_XCRS', 'KVM_SET_DEBUGREGS', 'KVM_SET_LAPIC',
    'KVM_SET_MP_STATE', 'KVM_SET_VCPU_EVENTS', 'KVM_SET_NESTED_STATE',
    'KVM_SET_IRQCHIP', 'KVM_SET_PIT', 'KVM_SET_PIT2', 'KVM_SET_CLOCK', 'MSR',
    'KVM_SET_VAPIC_ADDR', 'KVM_SET_DEVICE_ATTR', 'KVM_XEN_HVM_SET_ATTR',
    'KVM_XEN_VCPU_SET_ATTR', 'KVM_SET_ONE_REG',
}


@dataclass(frozen=True)
class Volatile:
    """Bytes of an argument or of what is read back; all of them if none are
    named."""
    what: str
    item: str                       # of what is read back; a pattern
    ranges: tuple[tuple[int, int], ...]
    why: str


TIME = 'it counts time'
VOLATILE = (
    Volatile('KVM_GET_CLOCK', '', (), TIME),
    Volatile('KVM_SET_CLOCK', '', (), TIME),
    Volatile('KVM_GET_DEVICE_ATTR', 'TSC offset', (),
             'it is relative to when the vCPU was made'),
    Volatile('KVM_GET_MSRS', '0x10|0x6e0', (), TIME),
    Volatile('KVM_GET_MSRS', '0xe[78]', (), 'APERF and MPERF count cycles'),
    Volatile('KVM_GET_MSRS', '0x40000010', (), 'for how long the vCPU ran'),
    Volatile('KVM_GET_MSRS', '0x40000020', (), TIME),
    Volatile('KVM_GET_CPUID2', '0x40000[01]03\\..*', ((12, 28),),
             'KVM puts the scale of time there when the guest goes on'),
    Volatile('KVM_XEN_VCPU_GET_ATTR', '[3-5]', (),
             'for how long the vCPU ran and waited'),
    Volatile('KVM_GET_LAPIC', '', ((0x390, 4),), "the timer's current count"),
    Volatile('KVM_GET_IRQCHIP', '0', ((8, 2),),
             "a tick of the PIT is pending or not: the PIC's IRR"),
    Volatile('KVM_GET_IRQCHIP', '2', ((24, 4),),
             "a tick of the PIT is pending or not: the IOAPIC's IRR"),
    Volatile('KVM_GET_PIT2', '', ((16, 8), (40, 8), (64, 8)),
             'when each counter was loaded'),
    Volatile('KVM_SET_PIT2', '', ((16, 8), (40, 8), (64, 8)),
             'when each counter was loaded'),
    Volatile('MSR', 'index 0x10|index 0x6e0', (), TIME),
)

# What is there to be read and is not looked at.
NOT_READ = {
    'KVM_GET_FPU': 'KVM_GET_XSAVE says the same, and which of it is in use',
    'KVM_GET_STATS_FD': 'its counters grow as the guest runs',
    'KVM_GET_DIRTY_LOG': 'to read it is to clear it',
    'KVM_GET_DEVICE_ATTR of devices': "VFIO's device has none that can be read",
    'KVM_MEMORY_ENCRYPT_OP': 'a locked guest tells nothing',
}


@dataclass(frozen=True)
class Known:
    """A difference that is right."""
    point: str
    kind: str
    what: str
    argument: str                   # patterns, of the whole
    why: str

    def fits(self, point: str, kind: str, what: str, argument: str) -> bool:
        return (self.point == point and self.kind == kind
                and bool(re.fullmatch(self.what, what))
                and bool(re.fullmatch(self.argument, argument)))


KNOWN = (
    Known('reset', 'lacks', 'KVM_SET_CLOCK', '',
          'QEMU sets it when the guest goes on'),
    Known('reset', 'failed', 'KVM_XEN_HVM_SET_ATTR',
          'KVM_XEN_ATTR_TYPE_EVTCHN',
          "QEMU closes a guest's event channels when devices are reset, and "
          'the new VM came without them'),
    Known('boot', 'lacks', 'KVM_SET_CLOCK', '',
          'QEMU sets it when a stopped guest goes on; firmware that restarts '
          'itself gets a VM whose clock counts from its own start'),
    Known('read', 'differs', 'KVM_GET_MSRS', '0xc0011029',
          'the guest wrote DE_CFG, which QEMU does not set at a reset: the old '
          "VM still has the guest's value, the new one that of power-on"),
    Known('read', 'differs', 'KVM_GET_MSRS', '0x40000001',
          "KVM keeps the address of Hyper-V's hypercall page when QEMU resets "
          'the guest, switched off; the new VM has none'),
)
