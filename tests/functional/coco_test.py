# SPDX-License-Identifier: GPL-2.0-or-later
"""Confidential guests reboot, on the simulated platform or on the lab's host
(judge.py).

KVM_RESET_COCO_FIRMWARE and KVM_RESET_COCO_KERNEL are what starts in the guests.
There are three digests, which must be one: the judge's, from its log; QEMU's;
and that which kvm-reset-measure (KVM_RESET_MEASURE) computes from the files."""

import base64
import hashlib
import hmac
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guest import QUICK_KERNEL, Guest
from judge import CPU, CPU_MODEL, LAB_LOG, LIBRARY, OBJECTS, ON_LAB, Log
from kvm_reset_test import INITRD, KvmResetTest
from qemu.qmp import ExecuteError
from proof import proves
from taken_ids import TakenIds

FIRMWARE = os.environ.get('KVM_RESET_COCO_FIRMWARE', '')
KERNEL = os.environ.get('KVM_RESET_COCO_KERNEL', '')
MEASURE = os.environ.get('KVM_RESET_MEASURE', '')

# A boot on the lab takes a minute.
ROUNDS = int(os.environ.get('KVM_RESET_COCO_ROUNDS', '1' if ON_LAB else '3'))
SMP = '1' if ON_LAB else '2'
# The guest owner's keys: of integrity and of encryption.
TIK, TEK = bytes(range(16)), bytes(range(16, 32))


class Coco(KvmResetTest):
    """One kind of guest; the classes below say which."""

    TEE = ''
    JUDGES = ('platform', 'lab')
    WEIGHT = 100
    TIME_LIMIT = 1800 if ON_LAB else 900
    KERNEL, INITRD = KERNEL, INITRD

    def setUp(self) -> None:
        super().setUp()
        if self.TEE not in OBJECTS:
            self.skipTest(f'TCG, and so the lab, has no {self.TEE}')
        for path in (str(LAB_LOG) if ON_LAB else LIBRARY, FIRMWARE,
                     self.KERNEL, MEASURE):
            if not path:
                self.skipTest('no coco platform was built')
            self.require_file(path, 'the simulated platform or the lab')
        qemu = subprocess.run([self.qemu_bin, '-object', 'help'],
                              capture_output=True, text=True, check=True)
        kind = OBJECTS[self.TEE].split(',')[0]
        if kind not in qemu.stdout:
            self.skipTest(f'this QEMU has no {kind}')
        self.guests = 0

    def boot(self, *, smp: str = SMP, machine: str = '', stopped: bool = False,
             hashes: bool = False, stock: bool = False,
             devices: Sequence[str] = (), append: str = '',
             confidential: str = '', **settings: Any) -> Guest:
        """
        @hashes: the kernel is measured, too
        @confidential: the object that makes the guest one, if another than
            its kind's
        @stock: in a QEMU without kvm-reset
        @settings: of the platform, as in its README, in lower case
        """
        if ON_LAB:
            self.take_ids(settings)
        if ON_LAB and settings:
            self.skipTest('the lab cannot be told while it runs: '
                          + ' '.join(settings))
        # OVMF starts no kernel that it has no hash of.
        hashes = hashes or ON_LAB
        self.launch_log = Log(Path(self.scratch_file('coco.json')))
        environment = self.launch_log.environment(settings)
        os.environ.update(environment)
        machine += ',kernel-irqchip=split' if self.TEE == 'tdx' else ''
        if not stock and 'guest-interval' not in machine:
            # Tests are guests that reboot all the time.
            machine += ',kvm-reset-guest-interval=0'
        try:
            guest = self.start(
                f'guest{self.guests}', rebirth=False, smp=smp, stock=stock,
                machine=f'q35,confidential-guest-support=cg{machine}',
                cpu='host' if self.TEE == 'tdx' else CPU,
                kernel=self.KERNEL, initrd=self.INITRD, append=append,
                args=['-object', (confidential or OBJECTS[self.TEE])
                      + (',kernel-hashes=on' if hashes else ''),
                      '-bios', FIRMWARE, *devices,
                      *(['-S'] if stopped else [])])
        finally:
            for name in environment:
                del os.environ[name]
        self.guests += 1
        self.expected = self.owners_digest(smp.split(',')[0], hashes,
                                           append)
        if not stopped:
            guest.wait_boot()
        if not stopped and not stock:
            info = guest.info()
            self.assertTrue(info['restartable'], info)
            self.assertEqual(info['launch']['state'], 'finished')
        return guest

    def take_ids(self, settings: dict[str, Any]) -> None:
        """The lab's processor has many; so few are left for the guest."""
        kind, name = (('sev', 'sev_asids') if self.TEE == 'sev'
                      else ('sev-es', 'es_asids'))
        left = settings.get(name)
        for other in ('sev_asids', 'es_asids', 'key_ids'):
            settings.pop(other, None)
        if left is not None:
            self.addCleanup(TakenIds(kind, left).close)

    def owners_digest(self, smp: str, hashes: bool, append: str = '') -> str:
        """From the files, as the guest's owner computes it."""
        command = [MEASURE, '--tee', self.TEE, '--ovmf', FIRMWARE]
        if self.TEE in ('sev-es', 'snp'):
            command += ['--vcpus', smp, '--vcpu-type', CPU_MODEL]
        if self.TEE == 'sev-es':
            # What QEMU takes unless it is told otherwise.
            command += ['--legacy-vm-type']
        if hashes:
            command += ['--kernel', self.KERNEL, '--initrd', self.INITRD,
                        '--append', f'{QUICK_KERNEL} {append}']
        return subprocess.run(command, capture_output=True, text=True,
                              check=True).stdout.strip()

    def events(self, name: str) -> list[dict[str, Any]]:
        return self.launch_log.events(name)

    def must_be_the_same(self, guest: Guest, launches: int) -> None:
        """So many launches or more, all measured the same, by the judge
        as well as by what was recorded."""
        digests = [event['digest'] for event in self.events('launch')]
        self.assertGreaterEqual(len(digests), launches, digests)
        self.assertEqual(set(digests), {self.expected},
                         'the owner expects another digest')
        measurement = guest.info()['launch']['measurement']
        self.assertEqual(measurement['first'], digests[0])
        if launches > 1:
            self.assertTrue(measurement['equal'], measurement)
            self.assertEqual(guest.rebirths[-1]['measurement'], measurement)

    def must_free_ids(self, guest: Guest) -> None:
        """All but one, and that is in use."""
        guest.settle()
        self.assertEqual(len(self.events('asid_freed')),
                         len(self.events('asid_taken')) - 1)

    def reboots(self, smp: str = SMP, **options: Any) -> None:
        guest = self.boot(smp=smp, **options)
        for _ in range(ROUNDS):
            with self.reborn(guest):
                guest.console.send('reboot')
        self.must_be_the_same(guest, ROUNDS + 1)
        self.must_free_ids(guest)

    def resets(self, smp: str = '1', **options: Any) -> None:
        guest = self.boot(smp=smp, **options)
        for _ in range(ROUNDS):
            with self.reborn(guest):
                guest.qmp('system_reset')
        self.must_be_the_same(guest, ROUNDS + 1)
        self.must_free_ids(guest)


class SnpReboot(Coco):
    TEE = 'snp'

    @proves('sev-snp', 'guest-memfd', 'memory-attributes')
    def test_snp_reboots_and_is_launched_the_same_again(self) -> None:
        self.reboots()

    @proves('sev-snp')
    def test_snp_reset_is_launched_the_same_again(self) -> None:
        self.resets()

    def test_snp_with_kernel_hashes_is_launched_the_same_again(self) -> None:
        plain = self.owners_digest('1', False)
        guest = self.boot(smp='1', hashes=True)
        self.assertNotEqual(self.expected, plain)
        with self.reborn(guest):
            guest.console.send('reboot')
        self.must_be_the_same(guest, 2)

    def test_snp_is_launched_by_parts_and_in_spite_of_signals(self) -> None:
        # QEMU itself takes a signal for a failure, so not at the first launch.
        self.resets(not_ready='1:2')
        self.assertTrue(self.events('not_ready'))

    @proves('sev-snp')
    def test_snp_with_a_launched_spare_waits_for_the_swap_alone(self) -> None:
        guest = self.boot(machine=',kvm-reset-spare=launched')
        guest.settle()
        self.assertTrue(guest.info()['spare']['launched'])
        with self.reborn(guest):
            guest.qmp('system_reset')
        last = guest.info()['last']
        self.assertTrue(last['spare'], last)
        self.assertEqual(last['launch-ns'], 0)
        guest.settle()
        self.must_be_the_same(guest, 3)


class SevEsReboot(Coco):
    TEE = 'sev-es'

    @proves('sev-es', 'encrypted-regions')
    def test_sev_es_reboots_and_is_launched_the_same_again(self) -> None:
        self.reboots()

    @proves('sev-es')
    def test_sev_es_reset_is_launched_the_same_again(self) -> None:
        self.resets()

    def test_sev_es_launch_that_fails_half_way_can_be_repeated(self) -> None:
        guest = self.boot(fault='LAUNCH_UPDATE_DATA:2:EIO:9')
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'lost', event)
        self.assertIn('KVM_SEV_LAUNCH_UPDATE_DATA', event['reason'])
        self.assertEqual(guest.qmp('query-status')['status'],
                         'internal-error')
        guest.console.skip()
        guest.qmp('system_reset')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        guest.qmp('cont')
        guest.wait_boot()
        guest.must_answer()
        self.must_be_the_same(guest, 2)


class SevReboot(Coco):
    TEE = 'sev'

    @proves('sev', 'encrypted-regions')
    def test_sev_reboots_and_is_launched_the_same_again(self) -> None:
        self.reboots()

    @proves('sev')
    def test_sev_reset_is_launched_the_same_again(self) -> None:
        self.resets()

    def packet(self, secret: bytes, measurement: bytes) -> tuple[str, str]:
        """LAUNCH_SECRET's header and data, as its owner makes them."""
        iv = os.urandom(16)
        data = subprocess.run(
            ['openssl', 'enc', '-aes-128-ctr', '-K', TEK.hex(), '-iv',
             iv.hex()], input=secret, capture_output=True, check=True).stdout
        flags = bytes(4)
        mac = hmac.new(TIK, b'\x01' + flags + iv
                       + struct.pack('<II', len(secret), len(data)) + data
                       + measurement[:32], hashlib.sha256).digest()
        return (base64.b64encode(flags + iv + mac).decode(),
                base64.b64encode(data).decode())

    @staticmethod
    def inject(guest: Guest, packet: tuple[str, str]) -> None:
        guest.vm.cmd('sev-inject-launch-secret',
                     **{'packet-header': packet[0], 'secret': packet[1]})

    def give_secret(self, guest: Guest) -> tuple[str, str]:
        answer = guest.qmp('query-sev-launch-measure')['data']
        packet = self.packet(b'open sesame 1234', base64.b64decode(answer))
        self.inject(guest, packet)
        return packet

    @proves('sev')
    def test_sev_guest_attested_before_it_ran_waits_again(self) -> None:
        guest = self.boot(stopped=True, smp='1')
        first = guest.qmp('query-sev-launch-measure')
        guest.qmp('cont')
        guest.wait_boot()
        guest.drop_events()
        guest.console.send('reboot')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        guest.event('STOP')
        self.assertEqual(guest.qmp('query-sev')['state'], 'launch-secret')
        self.assertNotEqual(guest.qmp('query-sev-launch-measure'), first)
        guest.qmp('cont')
        guest.wait_boot()
        guest.must_answer()
        self.must_be_the_same(guest, 2)

    def test_sev_guest_with_a_secret_waits_for_it_again(self) -> None:
        self.require_file('/usr/bin/openssl', 'it encrypts the secret')
        guest = self.boot(stopped=True, tik=TIK.hex(), tek=TEK.hex())
        first = self.give_secret(guest)
        guest.qmp('cont')
        guest.wait_boot()
        for _ in range(2):
            guest.drop_events()
            guest.console.skip()
            guest.qmp('system_reset')
            self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
            guest.event('STOP')
            info = guest.info()
            self.assertEqual(info['launch']['state'], 'begun', info)
            # It was for another launch.
            with self.assertRaisesRegex(ExecuteError, 'inject secret'):
                self.inject(guest, first)
            self.give_secret(guest)
            guest.qmp('cont')
            guest.wait_boot()
            guest.must_answer()
        self.must_be_the_same(guest, 3)


class TdxReboot(Coco):
    TEE = 'tdx'

    @proves('tdx', 'guest-memfd', 'memory-attributes')
    def test_tdx_reboots_and_is_launched_the_same_again(self) -> None:
        self.reboots()

    @proves('tdx')
    def test_tdx_reset_is_launched_the_same_again(self) -> None:
        self.resets()

    def test_tdx_waits_for_entropy_and_the_module(self) -> None:
        self.resets(not_ready='1:2', fault='TDX_INIT_VM:2:EAGAIN,'
                                           'TDX_FINALIZE_VM:2:EBUSY:7')
        self.assertEqual(len(self.events('fault')), 2)
        self.assertTrue(self.events('not_ready'))
