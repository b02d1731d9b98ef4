# SPDX-License-Identifier: GPL-2.0-or-later
"""What a second life lacks, has too much, or has otherwise.

Three questions, each to a pair of marks in the record:

    reset   What was the VM told? The guest after an ordinary reset on its old
            VM, and after one that gave it a new VM, must be told the same.
    read    What does KVM say of it, at the same two moments?
    boot    The same as the first, when the guest has booted: what a guest has
            done itself may have other numbers then.

What changed between two ordinary resets is volatile by that measurement.
"""

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .overlays import settle
from .record import Entry, Key, Mark, Record, Vm
from .rules import KNOWN, STATE, VOLATILE, Known
from .shapes import Thing, things

Place = tuple[str, str, str]
MEASURED = 'it changed from one ordinary reset to the next'


@dataclass
class Finding:
    point: str          # reset, read, boot or run
    kind: str           # lacks, too much, differs, failed, trouble
    object: str
    what: str           # the ioctl, or what it makes
    argument: str
    first: str
    second: str
    stack: int = -1     # of the record's stacks
    known: str = ''     # why it is right


@dataclass
class Result:
    findings: list[Finding] = field(default_factory=list)
    # (what, argument, why), of what was not compared.
    volatile: list[tuple[str, str, str]] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)

    def differences(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.known]


def collect(vm: Vm, loose: bool) -> dict[Place, list[Thing]]:
    found: dict[Place, list[Thing]] = {}
    told = [thing for entry in vm.entries.values()
            for thing in things(entry, loose)]
    for thing in settle(told) if loose else told:
        place = thing.object, thing.kind, thing.argument
        found.setdefault(place, []).append(thing)
    return found


def words(value: tuple[tuple[str, str], ...]) -> str:
    return ', '.join(f'{name} {shorten(text)}' for name, text in value)


def shorten(text: str) -> str:
    return text if len(text) <= 40 else f'{text[:32]}… ({len(text) // 2} bytes)'


def differing(one: bytes, other: bytes) -> set[int]:
    return {i for i in range(max(len(one), len(other)))
            if one[i:i + 1] != other[i:i + 1]}


def ranges(offsets: set[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each run."""
    first = last = None
    for offset in sorted(offsets):
        if last is None or offset != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = offset
        last = offset
    if first is not None and last is not None:
        yield first, last


def known_offsets(what: str, item: str, size: int) -> tuple[set[int], str]:
    """Which bytes are volatile by the table, and why."""
    offsets: set[int] = set()
    why = ''
    for row in VOLATILE:
        if row.what == what and re.fullmatch(row.item, item):
            why = row.why
            for first, length in row.ranges or ((0, size),):
                offsets |= set(range(first, first + length))
    return offsets, why


def raw(thing: Thing) -> bytes:
    """A lone argument that is compared whole."""
    return (bytes.fromhex(thing.value[0][1])
            if len(thing.value) == 1 and thing.value[0][0] == 'bytes' else b'')


class Comparer:
    def __init__(self, record: Record, known: tuple[Known, ...] = KNOWN) \
            -> None:
        self.record = record
        self.known = known
        self.result = Result()

    def run(self) -> Result:
        marks = self.record.marks
        if {'plain', 'plain again', 'reborn'} <= marks.keys():
            old, new = marks['plain again'].vm, marks['reborn'].vm
            if old.number == new.number:
                self.result.findings.append(Finding(
                    'run', 'trouble', '', 'reset', '', f'VM {old.number}',
                    'the reset gave the guest no new VM'))
                return self.result
            self.reset(marks['plain'], marks['plain again'], marks['reborn'])
            self.read(marks['plain'], marks['plain again'], marks['reborn'])
            if {'booted', 'rebooted'} <= marks.keys():
                self.boot(marks['booted'], marks['rebooted'])
            elif 'booted' in marks:
                # It ended on the way: perhaps because of what KVM refused.
                self.failed('boot', marks['booted'].vm,
                            self.record.vm(self.record.in_use))
        elif 'plain again' in marks:
            # The second life ended before its first moment: what was done by
            # then is all that there is.
            self.reset(marks['plain'], marks['plain again'],
                       Mark('reborn', self.record.vm(self.record.in_use)))
        return self.result

    # --- what it was told -------------------------------------------------

    def reset(self, before: Mark, first: Mark, second: Mark) -> None:
        measured = self.changed(collect(before.vm, False),
                                collect(first.vm, False))
        self.told('reset', first.vm, second.vm, False, measured)
        self.failed('reset', first.vm, second.vm)

    def boot(self, first: Mark, second: Mark) -> None:
        self.told('boot', first.vm, second.vm, True, {})
        self.failed('boot', first.vm, second.vm)

    @staticmethod
    def changed(one: dict[Place, list[Thing]],
                other: dict[Place, list[Thing]]) -> dict[Place, set[int]]:
        """Which bytes of what is compared whole, or none in particular. What
        defines a VM does not change by itself, so only of state."""
        found: dict[Place, set[int]] = {}
        for place in one.keys() & other.keys():
            if place[1] not in STATE:
                continue
            before = [thing.value for thing in one[place]]
            if before != [thing.value for thing in other[place]]:
                mine, theirs = raw(one[place][0]), raw(other[place][0])
                found[place] = (differing(mine, theirs) if mine and theirs
                                else set())
        return found

    def told(self, point: str, old: Vm, new: Vm, loose: bool,
             measured: dict[Place, set[int]]) -> None:
        first, second = collect(old, loose), collect(new, loose)
        self.result.compared[point] = len(first.keys() | second.keys())
        for place in [*first, *(p for p in second if p not in first)]:
            has, gets = first.get(place, []), second.get(place, [])
            if len(has) > len(gets):
                self.count(point, 'lacks', has, gets, has[-1])
            elif len(gets) > len(has):
                self.count(point, 'too much', has, gets, gets[-1])
            elif loose and has[0].kind in STATE:
                continue
            elif place in measured and not measured[place]:
                self.skip(place, MEASURED)
            else:
                self.values(point, place, has, gets,
                            measured.get(place, set()))

    def count(self, point: str, kind: str, has: list[Thing],
              gets: list[Thing], one: Thing) -> None:
        """So many of one sort in the first life, so many in the second."""
        many = max(len(has), len(gets)) > 1

        def say(some: list[Thing]) -> str:
            if many:
                return f'{len(some)} of them'
            return (words(some[0].value) or 'set') if some else 'nothing'
        self.add(point, kind, one, say(has), say(gets))

    def values(self, point: str, place: Place, has: list[Thing],
               gets: list[Thing], moved: set[int]) -> None:
        left = sorted(has, key=lambda thing: thing.value)
        right = sorted(gets, key=lambda thing: thing.value)
        for one, other in zip(left, right, strict=True):
            if one.value == other.value:
                continue
            mine, theirs = raw(one), raw(other)
            size = max(len(mine), len(theirs), 1)
            skipped, why = known_offsets(place[1], place[2], size)
            if why or moved:
                self.skip(place, why or MEASURED)
            if mine and theirs:
                offsets = differing(mine, theirs) - skipped - moved
                if offsets:
                    self.add(point, 'differs', one, in_bytes(mine, offsets),
                             in_bytes(theirs, offsets))
            elif not skipped:
                self.add(point, 'differs', one,
                         *only_different(one.value, other.value))

    def failed(self, point: str, old: Vm, new: Vm) -> None:
        """A call that KVM took in the first life and refused in the second."""
        def what(entry: Entry) -> Key:
            return entry.object, entry.name, entry.key
        once = {what(entry) for entry in old.failures}
        said = {(f.object, f.what, f.argument) for f in self.result.findings
                if f.kind == 'failed'}
        for entry in new.failures:
            thing = things(entry)[0]
            place = thing.object, thing.kind, thing.argument
            if what(entry) not in once and place not in said:
                said.add(place)
                name = errno.errorcode.get(entry.error, str(entry.error))
                self.add(point, 'failed', thing, 'done', name)

    # --- what it says of itself -------------------------------------------

    def read(self, before: Mark, first: Mark, second: Mark) -> None:
        places = {**first.reads, **second.reads}
        self.result.compared['read'] = len(places)
        for place in places:
            has, gets = first.reads.get(place), second.reads.get(place)
            if has is None or gets is None:
                self.note_read('lacks' if gets is None else 'too much', place,
                               'readable' if has is not None else 'not there',
                               'readable' if gets is not None else 'not there')
                continue
            size = max(len(has), len(gets))
            skipped, why = known_offsets(place[1], place[2], size)
            moved = differing(before.reads.get(place, has), has)
            if moved - skipped:
                why = MEASURED
            if why:
                self.skip(place, why)
            offsets = differing(has, gets) - skipped - moved
            if offsets:
                self.note_read('differs', place, in_bytes(has, offsets),
                               in_bytes(gets, offsets))

    def note_read(self, kind: str, place: Place, first: str,
                  second: str) -> None:
        finding = Finding('read', kind, *place, first, second)
        self.excuse(finding)

    # --- what came of it --------------------------------------------------

    def skip(self, place: Place, why: str) -> None:
        row = place[1], place[2], why
        if row not in self.result.volatile:
            self.result.volatile.append(row)

    def add(self, point: str, kind: str, thing: Thing, first: str,
            second: str) -> None:
        self.excuse(Finding(point, kind, thing.object, thing.kind,
                            thing.argument, first, second, thing.entry.stack))

    def excuse(self, finding: Finding) -> None:
        for known in self.known:
            if known.fits(finding.point, finding.kind, finding.what,
                          finding.argument):
                finding.known = known.why
        self.result.findings.append(finding)


def in_bytes(data: bytes, offsets: set[int]) -> str:
    """What is at the places that differ."""
    runs = list(ranges(offsets))
    if len(data) == 8:
        return f'{int.from_bytes(data, "little"):#x}'
    text = ', '.join(f'{data[a:b + 1].hex() or "nothing"} at {a:#x}'
                     for a, b in runs[:4])
    return text + (f' and {len(runs) - 4} more' if len(runs) > 4 else '')


def only_different(one: tuple[tuple[str, str], ...],
                   other: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    first, second = dict(one), dict(other)
    names = [name for name in {**first, **second}
             if first.get(name) != second.get(name)]

    def say(value: dict[str, str]) -> str:
        return words(tuple((name, value.get(name, 'nothing'))
                           for name in names))
    return say(first), say(second)
