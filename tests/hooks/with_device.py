#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a QEMU that has one more device, from a QEMU that is built: the
device's file is compiled as the others are, and all of it linked again. Neither
the source nor the build directory is changed.

    with_device.py BUILD-DIRECTORY DEVICE.c OUTPUT
"""

import sys
from pathlib import Path

from without import PROGRAM, Failed, commands_of, replaced, run

# Compiled once for all targets, as a device is that asks for no KVM.
LIKE = 'hw/pci/pci.c'
STUBS = 'accel/kvm-reset/qemu/stubs.c'


def object_of(build: Path, source: Path, output: Path,
              commands: list[dict[str, str]]) -> Path:
    like = [c for c in commands if c['file'].endswith('/' + LIKE)]
    if len(like) != 1:
        raise Failed(f'{build} does not make {LIKE} once')
    obj = like[0]['output']
    own = output.with_name(source.stem + '.o')
    run(replaced(like[0]['command'], {
        obj: str(own), f'{obj}.d': f'{own}.d',
        like[0]['file']: str(source)}), build)
    return own


def make(build: Path, source: Path, output: Path) -> None:
    commands = commands_of(build)
    link = [c for c in commands if c['output'] == PROGRAM]
    if len(link) != 1:
        raise Failed(f'{build} does not make {PROGRAM} once')
    output.parent.mkdir(parents=True, exist_ok=True)
    own = object_of(build, source, output, commands)
    run(replaced(link[0]['command'], {PROGRAM: str(output)}) + [str(own)],
        build)
    # Of a target without KVM, for who looks whether the device links there.
    tree = Path(link[0]['directory'], next(
        c['file'] for c in commands if c['file'].endswith('/' + LIKE)))
    stubs = tree.resolve().parents[2] / STUBS
    object_of(build, stubs, output, commands)


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    build, source, output = (Path(word).resolve() for word in sys.argv[1:])
    try:
        make(build, source, output)
    except Failed as failed:
        print(f'with_device.py: error: {failed}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
