# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of coco_test.py on whatever platform this machine has.

scripts/coco-check runs them: KVM_RESET_HARDWARE names what it found. Without it
there are none. Real platforms keep no log, so here QEMU's own two measurements
are compared, and that each reset gave a new VM."""

import json
import os
from pathlib import Path
from typing import Any

from coco_test import FIRMWARE, KERNEL, LIBRARY, Coco
from guest import Guest
from kvm_reset_test import KvmResetTest

FOUND = os.environ.get('KVM_RESET_HARDWARE', '')
MACHINE = json.loads(Path(FOUND).read_text()) if FOUND else {'kinds': []}
TDVF = os.environ.get('KVM_RESET_COCO_TDVF', FIRMWARE)


def launched_as(tee: str) -> str:
    sev = (f'id=cg,cbitpos={MACHINE["cbitpos"]},'
           f'reduced-phys-bits={MACHINE["reduced_phys_bits"]}')
    return {'sev': f'sev-guest,{sev},policy=1',
            'sev-es': f'sev-guest,{sev},policy=5',
            'snp': f'sev-snp-guest,{sev}', 'tdx': 'tdx-guest,id=cg'}[tee]


class Hardware(Coco):
    """What coco_test.py has to do otherwise."""

    def setUp(self) -> None:
        KvmResetTest.setUp(self)
        if self.TEE not in MACHINE['kinds']:
            self.skipTest(f'this machine cannot launch {self.TEE}')
        for path in (FIRMWARE, TDVF, KERNEL):
            self.require_file(path, 'what starts in a guest')

    def boot(self, *, smp: str = '2', **options: Any) -> Guest:
        tdx = self.TEE == 'tdx'
        machine = 'q35,confidential-guest-support=cg'
        if LIBRARY:
            os.environ['LD_PRELOAD'] = LIBRARY
        try:
            guest = self.start(
                rebirth=False, smp=smp, kernel=KERNEL,
                machine=machine + (',kernel-irqchip=split' if tdx else ''),
                cpu='host' if tdx else 'EPYC-v4',
                args=['-object', launched_as(self.TEE),
                      '-bios', TDVF if tdx else FIRMWARE])
        finally:
            os.environ.pop('LD_PRELOAD', None)
        guest.wait_boot()
        info = guest.info()
        self.assertTrue(info['restartable'], info)
        self.assertEqual(info['launch']['state'], 'finished')
        return guest

    def must_be_the_same(self, guest: Guest, launches: int) -> None:
        measurement = guest.info()['launch']['measurement']
        self.assertTrue(measurement['equal'], measurement)
        self.assertEqual(len(guest.rebirths), launches - 1)
        for rebirth in guest.rebirths:
            self.assertEqual(rebirth['measurement'], measurement)

    def must_free_ids(self, guest: Guest) -> None:
        """A platform that runs out of them has refused a launch before."""


if FOUND:
    class SnpHardware(Hardware):
        TEE = 'snp'

        def test_snp_reboots(self) -> None:
            self.reboots()

        def test_snp_is_reset(self) -> None:
            self.resets()

    class SevEsHardware(Hardware):
        TEE = 'sev-es'

        def test_sev_es_reboots(self) -> None:
            self.reboots()

        def test_sev_es_is_reset(self) -> None:
            self.resets()

    class SevHardware(Hardware):
        TEE = 'sev'

        def test_sev_reboots(self) -> None:
            self.reboots()

        def test_sev_is_reset(self) -> None:
            self.resets()

    class TdxHardware(Hardware):
        TEE = 'tdx'

        def test_tdx_reboots(self) -> None:
            self.reboots()

        def test_tdx_is_reset(self) -> None:
            self.resets()
