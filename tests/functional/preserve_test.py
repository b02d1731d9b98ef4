# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that get a new VM and go on, not knowing. scripts/test preserve has
the long form of it."""

from pathlib import Path
from typing import Any

from guest import Guest
from kvm_reset_test import KvmResetTest, takes
from preserve import KINDS, Mover, start_guest

MOVES = 30


class Preserve(KvmResetTest):
    WEIGHT = 120

    def moves_unnoticed(self, kind: str, moves: int = MOVES) -> None:
        assert kind in KINDS
        guest = start_guest(kind, Path(self.log_file()))
        self.addCleanup(guest.vm.kill)
        Mover(guest, kind, 1).run(moves, 120)

    def test_a_guest_at_work_does_not_notice(self) -> None:
        self.moves_unnoticed('pc')

    @takes(400)
    def test_a_guest_with_two_cpus_does_not_notice(self) -> None:
        self.moves_unnoticed('q35, 2 CPUs')

    @takes(400)
    def test_a_guest_with_a_split_irqchip_does_not_notice(self) -> None:
        self.moves_unnoticed('split irqchip')

    @takes(400)
    def test_a_hyper_v_guest_does_not_notice(self) -> None:
        self.moves_unnoticed('Hyper-V')

    def refused(self, guest: Guest, what: str, **arguments: Any) -> None:
        answer = guest.vm.qmp('kvm-rebirth', arguments)
        self.assertRegex(answer['error']['desc'], what)
        self.assertEqual(guest.generation(), 0)

    def test_what_is_asked_wrongly_is_refused(self) -> None:
        guest = self.start(firmware=True)
        guest.wait_firmware()
        self.refused(guest, 'preserve must be true', preserve=False)

    def test_a_guest_that_is_paused_stays_paused_and_goes_on(self) -> None:
        guest = self.start(machine='pc')
        guest.wait_boot()
        guest.qmp('stop')
        for _ in range(3):
            guest.qmp('kvm-rebirth', preserve=True)
            self.assertEqual(guest.qmp('query-status')['status'], 'paused')
        guest.qmp('cont')
        guest.command('work 2', r'work ok n=2 ')

    def test_a_guest_that_was_moved_is_reset_and_moved_again(self) -> None:
        guest = self.start(machine='pc')
        guest.wait_boot()
        guest.qmp('kvm-rebirth', preserve=True)
        with self.reborn(guest):
            guest.console.send('reboot linux')
        guest.qmp('kvm-rebirth', preserve=True)
        guest.command('work 2', r'work ok n=2 ')
