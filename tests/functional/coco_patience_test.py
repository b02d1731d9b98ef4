# SPDX-License-Identifier: GPL-2.0-or-later
"""An old VM of which nothing goes any more: QEMU waits two minutes for it, and
then no longer.

On the simulated platform, which takes a minute and more for the old VM's first
piece of memory; the two minutes are over as soon as a debugger has turned back
QEMU's note of when something went last."""

import debugger
from coco_fault_test import CocoFault, SnpFault
from console import Silence
from guest import TIMEOUT, Guest
from kvm_reset_test import takes
from qemu.qmp import ExecuteError

# The guest's is one piece.
MEMORY = 64
SLOW = 'PAGE_RECLAIM:4000/page'
# Of waiting.c; more than its patience, in nanoseconds.
NOTE, LONG_AGO = '*(long long *) &same_since', 125 * 10 ** 9
GOES_NO_MORE = 'nothing of that goes any more'
SLOW_TIMEOUT = 400.0


class Patience(CocoFault):
    TEE, OBJECT, CPU = SnpFault.TEE, SnpFault.OBJECT, SnpFault.CPU
    WEIGHT = 200

    def launch_slow(self, ids: int, **options: str) -> Guest:
        return self.launch_guest(
            memory=MEMORY, platform={'delay': SLOW, 'es_asids': str(ids)},
            **options)

    def reset_to_wait(self, reset_done: bool) -> None:
        guest = self.guest
        guest.drop_events()
        guest.qmp('system_reset')
        waits = guest.event('KVM_REBIRTH_WAITING')
        self.assertEqual(waits['reset-done'], reset_done, waits)

    def let_two_minutes_pass(self) -> None:
        """What is waited for has not gone before that, nor after."""
        guest = self.guest
        left = guest.info()['private-left']
        self.assertIn('waiting', guest.info())
        self.assertGreaterEqual(left, MEMORY << 20)
        debugger.call(guest.pid, f'{NOTE} = {NOTE} - {LONG_AGO}')
        guest.wait(lambda: 'waiting' not in guest.info(), TIMEOUT,
                   'QEMU to wait no more')
        self.assertEqual(guest.info()['private-left'], left)

    def old_vm_goes(self) -> None:
        self.guest.wait(lambda: not self.guest.info()['retiring'],
                        SLOW_TIMEOUT, 'the old VM to go')

    @takes(900)
    def test_a_guest_that_was_reset_runs_without_its_margin(self) -> None:
        guest = self.launch_slow(2, machine=',kvm-reset-margin=0')
        self.reset_to_wait(True)
        guest.console.skip()
        guest.qmp('cont')
        with self.assertRaises(Silence):
            guest.console.wait_for('busy', 3)
        self.let_two_minutes_pass()
        self.assertEqual(guest.qmp('query-status')['status'], 'running')
        self.work()
        self.assertIn(f'keeps its memory, and {GOES_NO_MORE}',
                      guest.qemu_log())
        self.assertEqual(guest.info()['retiring'], 1)

    @takes(900)
    def test_a_reset_that_waits_is_given_up_on_the_old_vm(self) -> None:
        guest = self.launch_slow(2, machine=',kvm-reset-margin=1G')
        self.assertEqual(self.reset()['outcome'], 'completed')
        self.work()
        before = guest.info()
        guest.qmp('cont')
        self.reset_to_wait(False)
        self.let_two_minutes_pass()
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'failed', event)
        self.assertRegex(event['reason'], f'not down yet, but {GOES_NO_MORE}')
        self.assertIn('is stopped on its old VM', guest.qemu_log())
        info = guest.info()
        self.assertEqual(info['last-error'], event['reason'])
        self.assertEqual(info['aborted'], before['aborted'] + 1)
        self.assertEqual(info['generation'], before['generation'])
        self.assertTrue(info['vm-present'])
        self.assertEqual(guest.qmp('query-status')['status'], 'paused')
        self.work()
        self.old_vm_goes()
        self.assertEqual(self.reset()['outcome'], 'completed')
        self.work()

    @takes(900)
    def test_a_guest_that_made_room_is_stopped_without_a_vm(self) -> None:
        guest = self.launch_slow(1, full='break')
        before = guest.info()
        self.reset_to_wait(False)
        self.assertFalse(guest.info()['vm-present'])
        self.let_two_minutes_pass()
        event = guest.wait_rebirth()
        self.assertEqual(event['outcome'], 'lost', event)
        self.assertRegex(event['reason'], f'goes first.*, but {GOES_NO_MORE}')
        self.assertIn('has no VM, and may be reset again', guest.qemu_log())
        info = guest.info()
        self.assertEqual(info['failure'], event['reason'])
        self.assertEqual(info['aborted'], before['aborted'] + 1)
        self.assertFalse(info['vm-present'])
        self.assertEqual(guest.qmp('query-status')['status'], 'internal-error')
        with self.assertRaisesRegex(ExecuteError, 'no VM until it is reset'):
            guest.qmp('cont')
        self.old_vm_goes()
        self.assertEqual(self.reset()['outcome'], 'completed')
        self.work()
