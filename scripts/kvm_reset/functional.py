# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the functional tests in appliances side by side, tries what failed once
more in a new one, and says how often that was needed: the half of
scripts/functional that comes when all is built.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import new_appliances
from .results import (FAILED, Result, count_line, rate_line, read,
                      second_tries, write)

RUN = Path(__file__).resolve().parents[2] / 'tests/functional/run.py'
# Of a run's tests that may need a second try, and one always may. The emulator
# loses fewer guests than that; what loses more is a fault.
SHARE = 0.02
# Seconds in which the runner in an appliance shows many times that it lives.
# The lab has a clock of its own, which is slow on a busy machine.
PATIENCE = 3600 if os.environ.get('KVM_RESET_JUDGE') == 'lab' else 300


def say(text: str) -> None:
    print(f'functional: {text}', file=sys.stderr, flush=True)


def most_second_tries(tests: int) -> int:
    return max(1, int(tests * SHARE))


class Functional:

    def __init__(self, args: argparse.Namespace, on: list[str]) -> None:
        """@on: the command that starts an appliance, if any; {name} in it
        becomes that of the appliance."""
        self.args = args
        self.on = on
        self.out: Path = args.out
        self.names = self.listed()
        self.results: dict[str, Result] = {}
        self.until = time.monotonic() + 60 * args.minutes
        # Of a runner that had no test to blame.
        self.status = 0

    def runner(self, *words: str | Path) -> list[str]:
        """QEMU's own qemu_test wants that variable, whatever it says."""
        return ['env', 'QEMU_BUILD_ROOT=/tmp', '/usr/bin/python3', '-B',
                *map(str, [RUN, '--failures', self.out, *words])]

    def listed(self) -> list[str]:
        done = subprocess.run(
            self.runner('--filter', self.args.filter, '--list'),
            check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.returncode)
        return done.stdout.split()

    def in_appliance(self, name: str, *words: str | Path) -> None:
        path = self.out / f'results.{name}'
        scratch = Path(os.environ.get('TMPDIR', '/tmp'),
                       f'kvm-reset-functional.{os.getpid()}.{name}')
        on = [word.replace('{name}', name) for word in self.on]
        status = new_appliances.run(4, path, [
            *on, *self.runner('--results', path, '--scratch', scratch,
                              *words)], PATIENCE if self.on else math.inf)
        # 1: a test failed, which its result says.
        self.status = self.status if status in (0, 1) else status
        # A runner that found nothing left to do has only shown that it lives.
        if path.exists() and path.stat().st_size:
            for result in read(path):
                self.results[result.name] = result

    def side_by_side(self) -> None:
        """One CPU in each of several appliances, not several in one: between
        two CPUs that are threads, emulation may run code that one of them has
        just patched."""
        claims = self.out / 'claims'
        claims.mkdir()
        names = [str(number) for number in range(1, self.args.jobs + 1)]
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self.in_appliance(
                name, '--filter', self.args.filter, '--claims', claims,
                '--owner', name, *self.limit()), names))

    def limit(self) -> list[str]:
        if self.until == math.inf:
            return []
        return ['--seconds', str(max(0, self.until - time.monotonic()))]

    def failed(self) -> list[Result]:
        return [result for result in self.results.values()
                if result.outcome == FAILED]

    def once_more(self) -> None:
        """A guest may be the victim of emulation. Twice in a row is no
        accident, and more than a few are none either."""
        first = {result.name: result for result in self.failed()
                 if result.name in self.names}
        most = self.args.again
        if most is None:
            most = most_second_tries(len(self.names))
        if not first or len(self.failed()) > most:
            return
        say('once more, to tell a fault from an accident: ' + ' '.join(first))
        for name in first:
            if (self.out / name).is_dir():
                (self.out / name).rename(self.out / f'{name}.first-try')
        pattern = '|'.join(map(re.escape, first))
        self.status = 0
        for name in first:
            del self.results[name]
        self.in_appliance('again', '--filter', f'^({pattern})$')
        for name, before in first.items():
            if name in self.results:
                self.results[name].second_try_after(before.reason)

    def missing(self) -> None:
        """Whatever became of an appliance, a test that did not run has not
        passed."""
        for name in self.names:
            if name not in self.results:
                self.add_failure(name, 'it did not run: the last run ended '
                                       f'with status {self.status}')

    def cap(self) -> None:
        tried, again = second_tries(self.results.values())
        most = most_second_tries(len(self.names))
        if again > most:
            self.add_failure('second_tries', f'{again} of {tried} tests needed '
                             f'one, and no more than {most} may')

    def add_failure(self, name: str, why: str) -> None:
        say(f'FAIL {name} [{why}]')
        self.results[name] = Result(name, FAILED, why)

    def run(self) -> int:
        self.side_by_side()
        self.once_more()
        self.missing()
        self.cap()
        results = list(self.results.values())
        for path in (self.out / 'results', self.args.results):
            if path:
                path.unlink(missing_ok=True)
                write(path, results)
        print(rate_line(results))
        print(count_line(results), flush=True)
        return 1 if self.failed() else self.status


def main() -> int:
    words = sys.argv[1:]
    end = words.index('--') if '--' in words else len(words)
    parser = argparse.ArgumentParser()
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--filter', default='')
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--again', type=int)
    parser.add_argument('--minutes', type=float, default=math.inf)
    parser.add_argument('--results', type=Path)
    args = parser.parse_args(words[:end])
    return Functional(args, words[end + 1:]).run()
