# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest brings its own firmware with tests/launch-client, reboots, and
runs from it.

On the simulated platform, where a guest's memory is open to the host as if it
had shared it; in guests whose registers are locked (docs/testbed.md)."""

import os
import subprocess
from pathlib import Path

from coco_test import FIRMWARE, KERNEL, MEASURE, Coco
from guest import Guest
from judge import CPU_MODEL
from kvm_reset_test import INITRD

CLIENT = os.environ.get('KVM_RESET_LAUNCH_CLIENT', '')
IGVM = os.environ.get('KVM_RESET_IGVM', '')
GUEST_KERNEL = os.environ.get('KVM_RESET_GUEST_KERNEL', '')
MAKE_KERNEL = (Path(__file__).parents[1] / 'coco-platform' / 'firmware'
               / 'make-kernel')

# What a firmware image has in no place that matters.
BYTE = 0x1000
# The guest's memory, in MiB, and a part that its kernel leaves alone.
MIB = '256'
RESERVED, RESERVED_SIZE = 0xc000000, 0x400000


def archive_entry(name: str, content: bytes, mode: int) -> bytes:
    """Of an initramfs (Linux, driver-api/early-userspace/buffer-format)."""
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b'070701' + b''.join(b'%08X' % field for field in fields)
    entry = head + name.encode() + b'\0'
    entry += bytes(-len(entry) % 4) + content
    return entry + bytes(-len(entry) % 4)


def pack_client(initrd: Path, image: bytes) -> None:
    """The small guest's, with the client and the file that it brings."""
    packed = Path(INITRD).read_bytes()
    initrd.write_bytes(
        packed + bytes(-len(packed) % 4)
        + archive_entry('bin/vm-launch-update', Path(CLIENT).read_bytes(),
                        0o100755)
        + archive_entry('own.igvm', image, 0o100644)
        + archive_entry('TRAILER!!!', b'', 0))


def run_client(guest: Guest, arguments: str, status: int = 0,
               says: str = '') -> None:
    guest.console.send(f'run vm-launch-update {arguments}')
    if says:
        guest.console.wait_for(says, 60)
    guest.console.wait_for(f'kvm-reset-guest: done status={status}\\b', 60)


class LaunchClient(Coco):
    JUDGES = ('platform',)
    VCPUS: tuple[str, ...] = ()
    VM_TYPE: tuple[str, ...] = ()

    def setUp(self) -> None:
        super().setUp()
        for path in (CLIENT, IGVM, GUEST_KERNEL, KERNEL):
            self.require_file(path, 'the simulated platform or its tools')
        scratch = Path(self.scratch_file(''))
        own, image = scratch / 'own.fd', scratch / 'own.igvm'
        firmware = bytearray(Path(FIRMWARE).read_bytes())
        self.assertEqual(firmware[BYTE], 0)
        firmware[BYTE] = 1
        own.write_bytes(firmware)
        subprocess.run([IGVM, 'wrap', '--ovmf', own, '--tee', self.TEE,
                        *self.VCPUS, *self.VM_TYPE, image], check=True)
        self.own = subprocess.run(
            [MEASURE, '--tee', self.TEE, '--igvm', image, *self.VCPUS[:2]],
            capture_output=True, text=True, check=True).stdout.strip()
        self.INITRD = str(scratch / 'initrd')
        pack_client(Path(self.INITRD), image.read_bytes())
        self.KERNEL = str(scratch / 'kernel')
        subprocess.run([MAKE_KERNEL, GUEST_KERNEL, self.INITRD, MIB,
                        self.KERNEL], check=True)

    def turn_on(self, append: str = '') -> Guest:
        return self.boot(smp='2', devices=['-device', 'vm-launch-update'],
                         append=append)

    def runs_from(self, guest: Guest, source: str, digest: str) -> None:
        launch = guest.info()['launch']
        self.assertEqual((launch['source'], launch['digest']),
                         (source, digest))
        self.assertEqual(self.events('launch')[-1]['digest'], digest)

    def brings_its_firmware(self) -> None:
        guest = self.turn_on()
        hosts = self.expected
        self.assertNotEqual(hosts, self.own)
        self.runs_from(guest, 'start', hosts)
        guest.command('run echo 4 >/proc/sys/vm/nr_hugepages',
                      'done status=0')
        run_client(guest, '--status', says='status 0')
        run_client(guest, '--dry-run /own.igvm', says='would say')
        self.assertEqual(guest.info()['launch']['next']['source'], 'start')
        run_client(guest, '/own.igvm', says='taken')
        self.assertEqual(
            guest.info()['launch']['next'],
            {'source': 'guest', 'digest': self.own, 'once': False})
        with self.reborn(guest):
            guest.console.send('reboot')
        self.runs_from(guest, 'guest', self.own)

        guest.command('run echo 4 >/proc/sys/vm/nr_hugepages',
                      'done status=0')
        with self.reborn(guest):
            guest.console.send('run vm-launch-update --host --reboot')
        self.runs_from(guest, 'start', hosts)


class SnpLaunchClient(LaunchClient):
    TEE = 'snp'
    VCPUS = ('--vcpus', '2', '--vcpu-type', CPU_MODEL)

    def test_a_linux_guest_brings_its_firmware_and_runs_from_it(self) -> None:
        self.brings_its_firmware()

    def test_what_is_refused_is_said_and_changes_nothing(self) -> None:
        guest = self.turn_on(f'memmap={RESERVED_SIZE:#x}${RESERVED:#x}')
        place = f'--memory {RESERVED:#x}:{RESERVED_SIZE:#x}'
        guest.command('run head -c 100 /own.igvm >/cut.igvm', 'done status=0')
        for arguments, status, says in (
                ('/init', 1, 'is no IGVM file'),
                ('/none', 1, 'No such file'),
                ('/own.igvm', 1, 'raise vm.nr_hugepages'),
                (f'--memory {RESERVED:#x}:0x2000 /own.igvm', 1, 'are needed'),
                ('--once', 2, 'usage'),
                (f'{place} /cut.igvm', 3, 'did not take it, status 1')):
            run_client(guest, arguments, status, says)
            self.assertEqual(guest.info()['launch']['next'],
                             {'source': 'start', 'once': False})
        run_client(guest, '--status', says='status 1')
        # … and in reserved memory, once, and no more.
        run_client(guest, f'{place} --once --disable /own.igvm', says='taken')
        run_client(guest, f'{place} --host', 3, 'did not take it')
        with self.reborn(guest):
            guest.console.send('reboot')
        self.runs_from(guest, 'guest', self.own)
        with self.reborn(guest):
            guest.console.send('reboot')
        self.runs_from(guest, 'start', self.expected)


class SevEsLaunchClient(LaunchClient):
    TEE = 'sev-es'
    VCPUS = SnpLaunchClient.VCPUS
    VM_TYPE = ('--legacy-vm-type',)

    def test_a_sev_es_guest_brings_its_firmware_and_runs_from_it(
            self) -> None:
        self.brings_its_firmware()


class TdxLaunchClient(LaunchClient):
    TEE = 'tdx'

    def test_a_td_brings_its_firmware_and_runs_from_it(self) -> None:
        self.brings_its_firmware()
