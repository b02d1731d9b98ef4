# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call of a confidential guest's rebirth fails once: the guest is stopped
on its old VM and goes on there, the next reset works, and what is launched is
measured the same, all the time. On the simulated platform, with a guest that is
firmware alone; what its platform has to give is so little that a leak shows."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from chores import make_firmware
from fault_sweep import ALL, FaultTest, short
from fault_table import NEW_VM, NO_VM, OLD_VM, STOPPED, Row
from guest import Guest
from injection import ERRORS, Call
from kvm_reset_test import CPU, MEMORY, takes
from platform_injection import HERE, Injection, PlatformCall
from qemu.qmp import ExecuteError

LIBRARY = os.environ.get('KVM_RESET_COCO_LIBRARY', '')
# A rebirth has 430 calls.
SAMPLE = 60
REFUSALS = {'ENOMEM': 'ENOMEM', 'EBUSY': 'EBUSY', 'EMFILE': 'EMFILE',
            'ENOSPC': 'ENOSPC', 'EIO': 'EIO:9', 'EINTR': 'EINTR'}
# Of these no failure: the step is asked for again at once.
AGAIN = {'TDX_FINALIZE_VM': 'EBUSY'}
MAKE_FIRMWARE = HERE.parent / 'coco-platform' / 'firmware' / 'make-firmware'


class CocoFault(FaultTest):
    TEE = ''
    OBJECT = ''
    MACHINE = ''
    CPU = CPU
    # What is done with a VM when the host has not enough for two.
    FULL = 'keep'
    IDS = 2
    FEWEST = 60
    # Of so many calls that are alike each fails with each error.
    ALIKE = 2
    guests = 0
    # Of the guest that was launched first.
    digest = ''

    def setUp(self) -> None:
        super().setUp()
        if not LIBRARY:
            self.skipTest('no coco platform was built')
        kind = self.OBJECT.split(',')[0]
        qemu = subprocess.run([self.qemu_bin, '-object', 'help'],
                              capture_output=True, text=True, check=True)
        if kind not in qemu.stdout:
            self.skipTest(f'this QEMU has no {kind}')
        scratch = Path(self.scratch_file(''))
        self.injection = Injection(scratch, self.TEE)
        self.firmware = scratch / 'firmware.bin'
        make_firmware(scratch / 'chores.bin')
        subprocess.run([MAKE_FIRMWARE, self.firmware], check=True,
                       env={**os.environ, 'SEABIOS': f'{scratch}/chores.bin'})

    def launch_guest(self, *args: str, machine: str = '', full: str = '',
                     memory: int = MEMORY,
                     platform: Optional[Mapping[str, str]] = None) -> Guest:
        """@args: more of QEMU's; @full: what if the host is; @platform: its
        settings, as in its README, in lower case. (One of them is a memory,
        too: they are no arguments beside these.)"""
        self.events_log = Path(self.scratch_file(f'coco{self.guests}.json'))
        environment = {
            'LD_PRELOAD': f'{self.injection.library}:{LIBRARY}',
            'KVM_RESET_BEFORE_PLATFORM': str(self.injection.path),
            'KVM_RESET_COCO_LOG': str(self.events_log),
            'KVM_RESET_COCO_ES_ASIDS': str(self.IDS),
            'KVM_RESET_COCO_KEY_IDS': str(self.IDS)}
        environment |= {f'KVM_RESET_COCO_{name.upper()}': value
                        for name, value in (platform or {}).items()}
        os.environ.update(environment)
        try:
            self.guest = self.start(
                f'guest{self.guests}', firmware=True, rebirth=False, smp='2',
                machine='q35,confidential-guest-support=cg,'
                        f'kvm-reset-when-full={full or self.FULL},'
                        'kvm-reset-guest-interval=0' + self.MACHINE + machine,
                cpu=self.CPU, memory=memory,
                args=['-object', self.OBJECT, '-bios', str(self.firmware),
                      *args])
        finally:
            for name in environment:
                del os.environ[name]
        self.guests += 1
        self.work()
        return self.guest

    def begin(self) -> Guest:
        guest = self.launch_guest()
        for _ in range(3):
            self.reset()
            guest.settle()
            self.work()
        return guest

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.events_log.read_text().splitlines()
        return [event for event in map(json.loads, lines)
                if event['event'] == name]

    def must_be_whole(self, outcome: str) -> None:
        super().must_be_whole(outcome)
        measured = self.guest.info()['launch']['measurement']
        self.assertTrue(measured['equal'], measured)
        self.digest = self.digest or measured['first']
        digests = {event['digest'] for event in self.events('launch')}
        self.assertEqual(digests | {measured['last']}, {self.digest})
        self.assertEqual(len(self.events('asid_freed')),
                         len(self.events('asid_taken')) - 1)

    def cause(self) -> str:
        return self.reset_and_judge()

    def observe(self, call: Optional[Call] = None,
                error: str = '') -> tuple[str, list[Call]]:
        self.injection.arm(self.guest.pid, call.nth if call else 0, error)
        try:
            outcome = self.cause()
        except Exception as problem:    # pylint: disable=broad-except
            outcome = short(problem)
        return outcome, list(self.injection.disarm())

    def errors_for(self, number: int, calls: Sequence[Call]) -> Sequence[str]:
        """Hundreds of calls are alike: of these, each fails, but only the
        first few with each error."""
        call = calls[number]
        of_launch = call.name in self.injection.commands.values()
        before = sum(one.label == call.label for one in calls[:number])
        if ALL:
            return ERRORS if of_launch or before < self.ALIKE else ERRORS[:1]
        if of_launch and before < 1 or number % SAMPLE == 1:
            return [ERRORS[(number + number // SAMPLE) % len(ERRORS)]]
        return ()


class SnpFault(CocoFault):
    TEE = 'snp'
    NAME = '7-snp'
    TITLE = 'A rebirth of an SEV-SNP guest, the thread that does the reset'
    OBJECT = 'sev-snp-guest,id=cg,cbitpos=0,reduced-phys-bits=1'
    CPU = 'EPYC-v4'

    @takes(3600)
    def test_each_call_of_an_snp_rebirth_may_fail_once(self) -> None:
        self.sweep()


class TdxFault(CocoFault):
    TEE = 'tdx'
    NAME = '8-tdx'
    TITLE = 'A rebirth of a TDX guest, the thread that does the reset'
    OBJECT = 'tdx-guest,id=cg'
    # QEMU takes no other; a KVM that cannot do all that this one says lacks
    # the MSR of that feature.
    CPU = CPU if CPU == 'host' else 'host,arch-capabilities=off'
    MACHINE = ',kernel-irqchip=split'

    @takes(3600)
    def test_each_call_of_a_tdx_rebirth_may_fail_once(self) -> None:
        self.sweep()


# Before the old VM is out of its place; while it goes; and when it is gone.
BEFORE, MEANWHILE, AFTER = 'before', 'meanwhile', 'after'


def in_phases(calls: list[Call]) -> list[Call]:
    """Of a reset on a full host."""
    phased, phase = [], BEFORE
    for call in calls:
        assert isinstance(call, PlatformCall)
        if phase == BEFORE and call.name == 'dup3':
            phase = MEANWHILE
        elif phase == MEANWHILE and call.name in ('openat', 'KVM_CREATE_VM'):
            phase = AFTER
        phased.append(replace(call, phase=phase))
    return phased


class FullHost(CocoFault):
    """The platform has one id, so the old VM goes first: a call fails before
    that, while it does, or when the new one is built instead."""

    FULL, IDS = 'break', 1
    FEWEST = 200
    ALIKE = 1
    EXPECTED = (NEW_VM, OLD_VM, STOPPED, NO_VM)

    def may_end(self, call: Call) -> Sequence[str]:
        if call.label.startswith(AFTER):
            return NEW_VM, STOPPED, NO_VM
        return NEW_VM, OLD_VM

    def observe(self, call: Optional[Call] = None,
                error: str = '') -> tuple[str, list[Call]]:
        outcome, calls = super().observe(call, error)
        return outcome, in_phases(calls)

    def reset_and_judge(self) -> str:
        outcome = super().reset_and_judge()
        if outcome == NO_VM:
            with self.assertRaisesRegex(ExecuteError, 'no VM until it is reset'):
                self.guest.qmp('cont')
        return outcome

    def errors_for(self, number: int, calls: Sequence[Call]) -> Sequence[str]:
        """With ENOMEM there is a second try, once the old VM is gone."""
        call, errors = calls[number], super().errors_for(number, calls)
        after = call.label.startswith(AFTER)
        first = all(one.label != call.label for one in calls[:number])
        if ALL and after and errors == ERRORS[:1] or \
                not ALL and first and call.name == 'dup3':
            return ['EMFILE']
        return errors


class SnpFullHost(FullHost, SnpFault):
    NAME = '7-snp-full'
    TITLE = 'A reset of an SEV-SNP guest on a full host'

    @takes(7200)
    def test_each_call_of_an_snp_reset_on_a_full_host_may_fail_once(
            self) -> None:
        self.sweep()


class SevEsFullHost(FullHost):
    """It is launched when the new VM is in place."""

    TEE = 'sev-es'
    NAME = '7-sev-es-full'
    TITLE = 'A reset of an SEV-ES guest on a full host'
    OBJECT = 'sev-guest,id=cg,cbitpos=0,reduced-phys-bits=1,policy=5'
    CPU = SnpFault.CPU

    @takes(7200)
    def test_each_call_of_a_sev_es_reset_on_a_full_host_may_fail_once(
            self) -> None:
        self.sweep()


class TdxFullHost(FullHost, TdxFault):
    NAME = '8-tdx-full'
    TITLE = 'A reset of a TDX guest on a full host'

    @takes(7200)
    def test_each_call_of_a_tdx_reset_on_a_full_host_may_fail_once(
            self) -> None:
        self.sweep()


class RefusedStep(CocoFault):
    """The platform's own word: what it did of the step stays done."""

    # By how often a launch has it.
    STEPS: dict[str, int] = {}

    @staticmethod
    def rules(step: str, times: int) -> str:
        """Each refusal is of the first such step of a reset; the next reset
        has all of them."""
        rules, done = [], times
        for error, how in REFUSALS.items():
            rules.append(f'{step}:{done + 1}:{how}')
            done += 1 + times
            done += times if error == AGAIN.get(step) else 0
        return ','.join(rules)

    def refuse_each(self) -> None:
        record = self.record(len(self.STEPS))
        began = time.monotonic()
        steps = list(self.STEPS.items())
        for number, (step, times) in enumerate(steps if ALL else steps[-1:]):
            if all(record.has(number, error) for error in REFUSALS):
                continue
            self.base = None
            self.launch_guest(platform={'fault': self.rules(step, times)})
            for error in REFUSALS:
                outcome = self.reset_and_judge()
                self.must_be_whole(outcome)
                record.add(Row(number, step, error, outcome))
            self.assertEqual([event['step'] for event in self.events('fault')],
                             [step] * len(REFUSALS))
            self.end()
        record.end(time.monotonic() - began)
        for row in record.rows:
            again = row.error == AGAIN.get(row.call)
            self.assertIn(row.outcome, (NEW_VM, OLD_VM) if row.error == 'EINTR'
                          else (NEW_VM,) if again else (OLD_VM,), row)


class SnpRefusedStep(RefusedStep, SnpFault):
    NAME = '9-snp-refused'
    TITLE = 'The SEV-SNP platform refuses a step of the launch'
    STEPS = {'CREATE_VM': 1, 'SEV_INIT': 1, 'SNP_LAUNCH_START': 1,
             'SNP_LAUNCH_UPDATE': 5, 'SNP_LAUNCH_FINISH': 1}

    @takes(900)
    def test_each_step_of_an_snp_launch_may_be_refused(self) -> None:
        self.refuse_each()


class TdxRefusedStep(RefusedStep, TdxFault):
    NAME = '9-tdx-refused'
    TITLE = 'The TDX platform refuses a step of the launch'
    STEPS = {'CREATE_VM': 1, 'TDX_INIT_VM': 1, 'TDX_INIT_VCPU': 2,
             'TDX_INIT_MEM_REGION': 3, 'TDX_FINALIZE_VM': 1}

    @takes(900)
    def test_each_step_of_a_tdx_launch_may_be_refused(self) -> None:
        self.refuse_each()


assert {NEW_VM, OLD_VM} == set(CocoFault.EXPECTED)
