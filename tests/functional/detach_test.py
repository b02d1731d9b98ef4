# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are detached from KVM and attached again."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import process
from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes
from preserve import start_mover
from process import kvm_files

# What a detached QEMU answers to: docs/preserve.md has the table.
ANSWERS: dict[str, dict[str, Any]] = {
    'query-status': {}, 'query-kvm': {}, 'query-kvm-reset': {},
    'query-block': {}, 'query-blockstats': {}, 'query-cpus-fast': {},
    'query-migrate': {}, 'query-pci': {}, 'query-name': {},
    'query-version': {}, 'query-commands': {}, 'query-jobs': {},
    'query-chardev': {}, 'query-memory-size-summary': {},
    'query-hotpluggable-cpus': {}, 'query-current-machine': {},
}
REFUSES: dict[str, dict[str, Any]] = {
    'cont': {}, 'stop': {}, 'system_reset': {}, 'system_powerdown': {},
    'inject-nmi': {}, 'migrate': {'uri': 'tcp:127.0.0.1:1'},
    'snapshot-save': {'job-id': 'j', 'tag': 't', 'vmstate': 'd',
                      'devices': ['d']},
    'snapshot-load': {'job-id': 'j', 'tag': 't', 'vmstate': 'd',
                      'devices': ['d']},
    'device_add': {'driver': 'virtio-rng-pci', 'id': 'r'},
    'device_del': {'id': 'r'},
    'object-add': {'qom-type': 'rng-builtin', 'id': 'o'},
    'dump-guest-memory': {'paging': False, 'protocol': 'file:/dev/null'},
    'query-stats': {'target': 'vm'}, 'query-cpu-definitions': {},
    'query-cpu-model-expansion': {'type': 'full', 'model': {'name': 'host'}},
    'x-query-interrupt-controllers': {},
    'qom-set': {'path': '/machine', 'property': 'kvm-reset-spare',
                'value': 'on'},
    'memsave': {'val': 0, 'size': 1, 'filename': '/dev/null'},
}
HUMAN_REFUSED = ('cont', 'c', 'stop', 'system_reset', 'savevm s', 'loadvm s',
                 'info pic', 'device_add virtio-rng-pci', 'nmi',
                 'migrate tcp:127.0.0.1:1', 'i 0x70')
HUMAN_ANSWERED = {'info status': 'paused', 'info kvm-reset': 'detached',
                  'info registers': 'RIP|EIP', 'info cpus': 'CPU #0',
                  'info version': r'\d', 'help quit': 'quit'}


class Detach(KvmResetTest):
    WEIGHT = 90

    def error_of(self, guest: Guest, command: str, **arguments: Any) -> str:
        answer = guest.vm.qmp(command, arguments)
        self.assertIn('error', answer, f'{command} was done, {arguments}')
        return answer['error']['desc']

    def nothing_is_left(self, guest: Guest) -> None:
        self.assertEqual(kvm_files(guest.pid), [])
        self.assertEqual(process.vms_of(guest.pid), [])
        self.assertTrue(guest.info()['detached'])

    @contextlib.contextmanager
    def detached(self, guest: Guest) -> Iterator[None]:
        guest.qmp('kvm-detach')
        self.nothing_is_left(guest)
        yield
        guest.qmp('kvm-attach')
        self.assertFalse(guest.info()['detached'])

    @takes(400)
    def test_a_guest_at_work_goes_on(self) -> None:
        mover = start_mover(self, 'pc')
        guest = mover.guest
        for _ in range(5):
            guest.drop_events()
            with self.detached(guest):
                guest.event('STOP')
                self.assertEqual(guest.qmp('query-status')['status'], 'paused')
            guest.event('RESUME')
            mover.must_not_have_noticed()
        mover.check_works()
        guest.qmp('kvm-rebirth', preserve=True)
        mover.check_works()
        mover.must_not_have_noticed()

    @takes(400)
    def test_a_guest_with_two_cpus_and_a_split_irqchip_goes_on(self) -> None:
        mover = start_mover(self, 'split irqchip')
        guest = mover.guest
        for _ in range(3):
            with self.detached(guest):
                pass
            mover.must_not_have_noticed()
        mover.check_works()

    def test_a_paused_guest_stays_paused_and_goes_on(self) -> None:
        guest = self.start(machine='pc')
        guest.wait_boot()
        guest.qmp('stop')
        with self.detached(guest):
            pass
        self.assertEqual(guest.qmp('query-status')['status'], 'paused')
        guest.qmp('cont')
        guest.command('work 2', r'work ok n=2 ')

    def test_a_guest_that_was_attached_is_reset(self) -> None:
        guest = self.start(machine='pc')
        guest.wait_boot()
        with self.detached(guest):
            pass
        with self.reborn(guest):
            guest.console.send('reboot linux')

    def test_what_is_asked_of_a_detached_guest_is_answered_or_refused(
            self) -> None:
        disk = Path(self.workdir, 'disk')
        disk.write_bytes(bytes(1 << 20))
        guest = self.start(machine='pc', args=[
            '-drive', f'file={disk},format=raw,if=none,id=d', '-device',
            'virtio-blk-pci,drive=d'])
        guest.wait_boot()
        self.assertIn('not detached', self.error_of(guest, 'kvm-attach'))
        guest.qmp('kvm-detach', check=True)
        self.assertFalse(guest.info()['detached'])
        guest.must_answer()
        with self.detached(guest):
            self.assertIn('already', self.error_of(guest, 'kvm-detach'))
            self.assertIn('detached', self.error_of(guest, 'kvm-rebirth',
                                                    preserve=True))
            for command, arguments in ANSWERS.items():
                guest.qmp(command, **arguments)
            for command, arguments in REFUSES.items():
                self.assertIn('detached from KVM', self.error_of(
                    guest, command, **arguments))
            for line in HUMAN_REFUSED:
                self.assertIn('detached from KVM', guest.hmp(line), line)
            for line, answer in HUMAN_ANSWERED.items():
                self.assertRegex(guest.hmp(line), answer)
            self.assertIn('detached from KVM', str(
                guest.qmp('query-migrate').get('blocked-reasons')))
            # What it types comes to its serial port when it goes on.
            guest.console.send('ping')
            self.nothing_is_left(guest)
        guest.console.wait_for('kvm-reset-guest: pong', TIMEOUT)
        self.assertNotIn('blocked-reasons', guest.qmp('query-migrate'))
        guest.command('work 2', r'work ok n=2 ')

    def test_a_detached_guest_can_be_ended(self) -> None:
        for end in 'quit', 'SIGTERM':
            guest = self.start(name=f'guest-{end}', firmware=True)
            guest.wait_firmware()
            guest.qmp('kvm-detach')
            if end == 'quit':
                guest.stop()
            else:
                os.kill(guest.pid, 15)
                guest.vm.wait(timeout=TIMEOUT)
            self.assertEqual(guest.vm.exitcode(), 0, guest.qemu_log())

    # What is called once at least, and how the error names it.
    DETACHING = {'KVM_CREATE_VCPU': 'KVM_CREATE_VCPU',
                 'KVM_GET_LAPIC': 'LAPIC', 'KVM_SET_CLOCK': 'CLOCK',
                 'KVM_CHECK_EXTENSION': '', 'dup3': 'fd', 'mmap': 'mapping'}
    ATTACHING = DETACHING | {'KVM_SET_IRQCHIP': 'PIC'}

    @takes(400)
    def test_whatever_fails_leaves_it_where_it_was(self) -> None:
        shim = self.shimmed()
        mover = start_mover(self, 'pc', spare='off')
        guest = mover.guest
        vm = guest.running_vm()
        for call, why in self.DETACHING.items():
            self.log.info('kvm-detach without %s', call)
            with shim.rule(call, error='ENOMEM', times=1,
                           thread='qemu-system-x86'):
                self.assertRegex(self.error_of(guest, 'kvm-detach'),
                                 f'{why}.*keeps its VM')
            self.assertTrue(guest.qmp('query-status')['running'])
            mover.must_not_have_noticed()
        self.assertEqual(guest.running_vm(), vm)
        guest.qmp('kvm-detach')
        for call, why in self.ATTACHING.items():
            self.log.info('kvm-attach without %s', call)
            with shim.rule(call, error='ENOMEM', times=1,
                           thread='qemu-system-x86'):
                self.assertRegex(self.error_of(guest, 'kvm-attach'),
                                 f'{why}.*stays detached')
            self.nothing_is_left(guest)
        guest.qmp('kvm-attach')
        mover.check_works()
        mover.must_not_have_noticed()
