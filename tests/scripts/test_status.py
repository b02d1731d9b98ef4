# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/kvm-reset-status, in front of monitors that are made up."""

import contextlib
import io
import json
import socket
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

LIB = Path(__file__).resolve().parents[2] / 'scripts'
sys.path.insert(0, str(LIB))

from kvm_reset import status    # noqa: E402

INFO = {'restartable': True, 'vm-present': True, 'generation': 3}


class FakeQemu:
    """A monitor that answers, of a QEMU that never was."""

    def __init__(self, path: Path, enabled: bool = True, module: bool = True,
                 info: dict[str, Any] | None = None) -> None:
        self.path = path
        self.answers: dict[str, Any] = {
            'qmp_capabilities': {},
            'query-name': {'name': path.name},
            'query-kvm': {'enabled': enabled, 'present': True},
            'query-commands': [{'name': 'query-kvm-reset'}] if module else [],
            'query-kvm-reset': info or INFO,
            'human-monitor-command': 'restartable: yes\r\ngeneration: 3\r\n'}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        line, _ = self.listener.accept()
        with line, line.makefile('rw') as file:
            file.write(json.dumps({'QMP': {'version': {},
                                           'capabilities': []}}) + '\n')
            file.flush()
            for asked in file:
                name = json.loads(asked)['execute']
                file.write(json.dumps({'return': self.answers[name]}) + '\n')
                file.flush()


class Status(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix='st')
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def qemu(self, name: str, **options: Any) -> str:
        fake = FakeQemu(self.scratch / name, **options)
        self.addCleanup(fake.listener.close)
        return str(fake.path)

    def run_it(self, *args: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, 'argv', ['status', *args]), \
                contextlib.redirect_stdout(out), \
                contextlib.redirect_stderr(err):
            return status.main(), out.getvalue(), err.getvalue()

    def test_each_guest_has_its_picture(self) -> None:
        self.qemu('a')
        self.qemu('b')
        code, out, err = self.run_it(str(self.scratch))
        self.assertEqual((code, err), (0, ''))
        first, second = out.split('b (')
        self.assertRegex(first, r'^a \(\d+\)\n  restartable: yes\n  gen')
        self.assertIn('restartable: yes', second)

    def test_one_that_somebody_has_to_look_after_is_status_1(self) -> None:
        for number, bad in enumerate(({'restartable': False, 'reason': 'x'},
                                      {'vm-present': False},
                                      {'failure': 'y'})):
            path = self.qemu(str(number), info={**INFO, **bad})
            code, out, _ = self.run_it('--json', path)
            self.assertEqual(code, 1)
            self.assertLessEqual(bad.items(), json.loads(out).items())

    def test_one_without_the_module_or_kvm_says_so(self) -> None:
        code, out, _ = self.run_it(self.qemu('a', module=False))
        self.assertEqual(code, 1)
        self.assertIn('this QEMU is without kvm-reset', out)
        code, out, _ = self.run_it('--json', self.qemu('b', enabled=False))
        self.assertEqual(code, 0)
        self.assertEqual(json.loads(out)['without'], 'KVM is not in use')

    def test_a_monitor_that_another_holds_does_not_keep_it_from_the_next(
            self) -> None:
        held = socket.socket(socket.AF_UNIX)
        self.addCleanup(held.close)
        held.bind(str(self.scratch / 'a'))
        held.listen()
        self.qemu('b')
        with mock.patch.object(status, 'PATIENCE', 0.2):
            code, out, err = self.run_it(str(self.scratch))
        self.assertEqual(code, 1)
        self.assertIn('does another program hold its monitor?', err)
        self.assertIn('b (', out)

    def test_what_is_no_socket_is_named(self) -> None:
        code, _, err = self.run_it(str(self.scratch / 'none'))
        self.assertEqual(code, 2)
        self.assertIn('none: there is no socket', err)

    def test_without_any_it_says_what_to_do(self) -> None:
        with mock.patch.object(status, 'discovered', list):
            code, _, err = self.run_it()
        self.assertEqual(code, 1)
        self.assertIn('name one', err)
