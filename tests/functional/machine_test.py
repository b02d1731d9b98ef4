# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines, interrupt controllers, numbers and models of CPUs. Each guest has
another of the kernel's reboot= options, so that these are seen too."""

from kvm_reset_test import KvmResetTest
from proof import proves


class Machine(KvmResetTest):
    WEIGHT = 70

    def comes_back(self, cpus: int, how: str, **options: object) -> None:
        guest = self.start(smp=str(cpus), append=f'reboot={how}', **options)
        guest.wait_boot()
        self.assertEqual(guest.cpus, cpus)
        with self.reborn(guest):
            guest.console.send('reboot linux')
        self.assertEqual(guest.cpus, cpus)
        # Each CPU must do its part: the guest fails a CPU that stands still.
        guest.command('work 2', r'work ok n=2 cpu=[1-9]')

    @proves('irqchip', 'pit', 'memory-slots')
    def test_a_pc_comes_back(self) -> None:
        self.comes_back(1, 'k', machine='pc', packed=True)

    @proves('microvm', 'irqchip', 'pit')
    def test_a_microvm_comes_back(self) -> None:
        self.comes_back(1, 't', machine='microvm,pit=on,pic=on,rtc=on')

    @proves('microvm', 'irqchip', 'vcpus')
    def test_a_microvm_without_pit_and_pic_comes_back(self) -> None:
        self.comes_back(2, 't', machine='microvm,pit=off,pic=off,rtc=on')

    @proves('split-irqchip', 'msi-routes')
    def test_a_q35_with_a_split_irqchip_comes_back(self) -> None:
        self.comes_back(2, 'p', machine='q35,kernel-irqchip=split')

    @proves('split-irqchip')
    def test_a_pc_with_a_split_irqchip_comes_back(self) -> None:
        self.comes_back(1, 'a', machine='pc,kernel-irqchip=split')

    @proves('cpuid')
    def test_a_named_cpu_model_comes_back(self) -> None:
        self.comes_back(1, 'a', cpu='EPYC-v1')


class Smp(Machine):
    WEIGHT = 80

    def test_one_cpu_comes_back(self) -> None:
        self.comes_back(1, 'a')

    @proves('vcpus')
    def test_two_cpus_come_back(self) -> None:
        self.comes_back(2, 'k', packed=True)

    @proves('vcpus')
    def test_four_cpus_come_back(self) -> None:
        self.comes_back(4, 't')

    @proves('vcpus')
    def test_eight_cpus_come_back(self) -> None:
        self.comes_back(8, 'p', machine='pc')
