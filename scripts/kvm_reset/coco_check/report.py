# SPDX-License-Identifier: GPL-2.0-or-later
"""The report that goes with a bug: what was found, what was run, how it went.

It has no addresses, names of hosts or users, and nothing of a guest's memory;
the logs of failed tests are the small guest's own."""

import json
from pathlib import Path
from typing import Optional

from .look import Machine

# The end of a log tells; the rest makes a report nobody can send.
LOG_TAIL = 8000


def tests_of(results: Optional[Path]) -> list[str]:
    if results is None or not results.exists():
        return ['none was run']
    lines = []
    for line in results.read_text().splitlines():
        result = json.loads(line)
        reason = f': {result["reason"]}' if result['reason'] else ''
        lines.append(f'{result["outcome"]} {result["name"]}'
                     f' {result.get("seconds", 0)} s{reason}')
    return lines or ['none was run']


def logs_of(directory: Optional[Path]) -> list[str]:
    if directory is None or not directory.is_dir():
        return []
    text = []
    for path in sorted(directory.glob('*/**/*')):
        if path.is_file() and path.suffix in ('.log', '.console', '.json'):
            tail = path.read_text(errors='replace')[-LOG_TAIL:]
            text += ['', f'--- {path.relative_to(directory)}', tail.rstrip()]
    return text


def write(path: Path, machine: Machine, results: Optional[Path],
          logs: Optional[Path], simulated: bool) -> None:
    lines = ['kvm-reset: confidential guests on this machine', '']
    if simulated:
        lines += ['SIMULATED: the platform is tests/coco-platform, and none '
                  'of this says anything of hardware.', '']
    lines += ['can be launched: ' + (', '.join(machine.kinds) or 'nothing'),
              '', 'what was looked at']
    lines += [f'  {each.where}: {each.answer}' for each in machine.findings]
    lines += ['', 'tests'] + [f'  {line}' for line in tests_of(results)]
    lines += logs_of(logs)
    path.write_text('\n'.join(lines) + '\n')
