# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures resets; scripts/bench starts it, and prints what it judged."""

import argparse
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

from .table import Line

from . import cases, judge, measure, spare_cost, timeline
from .qemu import RESTART, SPARE, QemuFailed, machine_properties

DEVICE = '/dev/kvm'
# Per cent of all CPUs; a few are always used by something.
QUIET = 10.0


def say(text: str) -> None:
    print(f'bench: {text}', file=sys.stderr)


def check_programs(ours: str, peer: str) -> None:
    if SPARE not in machine_properties(ours):
        raise QemuFailed(f'{ours} has no machine property {SPARE}: build it '
                         'with scripts/build-qemu')
    if peer and RESTART not in machine_properties(peer):
        raise QemuFailed(f'--peer {peer} has no machine property {RESTART}, '
                         'so it gives no guest a new VM: take a QEMU 11, or '
                         'one with kvm-reset')


def run_cases(bench: measure.Bench, only: re.Pattern[str]
              ) -> list[measure.Measured]:
    results = []
    chosen = [case for case in cases.all_cases() if only.search(case.name)]
    if not chosen:
        raise QemuFailed('no case has such a name; there is ' +
                         ', '.join(case.name for case in cases.all_cases()))
    for number, case in enumerate(chosen, 1):
        say(f'case {number} of {len(chosen)}: {case.name}')
        try:
            results.append(bench.run(case))
        except QemuFailed as error:
            if not case.varies:
                raise
            say(f'{case.name}: skipped, {error}')
            results.append(measure.Measured(case, why_skipped=str(error)))
    return results


def report(results: list[measure.Measured], drawing: Path) -> None:
    base = judge.find(results, '')
    busy = measure.median([result.busy for result in results])
    if busy > QUIET:
        say(f'others used {busy:.0f} % of the CPUs: times are too long and '
            'vary, and a target may be missed for that alone')
    if base:
        drawing.write_text(timeline.draw(
            base, f'A reset with a new VM: paused q35 guest, 2 vCPUs, 2 GiB; '
                  f'of {len(base.next_spare)} the one nearest to the median'))
        say(f'the phases of one rebirth are drawn in {drawing}')
    print('Milliseconds, medians. "adds": to a plain reset of the same QEMU, '
          'from the command to the answer behind the RESET event;\n'
          '"its clock": what query-kvm-reset says the rebirth took; "bare": '
          'the program that does nothing else.\n')
    judge.print_rows(judge.growth(results))


def save(path: Path, lines: list[Line], results: list[measure.Measured],
         cost: spare_cost.SpareCost | None) -> None:
    path.write_text(json.dumps({
        'lines': [asdict(line) for line in lines],
        'cases': [asdict(result) for result in results],
        'spare': {name: value if not isinstance(value, dict) else
                  {'with' if key else 'without': each
                   for key, each in value.items()}
                  for name, value in asdict(cost).items()} if cost else None,
    }, indent=1) + '\n')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--ours', required=True)
    parser.add_argument('--peer', default='')
    parser.add_argument('--floor', type=Path, required=True)
    parser.add_argument('--rounds', type=int, default=judge.FEWEST)
    parser.add_argument('--cases', default='')
    parser.add_argument('--no-targets', action='store_true')
    parser.add_argument('--drawing', type=Path, required=True)
    parser.add_argument('--output', type=Path, required=True)
    args = parser.parse_args()

    no_targets = ''
    if args.no_targets:
        no_targets = '--no-targets'
    elif args.rounds < judge.FEWEST:
        no_targets = f'fewer than {judge.FEWEST} resets'
    if not Path(DEVICE).exists():
        why = f'no {DEVICE} here'
        say(f'{why}: nothing of reset is measured; the appliance has one: '
            'scripts/appliance -- scripts/bench reset --no-targets')
        save(args.output, [Line('reset', 'ms', why_skipped=why)], [], None)
        return 0
    try:
        only = re.compile(args.cases)
        check_programs(args.ours, args.peer)
        results = run_cases(
            measure.Bench(args.ours, args.peer, args.floor, args.rounds), only)
        cost = None
        if only.search('spare'):
            say('what the spare costs')
            cost = spare_cost.measure(args.ours)
    except re.error as error:
        say(f'error: --cases {args.cases}: {error}')
        return 1
    except QemuFailed as error:
        say(f'error: {error}')
        return 1
    report(results, args.drawing)
    save(args.output, judge.judge(results, cost, no_targets), results, cost)
    return 0
