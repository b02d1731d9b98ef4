# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/audit finds nothing lost, and everything that a test makes a reset
forget."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from kvm_reset.audit.compare import Finding
from kvm_reset.audit.report import Audit
from kvm_reset_test import KvmResetTest, takes

PACKAGE = Path(__file__).resolve().parents[2] / 'scripts/kvm_reset'
LIBRARIES = Path(os.environ.get('KVM_RESET_AUDIT', ''))
READY = 'kvm-reset-guest: ready'


class AuditTest(KvmResetTest):
    """The driver and the comparison of scripts/audit, in here."""

    def audit(self, args: Sequence[str], forget: str = '', until: str = '',
              boots: bool = True) -> Audit:
        out = Path(self.scratch_file('audit'))
        out.mkdir()
        command = [sys.executable, '-B', PACKAGE, 'audit.drive',
                   '--qemu', self.qemu_bin, '--out', out,
                   '--recorder', LIBRARIES / 'libkvm-audit.so']
        if forget:
            command += ['--preload', LIBRARIES / 'libkvm-forget.so']
        if until:
            command += ['--until', until]
        if not boots:
            command += ['--no-boots']
        done = subprocess.run(
            [*command, '--', *args, '-display', 'none'], check=False,
            env={**os.environ, 'KVM_RESET_FORGET': forget}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        # Lines of source are for people, and slow to find in here.
        audit = Audit(out, lines=False)
        Path(self.log_file('audit.txt')).write_text(audit.text(True))
        return audit

    def firmware_args(self, **options: object) -> list[str]:
        return self.qemu_args(firmware=True, **options)  # type: ignore

    def disk(self) -> list[str]:
        """One that firmware looks for a system on."""
        image = self.scratch_disk(1 << 20)
        return ['-drive', f'file={image},format=raw,if=none,id=d',
                '-device', 'virtio-blk-pci,drive=d']

    def linux_args(self) -> list[str]:
        return self.qemu_args(machine='pc', args=['-serial', 'stdio',
                                                  *self.disk()])

    def functions(self, audit: Audit, found: Finding) -> list[str]:
        return [frame.function for frame in audit.chain(found.stack)]


class NothingLost(AuditTest):
    """Both lives are the same, and enough of them was looked at."""

    WEIGHT = 120

    def same(self, args: Sequence[str], until: str = '') -> Audit:
        audit = self.audit(args, until=until)
        for found in audit.result.differences():
            self.log.error('%s', found)
        self.assertEqual(audit.status(), 0, audit.result.differences()[:1])
        for point, least in ('reset', 100), ('read', 150), ('boot', 100):
            self.assertGreater(audit.result.compared[point], least, point)
        return audit

    @takes(600)
    def test_q35_with_firmware_and_devices_loses_nothing(self) -> None:
        self.same(self.firmware_args(smp='2', args=[
            *self.disk(), '-device', 'VGA', '-device', 'virtio-rng-pci',
            '-device', 'qemu-xhci']))

    @takes(600)
    def test_pc_with_a_split_irqchip_loses_nothing(self) -> None:
        self.same(self.firmware_args(
            machine='pc,kernel-irqchip=split', args=self.disk()))

    @takes(600)
    def test_xen_emulation_loses_nothing(self) -> None:
        self.same(self.firmware_args(
            accel='kvm,xen-version=0x4000a,kernel-irqchip=split'))

    @takes(600)
    def test_hyper_v_enlightenments_lose_nothing(self) -> None:
        self.same(self.firmware_args(
            cpu='host,hv-relaxed,hv-vapic,hv-time,hv-vpindex,hv-synic,'
                'hv-stimer,hv-runtime,hv-reset', smp='2'))

    @takes(900)
    def test_a_linux_guest_with_irqfds_loses_nothing(self) -> None:
        audit = self.same(self.linux_args(), READY)
        kinds = {entry.name for entry in
                 audit.record.marks['booted'].vm.entries.values()}
        self.assertIn('KVM_IRQFD', kinds)


class Forgotten(AuditTest):
    """What never reaches the kernel in the second life is named, with who
    wanted it in the first."""

    WEIGHT = 200

    def lost(self, forget: str, what: str, argument: str, function: str,
             args: Sequence[str] = (), boots: bool = False,
             point: str = 'reset', until: str = '',
             command: Optional[list[str]] = None, **options: object) -> None:
        command = command or self.firmware_args(args=args, **options)
        audit = self.audit(command, forget, until, boots)
        self.assertEqual(audit.status(), 1)
        found = [f for f in audit.result.differences()
                 if f.point == point and f.kind == 'lacks' and f.what == what]
        self.assertTrue(found, audit.text(True))
        self.assertRegex(found[0].argument, argument)
        functions = self.functions(audit, found[0])
        self.assertTrue(any(function in name for name in functions), functions)
        # What was not forgotten is not missed.
        missed = {(f.what, f.argument) for f in audit.result.differences()
                  if f.point == point and f.kind == 'lacks'}
        self.assertLessEqual(len(missed), 2, missed)

    def test_a_capability(self) -> None:
        self.lost('KVM_ENABLE_CAP key=188', 'KVM_ENABLE_CAP',
                  'KVM_CAP_X86_USER_SPACE_MSR', 'kvm_arch_init')

    def test_a_memory_slot(self) -> None:
        # Firmware's ROM: the guest runs no further than a reset here.
        self.lost('KVM_SET_USER_MEMORY_REGION key=1', 'memory slot',
                  '^address 0x', 'kvm_set_phys_mem')

    def test_a_route(self) -> None:
        self.lost('KVM_SET_GSI_ROUTING element=5', 'route to an irqchip',
                  'gsi 5, ', 'kvm_irqchip_commit_routes')

    @takes(900)
    def test_an_irqfd(self) -> None:
        # The second is for the disk's configuration: Linux boots without it.
        self.lost('KVM_IRQFD nth=1', 'KVM_IRQFD', 'flags 0x0', 'virtio_pci',
                  boots=True, point='boot', until=READY,
                  command=self.linux_args())

    @takes(600)
    def test_an_ioeventfd(self) -> None:
        self.lost('KVM_IOEVENTFD', 'KVM_IOEVENTFD', '^address 0x', 'ioeventfd',
                  args=self.disk(), boots=True, point='boot')

    def test_a_leaf_of_cpuid(self) -> None:
        self.lost('KVM_SET_CPUID2 element=0x40000001', 'CPUID',
                  'leaf 0x40000001', 'kvm_arch_init_vcpu')

    def test_a_feature_msr(self) -> None:
        self.lost('KVM_SET_MSRS element=0x8b', 'MSR', 'index 0x8b',
                  'kvm_arch_init_vcpu')

    def test_the_policy_of_the_pit(self) -> None:
        self.lost('KVM_REINJECT_CONTROL', 'KVM_REINJECT_CONTROL', '^$',
                  'kvm_pit_realizefn',
                  args=['-global', 'kvm-pit.lost_tick_policy=discard'])

    def test_the_address_of_the_tss(self) -> None:
        self.lost('KVM_SET_TSS_ADDR', 'KVM_SET_TSS_ADDR', '^$',
                  'kvm_arch_init')

    def test_a_coalesced_zone(self) -> None:
        self.lost('KVM_REGISTER_COALESCED_MMIO',
                  'KVM_REGISTER_COALESCED_MMIO', 'address 0xcf8',
                  'kvm_coalesce_pio_add')

    def test_an_msr_filter(self) -> None:
        self.lost('KVM_X86_SET_MSR_FILTER', 'KVM_X86_SET_MSR_FILTER', '^$',
                  'kvm_arch_init')

    def test_xen_hypercalls(self) -> None:
        self.lost('KVM_XEN_HVM_CONFIG', 'KVM_XEN_HVM_CONFIG', '^$',
                  'kvm_xen_init',
                  accel='kvm,xen-version=0x4000a,kernel-irqchip=split')

    def test_a_reset_that_gives_no_new_vm_is_no_success(self) -> None:
        audit = self.audit(self.firmware_args(), 'KVM_CREATE_IRQCHIP',
                           boots=False)
        self.assertEqual(audit.status(), 1)
        self.assertIn('no new VM', audit.text(False))
