# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs tests of one class, in their order, and says of each on standard output
when it begins and how it ended, as JSON lines.

    worker.py FAILURES MODULE CLASS METHOD...

The logs of a test that failed are copied to FAILURES/NAME/.
"""

import importlib
import json
import os
import shutil
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from kvm_reset_test import KvmResetTest


def name_of(test: unittest.TestCase) -> str:
    """reboot.port_cf9_gives_a_new_vm of Reboot.test_port_cf9_gives... in
    reboot_test.py"""
    module = type(test).__module__.removesuffix('_test')
    method = test.id().rpartition('.')[2].removeprefix('test_')
    return f'{module}.{method}'


def short(error: BaseException) -> str:
    """In one line: the rest of an assertion's text is a picture of it."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = next((line for line in lines if line), '') or repr(error)
    if not isinstance(error, AssertionError):
        text = f'{type(error).__name__}: {text}'
    return text[:500]


class Result(unittest.TestResult):
    """Says everything at once, since the test may not live to the end."""

    def __init__(self, out: Any, failures: Path) -> None:
        super().__init__()
        self._out = out
        self._kept = failures
        self._began = 0.0
        self._outcome = ('passed', '')

    def say(self, **what: Any) -> None:
        print(json.dumps(what), file=self._out, flush=True)

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._began = time.monotonic()
        self._outcome = ('passed', '')
        method = getattr(test, test.id().rpartition('.')[2])
        limit = getattr(method, 'time_limit',
                        getattr(test, 'TIME_LIMIT', 300))
        self.say(event='begin', name=name_of(test), limit=limit)

    def failed(self, text: str, error: Any) -> None:
        self._outcome = ('failed', short(error))
        self._text = text

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self.failed(self.failures[-1][1], err[1])

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        # One that comes while tidying up says less than the first one.
        if self._outcome[0] != 'failed':
            self.failed(self.errors[-1][1], err[1])
        if not isinstance(test, unittest.TestCase):
            # setUpClass() and the like have no test of their own.
            self.say(event='end', name=str(test), outcome='failed',
                     reason=self._outcome[1], seconds=0)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        """Called for each part that failed, and for the others after them."""
        super().addSubTest(test, subtest, err)
        if err and self._outcome[0] != 'failed':
            told = self.failures if issubclass(err[0], test.failureException) \
                else self.errors
            self.failed(told[-1][1], err[1])

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._outcome = ('skipped', reason)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        outcome, reason = self._outcome
        if outcome == 'failed':
            self.keep(test)
        self.say(event='end', name=name_of(test), outcome=outcome,
                 reason=reason,
                 seconds=round(time.monotonic() - self._began, 1))

    def keep(self, test: unittest.TestCase) -> None:
        to = self._kept / name_of(test)
        to.mkdir(parents=True, exist_ok=True)
        (to / 'traceback').write_text(self._text)
        if isinstance(test, KvmResetTest):
            for number, path in enumerate(test.log_dirs()):
                if os.path.isdir(path):
                    copy_logs(Path(path), to / str(number) if number else to)


def copy_logs(source: Path, to: Path) -> None:
    """Files only, and none that is a disk or a migration stream."""
    to.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.stat().st_size < 16 << 20:
            shutil.copy(path, to)


def main() -> int:
    failures, module, name, *methods = sys.argv[1:]
    out = os.fdopen(os.dup(1), 'w')
    # What else is printed is not part of the answer.
    os.dup2(2, 1)
    cls = getattr(importlib.import_module(module), name)
    suite = unittest.TestSuite(cls(method) for method in methods)
    suite.run(Result(out, Path(failures)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
