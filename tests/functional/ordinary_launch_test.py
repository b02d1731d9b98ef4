# SPDX-License-Identifier: GPL-2.0-or-later
"""An ordinary guest runs from firmware that it, or its operator, has brought.

Its firmware is chores.S; what it brings is the same with another byte in it, or
a program of its own."""

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from chores import Qtest, make_firmware, must_work
from guest import Guest
from kvm_reset_test import KvmResetTest, takes
from launch_dialog import (FAILED, HOSTS, IS_IGVM, RAM, SUCCESS, File,
                           LaunchDialog)

sys.path.append(str(Path(__file__).parents[1] / 'fuzz'))
import igvm_seeds    # noqa: E402  pylint: disable=wrong-import-position

IGVM = os.environ.get('KVM_RESET_IGVM', '')

SEABIOS = Path('/usr/share/seabios/bios-256k.bin')
# What chores.S has in no place that matters, and where the guest has it.
BYTE = 0x1000
SEEN_AT = (1 << 32) - (256 << 10) + BYTE
CODE, STACK = 0x100000, 0x200000

# Says a word on the debug port, again and again.
PROGRAM = bytes.fromhex('66ba0204'      # mov dx, 0x402
                        'be11001000'    # mov esi, word
                        'ac'            # lodsb
                        '84c0'          # test al, al
                        '74f1'          # jz start
                        'ee'            # out dx, al
                        'ebf8'          # jmp lodsb
                        ) + b'brought!\n\0'


def program_file() -> bytes:
    """Entered in 32 bits, without paging."""
    context = struct.pack('<16QQQQHHHHQHHIIHHIIQQQQQ', *[0] * 16, CODE, 2, 0, 0,
                          0, 0, 0, 0, 8, 0xc09b, 0, 0xffffffff, 16, 0xc093, 0,
                          0xffffffff, 0, 0x11, 0, 0, 0)
    page = PROGRAM + bytes(4096 - len(PROGRAM))
    return (igvm_seeds.File(igvm_seeds.NATIVE).page(CODE, page)
            .context(0, context, gpa=0).build())


class OrdinaryLaunch(LaunchDialog, KvmResetTest):
    WEIGHT = 30

    def setUp(self) -> None:
        super().setUp()
        self.require_file(IGVM, 'the tools')
        scratch = Path(self.scratch_file(''))
        self.firmware = scratch / 'firmware.bin'
        make_firmware(self.firmware)
        self.files = []
        for number in (1, 2):
            path = scratch / f'own{number}'
            content = bytearray(self.firmware.read_bytes())
            self.assertEqual(content[BYTE], 0)
            content[BYTE] = number
            path.write_bytes(content)
            self.files.append(path.with_suffix('.igvm'))
            subprocess.run([IGVM, 'wrap', '--ovmf', path, '--tee', 'native',
                            self.files[-1]], check=True)
        self.images = [path.read_bytes() for path in self.files]

    def turn_on(self, *args: str, machine: str = '') -> Guest:
        """Without the device."""
        self.qtest = Qtest()
        self.guest = self.start(
            'guest', firmware=True, smp='2', memory=RAM >> 20,
            machine='q35' + machine,
            args=[*self.qtest.arguments(), '-trace', 'kvm_reset_launch_update',
                  *(args or ['-bios', str(self.firmware)])])
        self.qtest.connect()
        self.addCleanup(self.qtest.close)
        return self.guest

    def power_on(self, machine: str = '') -> Guest:
        guest = self.turn_on('-bios', str(self.firmware), '-device',
                             'vm-launch-update', machine=machine)
        must_work(guest)
        self.begin_dialog(self.qtest)
        return guest

    def reset(self) -> dict[str, Any]:
        guest = self.guest
        guest.drop_events()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertNotIn('digest', event)
        return event

    def reboots(self, source: str, byte: int) -> None:
        event = self.reset()
        self.assertEqual(event['outcome'], 'completed')
        self.runs_from(source, byte)
        self.assertEqual(event.get('source', 'start'), source)
        self.guest.settle()

    def runs_from(self, source: str, byte: int) -> None:
        launch = self.guest.info().get('launch', {'source': 'start'})
        self.assertEqual(launch['source'], source)
        self.assertNotIn('digest', launch)
        seen, = self.qtest.qtests([f'readb {SEEN_AT:#x}'])
        self.assertEqual(int(seen, 16), byte)
        must_work(self.guest)

    def test_it_brings_its_firmware_once_and_for_good(self) -> None:
        guest = self.power_on()
        self.assertNotIn('launch', guest.info())
        self.assertEqual(self.file(), File(1, SUCCESS, 0, IS_IGVM))
        self.reboots('start', 0)
        guest.drop_events()
        self.bring(self.images[0])
        self.assertEqual(guest.event('KVM_LAUNCH_UPDATE'), {'accepted': True})
        self.assertEqual(guest.info()['launch']['next'],
                         {'source': 'guest', 'once': False})
        for _ in range(20):
            self.reboots('guest', 1)
        self.ask(SUCCESS, HOSTS)
        for _ in range(2):
            self.reboots('start', 0)
        self.assertNotIn('launch', guest.info())
        for _ in range(3):
            self.bring(self.images[1], HOSTS)
            self.reboots('guest', 2)
            self.reboots('start', 0)

    def test_its_first_cpu_starts_where_the_file_says(self) -> None:
        guest = self.power_on()
        for _ in range(3):
            self.bring(program_file(), HOSTS)
            guest.console.skip()
            self.assertEqual(self.reset()['source'], 'guest')
            guest.qmp('cont')
            guest.console.wait_for('brought!', 60)
            guest.qmp('stop')
            guest.console.forget()
            self.reboots('start', 0)

    def test_it_is_told_of_its_cpus(self) -> None:
        self.power_on()
        # An area of a page, the MADT at its beginning, inserted at STACK.
        image = (igvm_seeds.File(igvm_seeds.NATIVE).page(CODE, bytes(4096))
                 .add(0x301, '<QII', 4096, 0, 0).add(0x309, '<II', 0, 0)
                 .add(0x303, '<QII', STACK, 1, 0).build())
        self.bring(image, HOSTS)
        self.reset()
        table = self.fw_cfg.read_memory(STACK, 4096)
        size, = struct.unpack_from('<I', table, 4)
        self.assertEqual(table[:4], b'APIC')
        self.assertEqual(sum(table[:size]) & 0xff, 0)
        kinds, at = [], 44
        while at < size:
            kinds.append(table[at])
            at += table[at + 1]
        # Two local APICs, an I/O APIC.
        self.assertEqual((kinds.count(0), kinds.count(1)), (2, 1))

    def test_what_runs_is_no_copy_of_the_firmware_before(self) -> None:
        # SeaBIOS is copied to RAM below 1 MiB, where the reset vector leads.
        named = Path(self.scratch_file('named'))
        content = SEABIOS.read_bytes()
        self.assertEqual(content.count(b'SeaBIOS (version'), 1)
        named.write_bytes(content.replace(b'SeaBIOS (version',
                                          b'Brought (version'))
        image = named.with_suffix('.igvm')
        subprocess.run([IGVM, 'wrap', '--ovmf', named, '--tee', 'native',
                        image], check=True)
        for machine in ('q35', 'pc'):
            guest = self.start(machine, firmware=True, smp='2', memory=128,
                               machine=machine, args=['-bios', str(SEABIOS)])
            guest.wait_firmware()
            for _ in range(2):
                guest.qmp('kvm-reset-load-launch', filename=str(image),
                          once=True)
                for word in ('Brought', 'SeaBIOS'):
                    generation = guest.generation()
                    guest.console.skip()
                    guest.drop_events()
                    guest.qmp('system_reset')
                    self.assertEqual(guest.wait_rebirth()['outcome'],
                                     'completed')
                    self.assertTrue(guest.console.wait_for(
                        r'(Brought|SeaBIOS) \(version', 60)[0]
                        .startswith(word))
                    # The copy would have reset the guest once more.
                    self.assertEqual(guest.generation(), generation + 1)
                    guest.settle()
            guest.stop()

    def test_an_operator_brings_it(self) -> None:
        guest = self.turn_on()
        must_work(guest)
        path = str(self.files[0])
        self.assertEqual(
            guest.qmp('kvm-reset-load-launch', filename=path, check=True),
            {'source': 'operator', 'once': False})
        self.assertNotIn('launch', guest.info())
        guest.qmp('kvm-reset-load-launch', filename=path)
        for _ in range(3):
            self.reboots('operator', 1)
        self.assertIn('launched by: operator', guest.hmp('info kvm-reset'))
        answer = guest.vm.qmp('migrate', uri='exec:cat >/dev/null')
        self.assertIn('was brought for it', answer['error']['desc'])
        guest.qmp('kvm-reset-load-launch', start=True)
        self.reboots('start', 0)

    def test_a_move_leaves_it_where_it_is(self) -> None:
        guest = self.power_on()
        self.bring(self.images[0])
        self.reboots('guest', 1)
        for _ in range(3):
            guest.qmp('kvm-rebirth', preserve=True)
            self.runs_from('guest', 1)
        guest.qmp('kvm-detach')
        guest.qmp('kvm-attach')
        self.runs_from('guest', 1)
        self.reboots('guest', 1)

    def test_what_is_not_for_it_changes_nothing(self) -> None:
        guest = self.power_on()
        snp = igvm_seeds.seeds()['snp'][1]
        for image, reason in (
                (self.images[0][:-1], 'IGVM file'),
                (snp, 'is for SEV-SNP, and not for native'),
                (igvm_seeds.File(igvm_seeds.NATIVE).page(RAM, bytes(4096))
                 .build(), f'{RAM:#x}'),
                (igvm_seeds.File(igvm_seeds.NATIVE)
                 .page(SEEN_AT - 0x100000 & ~4095, bytes(4096)).build(),
                 'which this guest does not have')):
            self.assertIn(reason, self.bring(image, status=FAILED))
        self.assertNotIn('launch', guest.info())
        self.reboots('start', 0)

    def test_a_reset_that_fails_leaves_it_on_its_old_vm(self) -> None:
        shim = self.shimmed()
        guest = self.power_on(',kvm-reset-spare=off')
        self.bring(self.images[0])
        self.reboots('guest', 1)
        with shim.rule('KVM_CREATE_VM', error='ENOMEM'):
            event = self.reset()
        self.assertEqual((event['outcome'], event['source']),
                         ('failed', 'guest'))
        self.assertEqual(guest.qmp('query-status')['status'], 'paused')
        self.runs_from('guest', 1)
        self.reboots('guest', 1)

    def test_registers_that_kvm_refuses_are_followed_by_the_hosts(self) -> None:
        shim = self.shimmed()
        guest = self.power_on()
        self.bring(program_file())
        # QEMU's own come first, one for each vCPU.
        with shim.rule('KVM_SET_SREGS', error='EINVAL') as rule:
            self.reset()
            self.assertEqual(rule.hits, 1)
        self.assertIn('KVM_SET_SREGS', guest.info()['launch']['refused'])
        self.runs_from('start', 0)
        self.reboots('start', 0)

    @takes(300)
    def test_where_it_cannot_be_it_says_why(self) -> None:
        flash = ('-drive',
                 f'if=pflash,format=raw,readonly=on,file={self.firmware}')
        guest = self.turn_on(*flash)
        must_work(guest)
        answer = guest.vm.qmp('kvm-reset-load-launch',
                              filename=str(self.files[0]))
        self.assertIn('in flash', answer['error']['desc'])
        guest.stop()
        guest = self.start('keeps', firmware=True, rebirth=False)
        answer = guest.vm.qmp('kvm-reset-load-launch', start=True)
        self.assertIn('x-change-vmfd-on-reset=on', answer['error']['desc'])
