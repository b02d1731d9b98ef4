# SPDX-License-Identifier: GPL-2.0-or-later
"""What the recorder wrote, read into what each VM was told and now is.

The record is JSON lines, by kind:

    object  a file descriptor of KVM's came to be: vm, object (its label), fd
    call    one ioctl on an object, with a copy of its argument
    map     one mapping of an object
    stack   return addresses, by the number that calls give
    use     from here on a vCPU of another VM, vm, is used
    count   how often an ioctl that is not recorded was issued until a mark
    mark    the driver wants to look: the VM in use is vm
    read    one thing read back of it: object, what (an ioctl), item, bytes
    module  where a file lies in memory
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CREATES = {'KVM_CREATE_VM', 'KVM_CREATE_VCPU', 'KVM_CREATE_DEVICE',
           'KVM_CREATE_GUEST_MEMFD'}
# Steps: each counts, and their order.
SEQUENCES = {'KVM_MEMORY_ENCRYPT_OP'}

Key = tuple[Any, ...]


class BadRecord(Exception):
    """It is not a record, or not a whole one."""


@dataclass(frozen=True)
class Entry:
    """One call that is in force."""
    object: str
    name: str
    key: Key
    bytes: bytes = b''
    value: int = 0
    # What the key's number is called, if it has a name.
    word: str = ''
    pointed: tuple[str, ...] = ()
    # (offset, what file it is) of the file descriptors in bytes.
    files: tuple[tuple[int, str], ...] = ()
    # An array's elements; bytes then ends where they begin.
    elements: tuple[bytes, ...] = ()
    stack: int = -1
    error: int = 0


@dataclass(frozen=True)
class Module:
    file: str
    bias: int
    start: int
    end: int


@dataclass
class Vm:
    """What is in force of all that one VM was told."""
    number: int = 0
    entries: dict[Key, Entry] = field(default_factory=dict)
    failures: list[Entry] = field(default_factory=list)

    def copy(self) -> 'Vm':
        return Vm(self.number, dict(self.entries), list(self.failures))

    def take(self, entry: Entry, family: int, takes: str) -> None:
        place = (entry.object, family, *entry.key)
        if takes == 'key':
            self.entries.pop(place, None)
        elif takes == 'containing':
            first, size, *rest = entry.key
            for other in list(self.entries):
                if (other[:2] == place[:2] and list(other[4:]) == rest
                        and other[2] <= first
                        and first + size <= other[2] + other[3]):
                    del self.entries[other]
        else:
            # Told again, it stands where it is told last.
            self.entries.pop(place, None)
            self.entries[place] = entry


@dataclass
class Mark:
    name: str
    vm: Vm
    counts: dict[tuple[int, str], int] = field(default_factory=dict)
    reads: dict[tuple[str, str, str], bytes] = field(default_factory=dict)


class Record:
    def __init__(self, lines: Iterable[str]) -> None:
        self.vms: dict[int, Vm] = {}
        self.marks: dict[str, Mark] = {}
        self.stacks: dict[int, list[int]] = {}
        self.modules: dict[tuple[str, int], Module] = {}
        self.calls = 0
        # The VM whose vCPUs were used last.
        self.in_use = 0
        self.now = Mark('', Vm())
        self._made: dict[str, Any] = {}
        for number, line in enumerate(lines, 1):
            try:
                item = json.loads(line)
                getattr(self, '_' + item['kind'].replace(' ', '_'))(item)
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise BadRecord(f'line {number}: {error!r}') from error

    @classmethod
    def read(cls, path: Path) -> 'Record':
        with path.open(errors='replace') as file:
            return cls(file)

    def vm(self, number: int) -> Vm:
        return self.vms.setdefault(number, Vm(number))

    def _object(self, item: dict[str, Any]) -> None:
        self._made = item

    def _stack(self, item: dict[str, Any]) -> None:
        self.stacks[item['id']] = item['frames']

    def _use(self, item: dict[str, Any]) -> None:
        self.in_use = item['vm']

    def _count(self, item: dict[str, Any]) -> None:
        self.now.counts[item['vm'], item['name']] = item['count']

    def _map(self, item: dict[str, Any]) -> None:
        self.vm(item['vm']).take(
            Entry(item['object'], 'mmap', (item['offset'],),
                  value=item['length'], stack=item['stack']), 0, '')

    def _mark(self, item: dict[str, Any]) -> None:
        self.now = Mark(item['name'], self.vm(item['vm']).copy())
        self.marks[item['name']] = self.now

    def _read(self, item: dict[str, Any]) -> None:
        place = item['object'], item['what'], item['item']
        self.now.reads[place] = bytes.fromhex(item['bytes'])

    def _module(self, item: dict[str, Any]) -> None:
        module = Module(item['file'], item['bias'], item['start'], item['end'])
        self.modules[module.file, module.start] = module

    def _end_of_mark(self, item: dict[str, Any]) -> None:
        pass

    def _call(self, item: dict[str, Any]) -> None:
        self.calls += 1
        vm = self.vm(item['vm'])
        entry = self._entry(item)
        if item['result'] < 0:
            vm.failures.append(entry)
            return
        if entry.name in CREATES:
            vm = self.vm(self._made['vm'])
            entry = Entry(entry.object, entry.name, (self._made['object'],),
                          entry.bytes, entry.value, stack=entry.stack)
        family = item['family']
        if entry.name in SEQUENCES:
            family = len(vm.entries)
        if entry.name == 'KVM_SET_MSRS':
            for element in entry.elements[:item['result']]:
                index = int.from_bytes(element[:4], 'little')
                vm.take(Entry(entry.object, entry.name, (index,), element,
                              stack=entry.stack), family, '')
        else:
            vm.take(entry, family, item['takes'])

    @staticmethod
    def _entry(item: dict[str, Any]) -> Entry:
        name = item['name'] or f'{item["request"]:#x}'
        data = bytes.fromhex(item['bytes'])
        key = tuple(item['key'])
        if not item['name']:
            # Nobody knows what tells one from another: all of it.
            key = (item['bytes'], item['value'])
        return Entry(
            item['object'], name, key, data[:item.get('fixed', len(data))],
            item['value'], item['word'], tuple(item['pointed']),
            tuple((offset, what) for offset, inside, what in item['files']
                  if not inside),
            tuple(map(bytes.fromhex, item.get('elements', []))),
            item['stack'], item['error'])
