# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of confidential guest, with 1, 2 and 4 vCPUs, with and without
kernel hashes, reboots and is reset many times over.

Only with KVM_RESET_COCO=all, which is `scripts/test coco`. The guest is a
Linux of a megabyte (tests/coco-platform/linux), KVM_RESET_TINY_KERNEL and
KVM_RESET_TINY_INITRD, because Debian's would take hours on an emulated CPU.
KVM_RESET_COCO_ROUNDS is how often, if not 20 times each, and
KVM_RESET_COCO_LINUX whose rules the platform has (its README). On the lab OVMF
starts Debian's kernel, 10 times each, and always measured."""

import json
import os
import time
from pathlib import Path
from typing import Any

import coco_test
from guest import Guest
from judge import ON_LAB

ROUNDS = int(os.environ.get('KVM_RESET_COCO_ROUNDS', '10' if ON_LAB else '20'))
# Beside the catalogue, where the host can read it.
TABLE = Path(os.environ.get('KVM_RESET_CATALOGUE', '/tmp/x')).with_name(
    'coco-matrix')


class Matrix(coco_test.Coco):
    """Guests of one kind, with so many vCPUs."""

    SMP = ''
    WEIGHT = 300
    TIME_LIMIT = 14400 if ON_LAB else 3600
    KERNEL = os.environ.get('KVM_RESET_TINY_KERNEL', coco_test.KERNEL)
    INITRD = os.environ.get('KVM_RESET_TINY_INITRD', coco_test.INITRD)

    def comes_back(self, guest: Guest, how: str, launches: int) -> None:
        """Once: on a new VM, measured the same by everybody, with the old
        one's id free again."""
        with self.reborn(guest):
            if how == 'reboot':
                guest.console.send('reboot')
            else:
                guest.qmp('system_reset')
        self.must_be_the_same(guest, launches)
        self.assertEqual(len(self.events('launch')), launches)
        self.must_free_ids(guest)
        guest.console.forget()

    def again_and_again(self, hashes: bool) -> None:
        """With two ids only: a guest whose old one stayed taken would find
        none at the second reset. Each CPU is a socket, since SeaBIOS' MP
        table, by which this Linux finds them, has one CPU of each."""
        began = time.monotonic()
        guest = self.boot(smp=f'{self.SMP},sockets={self.SMP}', hashes=hashes,
                          es_asids=2, sev_asids=2, key_ids=2)
        self.assertEqual(guest.cpus, int(self.SMP))
        done = {'reboot': 0, 'reset': 0}
        for n in range(2 * ROUNDS):
            how = 'reboot' if n % 2 == 0 else 'reset'
            self.comes_back(guest, how, n + 2)
            done[how] += 1
        self.assertEqual(len(set(guest.boot_ids)), 2 * ROUNDS + 1)
        measurement = guest.info()['launch']['measurement']
        row = {'kind': self.TEE, 'qemu': self.version(guest),
               'linux': os.environ.get('KVM_RESET_COCO_LINUX', '7.3'),
               'vcpus': int(self.SMP), 'hashes': hashes,
               'reboots': done['reboot'], 'resets': done['reset'],
               'digest': measurement['first'],
               'launches': len(self.events('launch')),
               'equal': measurement['equal']
               and measurement['first'] == self.expected,
               'seconds': round(time.monotonic() - began)}
        with TABLE.open('a') as file:
            print(json.dumps(row), file=file)

    @staticmethod
    def version(guest: Guest) -> str:
        qemu = guest.qmp('query-version')['qemu']
        return f'{qemu["major"]}.{qemu["minor"]}'


def guests_of(tee: str, smp: str) -> type[Matrix]:
    """Each of its tests says what it is of, so that a table is not needed to
    know which one failed."""
    def with_hashes(self: Matrix) -> None:
        self.again_and_again(True)

    def without_hashes(self: Matrix) -> None:
        self.again_and_again(False)

    name = f'test_{tee.replace("-", "_")}_guest_of_{smp}_vcpus_comes_back'
    tests: dict[str, Any] = {}
    if not ON_LAB:
        tests[name + '_each_time'] = without_hashes
    # A TD's kernel is measured by its firmware, when it runs.
    if tee != 'tdx':
        tests[name + '_with_its_kernel_measured'] = with_hashes
    else:
        # The smallest Linux finds no timer without a PIC, which a TD has not.
        tests |= {'KERNEL': coco_test.KERNEL, 'INITRD': coco_test.INITRD}
    return type(f'{tee.title().replace("-", "")}Of{smp}', (Matrix,),
                {'TEE': tee, 'SMP': smp, '__module__': __name__,
                 'WEIGHT': Matrix.WEIGHT + int(smp), **tests})


def all_guests() -> list[type[Matrix]]:
    if os.environ.get('KVM_RESET_COCO') != 'all':
        return []
    return [guests_of(tee, smp) for tee in coco_test.OBJECTS
            for smp in (('1', '2') if ON_LAB else ('1', '2', '4'))]


# Where whoever looks for tests finds them, each once.
globals().update((guest.__name__, guest) for guest in all_guests())
