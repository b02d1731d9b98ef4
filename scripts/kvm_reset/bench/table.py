# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges what scripts/bench measured.

Reads Google Benchmark's JSON, compares each pair of NAME/bare and NAME/ours,
adds what another benchmark compared by itself (--lines), and prints a table
with the target and whether it is met.  Status 1 if one is not.
"""

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

PASSTHROUGH_NS = 2.0
RECORDED_NS = 1000.0
JOURNAL_BYTES = 2 << 20
# 100 ns for each of 10,000 changes; and what counts as no CPU time at all.
BURST_NS = 1e6
IDLE_SPARE_US = 200
# A guest that hands in an IGVM file waits for it; and others do for the lock.
IGVM_MS = 50
LOCKED_MS = 5
# What a reset into a launch that was brought costs besides it.
BROUGHT_MS = 1


@dataclass
class Line:
    """One line of the table; None where there is nothing to say."""

    name: str
    unit: str
    bare: float | None = None
    ours: float | None = None
    value: float | None = None
    target: float | None = None
    why_skipped: str = ''

    @property
    def verdict(self) -> str:
        if self.why_skipped:
            return f'skipped: {self.why_skipped}'
        if self.target is None:
            return ''
        assert self.value is not None
        return 'pass' if self.value <= self.target else 'FAIL'


class Results:
    """The runs of each benchmark by its name."""

    def __init__(self, paths: list[Path]) -> None:
        self.runs: dict[str, list[dict]] = {}
        for path in paths:
            for run in json.loads(path.read_text())['benchmarks']:
                if run.get('run_type') != 'aggregate':
                    name = run['name'].split('/iterations:')[0]
                    self.runs.setdefault(name, []).append(run)

    def error(self, name: str) -> str:
        for run in self.runs[name]:
            if run.get('error_occurred'):
                return run['error_message']
        return ''

    def nanoseconds(self, name: str) -> float:
        """CPU time: other load on the machine is not in it."""
        units = {'ns': 1.0, 'us': 1e3, 'ms': 1e6, 's': 1e9}
        return statistics.median(run['cpu_time'] * units[run['time_unit']]
                                 for run in self.runs[name])

    def counter(self, name: str, counter: str) -> float:
        return statistics.median(run[counter] for run in self.runs[name])


def pair(results: Results, name: str, title: str,
         target: float | None) -> Line:
    line = Line(title, 'ns', target=target)
    line.why_skipped = (results.error(name + '/bare') or
                        results.error(name + '/ours'))
    if not line.why_skipped:
        line.bare = results.nanoseconds(name + '/bare')
        line.ours = results.nanoseconds(name + '/ours')
        line.value = line.ours - line.bare
    return line


def on_kvm(results: Results, name: str) -> Line:
    """Wall time: without a target, since KVM's own varies by more."""
    line = Line(f'on /dev/kvm: {name.split("/")[1]}', 'ns',
                why_skipped=results.error(name))
    if not line.why_skipped:
        line.bare = results.counter(name, 'bare')
        line.ours = results.counter(name, 'ours')
        line.value = line.ours - line.bare
    return line


def counters(results: Results, name: str, title: str, unit: str,
             targets: dict[str, float | None]) -> list[Line]:
    lines = []
    for counter, target in targets.items():
        line = Line(f'{title}: {counter}', unit, target=target,
                    why_skipped=results.error(name))
        if not line.why_skipped:
            line.value = results.counter(name, counter)
        lines.append(line)
    return lines


def igvm(results: Results, what: str) -> list[Line]:
    """How long a check takes, and of what that is how much."""
    times = {}
    for step in ('check', 'digest', 'CRC-32', 'read'):
        name = f'igvm/{what}/{step}'
        if name in results.runs:
            if why := results.error(name):
                return [Line(f'IGVM, {what}: {step}', 'ms', why_skipped=why)]
            times[step] = results.nanoseconds(name) / 1e6
    lines = [Line(f'IGVM, {what}: check', 'ms', value=times.pop('check'),
                  target=IGVM_MS)]
    if 'digest' in times:
        lines.append(Line(f'IGVM, {what}: and its digest', 'ms',
                          value=times.pop('digest')))
    for step, took in times.items():
        lines.append(Line(f'IGVM, {what}: check, of a {step} of its bytes',
                          'times', value=lines[0].value / took))
    return lines


def launch(results: Results, what: str) -> list[Line]:
    """What a launch of that size costs those who wait for it."""
    lines = []
    for step, target in (('tried', IGVM_MS), ('under the lock', LOCKED_MS)):
        name = f'launch/{what}/{step}'
        line = Line(f'a launch of {what}: {step}', 'ms', target=target,
                    why_skipped=results.error(name))
        if not line.why_skipped:
            line.value = results.nanoseconds(name) / 1e6
        lines.append(line)
    return lines + counters(results, f'launch/{what}/reset',
                            f'a launch of {what}: a reset into it', 'ms',
                            {'added': BROUGHT_MS})


def judge(results: Results) -> list[Line]:
    lines = [
        pair(results, 'passthrough', 'not recorded', PASSTHROUGH_NS),
        pair(results, 'system call', 'not recorded, around a system call',
             None),
    ]
    for name in sorted(results.runs):
        if name.startswith('recorded/') and name.endswith('/ours'):
            what = name.removesuffix('/ours')
            lines.append(pair(results, what,
                              f'recorded: {what.split("/")[1]}',
                              RECORDED_NS))
    lines += [on_kvm(results, name) for name in sorted(results.runs)
              if name.startswith('KVM/')]
    lines += counters(results, 'journal/64 vCPUs', 'journal, 64 vCPUs', '',
                      {'entries': None, 'bytes': JOURNAL_BYTES})
    lines += counters(results, 'journal/10 million toggles',
                      'journal, 10 million toggles', '',
                      {'grown entries': 0, 'grown bytes': 0})
    lines.append(pair(results, 'spare/10,000 changes',
                      'spare: 10,000 changes', BURST_NS))
    lines += counters(results, 'spare/idle', 'spare: nothing changes', '',
                      {'us of CPU in a second': IDLE_SPARE_US})
    for name in sorted(results.runs):
        if name.startswith('igvm/') and name.endswith('/check'):
            lines += igvm(results, name.split('/')[1])
        if name.startswith('launch/') and name.endswith('/tried'):
            lines += launch(results, name.split('/')[1])
    for name in sorted(results.runs):
        if name.startswith('rebirth/'):
            title = f'rebirth, {name.split(":")[1]} vCPUs'
            lines += counters(results, name, title, 'ms',
                              {'prepare': None, 'commit': None,
                               'total': None, 'retire': None})
    return lines


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return ''
    text = f'{value:.0f}' if not unit or abs(value) >= 100 else f'{value:.2f}'
    return f'{text} {unit}'.rstrip()


def print_table(lines: list[Line]) -> None:
    rows = [('', 'bare', 'with kvm-reset', 'added, or as it is', 'target',
             '')]
    for line in lines:
        target = shown(line.target, line.unit)
        rows.append((line.name, shown(line.bare, line.unit),
                     shown(line.ours, line.unit),
                     shown(line.value, line.unit),
                     f'<= {target}' if target else '', line.verdict))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[i].rjust(widths[i]) for i in range(1, 5)]
        cells.append(row[5])
        print('  '.join(cells).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--lines', type=Path, action='append', default=[])
    parser.add_argument('results', type=Path, nargs='*')
    args = parser.parse_args()

    lines = judge(Results(args.results)) if args.results else []
    for path in args.lines:
        lines += [Line(**line)
                  for line in json.loads(path.read_text())['lines']]
    print_table(lines)
    if args.json:
        args.json.write_text(json.dumps(
            [asdict(line) | {'verdict': line.verdict} for line in lines],
            indent=2) + '\n')
    failed = sum(line.verdict == 'FAIL' for line in lines)
    met = sum(line.verdict == 'pass' for line in lines)
    print(f'{met} targets met, {failed} missed')
    return 1 if failed else 0
