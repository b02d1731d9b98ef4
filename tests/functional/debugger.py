# SPDX-License-Identifier: GPL-2.0-or-later
"""What gdb does in a process that goes on afterwards."""

import subprocess

# With symbols to read, on an emulated CPU.
TIMEOUT = 200.0


def ask(pid: int, *commands: str, symbols: bool = False) \
        -> subprocess.CompletedProcess[str]:
    """What @commands print.

    :param symbols: read those of the debugging information too, which takes
                    a while; functions have their names without it
    """
    line = ['gdb', '-nx', '-batch', '-p', str(pid)]
    if not symbols:
        line.append('-readnever')
    for command in commands:
        line += ['-ex', command]
    return subprocess.run(line, capture_output=True, text=True,
                          errors='replace', timeout=TIMEOUT, check=False,
                          stdin=subprocess.DEVNULL)


def call(pid: int, *expressions: str) -> list[str]:
    """The values of @expressions, which may call functions of the process."""
    done = ask(pid, *(f'print {expression}' for expression in expressions))
    values = [line.partition(f'${n} = ')[2]
              for n in range(1, len(expressions) + 1)
              for line in done.stdout.splitlines()
              if line.startswith(f'${n} = ')]
    assert len(values) == len(expressions), done.stdout + done.stderr
    return values
