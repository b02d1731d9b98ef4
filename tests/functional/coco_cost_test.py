# SPDX-License-Identifier: GPL-2.0-or-later
"""What a confidential guest's old VM costs: its key, its memory, its time. A
host that has little of them reboots its guests, too.

The platform has a page for each of the guest's private ones, which it takes
back one by one (PAGE_RECLAIM).

KVM_RESET_COST_RESETS is how many resets follow each other, if not 3. With
KVM_RESET_COST_STORM, in seconds, there is also a guest that reboots as fast as
it can for so long, at the limit that QEMU has by default."""

import os
import time
from typing import Any

from chores import Qtest
from coco_test import Coco
from guest import Guest
from judge import ON_LAB
from kvm_reset_test import takes
from qemu.qmp import ExecuteError

MIB = 1 << 20
# All of a guest's, with its firmware; and what a new VM is launched from.
GUEST_MIB, LAUNCH_MIB = 256 + 4, 16
# Taking back a guest's pages takes some seconds then.
SLOW = 'PAGE_RECLAIM:50/page'
RESETS = int(os.environ.get('KVM_RESET_COST_RESETS', '3'))
STORM = int(os.environ.get('KVM_RESET_COST_STORM', '0'))
# QEMU's, by default, in seconds and resets.
INTERVAL, BURST = 10, 5
NEVER_TWO = dict(es_asids=1, sev_asids=1, key_ids=1)


class Cost(Coco):
    WEIGHT = 150
    told: set[str] = set()

    def most_at_once(self) -> int:
        """How many ids were in use at the same time."""
        held, most = 0, 0
        events = sorted((event['time'], change)
                        for name, change in (('asid_taken', 1),
                                             ('asid_freed', -1))
                        for event in self.events(name))
        for _, change in events:
            held += change
            most = max(most, held)
        return most

    def most_memory(self) -> int:
        return max(event['total'] for event in self.events('memory'))

    def reset_and_look(self, guest: Guest) -> list[dict[str, Any]]:
        """Until the new guest runs; what query-kvm-reset said meanwhile."""
        seen: list[dict[str, Any]] = []
        generation = guest.generation()
        guest.qmp('system_reset')

        def runs() -> bool:
            info = guest.info()
            seen.append(info)
            return info['generation'] > generation and 'waiting' not in info

        guest.wait(runs, 120, 'the guest to run on its new VM')
        return seen

    def comes_back(self, guest: Guest, launches: int) -> None:
        guest.wait_boot()
        guest.must_answer()
        events = guest.vm.get_qmp_events()
        self.told = {event['event'] for event in events}
        guest.rebirths += [event['data'] for event in events
                           if event['event'] == 'KVM_REBIRTH']
        self.must_be_the_same(guest, launches)
        info = guest.info()
        self.assertEqual(info['aborted'], 0, info)
        self.assertTrue(info['vm-present'], info)

    def resets_back_to_back(self, ids: dict[str, int], most_ids: int) -> None:
        margin = 32
        guest = self.boot(
            smp='1', delay=SLOW, private_mib=GUEST_MIB + margin + LAUNCH_MIB,
            machine=f',kvm-reset-margin={margin}M', **ids)
        waits = 0
        for _ in range(RESETS):
            guest.console.skip()
            began = time.monotonic()
            seen = self.reset_and_look(guest)
            took = time.monotonic() - began
            # The monitor has answered while the old VM went.
            waits += sum('waiting' in info for info in seen)
            self.assertGreater(took, 1, 'the old VM had nothing to give back')
        self.comes_back(guest, RESETS + 1)
        self.assertGreater(waits, 10 * RESETS)
        self.assertEqual(self.most_at_once(), most_ids)
        self.assertEqual(self.events('no_memory'), [])
        self.assertLessEqual(self.most_memory(),
                             (GUEST_MIB + margin + LAUNCH_MIB) * MIB)
        self.assertIn('KVM_REBIRTH_WAITING', self.told)

    @staticmethod
    def waits_its_turn(guest: Guest) -> bool:
        waiting = guest.info().get('waiting') or {'reason': ''}
        return 'too fast' in waiting['reason']

    def room_is_made(self) -> None:
        guest = self.boot(smp='1', **NEVER_TWO)
        for _ in range(2):
            with self.reborn(guest):
                guest.console.send('reboot')
        self.must_be_the_same(guest, 3)
        self.assertEqual(self.most_at_once(), 1)
        if not ON_LAB:
            # There it is the kernel that has none, and it keeps no log.
            self.assertTrue(self.events('no_asid'))

    def taken_by_another(self, times: int) -> Guest:
        """Its second id, and so many more of those that it asks for."""
        name = 'TDX_INIT_VM' if self.TEE == 'tdx' else 'SEV_INIT'
        code = 'ENOSPC' if self.TEE == 'tdx' else 'EBUSY'
        return self.boot(smp='1', fault=','.join(
            f'{name}:{nth}:{code}' for nth in range(2, 3 + times)))


class SnpCost(Cost):
    TEE = 'snp'

    @takes(1500)
    def test_snp_resets_back_to_back_on_a_host_with_two_ids(self) -> None:
        self.resets_back_to_back(dict(es_asids=2), 2)

    @takes(1500)
    def test_snp_resets_back_to_back_on_a_host_with_one_id(self) -> None:
        self.resets_back_to_back(dict(es_asids=1), 1)

    def test_snp_on_a_full_host_reboots(self) -> None:
        self.room_is_made()

    def test_snp_on_a_full_host_keeps_its_vm_if_that_is_wanted(self) -> None:
        guest = self.boot(smp='1', machine=',kvm-reset-when-full=keep',
                          **NEVER_TWO)
        old = guest.running_vm()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'failed', event)
        self.assertIn('KVM_SEV_INIT2', event['reason'])
        guest.qmp('cont')
        guest.must_answer()
        self.assertEqual(guest.running_vm(), old)

    def test_snp_whose_id_is_taken_meanwhile_waits_for_it(self) -> None:
        guest = self.taken_by_another(3)
        with self.reborn(guest):
            guest.qmp('system_reset')
        self.must_be_the_same(guest, 2)
        self.assertEqual(len(self.events('fault')), 4)

    def test_snp_whose_id_is_gone_is_stopped_and_may_be_reset(self) -> None:
        guest = self.taken_by_another(51)
        guest.console.skip()
        guest.qmp('system_reset')
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'lost', event)
        self.assertIn('the guest has none', event['reason'])
        self.assertEqual(guest.qmp('query-status')['status'], 'internal-error')
        info = guest.info()
        self.assertFalse(info['vm-present'], info)
        self.assertTrue(info['restartable'], info)
        with self.assertRaisesRegex(ExecuteError, 'no VM until it is reset'):
            guest.qmp('cont')
        self.assertIn('no VM until it is reset', guest.hmp('stop'))
        self.assertEqual(guest.hmp('system_reset'), '')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        guest.qmp('cont')
        guest.wait_boot()
        guest.must_answer()
        self.must_be_the_same(guest, 2)

    def test_snp_without_a_vm_can_be_ended(self) -> None:
        guest = self.taken_by_another(51)
        guest.qmp('system_reset')
        guest.wait(lambda: not guest.info()['vm-present'], 60, 'room to be made')
        guest.vm.shutdown()
        self.assertEqual(guest.vm.exitcode(), 0, guest.qemu_log())

    def test_snp_that_asks_for_resets_all_the_time_waits_its_turn(
            self) -> None:
        # No boot takes so long, not even of five.
        interval = 3600 * 1000
        guest = self.boot(smp='1', append='kr.do=reboot kr.how=triple',
                          machine=f',kvm-reset-guest-interval={interval}')
        guest.wait(lambda: self.waits_its_turn(guest), 800,
                   'the guest to have used up its turns')
        info = guest.info()
        self.assertEqual(info['limit'], {'interval-ns': interval * 10 ** 6,
                                         'left': 0})
        self.assertEqual(info['generation'], 5)
        self.assertEqual(guest.qmp('query-status')['status'], 'running')
        # The operator need not wait, and then the guest begins again.
        guest.drop_events()
        guest.console.skip()
        guest.qmp('system_reset')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        guest.wait_boot()
        guest.wait(lambda: self.waits_its_turn(guest), 150,
                   'the guest to wait again')
        self.assertEqual(guest.generation(), 6)

    if STORM:
        @takes(STORM + 600)
        def test_snp_storm_makes_no_more_resets_than_the_limit(self) -> None:
            qtest = Qtest()
            guest = self.boot(
                smp='1', devices=qtest.arguments(),
                machine=f',kvm-reset-guest-interval={INTERVAL * 1000}')
            qtest.connect()
            self.addCleanup(qtest.close)
            began, first = time.monotonic(), guest.generation()
            waited, slowest = 0, 0.0
            while time.monotonic() < began + STORM:
                # What a vCPU does, which would have to boot before that.
                qtest.qtests(['outb 0xcf9 0x6'])
                asked = time.monotonic()
                waited += self.waits_its_turn(guest)
                slowest = max(slowest, time.monotonic() - asked)
                time.sleep(0.1)
            resets = guest.generation() - first
            most = BURST + (time.monotonic() - began) / INTERVAL
            print(f'{resets} resets in {STORM} s, at most {most:.0f}; the '
                  f'monitor answered within {slowest * 1000:.0f} ms')
            self.assertLessEqual(resets, most)
            self.assertGreater(resets, most / 2)
            self.assertGreater(waited, 0, 'it never asked too fast')
            self.assertEqual(guest.qmp('query-status')['status'], 'running')


class SevEsCost(Cost):
    TEE = 'sev-es'

    def test_sev_es_on_a_full_host_reboots(self) -> None:
        self.room_is_made()


class SevCost(Cost):
    TEE = 'sev'

    def test_sev_on_a_full_host_reboots(self) -> None:
        self.room_is_made()


class TdxCost(Cost):
    TEE = 'tdx'

    @takes(1500)
    def test_tdx_resets_back_to_back_on_a_host_with_two_ids(self) -> None:
        self.resets_back_to_back(dict(key_ids=2), 2)

    @takes(1500)
    def test_tdx_resets_back_to_back_on_a_host_with_one_id(self) -> None:
        self.resets_back_to_back(dict(key_ids=1), 1)

    def test_tdx_on_a_full_host_reboots(self) -> None:
        self.room_is_made()
