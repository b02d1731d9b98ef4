# SPDX-License-Identifier: GPL-2.0-or-later
"""Pages that a guest has the hypervisor lay over its memory, where it likes.

Hyper-V's SynIC has two for each vCPU, Xen has some. Each is a slot of one page
that takes the guest's memory around it apart. Another boot chooses other
places. So between two boots it counts how many there are, and memory is what
it would be without them.
"""

from dataclasses import replace

from .shapes import Thing

SLOT = 'memory slot'
PAGE = 0x1000


def number(thing: Thing, name: str) -> int:
    """Of its value, or of what tells it from others."""
    words = dict(thing.value) | dict(
        part.rsplit(' ', 1) for part in thing.argument.split(', '))
    return int(words.get(name, '0'), 0)


def end(thing: Thing) -> int:
    return number(thing, 'address') + number(thing, 'size')


def one_piece(left: Thing, right: Thing, pages: set[int]) -> bool:
    """Whether only such pages are between two slots of the same memory."""
    start, stop = end(left), number(right, 'address')
    apart = stop - number(left, 'address')
    if number(right, 'userspace') - number(left, 'userspace') != apart:
        return False
    same = ('flags', 'guest_memfd')
    if any(number(left, name) != number(right, name) for name in same):
        return False
    return start < stop and all(at in pages
                                for at in range(start, stop, PAGE))


def joined(left: Thing, right: Thing) -> Thing:
    size = end(right) - number(left, 'address')
    return replace(left, value=tuple(
        (name, f'{size:#x}' if name == 'size' else text)
        for name, text in left.value))


def without_overlays(slots: list[Thing]) -> list[Thing]:
    """@slots: all of one address space. A page that is memory's own, next to
    nothing that it takes apart, stays a slot."""
    slots = sorted(slots, key=lambda slot: number(slot, 'address'))
    single = {number(slot, 'address'): slot for slot in slots
              if number(slot, 'size') == PAGE}
    whole: list[Thing] = []
    laid: set[int] = set()
    for slot in slots:
        at = number(slot, 'address')
        if at in single:
            continue
        if whole and one_piece(whole[-1], slot, set(single)):
            laid |= set(range(end(whole[-1]), at, PAGE))
            slot = joined(whole.pop(), slot)
        whole.append(slot)
    space = slots[0].argument.rpartition(', ')[2] if slots else ''
    pages = [replace(single[at], argument=f'a page laid over memory, {space}',
                     value=()) for at in laid if at in single]
    return whole + [single[at] for at in single if at not in laid] + pages


def settle(found: list[Thing]) -> list[Thing]:
    """All things of a VM, with its memory as it would be without them."""
    spaces: dict[str, list[Thing]] = {}
    for thing in found:
        if thing.kind == SLOT:
            space = thing.argument.rpartition(', ')[2]
            spaces.setdefault(space, []).append(thing)
    rest = [thing for thing in found if thing.kind != SLOT]
    return rest + [slot for slots in spaces.values()
                   for slot in without_overlays(slots)]
