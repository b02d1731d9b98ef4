# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the ioctls that reached the kernel with those that QEMU says it
recorded: strace's log of each thread has both, since a trace event is a write
to QEMU's log.

In a thread a recorded ioctl is followed by its kvm_reset_seen, before the next
one, and so is one that might have been, by its argument. What kvm-reset
itself issues is not recorded, and known by where it comes from: its own
threads, and the reset, from its "quiesce" to its "commit".
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KVM_TYPE = 0xae
OWN_THREADS = ('kvm-spare', 'kvm-retire')
REBIRTH_BEGINS = 'quiesce'
REBIRTH_ENDS = ('commit', 'abort')

IOCTL = re.compile(r'^ioctl\((\d+)(?:<([^>]*)>)?, (0x[0-9a-f]+|\d+)')
RESULT = re.compile(r'\) += (-?\d+|\?)')
WRITE = re.compile(r'^write\(\d+(?:<[^>]*>)?, "((?:[^"\\]|\\.)*)"')
SEEN = re.compile(r'kvm_reset_seen fd (\d+), request (0x[0-9a-f]+) (\w+): '
                  r'(\w+), ret (-?\d+)')
STEP = re.compile(r'kvm_reset_step (\w+)')
# One's own name is set by prctl(), that of another thread through /proc.
NAMED = re.compile(r'^prctl\((?:PR_SET_NAME|0xf), "([^"]*)"')
NAMES_OTHER = re.compile(r'^openat\(.*"/proc/self/task/(\d+)/comm"')


@dataclass(frozen=True)
class Call:
    """An ioctl on one of KVM's fds."""
    fd: int
    request: int
    result: int

    def __str__(self) -> str:
        return f'fd {self.fd}, request {self.request:#x}, ret {self.result}'


@dataclass
class Row:
    name: str
    passes: bool


@dataclass
class Findings:
    """What does not fit, and how much was looked at."""
    problems: list[str] = field(default_factory=list)
    recorded: Counter[str] = field(default_factory=Counter)
    passes: int = 0
    own: int = 0


def read_catalogue(path: Path) -> dict[int, Row]:
    """By request: passes only where no class of fd has it recorded."""
    rows: dict[int, Row] = {}
    for line in path.read_text().splitlines():
        item = json.loads(line)
        if item['kind'] != 'row':
            continue
        passes = (item['effect'] in ('query', 'run', 'volatile')
                 and not item['classified'])
        row = rows.setdefault(item['request'], Row(item['name'], passes))
        row.passes = row.passes and passes
    return rows


def thread_names(logs: list[Path]) -> dict[int, str]:
    names = {}
    for log in logs:
        other = 0
        for line in log.read_text(errors='replace').splitlines():
            if match := NAMED.match(line):
                names[int(log.suffix[1:])] = match[1]
            elif match := NAMES_OTHER.match(line):
                other = int(match[1])
            elif other and (match := WRITE.match(line)):
                names[other], other = match[1], 0
    return names


def events(lines: list[str]) -> Iterator[Call | re.Match[str]]:
    """KVM's ioctls and the trace events of one thread, in order."""
    for line in lines:
        if match := IOCTL.match(line):
            request = int(match[3], 0)
            result = RESULT.search(line)
            if request >> 8 & 0xff == KVM_TYPE and result:
                ret = -1 if result[1] == '?' else int(result[1])
                yield Call(int(match[1]), request & 0xffffffff, ret)
        elif match := WRITE.match(line):
            for text in match[1].split('\\n'):
                if found := SEEN.search(text) or STEP.search(text):
                    yield found


class Watcher:
    """One run of QEMU: strace -ff -o PREFIX, and what it logged."""

    def __init__(self, catalogue: dict[int, Row]) -> None:
        self.catalogue = catalogue
        self.findings = Findings()

    def look_at(self, logs: list[Path]) -> Findings:
        names = thread_names(logs)
        for log in logs:
            name = names.get(int(log.suffix[1:]), 'thread')
            lines = log.read_text(errors='replace').splitlines()
            if name in OWN_THREADS:
                self.findings.own += sum(isinstance(event, Call)
                                         for event in events(lines))
            else:
                self.thread(f'{name} ({log.suffix[1:]})', lines)
        return self.findings

    def thread(self, name: str, lines: list[str]) -> None:
        waiting: Call | None = None
        in_rebirth = False
        for event in events(lines):
            if isinstance(event, Call):
                if in_rebirth:
                    self.findings.own += 1
                elif self.must_be_seen(name, event):
                    self.not_seen(name, waiting)
                    waiting = event
            elif event.re is SEEN:
                self.seen(name, event, waiting)
                waiting = None
            elif event[1] == REBIRTH_BEGINS:
                in_rebirth = True
            elif event[1] in REBIRTH_ENDS:
                in_rebirth = False
        self.not_seen(name, waiting)

    def must_be_seen(self, name: str, call: Call) -> bool:
        row = self.catalogue.get(call.request)
        if not row:
            self.findings.problems.append(
                f'{name}: {call}: the catalogue does not know it')
            return False
        if row.passes:
            self.findings.passes += 1
        return not row.passes

    def not_seen(self, name: str, call: Call | None) -> None:
        if call:
            row = self.catalogue[call.request]
            self.findings.problems.append(
                f'{name}: {row.name}, {call}: it reached the kernel and the '
                'journal did not see it')

    def seen(self, name: str, match: re.Match[str], call: Call | None) -> None:
        seen = Call(int(match[1]), int(match[2], 16), int(match[5]))
        same = call and (call.fd, call.request) == (seen.fd, seen.request)
        # A result below 0 is an errno to the one and -1 to the other.
        if call and same and (seen.result == call.result or
                              seen.result < 0 and call.result < 0):
            self.findings.recorded[match[3]] += 1
        else:
            self.findings.problems.append(
                f'{name}: the journal saw {match[3]}, {seen}, and the kernel '
                f'{call or "nothing"}')
