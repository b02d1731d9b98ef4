# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that get a new VM and go on, not knowing. scripts/test preserve has
the long form of it."""

import time
from pathlib import Path

from coco_test import Coco
from device_test import ONE_OF_TWO, Device
from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes
from migration_test import CRAWL, FULL, Migration
from preserve import KINDS, start_mover
from proof import proves

MOVES = 30


class Preserve(KvmResetTest):
    WEIGHT = 120

    def moves_unnoticed(self, kind: str, moves: int = MOVES) -> None:
        assert kind in KINDS
        start_mover(self, kind).run(moves, 120)

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

    @takes(400)
    def test_a_xen_guest_does_not_notice(self) -> None:
        self.moves_unnoticed('Xen')

    @takes(400)
    def test_a_guest_with_a_guest_of_its_own_does_not_notice(self) -> None:
        self.moves_unnoticed('hypervisor')

    def stolen(self, guest: Guest) -> float:
        """From all CPUs, in seconds, as the guest's kernel counts it."""
        return int(guest.command(
            'run head -n 1 /proc/stat', r'cpu +(?:\d+ ){7}(\d+) ')) / 100

    def waited(self, guest: Guest) -> float:
        """The truth of it: for how long the vCPUs' threads were kept from
        running, as this machine's kernel counts it."""
        threads = [cpu['thread-id'] for cpu in guest.qmp('query-cpus-fast')]
        return sum(int(Path('/proc', str(guest.pid), 'task', str(thread),
                            'schedstat').read_text().split()[1])
                   for thread in threads) / 1e9

    @proves('steal-time')
    def test_the_time_stolen_from_a_guest_is_counted_once(self) -> None:
        """Its two CPUs share the appliance's one, so that much is stolen."""
        guest = self.start(machine='pc', smp='2', append='kr.work=1')
        guest.wait_boot()
        guest.wait(lambda: self.stolen(guest) > 2, 2 * TIMEOUT,
                   'time to be stolen')
        for _ in range(5):
            guest.qmp('kvm-rebirth', preserve=True)
            # It must have run, so that KVM has added what it thinks.
            guest.must_answer()
            stolen = self.stolen(guest)
            self.assertGreater(stolen, 2)
            self.assertLessEqual(stolen, self.waited(guest) + 0.5)

    def test_what_is_asked_wrongly_is_refused(self) -> None:
        guest = self.start(firmware=True)
        guest.wait_firmware()
        self.assertIn('preserve must be true', error_of(guest, False))
        self.assertEqual(guest.generation(), 0)

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


def error_of(guest: Guest, preserve: bool = True) -> str:
    answer = guest.vm.qmp('kvm-rebirth', {'preserve': preserve})
    assert 'error' in answer, f'it was done: {answer}'
    return answer['error']['desc']


class PreserveOrNot(KvmResetTest):
    WEIGHT = 60

    # What is called once for each move at least, and how the error names it.
    CALLS = {
        'KVM_CREATE_VCPU': 'KVM_CREATE_VCPU',
        'KVM_GET_LAPIC': 'LAPIC',
        'KVM_SET_XSAVE': 'XSAVE',
        'KVM_SET_LAPIC': 'LAPIC',
        'KVM_SET_IRQCHIP': 'PIC',
        'KVM_SET_CLOCK': 'CLOCK',
        'KVM_SET_VCPU_EVENTS': 'VCPU_EVENTS',
        'dup3': 'putting the new fd',
    }

    def test_a_move_that_fails_leaves_the_guest_at_work(self) -> None:
        shim = self.shimmed()
        mover = start_mover(self, 'pc', spare='off')
        guest = mover.guest
        vm = guest.running_vm()
        for call, why in self.CALLS.items():
            with shim.rule(call, error='ENOMEM', times=1,
                           thread='qemu-system-x86') as rule:
                self.assertIn(why, error_of(guest))
                self.assertEqual(rule.hits, 1)
            mover.must_not_have_noticed()
        self.assertEqual(guest.info()['aborted'], len(self.CALLS))
        self.assertEqual(guest.running_vm(), vm)
        mover.check_works()
        mover.run(10, 60)


class PreservePlugging(Device):
    WEIGHT = 40

    @takes(400)
    def test_cpus_come_and_go_between_moves(self) -> None:
        guest = self.start(smp=ONE_OF_TWO)
        guest.wait_boot()
        for _ in range(2):
            self.plug(guest)
            guest.qmp('kvm-rebirth', preserve=True)
            guest.command('work 2', r'work ok n=2 ')
            self.unplug(guest)
            # What was its vCPU is kept for the next one, and moves as well.
            guest.qmp('kvm-rebirth', preserve=True)
            guest.command('work 2', r'work ok n=2 ')
        self.assertEqual(guest.generation(), 4)


class PreserveMigration(Migration):
    WEIGHT = 40

    @takes(400)
    def test_a_guest_is_moved_while_it_migrates(self) -> None:
        """Pages that only the old VMs knew to be dirty are sent as well."""
        source, there, uri = self.start_pair(machine='pc')
        source.console.send('work')
        source.console.wait_for('work ok n=2 ', TIMEOUT)
        source.qmp('migrate-set-parameters', max_bandwidth=CRAWL)
        source.qmp('migrate', uri=uri)
        source.wait(lambda: source.qmp('query-migrate')['status'] == 'active',
                    TIMEOUT, 'the migration to begin')
        for _ in range(10):
            source.qmp('kvm-rebirth', preserve=True)
            time.sleep(0.2)
        source.qmp('migrate-set-parameters', max_bandwidth=FULL,
                   downtime_limit=5000)
        source.wait(lambda: source.qmp('query-migrate')['status']
                    == 'completed', 120, 'the migration')
        there.wait(lambda: there.qmp('query-status')['running'], TIMEOUT,
                   'the guest to run in the other QEMU')
        there.console.wait_for('work ok ', TIMEOUT)
        there.qmp('kvm-rebirth', preserve=True)
        there.console.skip()
        for _ in range(3):
            there.console.wait_for('work ok ', TIMEOUT)
        self.assertNotIn('FAIL', there.console.text())


class PreserveSnp(Coco):
    TEE = 'snp'
    WEIGHT = 30

    def test_a_confidential_guest_is_refused_and_goes_on(self) -> None:
        guest = self.boot(smp='1')
        self.assertRegex(error_of(guest), 'confidential')
        self.assertEqual(guest.generation(), 0)
        guest.must_answer()
