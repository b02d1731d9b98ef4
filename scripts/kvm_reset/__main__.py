# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one command of this package, which is a module with a main():

    python3 scripts/kvm_reset COMMAND [ARGUMENT]...

They are for the scripts beside it, which install what is needed first.
"""

import importlib
import sys
from pathlib import Path

COMMANDS = {
    'appliance': 'carries a command into the appliance: scripts/appliance',
    'attestation': 'makes certificates and verifies reports: lab-attest',
    'audit.drive': 'takes a QEMU through two resets and records them',
    'audit.matrix': 'does that for each command line of audit/matrix.toml',
    'audit.report': 'compares the two VMs of a record',
    'bench.coco': 'measures resets of confidential guests',
    'bench.preserve': 'measures moves to a new VM, and migrations',
    'bench.reset': 'measures resets',
    'bench.table': 'judges what was measured: the end of scripts/bench',
    'coco_check.command': 'looks at a machine, or writes the report',
    'coco_table': 'prints the table of scripts/test coco',
    'cpu_models': "compares a QEMU's CPU models with kvm-reset-measure's",
    'functional': 'runs functional tests in appliances, and some again',
    'judges': 'prints what each test came to on the lab and the platform',
    'kvm_device': 'says why /dev/kvm cannot carry a guest, if so',
    'module_swap': "replaces the host's KVM modules beneath guests",
    'new_appliances': 'runs a command again while its appliance fails',
    'own_warnings': "compiles our files of QEMU's build, for warnings",
    'qemu.series': 'says which version a QEMU tree is',
    'qemu.tree_sync': 'makes one tree like another',
    'quickstart': 'has a guest reset ten times: the end of scripts/quickstart',
    'results': 'collects what tests came to, and sums it up',
    'status': 'prints info kvm-reset of each QEMU: kvm-reset-status',
    'subsystems': 'makes docs/subsystems.md, or checks it',
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    return __doc__ + '\n' + '\n'.join(
        f'  {name:{width}}  {does}' for name, does in COMMANDS.items())


def main() -> int | None:
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(usage(), file=sys.stderr)
        return 2
    name = sys.argv.pop(1)
    sys.argv[0] = name
    # This directory is not where its modules import each other from.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    return importlib.import_module(f'kvm_reset.{name}').main()


if __name__ == '__main__':
    sys.exit(main())
