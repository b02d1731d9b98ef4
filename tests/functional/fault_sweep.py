# SPDX-License-Identifier: GPL-2.0-or-later
"""One system call after the other fails, of those that a thread of QEMU makes
at a reset; after each, QEMU and its guest have to be whole."""

import os
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import process
from chores import must_work
from fault_table import (GOOD, NEW_VM, NO_SPARE, NO_VM, OLD_VM, SPARE, STOPPED,
                         Row, Sweep)
from guest import Guest
from injection import ERRORS, Call, Strace, calls_of
from kvm_reset_test import KvmResetTest

# All errors for each call; else some calls have one each, in turn.
ALL = os.environ.get('KVM_RESET_FAULTS') == 'all'
SAMPLE = 4
# Beside the catalogue, where the host can read it.
REPORT = Path(os.environ.get('KVM_RESET_CATALOGUE', '/tmp/x')).parent

TRIES = 8
# Threads of QEMU's pool for disks, and of the kernel, one for each VM.
NOT_OURS = ('worker', 'kvm-nx-')
MISSED = 'not met'


def short(problem: BaseException) -> str:
    lines = str(problem).split('\n')
    return f'{type(problem).__name__}: {lines[0][:200]}'


class FaultTest(KvmResetTest):
    """A sweep; what it is about, its subclasses say."""

    NAME = ''
    TITLE = ''
    FEWEST = 5          # calls: less would be a mistake of this test
    EXPECTED: Sequence[str] = (NEW_VM, OLD_VM)
    WEIGHT = 400 if ALL else 40

    guest: Guest
    base: Any = None

    # --- what a subclass has ------------------------------------------------

    @abstractmethod
    def begin(self) -> Guest:
        """A guest that has been reset a few times, and is stopped."""

    @abstractmethod
    def cause(self) -> str:
        """Has the thread make its calls; how that ended."""

    def prepare(self) -> None:
        """Before strace looks."""

    def may_end(self, call: Call) -> Sequence[str]:
        """How it may, if @call fails."""
        return self.EXPECTED

    def thread(self) -> int:
        return self.guest.pid

    def calls_in(self, lines: list[str]) -> list[Call]:
        """Those that are meant."""
        return calls_of(lines)

    def work(self) -> None:
        must_work(self.guest)

    def end(self) -> None:
        """Of the guest."""
        self.guest.vm.kill()

    # --- resets -------------------------------------------------------------

    def reset(self) -> dict[str, Any]:
        self.guest.drop_events()
        self.guest.qmp('system_reset')
        return self.guest.wait_rebirth()

    def reset_and_judge(self) -> str:
        before = self.guest.info()
        event = self.reset()
        info = self.guest.info()
        status = self.guest.qmp('query-status')['status']
        completed = event['outcome'] == 'completed'
        self.assertEqual(info['generation'], before['generation'] + completed)
        self.assertEqual(info['aborted'], before['aborted'] + (not completed))
        if 'failure' in info:
            self.assertEqual(status, 'internal-error')
            self.assertTrue(info['failure'])
            return STOPPED if info['vm-present'] else NO_VM
        self.assertTrue(info['vm-present'])
        self.assertIn(status, ('paused', 'prelaunch'))
        if completed:
            return NEW_VM
        self.assertEqual(event['outcome'], 'failed')
        self.assertTrue(event['reason'])
        return OLD_VM

    def holds(self) -> dict[str, Any]:
        """What a leak would make more of."""
        pid = self.guest.pid
        maps = Path('/proc', str(pid), 'maps').read_text()
        return {'fds': len(os.listdir(f'/proc/{pid}/fd')),
                'threads': [name for name in process.thread_names(pid)
                            if not name.startswith(NOT_OURS)],
                'mappings': maps.count('anon_inode:kvm')}

    def must_be_whole(self, outcome: str) -> None:
        guest = self.guest
        if outcome not in (STOPPED, NO_VM):
            self.work()
        event = self.reset()
        self.assertEqual(event['outcome'], 'completed', event)
        info = guest.info()
        self.assertNotIn('failure', info)
        self.assertTrue(info['restartable'], info)
        guest.settle()
        self.base = self.base or self.holds()
        self.assertEqual(self.holds(), self.base)
        self.work()

    # --- the sweep ----------------------------------------------------------

    def fresh(self) -> None:
        self.guest = self.begin()
        self.must_begin_whole()

    def must_begin_whole(self) -> None:
        self.guest.settle()
        self.base = self.holds()
        self.must_be_whole(NEW_VM)

    def observe(self, call: Optional[Call] = None,
                error: str = '') -> tuple[str, list[Call]]:
        """How it ended that @call failed, if given, and which calls were
        made."""
        self.prepare()
        strace = Strace(self.thread(), Path(self.scratch_file('strace.log')),
                        call.fails_with(error) if call else '')
        try:
            outcome = self.cause()
        except Exception as problem:    # pylint: disable=broad-except
            outcome = short(problem)
        return outcome, self.calls_in(strace.close())

    def fate(self, call: Call, error: str) -> str:
        """How it ended that @call failed. QEMU's threads do not make the same
        calls before each reset, so that another one may be met."""
        for _ in range(TRIES):
            outcome, calls = self.observe(call, error)
            hit = next((c for c in calls if c.injected), None)
            met = hit is not None and hit.label == call.label
            if not met and outcome not in self.EXPECTED:
                self.end()
                self.fresh()
                continue
            if met and outcome not in self.may_end(call) and outcome in GOOD:
                outcome = f'{outcome}, which it may not be'
            if outcome in GOOD:
                try:
                    self.must_be_whole(outcome)
                except Exception as problem:    # pylint: disable=broad-except
                    outcome = f'{outcome}; then {short(problem)}'
            if outcome not in GOOD:
                self.log.error('%s for %s: %s; QEMU: %s', error, call.text,
                               outcome, self.guest.qemu_log()[-600:])
                self.end()
                self.fresh()
            if met:
                return outcome
        return MISSED

    def sweep(self) -> None:
        began = time.monotonic()
        self.fresh()
        outcome, calls = self.observe()
        self.assertIn(outcome, self.EXPECTED)
        self.assertGreater(len(calls), self.FEWEST, calls)
        self.must_be_whole(outcome)
        record = self.record(len(calls))
        for number, call in enumerate(calls):
            for error in self.errors_for(number, calls):
                if not record.has(number, error):
                    record.add(Row(number, call.label, error,
                                   self.fate(call, error)))
            self.log.info('%s: %d of %d calls', self.NAME, number + 1,
                          len(calls))
        self.end()
        record.end(time.monotonic() - began)
        self.assertEqual(record.bad(), [])
        self.assertGreater(len({row.outcome for row in record.rows}), 1,
                           'every call ended the same')

    def record(self, calls: int) -> Sweep:
        qemu = os.stat(self.qemu_bin)
        return Sweep(REPORT, self.NAME, {
            'title': self.TITLE, 'all': ALL, 'calls': calls,
            'qemu': [qemu.st_size, int(qemu.st_mtime)]})

    def errors_for(self, number: int, calls: Sequence[Call]) -> Sequence[str]:
        if ALL:
            return ERRORS
        if number % SAMPLE == 1:
            return [ERRORS[number // SAMPLE % len(ERRORS)]]
        return ()


assert set(GOOD) == {NEW_VM, OLD_VM, STOPPED, NO_VM, SPARE, NO_SPARE}
