# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/audit makes of a record, and what it does with bad input."""

import json
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / 'scripts/kvm_reset'
sys.path.insert(0, str(TOP / 'scripts'))

from kvm_reset.audit.compare import Comparer, Result, in_bytes, ranges  # noqa: E402
from kvm_reset.audit.record import BadRecord, Record  # noqa: E402
from kvm_reset.audit.report import Audit  # noqa: E402
from kvm_reset.audit.rules import KNOWN  # noqa: E402
from kvm_reset.audit.symbols import Symboliser, parse_nm, short_path  # noqa: E402

SLOT = 0x4020ae46
CAP = 0x4068aea3
ROUTING = 0x4008ae6a
IRQFD = 0x4020ae76
IOEVENTFD = 0x4040ae79
ZONE = 0x4010ae67
MSRS = 0x4008ae89
CPUID2 = 0x4008ae90
LAPIC = 0x4400ae8f


class Story:
    """A record as the recorder would write it: told to the first VM, to the
    second or to both."""

    def __init__(self) -> None:
        self.first: list[dict[str, Any]] = []
        self.second: list[dict[str, Any]] = []
        self.again: list[dict[str, Any]] = []
        self.reads: dict[str, list[dict[str, Any]]] = {}
        self.marks = ['plain', 'booted', 'plain again', 'reborn', 'rebooted']
        self.new_vm = 2

    @staticmethod
    def call(name: str, request: int, data: bytes = b'', *,
             key: Any = (), **more: Any) -> dict[str, Any]:
        return {'kind': 'call', 'object': 'vm', 'request': request,
                'name': name, 'family': request, 'key': list(key), 'word': '',
                'takes': '', 'value': 0, 'bytes': data.hex(), 'pointed': [],
                'files': [], 'result': 0, 'error': 0, 'stack': 0, **more}

    def both(self, call: dict[str, Any]) -> dict[str, Any]:
        self.first.append(call)
        self.second.append(call)
        return call

    def read(self, mark: str, what: str, item: str, data: bytes,
             of: str = 'vcpu 0') -> None:
        self.reads.setdefault(mark, []).append(
            {'kind': 'read', 'object': of, 'what': what, 'item': item,
             'bytes': data.hex()})

    def lines(self) -> list[str]:
        items: list[dict[str, Any]] = [
            {'kind': 'stack', 'id': 0, 'frames': []}]
        items += [{'vm': 1, **call} for call in self.first]
        for mark in self.marks:
            vm = 1
            if mark == 'plain again':
                items += [{'vm': 1, **call} for call in self.again]
            if mark.startswith('re'):
                vm = self.new_vm
            if mark == 'reborn':
                items += [{'vm': vm, **call} for call in self.second]
            items.append({'kind': 'mark', 'name': mark, 'vm': vm})
            items += self.reads.get(mark, [])
            items.append({'kind': 'end of mark'})
        return [json.dumps(item) for item in items]

    def result(self) -> Result:
        return Comparer(Record(self.lines())).run()


def slot(number: int, address: int, size: int, **more: Any) -> dict[str, Any]:
    data = struct.pack('<IIQQQ', number, 0, address, size, 0x7f0000000000)
    return Story.call('KVM_SET_USER_MEMORY_REGION', SLOT, data, key=[number],
                      takes='' if size else 'key', **more)


def piece(number: int, address: int, size: int, host: int) -> dict[str, Any]:
    data = struct.pack('<IIQQQ', number, 0, address, size, host)
    return Story.call('KVM_SET_USER_MEMORY_REGION', SLOT, data, key=[number])


def cap(number: int, arg: int = 0, word: str = '') -> dict[str, Any]:
    return Story.call('KVM_ENABLE_CAP', CAP, struct.pack(
        '<IIQQQQ', number, 0, arg, 0, 0, 0) + bytes(64), key=[number],
        word=word)


def msr(index: int, data: int) -> bytes:
    return struct.pack('<IIQ', index, 0, data)


def msrs(*elements: bytes, taken: int | None = None) -> dict[str, Any]:
    return Story.call(
        'KVM_SET_MSRS', MSRS, struct.pack('<II', len(elements), 0)
        + b''.join(elements), object='vcpu 0', fixed=8,
        elements=[e.hex() for e in elements],
        result=len(elements) if taken is None else taken)


def route(gsi: int, chip: int, pin: int) -> bytes:
    return struct.pack('<IIIIII', gsi, 1, 0, 0, chip, pin) + bytes(24)


def msi(gsi: int, address: int, data: int) -> bytes:
    return struct.pack('<IIIIQII', gsi, 2, 0, 0, address, data, 0) + bytes(16)


def routing(*routes: bytes) -> dict[str, Any]:
    return Story.call('KVM_SET_GSI_ROUTING', ROUTING,
                      struct.pack('<II', len(routes), 0) + b''.join(routes),
                      fixed=8, elements=[r.hex() for r in routes])


def irqfd(file: str, gsi: int) -> dict[str, Any]:
    return Story.call('KVM_IRQFD', IRQFD,
                      struct.pack('<IIII', 9, gsi, 0, 0) + bytes(16),
                      key=[file, gsi], files=[[0, 0, file]])


def zone(address: int, size: int, takes: str = '') -> dict[str, Any]:
    return Story.call('KVM_REGISTER_COALESCED_MMIO', ZONE,
                      struct.pack('<QII', address, size, 0),
                      key=[address, size, 0], takes=takes)


class Comparing(unittest.TestCase):
    def setUp(self) -> None:
        self.story = Story()

    def found(self) -> list[tuple[str, str, str, str]]:
        return [(f.point, f.kind, f.what, f.argument)
                for f in self.story.result().differences()]

    def at_reset(self) -> list[tuple[str, str, str]]:
        return [row[1:] for row in self.found() if row[0] == 'reset']

    def test_two_equal_lives_have_no_difference(self) -> None:
        for call in (slot(0, 0, 0xa0000), cap(188, 4), routing(route(5, 0, 5)),
                     msrs(msr(0x8b, 1)), zone(0xcf8, 1), irqfd('eventfd 3', 7)):
            self.story.both(call)
        self.assertEqual(self.found(), [])
        self.assertEqual(self.story.result().compared['reset'], 6)

    def test_what_only_the_first_life_has_is_lacking(self) -> None:
        self.story.first.append(cap(188, 4, 'KVM_CAP_X86_USER_SPACE_MSR'))
        self.assertIn(('lacks', 'KVM_ENABLE_CAP', 'KVM_CAP_X86_USER_SPACE_MSR'),
                      self.at_reset())

    def test_what_only_the_second_life_has_is_too_much(self) -> None:
        self.story.second.append(zone(0xa0000, 0x20000))
        self.assertEqual(self.at_reset(), [
            ('too much', 'KVM_REGISTER_COALESCED_MMIO',
             'address 0xa0000, size 0x20000, port 0')])

    def test_another_value_differs(self) -> None:
        self.story.first.append(cap(188, 4))
        self.story.second.append(cap(188, 5))
        found = self.story.result().differences()[0]
        self.assertEqual((found.kind, found.first, found.second),
                         ('differs', 'args[0] 0x4', 'args[0] 0x5'))

    def test_a_slot_is_known_by_its_address_and_not_by_its_number(self) -> None:
        self.story.first += [slot(0, 0, 0x1000), slot(1, 0x8000, 0x1000)]
        self.story.second += [slot(4, 0x8000, 0x1000), slot(2, 0, 0x1000)]
        self.assertEqual(self.found(), [])

    def test_a_slot_that_went_is_not_missed(self) -> None:
        self.story.first += [slot(0, 0, 0x1000), slot(0, 0, 0)]
        self.assertEqual(self.found(), [])

    def test_a_slot_of_another_size_differs(self) -> None:
        self.story.first.append(slot(0, 0, 0x1000))
        self.story.second.append(slot(0, 0, 0x2000))
        self.assertEqual(self.at_reset(), [
            ('differs', 'memory slot', 'address 0x0, address space 0')])

    def test_each_route_of_a_table_is_compared(self) -> None:
        self.story.first.append(routing(route(5, 0, 5), route(5, 2, 5)))
        self.story.second.append(routing(route(5, 0, 5)))
        self.assertEqual(self.at_reset(), [
            ('lacks', 'route to an irqchip', 'gsi 5, irqchip 2')])

    def test_a_route_to_another_pin_differs(self) -> None:
        self.story.first.append(routing(route(5, 0, 5)))
        self.story.second.append(routing(route(5, 0, 6)))
        self.assertEqual([kind for kind, _, _ in self.at_reset()], ['differs'])

    def test_an_irqfd_is_known_by_its_file(self) -> None:
        self.story.first.append(irqfd('eventfd 3', 7))
        self.story.second.append(irqfd('eventfd 4', 7))
        self.assertEqual(self.at_reset(), [
            ('lacks', 'KVM_IRQFD', 'gsi 7, eventfd eventfd 3'),
            ('too much', 'KVM_IRQFD', 'gsi 7, eventfd eventfd 4')])

    def test_a_guest_that_booted_may_have_other_eventfds_and_vectors(self) \
            -> None:
        self.story.first += [irqfd('eventfd 3', 24),
                             routing(msi(24, 0xfee00000, 0x21))]
        self.story.second += [irqfd('eventfd 4', 25),
                              routing(msi(25, 0xfee00000, 0x22))]
        self.assertEqual([row for row in self.found() if row[0] == 'boot'], [])

    def overlaid(self, story: list[dict[str, Any]], *pages: int,
                 base: int = 0x7f0000000000) -> None:
        """Memory of 1 MiB with pages of other memory in it."""
        start, number = 0, 10
        for page in (*pages, 0x100000):
            if page > start:
                story.append(piece(number, start, page - start, base + start))
            if page < 0x100000:
                story.append(piece(number + 1, page, 0x1000, 0x7e0000000000))
            start, number = page + 0x1000, number + 2

    def of_boot(self) -> list[tuple[str, str, str, str]]:
        return [row for row in self.found() if row[0] == 'boot']

    def test_pages_that_a_guest_lays_over_memory_may_be_elsewhere(self) -> None:
        self.overlaid(self.story.first, 0x5000, 0x6000)
        self.overlaid(self.story.second, 0x9000, 0x20000)
        self.assertEqual(self.of_boot(), [])

    def test_but_not_fewer(self) -> None:
        self.overlaid(self.story.first, 0x5000, 0x7000)
        self.overlaid(self.story.second, 0x9000)
        self.assertEqual(self.of_boot(), [
            ('boot', 'lacks', 'memory slot',
             'a page laid over memory, address space 0')])

    def test_and_the_memory_around_them_must_be_the_same(self) -> None:
        self.overlaid(self.story.first, 0x5000)
        self.overlaid(self.story.second, 0x5000)
        del self.story.second[-1]
        self.assertIn(('boot', 'differs', 'memory slot',
                       'address 0x0, address space 0'), self.of_boot())

    def test_a_hole_is_no_page(self) -> None:
        self.overlaid(self.story.first)
        self.overlaid(self.story.second, 0x5000)
        del self.story.second[1]
        self.assertIn(('boot', 'differs', 'memory slot',
                       'address 0x0, address space 0'), self.of_boot())

    def test_a_guest_that_booted_may_not_have_fewer_irqfds(self) -> None:
        self.story.first += [irqfd('eventfd 3', 24), irqfd('eventfd 5', 25)]
        self.story.second += [irqfd('eventfd 4', 25)]
        found = [f for f in self.story.result().differences()
                 if f.point == 'boot']
        self.assertEqual([(f.kind, f.first, f.second) for f in found],
                         [('lacks', '2 of them', '1 of them')])

    def test_each_msr_is_compared_and_only_those_that_were_taken(self) -> None:
        self.story.first.append(msrs(msr(0x8b, 1), msr(0x10a, 2), taken=1))
        self.story.second.append(msrs(msr(0x10a, 2)))
        self.assertEqual(self.at_reset(), [('lacks', 'MSR', 'index 0x8b'),
                                           ('too much', 'MSR', 'index 0x10a')])

    def test_a_zone_that_contained_another_takes_it_away(self) -> None:
        self.story.first += [zone(0x1000, 16), zone(0x2000, 16),
                             zone(0x1004, 4, takes='containing')]
        self.story.second.append(zone(0x2000, 16))
        self.assertEqual(self.found(), [])

    def test_an_ioctl_that_nobody_knows_is_compared_by_all_its_bytes(self) \
            -> None:
        self.story.first.append(Story.call('', 0x4008aefe, b'12345678'))
        self.story.second.append(Story.call('', 0x4008aefe, b'12345679'))
        self.assertEqual([(kind, what) for kind, what, _ in self.at_reset()],
                         [('lacks', '0x4008aefe'), ('too much', '0x4008aefe')])

    def test_state_is_compared_after_a_reset_but_not_after_a_boot(self) -> None:
        self.story.first.append(Story.call('KVM_SET_LAPIC', LAPIC, bytes(1024)))
        self.story.second.append(Story.call('KVM_SET_LAPIC', LAPIC,
                                            bytes(1023) + b'1'))
        self.assertEqual(self.found(), [('reset', 'differs', 'KVM_SET_LAPIC',
                                         '')])

    def test_state_that_was_never_set_is_lacking_after_a_boot_too(self) -> None:
        self.story.first.append(Story.call('KVM_SET_LAPIC', LAPIC, bytes(1024)))
        self.assertIn(('boot', 'lacks', 'KVM_SET_LAPIC', ''), self.found())

    def test_what_two_ordinary_resets_change_is_volatile(self) -> None:
        lapic = [Story.call('KVM_SET_LAPIC', LAPIC, bytes([i]) + bytes(1023))
                 for i in range(3)]
        self.story.first.append(lapic[0])
        self.story.again.append(lapic[1])
        self.story.second.append(lapic[2])
        result = self.story.result()
        self.assertEqual(result.differences(), [])
        self.assertEqual([row[0] for row in result.volatile],
                         ['KVM_SET_LAPIC'])

    def test_what_defines_a_vm_is_never_volatile(self) -> None:
        for calls, size in ((self.story.first, 1), (self.story.again, 2),
                            (self.story.second, 3)):
            calls.append(slot(0, 0, size * 0x1000))
        self.assertEqual(self.at_reset(), [
            ('differs', 'memory slot', 'address 0x0, address space 0')])

    def test_only_the_bytes_that_changed_are_volatile(self) -> None:
        self.story.first.append(Story.call('KVM_SET_LAPIC', LAPIC, b'ab'))
        self.story.again.append(Story.call('KVM_SET_LAPIC', LAPIC, b'xb'))
        self.story.second.append(Story.call('KVM_SET_LAPIC', LAPIC, b'yz'))
        found = self.story.result().differences()[0]
        self.assertEqual((found.first, found.second),
                         ('62 at 0x1', '7a at 0x1'))

    def test_what_kvm_says_is_compared(self) -> None:
        for mark in 'plain', 'plain again':
            self.story.read(mark, 'KVM_GET_MSRS', '0x8b', struct.pack('<Q', 5))
        self.story.read('reborn', 'KVM_GET_MSRS', '0x8b', bytes(8))
        found = self.story.result().differences()[0]
        self.assertEqual((found.point, found.kind, found.first, found.second),
                         ('read', 'differs', '0x5', '0x0'))

    def test_what_cannot_be_read_any_more_is_lacking(self) -> None:
        self.story.read('plain again', 'KVM_GET_PIT2', '', bytes(112), 'vm')
        self.assertEqual(self.found(), [('read', 'lacks', 'KVM_GET_PIT2', '')])

    def test_a_clock_that_went_on_is_no_difference(self) -> None:
        for i, mark in enumerate(('plain', 'plain again', 'reborn')):
            self.story.read(mark, 'KVM_GET_MSRS', '0x10',
                            struct.pack('<Q', 1000 + i))
        result = self.story.result()
        self.assertEqual(result.differences(), [])
        self.assertEqual(len(result.volatile), 1)

    def test_a_call_that_kvm_refused_only_in_the_second_life_is_found(self) \
            -> None:
        self.story.both(cap(1))
        self.story.second.append({**cap(2), 'result': -1, 'error': 22})
        self.assertIn(('reset', 'failed', 'KVM_ENABLE_CAP', 'cap 2'),
                      self.found())

    def test_a_call_that_kvm_always_refuses_is_not(self) -> None:
        self.story.both({**cap(2), 'result': -1, 'error': 22})
        self.assertEqual(self.found(), [])

    def test_a_reset_without_a_new_vm_is_no_second_life(self) -> None:
        self.story.both(cap(1))
        self.story.new_vm = 1
        self.assertEqual([row[:3] for row in self.found()],
                         [('run', 'trouble', 'reset')])

    def test_when_qemu_ends_in_its_second_life_what_it_did_is_compared(self) \
            -> None:
        self.story.first.append(cap(1))
        self.story.marks = ['plain', 'booted', 'plain again']
        lines = self.story.lines()
        lines += [json.dumps({'kind': 'use', 'vm': 2}),
                  json.dumps({'vm': 2, **cap(3)})]
        found = Comparer(Record(lines)).run().differences()
        self.assertEqual([(f.kind, f.argument) for f in found],
                         [('lacks', 'cap 1'), ('too much', 'cap 3')])

    def test_when_qemu_ends_in_its_second_boot_what_kvm_refused_is_named(self) \
            -> None:
        self.story.both(cap(1))
        self.story.marks.remove('rebooted')
        lines = self.story.lines()
        lines += [json.dumps({'kind': 'use', 'vm': 2}),
                  json.dumps({'vm': 2, **cap(3), 'result': -1, 'error': 2})]
        found = Comparer(Record(lines)).run().differences()
        self.assertEqual([(f.point, f.kind, f.argument, f.second)
                          for f in found], [('boot', 'failed', 'cap 3',
                                             'ENOENT')])

    def test_a_known_difference_is_told_apart(self) -> None:
        self.story.first.append(Story.call('KVM_SET_CLOCK', 0x4030ae7b,
                                           bytes(48)))
        result = self.story.result()
        self.assertEqual(result.differences(), [])
        self.assertEqual([f.point for f in result.findings],
                         ['reset', 'boot'])
        self.assertTrue(all(known.why for known in KNOWN))


class Reading(unittest.TestCase):
    def test_a_line_that_is_no_json_is_named(self) -> None:
        with self.assertRaisesRegex(BadRecord, 'line 2'):
            Record(['{"kind": "end of mark"}', '{"kind": "ca'])

    def test_a_line_of_a_kind_that_nobody_knows_is_named(self) -> None:
        with self.assertRaisesRegex(BadRecord, 'line 1'):
            Record(['{"kind": "nonsense"}'])

    def test_vcpus_belong_to_the_vm_that_made_them(self) -> None:
        lines = []
        for vm in 1, 2:
            lines += [json.dumps(item) for item in (
                {'kind': 'object', 'vm': vm, 'object': 'vm', 'fd': 9},
                {'vm': 0, **Story.call('KVM_CREATE_VM', 0xae01, object='kvm')},
                {'kind': 'object', 'vm': vm, 'object': 'vcpu 3', 'fd': 10},
                {'vm': vm, **Story.call('KVM_CREATE_VCPU', 0xae41, key=[3])})]
        record = Record(lines)
        for vm in 1, 2:
            self.assertEqual([e.key for e in record.vm(vm).entries.values()],
                             [('vm',), ('vcpu 3',)])


class Words(unittest.TestCase):
    def test_runs_of_bytes(self) -> None:
        self.assertEqual(list(ranges({1, 2, 3, 7})), [(1, 3), (7, 7)])
        self.assertEqual(list(ranges(set())), [])
        self.assertEqual(in_bytes(b'abcd', {1, 2}), '6263 at 0x1')

    def test_an_address_in_a_hole_between_two_functions_has_no_name(self) \
            -> None:
        symbols = parse_nm('0000000000001000 0000000000000010 T one\n'
                           '0000000000002000 0000000000000010 t two.isra.0\n'
                           '                 U three\n')
        self.assertEqual(symbols.find(0x100f), 'one')
        self.assertEqual(symbols.find(0x1010), '')
        self.assertEqual(symbols.find(0x2000), 'two')
        self.assertEqual(symbols.find(0xfff), '')

    def test_a_path_is_that_in_the_source_tree(self) -> None:
        for path in ('/x/build/qemu-10.0/../src/qemu-10.0/hw/i386/pc.c:3',
                     './qemu-11.1.3+ds/b/qemu/../../hw/i386/pc.c:3'):
            self.assertEqual(short_path(path), 'hw/i386/pc.c:3')

    def test_an_address_in_no_file_is_left_out(self) -> None:
        self.assertEqual(Symboliser([]).chain([0x1234]), [])


class Reporting(unittest.TestCase):
    def report(self, story: Story, *options: str) \
            -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name)
            (out / 'record').write_text('\n'.join(story.lines()) + '\n')
            (out / 'story').write_text(json.dumps(
                {'version': '10.0', 'kernel': 'Linux 6', 'arguments': ['-m'],
                 'notes': [], 'troubles': []}))
            done = subprocess.run(
                [sys.executable, '-B', PACKAGE, 'audit.report', '--dir', out,
                 '--json', out / 'json', *options],
                capture_output=True, text=True, check=False)
            self.json = json.loads((out / 'json').read_text())
            self.audit = Audit(out)
        return done

    def test_status_0_is_for_two_equal_lives(self) -> None:
        story = Story()
        story.both(cap(1))
        done = self.report(story)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('Nothing is lost', done.stdout)
        self.assertEqual(self.json['findings'], [])

    def test_status_1_is_for_differences_in_text_and_json(self) -> None:
        story = Story()
        story.first.append(zone(0xcf8, 1))
        done = self.report(story)
        self.assertEqual(done.returncode, 1)
        self.assertIn('LACKS    KVM_REGISTER_COALESCED_MMIO of vm: '
                      'address 0xcf8', done.stdout)
        self.assertEqual(self.json['version'], 1)
        self.assertEqual([f['point'] for f in self.json['findings']],
                         ['reset', 'boot'])
        self.assertEqual(self.json['findings'][0]['stack'], [])

    def test_status_2_is_for_a_record_that_is_not_there(self) -> None:
        done = subprocess.run(
            [sys.executable, '-B', PACKAGE, 'audit.report', '--dir', '/nowhere'],
            capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


class BadUse(unittest.TestCase):
    def test_bad_use_is_one_line_and_status_2(self) -> None:
        for arguments, word in (([], 'no arguments'),
                                (['--nonsense'], 'unknown'),
                                (['--qemu'], 'needs a value'),
                                (['--qemu', '/nowhere', '--', '-m', '1'],
                                 'no such program'),
                                (['--quiet', 'x', '--', '-m', '1'], 'quiet'),
                                (['--until', '(', '--', '-m', '1'], 'until'),
                                (['--json', '/nowhere/x', '--', '-m'], 'json'),
                                (['--preload', '/nowhere', '--', '-m'],
                                 'preload'),
                                (['--matrix', '.', '--', '-m'], 'none follow'),
                                (['--matrix', '.', '--until', 'x'], 'word'),
                                (['--peer', '--qemu', '/bin/sh', '--', '-m'],
                                 '--peer is a QEMU')):
            done = subprocess.run([TOP / 'scripts/audit', *arguments],
                                  capture_output=True, text=True, check=False)
            with self.subTest(arguments):
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(word, done.stderr)


if __name__ == '__main__':
    unittest.main()
