# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares the CPU models for SEV hosts that a QEMU has with those that
kvm-reset-measure knows: every one has to be known, by the same signature.

    cpu_models QEMU KVM-RESET-MEASURE
"""

import subprocess
import sys

from .qmp import Gone, Monitor, QmpError, pair

# What SEV hosts have; QEMU has AMD's older models too.
FAMILIES = ('EPYC', 'Dhyana')


def signature(family: int, model: int, stepping: int) -> int:
    extended = max(family - 15, 0)
    return (extended << 20 | model >> 4 << 16 | family - extended << 8
            | (model & 15) << 4 | stepping)


class Qemu:
    """A machine without anything, to be asked; needs no KVM."""

    def __init__(self, program: str) -> None:
        channel, theirs, monitor = pair()
        self.process = subprocess.Popen(
            [program, '-machine', 'none', '-accel', 'qtest', '-qtest', 'null',
             '-nodefaults', '-display', 'none', *monitor],
            stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        theirs.close()
        self.monitor = Monitor(channel)

    def signatures(self) -> dict[str, int]:
        found = {}
        for entry in self.monitor.command('query-cpu-definitions'):
            name = entry['name']
            if name.startswith(FAMILIES):
                props = self.monitor.command(
                    'query-cpu-model-expansion', type='full',
                    model={'name': name})['model']['props']
                found[name] = signature(props['family'], props['model'],
                                        props['stepping'])
        return found

    def close(self) -> None:
        self.monitor.command('quit')
        self.process.wait(timeout=10)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, measure = sys.argv[1:]
    listed = subprocess.run([measure, '--list-vcpu-types'], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    known = {name: int(number, 16) for name, number in
             (line.split() for line in listed.splitlines())}
    try:
        qemu = Qemu(program)
        found = qemu.signatures()
        qemu.close()
    except (Gone, QmpError) as error:
        sys.exit(f'error: {program}: {error}')
    if not found:
        sys.exit(f'error: {program} has no model {" or ".join(FAMILIES)}')
    for name, number in sorted(found.items()):
        if known.get(name) != number:
            says = hex(known[name]) if name in known else 'nothing'
            sys.exit(f'error: -cpu {name} has the signature {number:#x}, and '
                     f'kvm-reset-measure knows {says}: change the table in '
                     'cpu_signature.cc')
        print(f'{name} {number:#x}')
