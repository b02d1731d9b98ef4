# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/bench reset decides without a guest."""

import contextlib
import io
import json
import os
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset.bench import reset as command  # noqa: E402
from kvm_reset.bench import cases, judge, measure, table  # noqa: E402
from kvm_reset.bench import timeline, virtio  # noqa: E402
from kvm_reset.bench.cases import BASE, CORNER, Case  # noqa: E402
from kvm_reset.bench.qemu import QemuFailed  # noqa: E402
from kvm_reset.bench.spare_cost import SpareCost  # noqa: E402


def measured(case: Case = BASE, spare: float = 0.2, no_spare: float = 9.0,
             peer: float | None = 20.0) -> measure.Measured:
    """Resets that add that many ms to one of 2 ms."""
    def samples(middle: float) -> list[float]:
        return [middle + i / 1000 for i in range(-25, 26)]

    result = measure.Measured(case)
    result.resets = {measure.PLAIN: samples(2.0),
                     measure.WITH_SPARE: samples(2.0 + spare),
                     measure.WITHOUT_SPARE: samples(2.0 + no_spare)}
    if peer is not None:
        result.resets |= {measure.PEER_PLAIN: samples(3.0),
                          measure.PEER: samples(3.0 + peer)}
    for who, total in ((measure.WITH_SPARE, spare),
                       (measure.WITHOUT_SPARE, no_spare)):
        result.phases[who] = {phase: samples(total / 4)
                              for phase in measure.PHASES}
        result.phases[who]['total'] = samples(total)
    result.next_spare = samples(10.0)
    result.floor = {name: samples(8.0) for name in measure.FLOOR}
    return result


def cost(**change: object) -> SpareCost:
    values = {'anonymous': {False: 17.0, True: 18.0}, 'fds': 6,
              'idle_runs': 0, 'idle_cpu': 0.0,
              'burst_cpu': {False: 100.0, True: 101.0},
              'burst_spare_cpu': 1.0, 'burst_vcpu_runs': 0}
    return SpareCost(**(values | change))


def verdicts(results: list[measure.Measured], spare: SpareCost | None = None,
             no_targets: str = '') -> dict[str, str]:
    return {line.name: line.verdict
            for line in judge.judge(results, spare, no_targets)
            if line.verdict}


class TheVerdict(unittest.TestCase):
    def assert_only_failure(self, got: dict[str, str], words: str) -> None:
        failed = [name for name, verdict in got.items() if verdict == 'FAIL']
        self.assertEqual(len(failed), 1, got)
        self.assertIn(words, failed[0])

    def test_passes_what_reaches_every_target(self):
        got = verdicts([measured(), measured(CORNER)], cost())
        self.assertEqual(set(got.values()), {'pass'}, got)
        self.assertEqual(len(got), 12, got)

    def test_sees_a_median_that_is_too_long(self):
        got = verdicts([measured(spare=0.6)])
        self.assertEqual([name for name in got if got[name] == 'FAIL'],
                         ['reset, with a spare: median',
                          'rebirth, with a spare, by its own clock: median'])

    def test_sees_a_p99_that_is_too_long(self):
        result = measured()
        result.resets[measure.WITH_SPARE][-1] = 9.0
        self.assert_only_failure(verdicts([result]), 'p99')

    def test_sees_a_peer_that_is_not_twenty_times_slower(self):
        self.assert_only_failure(verdicts([measured(peer=3.9)]), 'peer')

    def test_sees_more_than_the_bare_program_and_15_per_cent(self):
        self.assert_only_failure(verdicts([measured(no_spare=9.3)]),
                                 'without a spare')

    def test_sees_that_64_vcpus_and_512_irqfds_take_too_long(self):
        got = verdicts([measured(CORNER, spare=3.1)])
        self.assertEqual(set(got.values()), {'FAIL'})

    def test_sees_what_a_spare_costs(self):
        for change, words in (
                ({'anonymous': {False: 17.0, True: 19.5}}, 'memory'),
                ({'idle_runs': 1}, 'idle'),
                ({'burst_cpu': {False: 100.0, True: 111.0}}, 'who makes one'),
                ({'burst_vcpu_runs': 1}, 'vCPUs')):
            self.assert_only_failure(verdicts([], cost(**change)), words)

    def test_without_a_peer_that_row_is_skipped_with_a_reason(self):
        got = verdicts([measured(peer=None)])
        self.assertIn('skipped: no --peer', got.values())

    def test_too_few_resets_meet_no_target(self):
        got = verdicts([measured()], cost(), 'fewer than 50 resets')
        self.assertEqual(set(got.values()), {'skipped: fewer than 50 resets'})

    def test_a_case_that_could_not_be_measured_is_named(self):
        case = Case(memory=8192, touched=True, varies='touched')
        got = verdicts([measure.Measured(case, why_skipped='no memory')])
        self.assertEqual(got, {'8192 MiB, touched': 'skipped: no memory'})

    def test_sees_a_slow_rebirth_where_plain_resets_are_slow_too(self):
        result = measured()
        result.phases[measure.WITH_SPARE]['total'][-1] = 2.1
        self.assert_only_failure(verdicts([result]), 'its own clock: p99')

    def test_p99_is_a_value_that_was_measured(self):
        self.assertEqual(measure.p99([float(i) for i in range(1, 51)]), 50.0)
        self.assertEqual(measure.p99([float(i) for i in range(1, 201)]), 198.0)


class Growth(unittest.TestCase):
    def test_is_a_straight_line_through_the_points(self):
        self.assertAlmostEqual(judge.slope([(0, 1), (1, 3), (2, 5)]), 2.0)

    def test_has_the_base_case_in_its_place(self):
        rows = list(judge.growth([
            measured(), *(measured(Case(vcpus=n, varies='vcpus'),
                                   spare=n / 100) for n in (1, 8))]))
        self.assertEqual([row[0] for row in rows if row],
                         ['', '1 vCPUs', '2 vCPUs', '8 vCPUs',
                          'us more for each vCPU'])
        for row in rows[:-1]:
            self.assertEqual(len(row), len(judge.HEAD))
        self.assertEqual(rows[1][2], '0.01')
        self.assertEqual(rows[1][-1], '2000.00')

    def test_of_nothing_that_varies_there_is_no_table(self):
        self.assertEqual(list(judge.growth([measured()])), [])


class TheCases(unittest.TestCase):
    def test_have_names_of_their_own(self):
        names = [case.name for case in cases.all_cases()]
        self.assertEqual(len(set(names)), len(names))
        for name in ('base', '64 vCPUs', '512 irqfds', '16 slots',
                     '8192 MiB, touched', '64 vCPUs, 512 irqfds'):
            self.assertIn(name, names)

    def test_ask_for_as_many_modules_as_make_the_slots(self):
        args = Case(slots=8, varies='slots').arguments(-1)
        self.assertEqual(sum('pc-dimm' in arg for arg in args), 3)

    def test_ask_for_a_queue_for_each_irqfd(self):
        args = ' '.join(Case(irqfds=600, varies='irqfds').arguments(-1))
        self.assertEqual(re.findall(r'num-queues=(\d+)', args),
                         ['512', '88'])

    def test_the_bare_program_gets_the_slots_that_are_left(self):
        def line(slot: int, gpa: int, size: int) -> str:
            return (f'kvm_set_user_memory AddrSpace#0 Slot#{slot} flags=0x0 '
                    f'gpa={gpa:#x} size={size:#x} ua=0x7f guest_memfd=-1 '
                    'guest_memfd_offset=0x0 ret=0\n')
        slots = measure.slots_in(
            line(0, 0, 0x1000) + line(1, 0xf000, 0x1000)
            + 'kvm_reset_seen fd 1, request 0x1 KVM_CREATE_PIT2: define\n'
            + line(0, 0, 0) + line(0, 0, 0x800))
        self.assertEqual(slots.all, ['0xf000:0x1000:0x0', '0x0:0x800:0x0'])
        self.assertEqual(slots.early, 1)


class FakePci:
    """One function, with a 16 KiB BAR of 64 bits and one of 4 KiB."""
    SIZES = {0x10: 0x4000, 0x14: None, 0x18: 0x1000}

    def __init__(self) -> None:
        self.address = 0
        self.registers = {0x10: 0x4, 0x14: 0, 0x18: 0}

    def qtests(self, lines: list[str]) -> list[str]:
        return [self.one(*line.split()) for line in lines]

    def one(self, what: str, port: str, value: str = '') -> str:
        register = self.address & 0xFC
        if what == 'outl' and int(port, 16) == virtio.ADDRESS:
            self.address = int(value, 16)
        elif what == 'outl' and register in self.registers:
            size = self.SIZES[register]
            mask = -size & 0xFFFFFFFF if size else 0xFFFFFFFF
            self.registers[register] = (
                int(value, 16) & mask | (4 if register == 0x10 else 0))
        elif what == 'inl':
            return hex(self.registers.get(register, 0))
        return ''


class TheDriver(unittest.TestCase):
    def test_places_each_bar_at_a_multiple_of_its_size(self):
        pci = FakePci()
        device = virtio.Device(pci, 0x10)
        end = device.place_bars(0xF0001000)
        self.assertEqual(device.bars, {0: 0xF0004000, 2: 0xF0008000})
        self.assertEqual(pci.registers[0x10] & ~0xF, 0xF0004000)
        self.assertEqual(end, 0xF0009000)


class TheMachine(unittest.TestCase):
    def test_is_seen_to_be_busy(self):
        stats = iter(['cpu 100 0 0 100 0 0 0 0 0 0\n',
                      'cpu 130 0 0 110 0 0 0 0 0 0\n'])
        with mock.patch.object(Path, 'read_text', lambda _: next(stats)):
            self.assertAlmostEqual(measure.busy_elsewhere(0), 75.0)


class TheDrawing(unittest.TestCase):
    def test_shows_every_phase_with_its_time(self):
        drawing = timeline.draw(measured(), 'a < b')
        root = ElementTree.fromstring(drawing)
        titles = [title.text for title in root.iter()
                  if title.tag.endswith('title')]
        for what in ('quiesce', 'prepare', 'commit', 'hooks', 'retire',
                     'next spare', 'new VM'):
            self.assertTrue(any(t.startswith(what) for t in titles), what)
        self.assertIn('prepare: 2.250 ms', titles)


class TheCommand(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def program(self, properties: str) -> str:
        path = self.scratch / 'qemu'
        path.write_text(f'#!/bin/sh\nprintf "{properties}"\n')
        path.chmod(0o755)
        return str(path)

    def test_says_that_a_peer_gives_no_guest_a_new_vm(self):
        ours = self.scratch / 'ours'
        ours.write_text('#!/bin/sh\necho "  kvm-reset-spare=<OnOffAuto>"\n')
        ours.chmod(0o755)
        with self.assertRaisesRegex(QemuFailed, 'x-change-vmfd-on-reset'):
            command.check_programs(str(ours), self.program('  usb=<bool>'))

    def test_says_that_ours_has_no_kvm_reset(self):
        with self.assertRaisesRegex(QemuFailed, 'scripts/build-qemu'):
            command.check_programs(self.program('  usb=<bool>'), '')

    def test_without_kvm_skips_by_name_and_fails_nothing(self):
        output = self.scratch / 'out.json'
        words = ['reset_bench', '--ours', 'none', '--floor', 'none',
                 '--drawing', 'none', '--output', str(output)]
        said = io.StringIO()
        with mock.patch.object(command, 'DEVICE', '/nonexistent'), \
                mock.patch.object(sys, 'argv', words), \
                contextlib.redirect_stderr(said):
            self.assertEqual(command.main(), 0)
        self.assertIn('scripts/appliance', said.getvalue())
        [line] = json.loads(output.read_text())['lines']
        self.assertTrue(
            table.Line(**line).verdict.startswith('skipped: no '))

    def test_saves_what_the_table_reads_again(self):
        output = self.scratch / 'out.json'
        results = [measured(), measured(CORNER)]
        lines = judge.judge(results, cost(), '')
        command.save(output, lines, results, cost())
        read = [table.Line(**line)
                for line in json.loads(output.read_text())['lines']]
        self.assertEqual(read, lines)


if __name__ == '__main__':
    os.environ.setdefault('PYTHONDONTWRITEBYTECODE', '1')
    unittest.main()
