# SPDX-License-Identifier: GPL-2.0-or-later
"""How a confidential guest ends itself, and what becomes of it: a new VM, or a
stop from which an operator's reset gives it one.

Requests to the platform go through the ports of tests/coco-platform/run.cc;
on hardware they are exits from the GHCB or TDCALL. Everything else is done as
any guest does it."""

import os
from pathlib import Path
from typing import Any

from coco_test import FIRMWARE, KERNEL, Coco
from judge import CPU, OBJECTS, Log
from kvm_reset_test import SharedGuestTest

TERMINATE, SYSTEM_EVENT, SHUTDOWN, INTERNAL_ERROR = 3, 4, 5, 6
EVENT_SHUTDOWN, EVENT_RESET, EVENT_CRASH = 1, 2, 3


class CocoExit(SharedGuestTest, Coco):
    """One guest of one kind that nothing ends: it is stopped instead."""

    MACHINE = ''
    JUDGES = ('platform',)
    shared_log: Log

    def setUp(self) -> None:
        cls = type(self)
        if cls._shared is None:
            path = Path(self.build_file('shared', cls.__name__ + '.json'))
            path.parent.mkdir(parents=True, exist_ok=True)
            cls.shared_log = Log(path)
        cls.OPTIONS = {
            'rebirth': False, 'kernel': KERNEL,
            'machine': 'q35,confidential-guest-support=cg' + self.MACHINE,
            'cpu': 'host' if self.TEE == 'tdx' else CPU,
            'args': ['-object', OBJECTS[self.TEE], '-bios', FIRMWARE,
                     '-no-shutdown', '-action', 'panic=pause']}
        environment = self.shared_log.environment({})
        os.environ.update(environment)
        try:
            super().setUp()
        finally:
            for name in environment:
                del os.environ[name]
        self.launch_log = self.shared_log

    def must_be_measured_the_same(self) -> None:
        digests = {event['digest'] for event in self.events('launch')}
        self.assertEqual(len(digests), 1, digests)
        measurement = self.guest.info()['launch']['measurement']
        self.assertTrue(measurement['equal'], measurement)
        self.assertEqual(measurement['first'], digests.pop())

    def reboots_by(self, command: str) -> None:
        with self.reborn(self.guest):
            self.guest.console.send(command)
        self.must_be_measured_the_same()

    def ask(self, command: int, argument: int = 0) -> None:
        self.guest.console.send(
            f'run guest-tool out c0c0={argument:02x} c0c8={command:02x}')

    def stops(self, status: str, command: int, argument: int = 0,
              event: str = '') -> dict[str, Any]:
        """The guest asks for that and is stopped, on the VM that it has; a
        reset then gives it a new one. The event's data."""
        generation = self.guest.generation()
        self.guest.drop_events()
        self.ask(command, argument)
        data = self.guest.event(event) if event else {}
        self.guest.wait(
            lambda: self.guest.qmp('query-status')['status']
            in status.split('|'), 60, f'the guest to be stopped: {status}')
        self.assertEqual(self.guest.generation(), generation)
        with self.reborn(self.guest):
            self.guest.qmp('system_reset')
            self.guest.wait(lambda: self.guest.generation() > generation, 60,
                            'a new VM')
            self.guest.qmp('cont')
        self.must_be_measured_the_same()
        return data


class SnpExit(CocoExit):
    TEE = 'snp'

    def test_snp_that_resets_over_acpi_gets_a_new_vm(self) -> None:
        self.reboots_by('reboot acpi')

    def test_snp_that_resets_by_port_cf9_gets_a_new_vm(self) -> None:
        self.reboots_by('reboot port-cf9')

    def test_snp_that_resets_by_the_keyboard_gets_a_new_vm(self) -> None:
        self.reboots_by('reboot port-kbd')

    def test_snp_with_a_triple_fault_gets_a_new_vm(self) -> None:
        self.reboots_by('triple')

    def test_snp_that_is_shut_down_gets_a_new_vm(self) -> None:
        with self.reborn(self.guest):
            self.ask(SHUTDOWN)
        self.must_be_measured_the_same()

    def test_snp_with_the_system_event_of_a_reset_gets_a_new_vm(self) -> None:
        with self.reborn(self.guest):
            self.ask(SYSTEM_EVENT, EVENT_RESET)
        self.must_be_measured_the_same()

    def test_snp_with_the_system_event_of_a_shutdown_is_shut_down(
            self) -> None:
        self.stops('shutdown', SYSTEM_EVENT, EVENT_SHUTDOWN, 'SHUTDOWN')

    def test_snp_with_the_system_event_of_a_crash_has_panicked(self) -> None:
        self.stops('guest-panicked', SYSTEM_EVENT, EVENT_CRASH,
                   'GUEST_PANICKED')

    def test_snp_that_asks_to_be_terminated_has_panicked(self) -> None:
        data = self.stops('guest-panicked', TERMINATE, 2, 'GUEST_PANICKED')
        self.assertEqual(data['action'], 'pause')
        self.assertIn('the guest asks to be terminated: SEV-SNP lacks a '
                      'feature that it needs (set 0, code 2)',
                      self.guest.qemu_log())

    def test_snp_with_an_error_inside_of_kvm_is_stopped(self) -> None:
        self.stops('internal-error', INTERNAL_ERROR)


class TdxExit(CocoExit):
    TEE = 'tdx'
    MACHINE = ',kernel-irqchip=split'

    def test_tdx_that_resets_over_acpi_gets_a_new_vm(self) -> None:
        self.reboots_by('reboot acpi')

    def test_tdx_that_resets_by_port_cf9_gets_a_new_vm(self) -> None:
        self.reboots_by('reboot port-cf9')

    def test_tdx_with_a_triple_fault_gets_a_new_vm(self) -> None:
        self.reboots_by('triple')

    def test_tdx_that_is_shut_down_gets_a_new_vm(self) -> None:
        with self.reborn(self.guest):
            self.ask(SHUTDOWN)
        self.must_be_measured_the_same()

    def test_tdx_that_reports_a_fatal_error_has_panicked(self) -> None:
        """QEMU stops it twice, for the panic and for an exit that it could not
        handle; which of them comes first is not certain."""
        data = self.stops('guest-panicked|internal-error', TERMINATE, 1,
                          'GUEST_PANICKED')
        self.assertEqual(data['info']['type'], 'tdx')
        self.assertEqual(data['info']['error-code'], 0x10000)
