# SPDX-License-Identifier: GPL-2.0-or-later
"""Each system call of a rebirth fails once, from outside, and nothing is lost.

strace makes the call fail on the thread that does the reset, on that which
prepares the next VM, or, past the point of no return, on those that put the
reset state into the new VM; which calls these are is read off an undisturbed
reset, between QEMU's own traces of its steps.
"""

import errno
from pathlib import Path

import process
from chores import Qtest, make_firmware
from fault_sweep import FaultTest
from fault_table import NEW_VM, NO_SPARE, SPARE, STOPPED
from guest import TIMEOUT, Guest
from injection import ERRORS, Call, calls_of
from kvm_reset_test import takes

# The reset is over then: QEMU says it of a guest that does not run.
OVER = 'runstate_set'


class Fault(FaultTest):
    """Of an ordinary guest with a disk."""

    SPARE = 'off'
    guests = 0

    def setUp(self) -> None:
        super().setUp()
        self.require_file('/usr/bin/strace', 'it makes system calls fail')

    def begin(self) -> Guest:
        firmware = Path(self.scratch_file('chores.bin'))
        make_firmware(firmware)
        self.qtest = Qtest()
        guest = self.start(
            f'guest{self.guests}', firmware=True, smp='2', memory=64,
            machine=f'q35,kvm-reset-spare={self.SPARE}',
            args=['-bios', str(firmware), '-trace', OVER, '-S',
                  *self.qtest.arguments()])
        self.guests += 1
        self.qtest.connect()
        self.guest = guest
        for _ in range(3):
            self.qtest.bring_up_disk()
            self.reset()
            guest.settle()
        return guest

    def prepare(self) -> None:
        self.qtest.bring_up_disk()

    def cause(self) -> str:
        return self.reset_and_judge()

    def end(self) -> None:
        super().end()
        self.qtest.close()


class RebirthFault(Fault):
    NAME = '1-rebirth'
    TITLE = 'A rebirth without a spare, the thread that does the reset'
    FEWEST = 60

    def calls_in(self, lines: list[str]) -> list[Call]:
        return calls_of(lines, 'kvm_reset_step quiesce',
                        ('kvm_reset_step hooks', 'kvm_reset_step abort'))

    @takes(3600)
    def test_each_system_call_of_a_rebirth_may_fail_once(self) -> None:
        self.sweep()


class TakenFault(RebirthFault):
    NAME = '2-rebirth-with-spare'
    TITLE = 'A rebirth with a spare, the thread that does the reset'
    FEWEST = 20
    SPARE = 'on'

    def prepare(self) -> None:
        super().prepare()
        self.settle_spare()

    def settle_spare(self) -> None:
        """What the disk had KVM told is in the spare, too."""
        self.guest.wait(lambda: self.guest.info()['spare']['state'] == 'ready',
                        TIMEOUT, 'a spare')

    @takes(3600)
    def test_each_system_call_of_a_rebirth_with_a_spare_may_fail_once(self) \
            -> None:
        self.sweep()


class SpareFault(TakenFault):
    NAME = '3-spare'
    TITLE = 'The thread that prepares the next VM'
    FEWEST = 30
    EXPECTED = (SPARE, NO_SPARE)

    def prepare(self) -> None:
        self.settle_spare()

    def thread(self) -> int:
        return process.thread_of(self.guest.pid, 'kvm-spare')

    def calls_in(self, lines: list[str]) -> list[Call]:
        return calls_of(lines)

    def spare_state(self) -> str:
        self.guest.settle()
        spare = self.guest.info()['spare']
        self.assertEqual(spare['state'] == 'failed', 'error' in spare, spare)
        self.assertIn(spare['state'], ('ready', 'failed'))
        return spare['state']

    def cause(self) -> str:
        """A reset takes the spare; another one is made, and then it follows
        what a disk needs, or is made because of that."""
        self.assertEqual(self.reset()['outcome'], 'completed')
        states = [self.spare_state()]
        self.qtest.bring_up_disk()
        states.append(self.spare_state())
        if 'failed' in states:
            return NO_SPARE
        return SPARE

    @takes(3600)
    def test_each_system_call_of_a_spare_may_fail_once(self) -> None:
        self.sweep()


class DeviceFault(Fault):
    NAME = '4-devices'
    TITLE = 'Past the point of no return: devices put their reset state'
    EXPECTED = (NEW_VM, STOPPED)

    def calls_in(self, lines: list[str]) -> list[Call]:
        return calls_of(lines, 'kvm_reset_step hooks', (OVER,))

    @takes(3600)
    def test_each_system_call_of_devices_after_it_may_fail_once(self) -> None:
        self.sweep()


class VcpuFault(Fault):
    EXPECTED = (NEW_VM, STOPPED)
    VCPU = 0

    def thread(self) -> int:
        return self.guest.qmp('query-cpus-fast')[self.VCPU]['thread-id']


class FirstVcpuFault(VcpuFault):
    NAME = '5-first-vcpu'
    TITLE = 'Past the point of no return: the first vCPU\'s reset state'

    @takes(3600)
    def test_each_system_call_of_the_first_vcpu_after_it_may_fail_once(self) \
            -> None:
        self.sweep()


class SecondVcpuFault(VcpuFault):
    NAME = '6-second-vcpu'
    TITLE = 'Past the point of no return: the second vCPU\'s reset state'
    VCPU = 1

    @takes(3600)
    def test_each_system_call_of_the_second_vcpu_after_it_may_fail_once(self) \
            -> None:
        self.sweep()


assert all(hasattr(errno, error) for error in ERRORS)
