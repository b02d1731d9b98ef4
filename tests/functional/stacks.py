# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the QEMUs of a test are that does not come to its end."""

import subprocess
from pathlib import Path

import debugger


def qemus_of(group: int) -> list[int]:
    """The QEMUs in a process group."""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            name, _, rest = path.read_text().rpartition(') ')
        except OSError:
            continue
        if '(qemu-system' in name and int(rest.split()[2]) == group:
            found.append(int(path.parent.name))
    return sorted(found)


def stack_of(pid: int) -> str:
    """Of each of its threads; what went wrong, if nobody can tell."""
    try:
        told = debugger.ask(pid, 'thread apply all backtrace 24',
                            symbols=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f'gdb: {error}\n'
    return told.stdout if '#0' in told.stdout else told.stdout + told.stderr


def keep_stacks(group: int, directory: Path) -> None:
    """One file for each QEMU in @directory."""
    for pid in qemus_of(group):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f'stacks.{pid}').write_text(stack_of(pid))
