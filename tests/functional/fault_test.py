# SPDX-License-Identifier: GPL-2.0-or-later
"""Each system call of a rebirth fails once, from outside, and nothing is lost.

strace makes the call fail on the thread that does the reset, or on that which
prepares the next VM; which calls these are is read off an undisturbed rebirth:
in a reset, between the module's own traces of its first and its last step.
close() is left out: Linux frees the number whatever it returns, which an
injected failure does not.
"""

import errno
import os
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import process
from guest import Guest
from kvm_reset_test import KvmResetTest, takes

ERRORS = ('ENOMEM', 'EINTR', 'EAGAIN', 'EBUSY', 'EMFILE', 'ENOSPC')
# All errors for each call take long; else each call has one, in turn.
ALL = os.environ.get('KVM_RESET_FAULTS') == 'all'
# Beside the catalogue, where the host can read it.
REPORT = Path(os.environ.get('KVM_RESET_CATALOGUE', '/tmp/x')).with_name(
    'faults.txt')
INJECTABLE = ('ioctl', 'fcntl', 'dup3', 'mmap', 'openat', 'readlink',
              'epoll_ctl')

CALL = re.compile(r'^(\w+)\((.*)')
BEGINS = 'kvm_reset_step quiesce'
ENDS = ('kvm_reset_step hooks', 'kvm_reset_step abort')


@dataclass(frozen=True)
class Call:
    name: str
    nth: int            # of its name, since strace was attached
    text: str

    @property
    def label(self) -> str:
        """An ioctl by what it asks for."""
        match = re.match(r'ioctl\(\d+, ([A-Z]\w+)', self.text)
        return match[1] if match else self.name

    @property
    def injected(self) -> bool:
        return '(INJECTED)' in self.text


class Strace:
    """strace on one thread, while it is open."""

    def __init__(self, thread: int, log: Path, inject: str = '') -> None:
        log.unlink(missing_ok=True)
        self.log = log
        command = ['strace', '-p', str(thread), '-o', str(log), '-s', '64',
                   '-e', 'trace=write,' + ','.join(INJECTABLE)]
        if inject:
            command += ['-e', f'inject={inject}']
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        status = Path(f'/proc/{thread}/status')
        deadline = time.monotonic() + 60
        while f'TracerPid:\t{self.process.pid}\n' not in status.read_text():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError('strace does not attach')
            time.sleep(0.01)

    def close(self) -> list[str]:
        self.process.terminate()
        self.process.wait(60)
        return self.log.read_text(errors='replace').splitlines()


def calls_of_rebirth(lines: list[str]) -> list[Call]:
    counts: Counter[str] = Counter()
    calls, inside = [], False
    for line in lines:
        match = CALL.match(line)
        if not match:
            continue
        counts[match[1]] += 1
        if match[1] == 'write':
            inside = (inside or BEGINS in line) and \
                not any(end in line for end in ENDS)
        elif inside:
            calls.append(Call(match[1], counts[match[1]], line))
    return calls


def all_calls(lines: list[str]) -> list[Call]:
    """Of a thread of the module's own, which makes no others."""
    counts: Counter[str] = Counter()
    calls = []
    for line in lines:
        match = CALL.match(line)
        if match and match[1] in INJECTABLE:
            counts[match[1]] += 1
            calls.append(Call(match[1], counts[match[1]], line))
    return calls


Table = Counter[tuple[str, str, str]]


def write_report(path: Path, table: Table, calls: int, missed: int) -> None:
    """Call, error, outcome, how often."""
    report = [f'{label:28} {error:7} {outcome:10} {count}' for
              (label, error, outcome), count in sorted(table.items())]
    report.append(f'{sum(table.values())} failures in {calls} calls, QEMU and '
                  f'the guest alive after each; {missed} missed')
    path.write_text('\n'.join(report) + '\n')


class Fault(KvmResetTest):
    WEIGHT = 300 if ALL else 120

    def reset(self, guest: Guest) -> dict[str, object]:
        guest.drop_events()
        guest.qmp('system_reset')
        return guest.wait_rebirth()

    def traced_reset(self, guest: Guest,
                     inject: str = '') -> tuple[str, list[Call]]:
        log = Path(self.scratch_file('strace.log'))
        strace = Strace(guest.pid, log, inject)
        outcome, problem = 'missed', None
        try:
            outcome = str(self.reset(guest)['outcome'])
        except Exception as error:    # pylint: disable=broad-except
            problem = error
        calls = calls_of_rebirth(strace.close())
        if problem and any(call.injected for call in calls):
            raise problem
        return outcome, calls

    def must_be_whole(self, guest: Guest, holds: tuple[int, ...],
                      what: str) -> None:
        """The next reset succeeds, and nothing was left behind."""
        self.assertEqual(self.reset(guest)['outcome'], 'completed', what)
        guest.settle()
        usage = guest.usage()
        self.assertEqual((usage.fds, usage.threads), holds, what)
        info = guest.info()
        self.assertTrue(info['restartable'], what)

    def must_run(self, guest: Guest) -> None:
        guest.console.skip()
        guest.qmp('cont')
        guest.console.wait_for(r'SeaBIOS \(version', 60)
        guest.qmp('stop')
        # The firmware moves memory about: that would be other calls.
        self.reset(guest)
        guest.settle()

    def fresh_guest(self, spare: str = 'off') -> Guest:
        guest = self.start(f'guest{self.guests}', firmware=True, smp='2',
                           machine=f'q35,kvm-reset-spare={spare}', memory=64,
                           args=['-device', 'virtio-rng-pci'])
        self.guests += 1
        guest.wait_firmware()
        guest.qmp('stop')
        for _ in range(3):
            self.reset(guest)
        guest.settle()
        return guest

    def inject(self, call: Call, error: str) -> str:
        """How the rebirth ended in which that call failed. The main loop does
        not make the same calls before each reset, so it may be missed; and a
        call of QEMU's own that fails may end QEMU."""
        for _ in range(5):
            aborted = self.guest.info()['aborted']
            outcome, calls = self.traced_reset(
                self.guest, f'{call.name}:error={error}:when={call.nth}')
            if any(c.injected for c in calls):
                self.assertEqual(self.guest.info()['aborted'],
                                 aborted + (outcome != 'completed'))
                return outcome
            if not self.guest.vm.is_running():
                self.guest.vm.kill()
                self.guest = self.fresh_guest()
            elif 'failure' in self.guest.info():
                # It hit what devices tell KVM behind the rebirth; the next
                # reset tells all of it again.
                status = self.guest.qmp('query-status')['status']
                self.assertEqual(status, 'internal-error')
                self.reset(self.guest)
                self.assertNotIn('failure', self.guest.info())
                # A guest's rebirths make other calls as its slots change.
                self.guest.vm.kill()
                self.guest = self.fresh_guest()
        return 'missed'

    @takes(3600 if ALL else 1200)
    def test_each_system_call_of_a_rebirth_may_fail_once(self) -> None:
        self.require_file('/usr/bin/strace', 'it makes system calls fail')
        self.guests = 0
        self.guest = self.fresh_guest()
        usage = self.guest.usage()
        holds = (usage.fds, usage.threads)
        _, calls = self.traced_reset(self.guest)
        self.assertGreater(len(calls), 50, 'a rebirth has more calls')

        table: Table = Counter()
        missed = []
        for number, call in enumerate(calls):
            errors = ERRORS if ALL else [ERRORS[number % len(ERRORS)]]
            for error in errors:
                outcome = self.inject(call, error)
                what = f'{error} for {call.text} of a rebirth that {outcome}'
                if outcome == 'missed':
                    missed.append(what)
                    continue
                table[call.label, error, outcome] += 1
                self.must_be_whole(self.guest, holds, what)
            if number % 10 == 9:
                self.must_run(self.guest)
        self.must_run(self.guest)

        write_report(REPORT, table, len(calls), len(missed))
        self.assertLess(len(missed), len(calls) / 10, missed)
        self.assertTrue(any(outcome == 'failed' for _, _, outcome in table))


class SpareFault(Fault):
    """The same on the thread that prepares the next VM."""
    WEIGHT = 150 if ALL else 60

    def traced_spare(self, inject: str = '') -> list[Call]:
        """A reset takes the spare; another one is made under strace."""
        guest = self.guest
        thread = process.thread_of(guest.pid, 'kvm-spare')
        strace = Strace(thread, Path(self.scratch_file('strace.log')), inject)
        try:
            self.assertEqual(self.reset(guest)['outcome'], 'completed')
            guest.settle()
        finally:
            lines = strace.close()
        return all_calls(lines)

    @takes(3600 if ALL else 1200)
    def test_each_system_call_of_a_spare_may_fail_once(self) -> None:
        self.require_file('/usr/bin/strace', 'it makes system calls fail')
        self.guests = 0
        self.guest = self.fresh_guest('on')
        usage = self.guest.usage()
        holds = (usage.fds, usage.threads)
        calls = self.traced_spare()
        self.assertGreater(len(calls), 30, 'a VM takes more calls')

        table: Table = Counter()
        missed = 0
        for number, call in enumerate(calls):
            errors = ERRORS if ALL else [ERRORS[number % len(ERRORS)]]
            for error in errors:
                made = self.traced_spare(
                    f'{call.name}:error={error}:when={call.nth}')
                if not any(one.injected for one in made):
                    missed += 1
                    continue
                spare = self.guest.info()['spare']
                table[call.label, error, spare['state']] += 1
                self.assertEqual(spare['state'] == 'failed', 'error' in spare)
                self.must_be_whole(self.guest, holds,
                                   f'{error} for {call.text}')
                self.assertEqual(self.guest.info()['spare']['state'], 'ready')
        self.must_run(self.guest)
        write_report(REPORT.with_name('spare-faults.txt'), table, len(calls),
                     missed)
        self.assertLess(missed, len(calls) / 10)
        self.assertTrue(any(state == 'failed' for _, _, state in table))


assert all(hasattr(errno, error) for error in ERRORS)
