# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest brings its own firmware: vm-launch-update, by fw_cfg DMA over qtest.

On the simulated platform, with a guest that is firmware alone. What it brings
is the same firmware with another byte in it, as an IGVM file; so it goes on in
the same way, and is measured otherwise."""

import os
import subprocess
import time
from pathlib import Path

from chores import Qtest
from coco_fault_test import LIBRARY, CocoFault, SevEsFullHost, TdxFault
from fault_table import NEW_VM
from fw_cfg import ERROR
from guest import Guest
from launch_dialog import (DISABLE, FAILED, HOSTS, IMAGE, IS_IGVM, OPAQUE, RAM,
                           SUCCESS, File, LaunchDialog)

IGVM = os.environ.get('KVM_RESET_IGVM', '')
MEASURE = os.environ.get('KVM_RESET_MEASURE', '')

# What a firmware image has in no place that matters.
BYTE = 0x1000


class LaunchUpdate(LaunchDialog, CocoFault):
    TIME_LIMIT = 900
    # What the owner's tools want to know of the vCPUs.
    VCPUS: tuple[str, ...] = ()
    VCPU_TYPE: tuple[str, ...] = ()
    # What they want to know of how QEMU starts the VM.
    VM_TYPE: tuple[str, ...] = ()
    WEIGHT = 60

    def setUp(self) -> None:
        super().setUp()
        for path in (IGVM, MEASURE):
            self.require_file(path, 'the tools of the simulated platform')
        scratch = Path(self.scratch_file(''))
        self.images = [self.wrap(scratch / f'own{n}', n) for n in (1, 2)]
        self.digests = [self.measure('--igvm', scratch / f'own{n}.igvm')
                        for n in (1, 2)]
        self.hosts = self.measure('--ovmf', self.firmware, *self.VCPU_TYPE,
                                  *self.VM_TYPE)
        self.assertEqual(len({self.hosts, *self.digests}), 3)
        self.qtest = Qtest()

    def wrap(self, path: Path, byte: int) -> bytes:
        firmware = bytearray(self.firmware.read_bytes())
        self.assertEqual(firmware[BYTE], 0)
        firmware[BYTE] = byte
        path.write_bytes(firmware)
        image = path.with_suffix('.igvm')
        self.run_wrap(path, image)
        return image.read_bytes()

    def run_wrap(self, firmware: Path, image: Path, tee: str = '') -> None:
        subprocess.run([IGVM, 'wrap', '--ovmf', firmware, '--tee',
                        tee or self.TEE, *self.VCPUS, *self.VCPU_TYPE,
                        *self.VM_TYPE, image], check=True)

    def measure(self, *options: object) -> str:
        return subprocess.run(
            [MEASURE, '--tee', self.TEE, *self.VCPUS, *map(str, options)],
            capture_output=True, text=True, check=True).stdout.strip()

    def power_on(self, *args: str, machine: str = '',
                 **settings: str) -> Guest:
        guest = self.launch_guest(
            *self.qtest.arguments(), '-trace', 'kvm_reset_launch_update',
            '-device', 'vm-launch-update', *args, machine=machine,
            platform=settings)
        self.qtest.connect()
        self.addCleanup(self.qtest.close)
        self.begin_dialog(self.qtest)
        return guest

    # --- what the guest does --------------------------------------------------

    def reboots(self, source: str, digest: str) -> None:
        """… and is launched from what that one brought."""
        launches = len(self.events('launch'))
        self.assertEqual(self.reset_and_judge(), NEW_VM)
        self.work()
        launched = self.events('launch')[launches:]
        self.assertEqual([event['digest'] for event in launched], [digest])
        launch = self.guest.info()['launch']
        self.assertEqual((launch['source'], launch['digest']),
                         (source, digest))
        event = self.guest.rebirths[-1]
        self.assertEqual((event['source'], event['digest']), (source, digest))
        self.assertEqual(launch['measurement']['last'], digest)
        self.assertEqual(launch['measurement']['first'], self.hosts)
        self.guest.settle()

    def bring_once_and_for_good(self) -> None:
        guest = self.power_on()
        own, other = self.digests
        self.assertEqual(self.file(), File(1, SUCCESS, 0, IS_IGVM))
        self.reboots('start', self.hosts)
        for _ in range(2):
            guest.drop_events()
            self.bring(self.images[0])
            self.assertEqual(guest.event('KVM_LAUNCH_UPDATE'),
                             {'accepted': True, 'digest': own})
            self.assertEqual(guest.info()['launch']['next'],
                             {'source': 'guest', 'digest': own, 'once': False})
            self.reboots('guest', own)
            self.reboots('guest', own)
            self.ask(SUCCESS, HOSTS)
            self.reboots('start', self.hosts)
            self.reboots('start', self.hosts)
            self.bring(self.images[1], HOSTS)
            self.assertTrue(guest.info()['launch']['next']['once'])
            self.reboots('guest', other)
            self.reboots('start', self.hosts)
            # An event a second.
            time.sleep(1)
        # One in place of the other; the last one counts.
        self.bring(self.images[0])
        self.bring(self.images[1])
        self.reboots('guest', other)
        self.bring(self.images[0], HOSTS)
        self.reboots('guest', own)
        self.reboots('start', self.hosts)


class SnpLaunchUpdate(LaunchUpdate):
    TEE = 'snp'
    OBJECT = 'sev-snp-guest,id=cg,cbitpos=0,reduced-phys-bits=1'
    CPU = 'EPYC-v4'
    VCPUS = ('--vcpus', '2')
    VCPU_TYPE = ('--vcpu-type', CPU)

    def test_a_guest_brings_its_firmware_once_and_for_good(self) -> None:
        self.bring_once_and_for_good()

    def test_who_disables_it_gets_what_came_with_that_and_no_more(
            self) -> None:
        self.power_on()
        self.bring(self.images[0], DISABLE)
        for image, control in ((self.images[1], 0), (b'', HOSTS)):
            said = (self.bring(image, control, FAILED) if image
                    else self.ask(FAILED, control))
            self.assertIn('disabled updates', said)
        self.reboots('guest', self.digests[0])
        self.assertIn('disabled updates', self.ask(FAILED, HOSTS))
        self.reboots('guest', self.digests[0])
        # Reading it is no matter, and nothing asked for is no update.
        self.ask(SUCCESS, 0)
        self.ask(SUCCESS, DISABLE)
        self.reboots('guest', self.digests[0])

    def test_what_it_shared_outlives_the_reset(self) -> None:
        # Where the host sees nothing else, so that what it sees is shared.
        self.power_on(memory='strict')
        words = bytes(range(256)) * 64
        self.fw_cfg.write_memory(OPAQUE, words)
        self.bring(self.images[0], opaque=OPAQUE, opaque_size=len(words))
        for source, digest in (('guest', self.digests[0]),
                               ('start', self.hosts)):
            self.reboots(source, digest)
            self.assertEqual(self.fw_cfg.read_memory(OPAQUE, len(words)),
                             words)
            file = self.file()
            self.assertEqual((file.opaque, file.opaque_size),
                             (OPAQUE, len(words)))
            self.ask(SUCCESS, HOSTS, opaque=OPAQUE, opaque_size=len(words))

    def test_what_is_not_for_it_changes_nothing(self) -> None:
        guest = self.power_on(machine=',kvm-reset-launch-memory=4M')
        image = self.images[0]

        def refused(said: str, reason: str) -> None:
            self.assertIn(reason, said)
            self.assertEqual(guest.info()['launch']['next'],
                             {'source': 'start', 'once': False})

        self.fw_cfg.write_memory(IMAGE, image)
        size = len(image)
        igvm = IS_IGVM
        refused(self.ask(FAILED, 0, IMAGE, size), 'control bit 32')
        refused(self.ask(FAILED, igvm | 4, IMAGE, size), 'not known')
        refused(self.ask(FAILED, igvm, IMAGE, 5 << 20), 'launch-memory')
        refused(self.ask(FAILED, igvm, IMAGE, (1 << 64) - 1), 'launch-memory')
        refused(self.ask(FAILED, igvm, (1 << 64) - 4096, 8192),
                'launch-memory')
        for address in (RAM - 4096, RAM, 0xfee00000, 1 << 51):
            refused(self.ask(FAILED, igvm, address, size), 'not in its memory')
        refused(self.ask(FAILED, igvm, OPAQUE, size), 'IGVM')
        for cut in (1, 23, 24, size // 2, size - 1):
            refused(self.ask(FAILED, igvm, IMAGE, cut), 'IGVM file')
        refused(self.bring(image[:20] + bytes([image[20] ^ 1]) + image[21:],
                           status=FAILED), 'checksum')
        # A part of what belongs together; more than there is.
        self.assertEqual(self.fw_cfg.write(self.key, bytes(8), 16), 0)
        self.assertEqual(self.file().status, FAILED)
        self.assertEqual(self.fw_cfg.write(self.key, bytes(57)), ERROR)
        # Only for itself.
        self.assertEqual(self.fw_cfg.write(self.key, b'\1' * 16, 40), 0)
        self.assertEqual(self.file().opaque, 0x0101010101010101)
        # What the guest may not write.
        self.assertEqual(self.fw_cfg.write(self.key, b'\1' * 16), 0)
        self.assertEqual(self.file()[:4], (1, FAILED, 0, IS_IGVM))
        self.reboots('start', self.hosts)

    def test_what_the_platform_refuses_is_followed_by_the_old_firmware(
            self) -> None:
        guest = self.power_on(fault='SNP_LAUNCH_FINISH:2:EIO:9')
        self.bring(self.images[0])
        self.reboots('start', self.hosts)
        self.assertIn('firmware error 0x9', guest.info()['launch']['refused'])
        self.bring(self.images[0])
        self.reboots('guest', self.digests[0])

    def test_it_does_not_migrate_with_firmware_of_its_own(self) -> None:
        guest = self.power_on()
        target = f'file:{self.scratch_file("migration")}'

        def reason() -> str:
            answer = guest.vm.qmp('migrate', uri=target)
            return str(answer.get('error', {}).get('desc', ''))

        self.assertNotIn('was brought', reason())
        self.bring(self.images[0], HOSTS)
        self.assertIn('was brought for it', reason())
        self.reboots('guest', self.digests[0])
        self.assertIn('was brought for it', reason())
        self.reboots('start', self.hosts)
        self.assertNotIn('was brought', reason())

    def test_where_it_is_of_no_use_there_is_none(self) -> None:
        def says(*args: str) -> str:
            done = subprocess.run(
                [self.qemu_bin, '-display', 'none', '-nodefaults', '-accel',
                 'kvm', '-cpu', self.CPU, '-S', '-device', 'vm-launch-update',
                 *args],
                env={**os.environ, 'LD_PRELOAD': LIBRARY},
                capture_output=True, text=True, check=False, timeout=120)
            self.assertEqual(done.returncode, 1)
            return done.stderr

        snp = ('-machine', 'q35,confidential-guest-support=cg',
               '-object', self.OBJECT, '-bios', str(self.firmware))
        self.assertIn('the guest keeps its VM at a reset',
                      says('-machine', 'q35'))
        self.assertIn('there can be one',
                      says(*snp, '-device', 'vm-launch-update'))
        self.assertIn('needs a machine that has fw_cfg with DMA',
                      says(*snp, '-global', 'fw_cfg.dma_enabled=off'))
        guest = self.power_on()
        answer = guest.vm.qmp('device_add', driver='vm-launch-update')
        self.assertIn('hotplug', str(answer).lower().replace('-', ''))


class TdxLaunchUpdate(LaunchUpdate):
    TEE = 'tdx'
    OBJECT = TdxFault.OBJECT
    CPU = TdxFault.CPU
    MACHINE = TdxFault.MACHINE

    def test_a_td_brings_its_firmware_once_and_for_good(self) -> None:
        self.bring_once_and_for_good()

    def test_a_td_that_the_platform_refuses_has_the_old_firmware(self) -> None:
        guest = self.power_on(fault='TDX_FINALIZE_VM:2:EIO:9')
        self.bring(self.images[0])
        self.reboots('start', self.hosts)
        self.assertIn('TDX_FINALIZE_VM', guest.info()['launch']['refused'])
        self.bring(self.images[0])
        self.reboots('guest', self.digests[0])


class SevEsLaunchUpdate(LaunchUpdate):
    """It is launched where the old VM's memory was."""

    TEE = 'sev-es'
    OBJECT = SevEsFullHost.OBJECT
    CPU = SevEsFullHost.CPU
    VCPUS = SnpLaunchUpdate.VCPUS
    VCPU_TYPE = SnpLaunchUpdate.VCPU_TYPE
    VM_TYPE = ('--legacy-vm-type',)

    def test_a_sev_es_guest_brings_its_firmware_once_and_for_good(
            self) -> None:
        self.bring_once_and_for_good()

    def test_a_sev_es_guest_that_the_platform_refuses_has_the_old_firmware(
            self) -> None:
        guest = self.power_on(fault='LAUNCH_UPDATE_DATA:2:EIO:9')
        self.bring(self.images[0])
        self.reboots('start', self.hosts)
        self.assertIn('LAUNCH_UPDATE_DATA', guest.info()['launch']['refused'])
        self.bring(self.images[0])
        self.reboots('guest', self.digests[0])


class SevLaunchUpdate(LaunchUpdate):
    TEE = 'sev'
    OBJECT = 'sev-guest,id=cg,cbitpos=0,reduced-phys-bits=1'
    CPU = SevEsFullHost.CPU

    def test_a_sev_guest_brings_its_firmware_once_and_for_good(self) -> None:
        self.bring_once_and_for_good()
