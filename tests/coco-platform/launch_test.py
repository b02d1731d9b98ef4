#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own objects launch on the platform, with the digests that are known.

Needs /dev/kvm: here, or under scripts/appliance. With OVMF only the launch is
looked at; with the firmware made of SeaBIOS (make-firmware) and a guest
(scripts/guest) Linux boots as well. Variables: QEMU, COCO_PLATFORM,
COCO_FIRMWARE, and KERNEL and INITRD for the guests; without the last two
those tests are skipped by name.
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
QEMU = os.environ.get('QEMU', str(TOP / 'build/qemu-10.0/qemu-system-x86_64'))
PLATFORM = os.environ.get(
    'COCO_PLATFORM',
    str(TOP / 'build/library/tests/coco-platform/libcoco-platform.so'))
FIRMWARE = os.environ.get('COCO_FIRMWARE', str(TOP / 'build/library/coco-firmware.bin'))
OVMF = '/usr/share/ovmf/OVMF.fd'
KERNEL = os.environ.get('KERNEL', '')
INITRD = os.environ.get('INITRD', '')

COMMON = 'id=cg,cbitpos=0,reduced-phys-bits=1'
OBJECTS = {
    'sev': f'sev-guest,{COMMON},policy=1',
    'sev-es': f'sev-guest,{COMMON},policy=5',
    'sev-es-typed': f'sev-guest,{COMMON},policy=5,legacy-vm-type=off',
    'snp': f'sev-snp-guest,{COMMON}',
}

# Debian 12's OVMF.fd, 2 vCPUs of type EPYC-v4, no kernel hashes; computed by
# an independent tool.
OVMF_SHA256 = '7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773'
OVMF_DIGESTS = {
    'sev': OVMF_SHA256,
    'sev-es-typed':
        '5b1d28d8e8b3c2c9939d39bf18a7f05b16935279425c1c1e1ab19109acca9ffd',
    'snp': 'a5b54e62ae971b58274dd24cc6c47b842662617036e7bd67d7326c07ac6363f3'
           '5399ef933330a5ea160cead90a00603f',
}
BOOT_TIMEOUT = 150.0


class Launch(unittest.TestCase):

    def setUp(self) -> None:
        for needed in (QEMU, PLATFORM):
            self.assertTrue(os.path.exists(needed), f'{needed} is not built')
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.log = Path(self.scratch.name, 'log.json')

    def run_qemu(self, tee: str, firmware: str, *args: str,
                 until: str, timeout: float, **env: str) -> str:
        """Runs QEMU until the event is logged or it ends; what it said."""
        command = [QEMU, '-accel', 'kvm', '-machine',
                   'q35,memory-encryption=cg', '-object', OBJECTS[tee],
                   '-cpu', 'EPYC-v4', '-smp', '2', '-m', '256', '-nodefaults',
                   '-nographic', '-no-reboot', '-bios', firmware, *args]
        with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True,
                env=os.environ | env | {
                    'LD_PRELOAD': PLATFORM,
                    'KVM_RESET_COCO_LOG': str(self.log)}) as qemu:
            deadline = time.monotonic() + timeout
            while qemu.poll() is None and time.monotonic() < deadline:
                if until and self.events(until):
                    break
                time.sleep(0.1)
            qemu.kill()
            said = qemu.communicate()[0]
        # EPYC-v4 has more than the CPU underneath.
        return '\n'.join(line for line in said.split('\n')
                         if 'doesn\'t support requested feature' not in line)

    def events(self, name: str) -> list[dict]:
        if not self.log.exists():
            return []
        lines = self.log.read_text().split('\n')[:-1]
        return [event for event in map(json.loads, lines)
                if event['event'] == name]

    def launch_ovmf(self, tee: str) -> None:
        self.assertTrue(os.path.exists(OVMF), 'install Debian\'s ovmf')
        if hashlib.sha256(Path(OVMF).read_bytes()).hexdigest() != OVMF_SHA256:
            self.skipTest(f'{OVMF} is not that of Debian 12')
        said = self.run_qemu(tee, OVMF, until='launch', timeout=60)
        launches = self.events('launch')
        self.assertEqual(1, len(launches), said)
        self.assertEqual(OVMF_DIGESTS[tee], launches[0]['digest'])

    def test_sev_launches_with_the_known_digest(self) -> None:
        self.launch_ovmf('sev')

    def test_sev_es_launches_with_the_known_digest(self) -> None:
        self.launch_ovmf('sev-es-typed')

    def test_snp_launches_with_the_known_digest(self) -> None:
        self.launch_ovmf('snp')

    def test_a_fault_ends_the_launch(self) -> None:
        said = self.run_qemu('snp', OVMF, until='', timeout=60,
                             KVM_RESET_COCO_FAULT='SNP_LAUNCH_UPDATE:2:EIO:9')
        self.assertIn('SNP_LAUNCH_UPDATE', said)
        self.assertEqual([], self.events('launch'))

    def kernel(self) -> str:
        """The guest's, with a header that needs no boot loader."""
        if not KERNEL or not INITRD:
            self.skipTest('KERNEL and INITRD are not set (scripts/guest)')
        kernel = str(Path(self.scratch.name, 'vmlinuz'))
        subprocess.run([TOP / 'tests/coco-platform/firmware/make-kernel',
                        KERNEL, INITRD, '256', kernel], check=True)
        return kernel

    def boot_linux(self, tee: str) -> None:
        said = self.run_qemu(
            tee, FIRMWARE, '-serial', 'stdio', '-kernel', self.kernel(),
            '-initrd', INITRD, '-append',
            'console=ttyS0 quiet kr.do=poweroff', until='',
            timeout=BOOT_TIMEOUT)
        self.assertIn('kvm-reset-guest: boot id=', said)
        self.assertEqual(1, len(self.events('launch')))

    def test_linux_boots_as_a_sev_guest(self) -> None:
        self.boot_linux('sev')

    def test_linux_boots_as_a_sev_es_guest(self) -> None:
        self.boot_linux('sev-es')

    def test_linux_boots_as_a_snp_guest(self) -> None:
        self.boot_linux('snp')

    def test_firmware_runs_in_strictly_private_memory(self) -> None:
        said = self.run_qemu('snp', FIRMWARE, '-serial', 'stdio', '-global',
                             'fw_cfg_io.dma_enabled=off', until='', timeout=20,
                             KVM_RESET_COCO_MEMORY='strict')
        self.assertIn('SeaBIOS (version', said)

    def test_a_broken_firmware_is_launched_and_does_not_start(self) -> None:
        firmware = Path(self.scratch.name, 'broken.bin')
        image = bytearray(Path(FIRMWARE).read_bytes())
        image[-0x10000] ^= 0xff  # the first instruction
        firmware.write_bytes(image)
        said = self.run_qemu('snp', str(firmware), '-serial', 'stdio',
                             until='', timeout=5)
        self.assertEqual(1, len(self.events('launch')))
        self.assertNotIn('SeaBIOS', said)

    def test_a_guest_shares_a_page_and_takes_it_back(self) -> None:
        """Page 0x50, which Linux leaves alone, through the ports of run.cc."""
        ask = (r"run printf '\120\0\0\0\1\0\0\0\{}' >/tmp-ask; "
               'dd if=/tmp-ask of=/dev/port bs=1 seek=49344')
        lines = [ask.format(1), ask.format(2), 'poweroff']
        self.talk('snp', lines)
        page = [event for event in self.events('convert')
                if event['gpa'] == 0x50000]
        self.assertEqual([('shared', 4096), ('private', 4096)],
                         [(event['to'], event['size']) for event in page])

    def talk(self, tee: str, lines: list[str]) -> str:
        """Says each line when the guest has answered the one before."""
        command = [QEMU, '-accel', 'kvm', '-machine',
                   'q35,memory-encryption=cg', '-object', OBJECTS[tee],
                   '-cpu', 'EPYC-v4', '-smp', '1', '-m', '256', '-nodefaults',
                   '-nographic', '-no-reboot', '-bios', FIRMWARE,
                   '-serial', 'stdio', '-kernel', self.kernel(),
                   '-initrd', INITRD, '-append', 'console=ttyS0 quiet']
        with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | {'LD_PRELOAD': PLATFORM,
                                  'KVM_RESET_COCO_LOG': str(self.log)}) as qemu:
            alarm = threading.Timer(BOOT_TIMEOUT, qemu.kill)
            alarm.start()
            said = ''
            waiting = list(lines)
            assert qemu.stdin and qemu.stdout
            for raw in qemu.stdout:
                line = raw.decode(errors='replace')
                said += line
                if waiting and re.search('kvm-reset-guest: (ready|done)',
                                         line):
                    qemu.stdin.write(waiting.pop(0).encode() + b'\n')
                    qemu.stdin.flush()
            alarm.cancel()
        self.assertEqual([], waiting, said)
        return said


if __name__ == '__main__':
    unittest.main(verbosity=2)
