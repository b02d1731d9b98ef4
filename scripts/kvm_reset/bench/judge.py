# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured against what is to be reached, and how it grows."""

from collections.abc import Iterable

from .table import Line

from .cases import VARIED
from .measure import (PEER, PEER_PLAIN, PLAIN, WITH_SPARE, WITHOUT_SPARE,
                      Measured, median, p99)
from .spare_cost import CHANGES, IDLE_SECONDS, SpareCost

# Milliseconds that a new VM may add to a reset.
WITH_SPARE_MEDIAN = 0.5
WITH_SPARE_P99 = 2.0
CORNER = 3.0
OF_PEER = 5.0  # per cent
OVER_FLOOR = 1.15
# MiB of QEMU's own memory.
SPARE_MEMORY = 2.0
# Microseconds for a change to be seen by the spare: as for being recorded.
CHANGE_US = 1.0
FEWEST = 50


def added(measured: Measured, who: str, title: str, of=median,
          target: float | None = None) -> Line:
    plain = PEER_PLAIN if who == PEER else PLAIN
    return Line(title, 'ms', bare=of(measured.resets[plain]),
                ours=of(measured.resets[who]),
                value=measured.added(who, of), target=target)


def base_lines(base: Measured) -> list[Line]:
    lines = [
        added(base, WITH_SPARE, 'reset, with a spare: median',
              target=WITH_SPARE_MEDIAN),
        added(base, WITH_SPARE, 'reset, with a spare: p99', p99,
              target=WITH_SPARE_P99),
        Line('rebirth, with a spare, by its own clock: median', 'ms',
             value=median(base.phases[WITH_SPARE]['total']),
             target=WITH_SPARE_MEDIAN),
        Line('rebirth, with a spare, by its own clock: p99', 'ms',
             value=p99(base.phases[WITH_SPARE]['total']),
             target=WITH_SPARE_P99),
        Line('the bare program: swap', 'ms',
             value=median(base.floor['swap'])),
    ]
    ratio = Line('with a spare, of what the peer adds', '%', target=OF_PEER)
    if PEER in base.resets:
        lines += [added(base, PEER, 'reset of the peer: median'),
                  added(base, PEER, 'reset of the peer: p99', p99)]
        ratio.value = 100 * base.added(WITH_SPARE) / base.added(PEER)
    else:
        ratio.why_skipped = 'no --peer'
    floor = median(base.floor['build'])
    lines += [
        ratio,
        Line('the bare program: building the VM', 'ms', value=floor),
        added(base, WITHOUT_SPARE, 'reset, without a spare: median',
              target=floor * OVER_FLOOR),
        added(base, WITHOUT_SPARE, 'reset, without a spare: p99', p99),
    ]
    return lines


def corner_lines(corner: Measured) -> list[Line]:
    name = corner.case.name
    return [
        added(corner, WITH_SPARE, f'{name}, with a spare: median',
              target=CORNER),
        Line(f'{name}, with a spare, by its own clock: median', 'ms',
             value=median(corner.phases[WITH_SPARE]['total']),
             target=CORNER),
        Line(f'{name}, the bare program: taking irqfds away', 'ms',
             value=median(corner.floor['irqfds away'])),
    ]


def spare_lines(cost: SpareCost) -> list[Line]:
    each = {spare: ms * 1000 / CHANGES
            for spare, ms in cost.burst_cpu.items()}
    return [
        Line("the spare: QEMU's memory", 'MiB', bare=cost.anonymous[False],
             ours=cost.anonymous[True],
             value=cost.anonymous[True] - cost.anonymous[False],
             target=SPARE_MEMORY),
        Line('the spare: fds', '', value=cost.fds),
        Line(f'the spare: runs of its thread in {IDLE_SECONDS:.0f} idle s',
             '', value=cost.idle_runs, target=0),
        Line(f'{CHANGES} changes: CPU time of who makes one', 'us',
             bare=each[False], ours=each[True],
             value=each[True] - each[False], target=CHANGE_US),
        Line(f"{CHANGES} changes: runs of vCPUs' threads", '',
             value=cost.burst_vcpu_runs, target=0),
        Line(f"{CHANGES} changes: CPU time of the spare's thread", 'ms',
             value=cost.burst_spare_cpu),
    ]


def case_lines(measured: Measured) -> list[Line]:
    """A case without a target of its own."""
    name = measured.case.name
    if measured.why_skipped:
        return [Line(name, 'ms', why_skipped=measured.why_skipped)]
    lines = [added(measured, WITH_SPARE, f'{name}, with a spare'),
             added(measured, WITHOUT_SPARE, f'{name}, without a spare')]
    if PEER in measured.resets:
        lines.append(added(measured, PEER, f'{name}, peer'))
    return lines


def judge(all_measured: list[Measured], cost: SpareCost | None,
          no_targets: str) -> list[Line]:
    lines: list[Line] = []
    for measured in all_measured:
        varies = measured.case.varies
        if measured.why_skipped or varies not in ('', 'corner'):
            lines += case_lines(measured)
        else:
            lines += (base_lines if not varies else corner_lines)(measured)
    if cost:
        lines += spare_lines(cost)
    for line in lines:
        if no_targets and line.target is not None and not line.why_skipped:
            line.why_skipped = no_targets
    return lines


# --- growth -----------------------------------------------------------------

def slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line with the least squares."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


UNITS = {'vcpus': 'vCPU', 'irqfds': 'irqfd', 'slots': 'slot',
         'memory': 'GiB', 'touched': 'GiB touched'}


def row(measured: Measured) -> list[float | None]:
    """Medians in ms; None for who was not measured."""
    peer = PEER in measured.resets
    with_spare = measured.added(WITH_SPARE)
    return [
        median(measured.resets[PLAIN]),
        with_spare,
        median(measured.phases[WITH_SPARE]['total']),
        median(measured.floor['swap']),
        measured.added(WITHOUT_SPARE),
        median(measured.phases[WITHOUT_SPARE]['total']),
        median(measured.floor['build']),
        median(measured.floor['irqfds away']),
        measured.added(PEER) if peer else None,
        measured.added(PEER) / with_spare
        if peer and with_spare > 0 else None,
    ]


HEAD = ['', 'plain', 'spare adds', 'its clock', 'bare swap',
        'no spare adds', 'its clock', 'bare build', 'bare irqfds away',
        'peer adds', 'peer/spare']


def growth(all_measured: list[Measured]) -> Iterable[list[str]]:
    """A table for each thing that varies, and how each column grows."""
    for what in VARIED:
        these = sorted((m for m in all_measured if not m.why_skipped and
                        (m.case.varies == what or
                         not m.case.varies and what != 'touched')),
                       key=lambda m: m.case.size_as(what))
        if all(not m.case.varies for m in these):
            continue
        yield HEAD
        rows = [row(m) for m in these]
        for measured, values in zip(these, rows, strict=True):
            yield ([measured.case.name_as(what)]
                   + [number(v) for v in values])
        if len(these) > 1:
            scale = 1024 if UNITS[what].startswith('GiB') else 1
            line = [f'us more for each {UNITS[what]}']
            for column in range(len(HEAD) - 1):
                points = [(m.case.size_as(what) / scale, r[column] * 1000)
                          for m, r in zip(these, rows, strict=True)
                          if r[column] is not None]
                ratio = HEAD[column + 1] == 'peer/spare'
                line.append('' if len(points) < 2 or ratio
                            else f'{slope(points):.1f}')
            yield line
        yield []


def number(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}'


def print_rows(rows: Iterable[list[str]]) -> None:
    rows = list(rows)
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0)
              for i in range(len(HEAD))]
    for row_ in rows:
        print('  '.join(cell.rjust(width) if i else cell.ljust(width)
                        for i, (cell, width) in
                        enumerate(zip(row_, widths))).rstrip())


def find(all_measured: list[Measured], varies: str) -> Measured | None:
    for measured in all_measured:
        if measured.case.varies == varies and not measured.why_skipped:
            return measured
    return None

