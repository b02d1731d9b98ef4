# SPDX-License-Identifier: GPL-2.0-or-later
"""Who judges what becomes of a confidential guest, and what such a guest is.

KVM_RESET_JUDGE says it: "platform", the simulated one of tests/coco-platform,
which is preloaded into the guest's QEMU, or "lab", the emulated AMD host of
lab/, on which the tests run then. Both keep logs of one form."""

import json
import os
from pathlib import Path
from typing import Any

JUDGE = os.environ.get('KVM_RESET_JUDGE', 'platform')
ON_LAB = JUDGE == 'lab'
LIBRARY = os.environ.get('KVM_RESET_COCO_LIBRARY', '')
# The lab's processor logs all that happens on its host.
LAB_LOG = Path(os.environ.get('KVM_RESET_LAB_LOG', '/nonexistent'))

# TCG has neither XSAVEC nor XSAVES, and an SNP guest's Linux ends itself without
# them if CPUID has a leaf about XSAVE at all.
CPU_MODEL = 'EPYC-v1' if ON_LAB else 'EPYC-v4'
CPU = f'{CPU_MODEL},-xsave,level=7' if ON_LAB else CPU_MODEL
# The platform's guests are no encrypted ones to the CPU beneath it.
SEV = f'id=cg,cbitpos={51 if ON_LAB else 0},reduced-phys-bits=1'
OBJECTS = {
    'sev': f'sev-guest,{SEV},policy=1',
    'sev-es': f'sev-guest,{SEV},policy=5',
    'snp': f'sev-snp-guest,{SEV}',
}
if not ON_LAB:
    OBJECTS['tdx'] = 'tdx-guest,id=cg'


class Log:
    """What the judge has logged of one QEMU."""

    def __init__(self, own: Path) -> None:
        """@own: where the platform is to write"""
        self.own = own
        own.unlink(missing_ok=True)
        self.begin = LAB_LOG.stat().st_size if ON_LAB else 0

    def environment(self, settings: dict[str, Any]) -> dict[str, str]:
        """QEMU's, and so the platform's; @settings: of it, in lower case."""
        if ON_LAB:
            return {}
        return {'LD_PRELOAD': LIBRARY, 'KVM_RESET_COCO_LOG': str(self.own)} | {
            f'KVM_RESET_COCO_{name.upper()}': str(value)
            for name, value in settings.items()}

    def events(self, name: str) -> list[dict[str, Any]]:
        with (LAB_LOG if ON_LAB else self.own).open('rb') as file:
            file.seek(self.begin)
            lines = file.read().splitlines()
        return [event for event in map(json.loads, lines)
                if event['event'] == name]
