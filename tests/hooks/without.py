#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a QEMU that lacks one hook, from a QEMU that is built: one file is
compiled again, with without.h, and all of it linked again. Neither the source
nor the build directory is changed.

    without.py BUILD-DIRECTORY HOOK OUTPUT
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = 'qemu-system-x86_64'
# All hooks are registered through a function in there.
SOURCE = 'accel/kvm-reset/qemu/register.c'


class Failed(Exception):
    """There is no such QEMU."""


def commands_of(build: Path) -> list[dict[str, str]]:
    """What ninja would run, with the contents of response files."""
    done = subprocess.run(['ninja', '-C', str(build), '-t', 'compdb', '-x'],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f'{build}: {done.stderr.strip() or done.stdout.strip()}')
    return json.loads(done.stdout[done.stdout.index('['):])


def replaced(command: str, words: dict[str, str]) -> list[str]:
    """@words: each must be in the command."""
    split = shlex.split(command)
    for word in words:
        if word not in split:
            raise Failed(f'the command has no {word}: {command[:200]}')
    return [words.get(word, word) for word in split]


def run(command: list[str], build: Path) -> None:
    done = subprocess.run(command, cwd=build, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise Failed(f'{Path(command[0]).name} failed: {done.stderr[-500:]}')


def make(build: Path, hook: str, output: Path) -> None:
    commands = commands_of(build)
    compile_ = [c for c in commands if c['file'].endswith('/' + SOURCE)]
    link = [c for c in commands if c['output'] == PROGRAM]
    if len(compile_) != 1 or len(link) != 1:
        raise Failed(f'{build} does not make {SOURCE} and {PROGRAM} once each')
    obj = compile_[0]['output']
    own = str(output.with_suffix('.o'))
    command = replaced(compile_[0]['command'], {obj: own})
    # The file may name the hook itself: what counts is who registers it.
    run([*command, '-include', str(HERE / 'without.h'),
         f'-DKVM_RESET_WITHOUT="{hook}"'], build)
    run(replaced(link[0]['command'], {obj: own, PROGRAM: str(output)}), build)
    Path(own).unlink()


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    build, hook, output = sys.argv[1:]
    try:
        make(Path(build).resolve(), hook, Path(output).resolve())
    except Failed as failed:
        print(f'without.py: error: {failed}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
