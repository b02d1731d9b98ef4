# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest can use besides: each of these has a state of its own in KVM or
in QEMU's picture of it, and must work on the new VM as on the old one."""

from collections.abc import Callable, Sequence
from pathlib import Path

from guest import Guest
from kvm_reset_test import KvmResetTest
from proof import proves

MIB = 1 << 20


class Subsystem(KvmResetTest):
    WEIGHT = 150

    def comes_back(self, check: Callable[[Guest], None], times: int = 2,
                   **options: object) -> None:
        """@check holds before the first rebirth and after each; the resets are
        the guest's own and the monitor's in turn."""
        guest = self.start(**options)
        guest.wait_boot()
        check(guest)
        for turn in range(times):
            with self.reborn(guest):
                if turn % 2:
                    guest.qmp('system_reset')
                else:
                    guest.console.send('reboot linux')
            check(guest)

    def works(self, guest: Guest) -> None:
        guest.command('work 2', r'work ok n=2 cpu=[1-9]')

    def writes(self, guest: Guest) -> None:
        guest.command('work', r'work ok n=\d+ .*disk=[1-9]')

    def says(self, guest: Guest, command: str, answer: str) -> str:
        """What a shell command of the guest's prints."""
        return guest.command(f'run {command}', answer)

    def disk_args(self, device: str) -> Sequence[str]:
        path = self.scratch_disk(65 * 4096)
        return ['-drive', f'file={path},format=raw,if=none,id=d',
                '-device', f'{device},drive=d']

    # --- Xen --------------------------------------------------------------

    def xen(self, guest: Guest) -> None:
        self.says(guest, 'cat /sys/hypervisor/type', r'\nxen\s')
        # Its clock events come from Xen's timers.
        self.says(guest, 'cat /sys/devices/system/clockevents/clockevent*/'
                  'current_device', r'\nxen\s+xen\s')
        if len(guest.boot_ids) == 1:
            # After a reset of any kind QEMU 10.0 does not hear it.
            self.says(guest, 'echo hello >/dev/hvc0', r'done status=0')
            guest.wait(lambda: 'hello' in self.xen_console.read_text(), 30,
                       'what the guest wrote on its console')
        # The disk and the network are Xen's: event channels, grants, xenstore.
        guest.command('work', r'work ok n=\d+ .*disk=[1-9]\d* net=[1-9]')

    @proves('xen', 'xen-vcpus', 'xen-event-channels', 'xen-grant-table',
            'xen-overlay-pages', 'xen-xenstore', 'xen-timers')
    def test_a_xen_guest_comes_back_with_its_disk_and_network(self) -> None:
        self.xen_console = Path(self.scratch_file('xen-console'))
        self.comes_back(
            self.xen, smp='2', machine='q35,kernel-irqchip=split',
            accel='kvm,xen-version=0x40011',
            args=[*self.disk_args('xen-disk,vdev=xvda'), '-netdev',
                  'user,id=n', '-device', 'xen-net-device,netdev=n',
                  '-chardev', f'file,id=c,path={self.xen_console}',
                  '-device', 'xen-console,chardev=c'])

    # --- Hyper-V ----------------------------------------------------------

    def hyperv(self, guest: Guest) -> None:
        self.says(guest, 'dmesg | grep -o "Hypervisor detected: .*"',
                  r'Hypervisor detected: Microsoft Hyper-V\s')
        self.says(guest, 'ls /sys/bus/vmbus/devices | wc -l', r'\n\d+\s')
        # Its clock events come from the SynIC's timers.
        self.says(guest, 'cat /sys/devices/system/clockevents/clockevent0/'
                  'current_device', r'\nHyper-V clockevent\s')
        self.works(guest)

    @proves('hyperv', 'hyperv-vpindex', 'hyperv-synic', 'hyperv-stimer')
    def test_a_hyper_v_guest_comes_back_with_vmbus_and_synic(self) -> None:
        lights = ('relaxed', 'vapic', 'time', 'vpindex', 'synic', 'stimer',
                  'stimer-direct', 'runtime', 'reset', 'frequencies',
                  'reenlightenment', 'tlbflush', 'ipi', 'crash')
        self.comes_back(
            self.hyperv, smp='2', cpu='host,kvm=off,' + ','.join(
                f'hv-{light}' for light in lights),
            args=['-device', 'vmbus-bridge'])

    # --- Interrupts -------------------------------------------------------

    @proves('intel-iommu', 'split-irqchip')
    def test_remapped_interrupts_of_an_intel_iommu_come_back(self) -> None:
        self.comes_back(self.remaps, smp='2',
                        machine='q35,kernel-irqchip=split',
                        append='intel_iommu=on',
                        args=['-device', 'intel-iommu,intremap=on,eim=on',
                              *self.disk_args('virtio-blk-pci')])

    def remaps(self, guest: Guest) -> None:
        self.says(guest, 'dmesg | grep -ci "enabled irq remapping"',
                  r'\n[1-9]\d*\s')
        self.writes(guest)

    @proves('amd-iommu')
    def test_an_amd_iommu_comes_back(self) -> None:
        self.comes_back(
            self.writes, machine='q35,kernel-irqchip=split',
            args=['-device', 'amd-iommu,intremap=on',
                  *self.disk_args('virtio-blk-pci')])

    @proves('pit')
    def test_a_pit_that_drops_lost_ticks_comes_back(self) -> None:
        self.comes_back(self.works, machine='pc', times=1,
                        args=['-global', 'kvm-pit.lost_tick_policy=discard'])

    # --- CPUs -------------------------------------------------------------

    @proves('disable-exits')
    def test_exits_that_were_turned_off_stay_off(self) -> None:
        self.comes_back(self.works, smp='2', times=1,
                        args=['-overcommit', 'cpu-pm=on'])

    @proves('smm')
    def test_no_smm_is_no_smm_again(self) -> None:
        self.comes_back(self.works, machine='q35,smm=off', times=1)

    @proves('cpuid')
    def test_a_cpu_without_paravirtual_features_comes_back(self) -> None:
        self.comes_back(
            self.works, smp='2', times=1,
            cpu='host,-kvmclock,-kvm-steal-time,-kvm-pv-eoi,-kvm-asyncpf,'
                '-x2apic,kvm=off')

    # --- Memory -----------------------------------------------------------

    def memory_of(self, guest: Guest) -> int:
        """In MiB, of what its kernel counts."""
        return int(self.says(guest, 'grep MemTotal /proc/meminfo',
                             r'MemTotal: *(\d+) kB')) // 1024

    @proves('dimm')
    def test_a_dimm_that_was_plugged_in_is_there_again(self) -> None:
        guest = self.start(args=['-m', '256M,slots=2,maxmem=1G'])
        guest.wait_boot()
        at_first = self.memory_of(guest)
        guest.qmp('object-add', **{'qom-type': 'memory-backend-ram',
                                   'id': 'm', 'size': 128 * MIB})
        guest.qmp('device_add', driver='pc-dimm', id='dimm', memdev='m')
        guest.wait(lambda: self.memory_of(guest) > at_first + 100, 30,
                   'the guest to find its new memory')
        for _ in range(2):
            with self.reborn(guest):
                guest.qmp('system_reset')
            self.assertGreater(self.memory_of(guest), at_first + 100)
            self.works(guest)

    @proves('virtio-mem')
    def test_virtio_mem_gives_its_memory_again(self) -> None:
        guest = self.start(
            args=['-m', '256M,maxmem=1G', '-object',
                  'memory-backend-ram,id=m,size=256M', '-device',
                  'virtio-mem-pci,id=vm,memdev=m,requested-size=128M'])
        guest.wait_boot()

        def plugged() -> bool:
            [device] = guest.qmp('query-memory-devices')
            return device['data']['size'] == 128 * MIB

        guest.wait(plugged, 60, 'the guest to take 128 MiB')
        with self.reborn(guest):
            guest.console.send('reboot linux')
        guest.wait(plugged, 60, 'the guest to take 128 MiB again')
        self.works(guest)

    @proves('balloon')
    def test_a_balloon_is_blown_up_again(self) -> None:
        guest = self.start(args=['-device', 'virtio-balloon-pci'])
        guest.wait_boot()
        for _ in range(2):
            guest.qmp('balloon', value=200 * MIB)
            guest.wait(lambda: guest.qmp('query-balloon')['actual'] ==
                       200 * MIB, 60, 'the balloon')
            with self.reborn(guest):
                guest.qmp('system_reset')
            self.works(guest)

    @proves('memfd')
    def test_shared_memory_comes_back(self) -> None:
        self.comes_back(
            self.works, times=1, machine='q35,memory-backend=m',
            args=['-object',
                  'memory-backend-memfd,id=m,size=256M,share=on'])

    # --- vhost ------------------------------------------------------------

    @proves('vhost-vsock')
    def test_a_vsock_of_the_kernels_comes_back(self) -> None:
        self.require_file('/dev/vhost-vsock', 'this kernel has no vhost-vsock')
        self.comes_back(
            lambda guest: self.says(
                guest, 'grep -c vsock /proc/net/protocols; '
                'ls /sys/bus/virtio/drivers/vmw_vsock_virtio_transport',
                r'virtio\d'),
            args=['-device', 'vhost-vsock-pci,guest-cid=42'])
