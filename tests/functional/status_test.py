# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/kvm-reset-status, of QEMUs as they are."""

import json
import subprocess
from pathlib import Path

from kvm_reset_test import KvmResetTest

SCRIPT = Path(__file__).resolve().parents[2] / 'scripts/kvm-reset-status'


class Status(KvmResetTest):
    def status(self, *args: str) -> tuple[int, str]:
        done = subprocess.run([SCRIPT, *args], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.stderr, '')
        return done.returncode, done.stdout

    def test_it_says_how_it_stands_and_what_to_do(self) -> None:
        # The address of a socket has 108 bytes.
        path = f'/tmp/status{id(self)}'
        self.addCleanup(lambda: Path(path).unlink(missing_ok=True))
        guest = self.start(firmware=True, memory=64, args=[
            '-name', 'asked', '-qmp', f'unix:{path},server=on,wait=off'])
        guest.wait_firmware()
        # By its command line, and by its socket.
        for args in ((), (path,)):
            code, said = self.status(*args)
            self.assertEqual(code, 0, said)
            self.assertIn(f'asked ({guest.pid})', said)
            self.assertIn('restartable: yes', said)
            self.assertNotIn('what to do', said)
        info = json.loads(self.status('--json')[1])
        self.assertTrue(info['restartable'])
        self.assertEqual(info['generation'], guest.generation())

        guest.qmp('kvm-detach')
        code, said = self.status(path)
        self.assertEqual(code, 1, said)
        self.assertIn('what to do: give it KVM again', said)
        guest.qmp('kvm-attach')
        self.assertEqual(self.status(path)[0], 0)
