# SPDX-License-Identifier: GPL-2.0-or-later
"""Every KVM ioctl that reaches the kernel was seen by the journal."""

import os
from pathlib import Path

from guest import BOOT_TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes
from watcher import Findings, Watcher, read_catalogue

# A traced vCPU stops twice at each of its exits; a pc has far fewer of them
# than a q35, whose firmware looks at many more PCI functions.
PATIENCE = 4 * BOOT_TIMEOUT


class WatcherTest(KvmResetTest):
    WEIGHT = 100

    def setUp(self) -> None:
        super().setUp()
        self.catalogue = read_catalogue(
            Path(os.environ['KVM_RESET_CATALOGUE']))

    def under_strace(self) -> None:
        """From here on QEMU runs under strace; it stays our own child."""
        wrapper = Path(self.scratch_file('traced-x86_64'))
        wrapper.write_text(
            '#!/bin/sh\n'
            'exec strace -D -ff -qq --seccomp-bpf -y -X raw -s 250 '
            '-e trace=ioctl,write,prctl,openat -e signal=none '
            f'-o {self.scratch_file("strace")} {self.qemu_bin} "$@"\n')
        wrapper.chmod(0o755)
        self.qemu_bin = str(wrapper)

    def logs(self) -> list[Path]:
        return sorted(Path(self.workdir).glob('strace.[0-9]*'))

    def watched(self, guest: Guest) -> Findings:
        """Ends QEMU, and looks at all that it did."""
        guest.stop()
        findings = Watcher(self.catalogue).look_at(self.logs())
        self.log.info('recorded %s, passed through %d, own %d',
                      dict(findings.recorded), findings.passes, findings.own)
        for problem in findings.problems:
            self.log.error('%s', problem)
        if findings.problems:
            self.fail(f'{len(findings.problems)} ioctls, the first: '
                      + findings.problems[0])
        for name in ('KVM_CREATE_VM', 'KVM_CREATE_VCPU', 'KVM_SET_CPUID2',
                     'KVM_SET_GSI_ROUTING', 'KVM_IRQFD', 'KVM_IOEVENTFD'):
            self.assertGreater(findings.recorded[name], 0, name)
        self.assertGreater(findings.passes, 1000)
        self.assertGreater(findings.own, 20)
        return findings

    @takes(900)
    def test_the_journal_sees_every_ioctl_of_a_guest_that_reboots(self) \
            -> None:
        self.under_strace()
        image = self.scratch_disk(8 << 20)
        guest = self.start(machine='pc', smp='2', args=[
            '-trace', 'kvm_reset_seen', '-D', self.log_file('seen.log'),
            '-drive', f'file={image},format=raw,if=none,id=d',
            '-device', 'virtio-blk-pci,drive=d',
            '-netdev', 'user,id=n', '-device', 'virtio-net-pci,netdev=n',
            '-device', 'virtio-rng-pci', '-device', 'VGA',
            '-device', 'qemu-xhci', '-device', 'usb-tablet'])
        guest.wait_boot(PATIENCE)
        guest.console.send('reboot linux')
        guest.wait_rebirth(PATIENCE)
        guest.wait_boot(PATIENCE)
        guest.must_answer()
        self.watched(guest)
        self.is_caught_without_a_trace()

    def is_caught_without_a_trace(self) -> None:
        """The watcher must fail for each kind of ioctl of which one was not
        recorded."""
        for name in ('KVM_CREATE_VCPU', 'KVM_SET_USER_MEMORY_REGION',
                     'KVM_IRQFD', 'KVM_SET_GSI_ROUTING'):
            caught = []
            for log in self.logs():
                text = log.read_text(errors='replace')
                lines = text.splitlines(keepends=True)
                for i, line in enumerate(lines):
                    if line.startswith('write(') and f' {name}: ' in line:
                        watcher = Watcher(self.catalogue)
                        watcher.thread(log.suffix,
                                       lines[:i] + lines[i + 1:])
                        caught = watcher.findings.problems
                        break
                if caught:
                    break
            self.assertEqual(len(caught), 1, f'{name}: {caught}')
            self.assertIn('did not see it', caught[0])
            self.assertIn(name, caught[0])
        watcher = Watcher(self.catalogue)
        watcher.thread('a thread', ['ioctl(9, 0xaefe, 0) = 0'])
        self.assertEqual(len(watcher.findings.problems), 1)
