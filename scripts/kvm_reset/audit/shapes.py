# SPDX-License-Identifier: GPL-2.0-or-later
"""How the arguments of KVM's ioctls are taken apart for comparing: what tells
one thing from another, and what is said of it. KVM API, chapter 4.

An ioctl without a row here is compared whole, byte by byte.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from .record import Entry

# (name, offset, bytes)
Field = tuple[str, int, int]


@dataclass(frozen=True)
class Thing:
    """What a VM has, as people speak of it."""
    object: str
    kind: str                      # an ioctl's name, or that of its kind
    argument: str                  # which one, in words; '' if there is one
    value: tuple[tuple[str, str], ...]
    entry: Entry = field(compare=False)


@dataclass(frozen=True)
class Shape:
    """@which tell one from another, @says is what is compared. The loose ones
    hold where a guest's own doing is part of it, between two boots."""
    fields: tuple[Field, ...]
    which: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    loose_which: tuple[str, ...] | None = None
    loose_says: tuple[str, ...] | None = None
    kind: str = ''


SLOT = Shape(
    (('slot', 0, 2), ('address space', 2, 2), ('flags', 4, 4),
     ('address', 8, 8), ('size', 16, 8), ('userspace', 24, 8),
     ('guest_memfd offset', 32, 8), ('guest_memfd', 40, 4)),
    ('address', 'address space'),
    ('size', 'flags', 'userspace', 'guest_memfd offset', 'guest_memfd'),
    kind='memory slot')
ROUTE_TO_CHIP = Shape(
    (('gsi', 0, 4), ('type', 4, 4), ('flags', 8, 4), ('irqchip', 16, 4),
     ('pin', 20, 4)),
    ('gsi', 'irqchip'), ('pin', 'flags'), kind='route to an irqchip')
# Which vector a guest gives to which device is its own affair.
ROUTE_OF_MSI = Shape(
    (('gsi', 0, 4), ('flags', 8, 4), ('address', 16, 8), ('data', 24, 4),
     ('device', 28, 4)),
    ('gsi',), ('address', 'data', 'device', 'flags'), (), (),
    kind='route of an MSI')
OTHER_ROUTE = Shape(
    (('gsi', 0, 4), ('type', 4, 4), ('flags', 8, 4), ('first', 16, 8),
     ('second', 24, 8)),
    ('gsi', 'type'), ('flags', 'first', 'second'), kind='route')
CPUID = Shape(
    (('leaf', 0, 4), ('subleaf', 4, 4), ('flags', 8, 4), ('eax', 12, 4),
     ('ebx', 16, 4), ('ecx', 20, 4), ('edx', 24, 4)),
    ('leaf', 'subleaf'), ('flags', 'eax', 'ebx', 'ecx', 'edx'), kind='CPUID')
MSR = Shape((('index', 0, 4), ('data', 8, 8)), ('index',), ('data',),
            kind='MSR')

SHAPES: dict[str, Shape] = {
    'KVM_SET_USER_MEMORY_REGION': SLOT,
    'KVM_SET_USER_MEMORY_REGION2': SLOT,
    'KVM_SET_MSRS': MSR,
    # An eventfd is made anew by many a device when its driver comes.
    'KVM_IRQFD': Shape(
        (('eventfd', 0, 4), ('gsi', 4, 4), ('flags', 8, 4),
         ('resamplefd', 12, 4)),
        ('gsi', 'eventfd'), ('flags', 'resamplefd'), ('flags',), ()),
    'KVM_IOEVENTFD': Shape(
        (('datamatch', 0, 8), ('address', 8, 8), ('length', 16, 4),
         ('eventfd', 20, 4), ('flags', 24, 4)),
        ('address', 'length', 'datamatch', 'flags'), ('eventfd',), None, ()),
    'KVM_HYPERV_EVENTFD': Shape(
        (('connection', 0, 4), ('eventfd', 4, 4)),
        ('connection',), ('eventfd',), None, ()),
    'KVM_REGISTER_COALESCED_MMIO': Shape(
        (('address', 0, 8), ('size', 8, 4), ('port', 12, 4)),
        ('address', 'size', 'port')),
    'KVM_ENABLE_CAP': Shape(
        (('cap', 0, 4), ('flags', 4, 4), ('args[0]', 8, 8), ('args[1]', 16, 8),
         ('args[2]', 24, 8), ('args[3]', 32, 8)),
        ('cap',), ('flags', 'args[0]', 'args[1]', 'args[2]', 'args[3]')),
    'KVM_CREATE_DEVICE': Shape((('type', 0, 4), ('flags', 8, 4)), (),
                               ('type', 'flags')),
    'KVM_CREATE_GUEST_MEMFD': Shape((('size', 0, 8), ('flags', 8, 8)), (),
                                    ('size', 'flags')),
    'KVM_MEMORY_ENCRYPT_OP': Shape((('command', 0, 4),), ('command',), ()),
    'KVM_SET_IRQCHIP': Shape((('chip', 0, 4),), ('chip',), ()),
    'KVM_SET_TSC_KHZ': Shape(()),
}


def number(name: str, value: int) -> str:
    plain = {'gsi', 'pin', 'irqchip', 'type', 'cap', 'address space', 'length',
             'port', 'command', 'chip', 'subleaf', 'connection', 'slot'}
    return str(value) if name in plain else f'{value:#x}'


def take_apart(entry: Entry, shape: Shape, data: bytes, loose: bool) -> Thing:
    files = dict(entry.files)
    found = {}
    for name, offset, size in shape.fields:
        if offset + size <= len(data):
            value = int.from_bytes(data[offset:offset + size], 'little')
            found[name] = files.get(offset, number(name, value))
    if shape is SLOT and 'guest_memfd' not in found:
        # The older ioctl says the same of a slot without one.
        found |= {'guest_memfd': '0x0', 'guest_memfd offset': '0x0'}
    which, says = shape.which, shape.says
    if loose:
        which = which if shape.loose_which is None else shape.loose_which
        says = says if shape.loose_says is None else shape.loose_says
    if entry.word:
        found[which[0]] = entry.word
    words = [f'{name} {found[name]}' for name in which if name in found]
    if entry.word:
        words[0] = entry.word
    value = tuple((name, found[name]) for name in says if name in found)
    return Thing(entry.object, shape.kind or entry.name, ', '.join(words),
                 value, entry)


def routes(entry: Entry, loose: bool) -> list[Thing]:
    shapes = {1: ROUTE_TO_CHIP, 2: ROUTE_OF_MSI}
    return [take_apart(entry, shapes.get(int.from_bytes(data[4:8], 'little'),
                                         OTHER_ROUTE), data, loose)
            for data in entry.elements]


def cpuid(entry: Entry, loose: bool) -> list[Thing]:
    return [take_apart(entry, CPUID, data, loose) for data in entry.elements]


def whole(entry: Entry) -> Thing:
    """Compared byte by byte; the files in it by what they are."""
    data = bytearray(entry.bytes)
    for offset, _ in entry.files:
        data[offset:offset + 4] = bytes(4)
    value = [('bytes', bytes(data).hex())] if data else []
    value += [('value', f'{entry.value:#x}')] if entry.value else []
    value += [('file', what) for _, what in entry.files]
    value += [(f'array {i}', text) for i, text in enumerate(entry.pointed)]
    value += [(f'element {i}', text.hex())
              for i, text in enumerate(entry.elements)]
    words = [entry.word] if entry.word else [str(part) for part in entry.key]
    return Thing(entry.object, entry.name, ', '.join(words), tuple(value),
                 entry)


LISTS: dict[str, Callable[[Entry, bool], list[Thing]]] = {
    'KVM_SET_GSI_ROUTING': routes,
    'KVM_SET_CPUID2': cpuid,
}


def things(entry: Entry, loose: bool = False) -> list[Thing]:
    """@loose: the entry is of a guest that has booted."""
    if entry.name in LISTS:
        return LISTS[entry.name](entry, loose)
    if entry.name in SHAPES and entry.bytes:
        thing = take_apart(entry, SHAPES[entry.name], entry.bytes, loose)
        if entry.name in ('KVM_CREATE_DEVICE', 'KVM_CREATE_GUEST_MEMFD'):
            thing = Thing(thing.object, thing.kind, str(entry.key[0]),
                          thing.value, entry)
        return [thing]
    return [whole(entry)]
