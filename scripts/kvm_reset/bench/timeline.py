# SPDX-License-Identifier: GPL-2.0-or-later
"""The phases of one rebirth as a drawing."""

from dataclasses import dataclass
from html import escape

from .measure import (PEER, PEER_PLAIN, PLAIN, WITH_SPARE, WITHOUT_SPARE,
                      Measured, median)

WIDTH, LEFT, RIGHT = 860, 170, 40
BAR, GAP = 22, 12
COLOURS = {'quiesce': '#7b6ba8', 'prepare': '#d98032', 'commit': '#c23b3b',
           'hooks': '#3d8f8f', 'reset': '#9db7cf', 'retire': '#b9b9b9',
           'next spare': '#e6c48f', 'new VM': '#c9a227'}


@dataclass
class Bar:
    lane: str
    what: str
    start: float  # ms
    length: float


def nearest_to_median(measured: Measured, who: str) -> int:
    """Which round is the one to show."""
    totals = measured.phases[who]['total']
    middle = median(totals)
    return min(range(len(totals)), key=lambda i: abs(totals[i] - middle))


def guest_waits(measured: Measured, who: str, lane: str) -> list[Bar]:
    """One reset with a new VM, from the command to its end."""
    i = nearest_to_median(measured, who)
    phases = {name: values[i] for name, values in measured.phases[who].items()}
    # Reading the vCPUs' state comes first; how long is not known, little is.
    bars, at = [], 0.0
    for phase in ('quiesce', 'prepare', 'commit', 'hooks'):
        bars.append(Bar(lane, phase, at, phases[phase]))
        at += phases[phase]
    rest = max(measured.resets[who][i] - phases['total'], 0.0)
    bars.append(Bar(lane, 'reset', at, rest))
    return bars


def overview(measured: Measured) -> list[Bar]:
    bars = [Bar('plain reset', 'reset', 0, median(measured.resets[PLAIN]))]
    bars += guest_waits(measured, WITH_SPARE, 'with a spare')
    end = bars[-1].start + bars[-1].length
    i = nearest_to_median(measured, WITH_SPARE)
    retire = measured.phases[WITH_SPARE]['retire'][i]
    bars += [Bar('  background', 'retire', end, retire),
             Bar('  background', 'next spare', end + retire,
                 measured.next_spare[i])]
    bars += guest_waits(measured, WITHOUT_SPARE, 'without a spare')
    if PEER in measured.resets:
        plain = median(measured.resets[PEER_PLAIN])
        bars += [Bar('peer', 'new VM', 0, measured.added(PEER)),
                 Bar('peer', 'reset', measured.added(PEER), plain)]
    return bars


def draw(measured: Measured, title: str) -> str:
    zoom = [bar for bar in guest_waits(measured, WITH_SPARE, 'with a spare')
            if bar.what != 'reset']
    floor = median(measured.floor['swap'])
    zoom.append(Bar('the bare swap', 'commit', 0, floor))
    parts: list[str] = []
    y = 44.0
    y = panel(parts, y, 'Everything', overview(measured))
    y = panel(parts, y + 22, 'The rebirth with a spare, enlarged', zoom)
    y = legend(parts, y + 12)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{y:.0f}" font-family="sans-serif" font-size="12">\n'
            '<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n'
            '<rect width="100%" height="100%" fill="white"/>\n'
            f'<text x="12" y="22" font-size="15">{escape(title)}</text>\n'
            + '\n'.join(parts) + '\n</svg>\n')


def panel(parts: list[str], y: float, title: str, bars: list[Bar]) -> float:
    longest = max(bar.start + bar.length for bar in bars)
    scale = (WIDTH - LEFT - RIGHT) / longest
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    parts.append(f'<text x="12" y="{y + 12:.0f}" font-weight="bold">'
                 f'{escape(title)}</text>')
    top = y + 22
    bottom = top + len(lanes) * (BAR + GAP)
    step = nice_step(longest)
    tick = 0.0
    while tick <= longest:
        x = LEFT + tick * scale
        parts.append(f'<line x1="{x:.1f}" y1="{top:.0f}" x2="{x:.1f}" '
                     f'y2="{bottom:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14:.0f}" '
                     f'text-anchor="middle" fill="#555">{tick:g} ms</text>')
        tick = round(tick + step, 9)
    for bar in bars:
        row = top + lanes.index(bar.lane) * (BAR + GAP) + GAP / 2
        parts.append(
            f'<rect x="{LEFT + bar.start * scale:.2f}" y="{row:.1f}" '
            f'width="{max(bar.length * scale, 0.5):.2f}" height="{BAR}" '
            f'fill="{COLOURS[bar.what]}"><title>{escape(bar.what)}: '
            f'{bar.length:.3f} ms</title></rect>')
    for i, lane in enumerate(lanes):
        row = top + i * (BAR + GAP) + GAP / 2 + 15
        parts.append(f'<text x="12" y="{row:.1f}" xml:space="preserve">'
                     f'{escape(lane)}</text>')
    return bottom + 20


def nice_step(longest: float) -> float:
    step = 10.0 ** -4
    while longest / step > 10:
        for factor in (2, 2.5, 2):
            step *= factor
            if longest / step <= 10:
                break
    return step


def legend(parts: list[str], y: float) -> float:
    words = {'reset': 'reset of devices and vCPUs, and the monitor',
             'new VM': "the peer's new VM", 'retire': 'end of the old VM'}
    x = 12.0
    for what, colour in COLOURS.items():
        text = words.get(what, what)
        width = 30 + 6.6 * len(text)
        if x + width > WIDTH:
            x, y = 12.0, y + 20
        parts.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="12" height="12" '
                     f'fill="{colour}"/><text x="{x + 16:.0f}" '
                     f'y="{y + 11:.0f}">{escape(text)}</text>')
        x += width
    return y + 28
