# SPDX-License-Identifier: GPL-2.0-or-later
"""A reset while there is no ASID for a second VM: whoever has the last one,
the guest keeps its VM, if that is wanted (kvm-reset-when-full=keep), and a later
reset succeeds once one is free. coco_cost_test.py has what happens otherwise.

The platform knows one process, so "another guest" is a SEV_INIT that says
EBUSY, as it would."""

from typing import Any

from coco_test import Coco
from guest import Guest

# The second is the first reset's.
TAKEN_ONCE = {'fault': 'SEV_INIT:2:EBUSY'}


class Asid(Coco):
    """What both kinds have in common."""

    def has_no_room(self, **settings: Any) -> Guest:
        guest = self.boot(smp='1', machine=',kvm-reset-when-full=keep',
                          **settings)
        old = guest.running_vm()
        guest.console.skip()
        guest.drop_events()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'failed', event)
        self.assertIn('KVM_SEV_', event['reason'])
        self.goes_on(guest)
        self.assertEqual(guest.running_vm(), old)
        self.assertEqual(len(self.events('launch')), 1)
        return guest

    def goes_on(self, guest: Guest) -> None:
        raise NotImplementedError

    def has_room_now(self, guest: Guest) -> None:
        with self.reborn(guest):
            guest.qmp('system_reset')
        self.assertEqual(len(self.events('launch')), 2)


class SevEsAsid(Asid):
    """Locked: it can only be stopped where it is."""
    TEE = 'sev-es'

    def goes_on(self, guest: Guest) -> None:
        self.assertEqual(guest.qmp('query-status')['status'], 'paused')
        guest.qmp('cont')
        guest.must_answer()

    def test_sev_es_with_the_last_asid_of_all_keeps_its_vm(self) -> None:
        self.has_no_room(es_asids=1)

    def test_sev_es_beside_another_with_the_last_asid_waits_for_it(
            self) -> None:
        self.has_room_now(self.has_no_room(**TAKEN_ONCE))


class SevAsid(Asid):
    """Not locked: it is reset on the VM that it has."""
    TEE = 'sev'

    def goes_on(self, guest: Guest) -> None:
        guest.wait_boot()
        guest.must_answer()

    def test_sev_with_the_last_asid_of_all_is_reset_on_its_vm(self) -> None:
        self.has_no_room(sev_asids=1)

    def test_sev_beside_another_with_the_last_asid_is_reset_on_its_vm(
            self) -> None:
        self.has_room_now(self.has_no_room(**TAKEN_ONCE))
