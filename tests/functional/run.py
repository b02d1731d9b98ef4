# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the functional tests on the machine that this is: finds them, gives each
class a process of its own, ends what hangs, and says how each test went.

The environment: KVM_RESET_QEMU, KVM_RESET_GUEST_KERNEL, KVM_RESET_GUEST_ELF,
KVM_RESET_GUEST_INITRD, KVM_RESET_CATALOGUE, KVM_RESET_AUDIT,
KVM_RESET_MEMTEST. scripts/functional sets it all.
"""

import argparse
import importlib
import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Optional

from kvm_reset.results import FAILED, Result, read, write
from judge import JUDGE
from kvm_reset_test import KvmResetTest
from stacks import keep_stacks
from worker import copy_logs, name_of

HERE = Path(__file__).resolve().parent
WORDS = {'passed': 'ok', 'failed': 'FAIL', 'skipped': 'skip'}
# Seconds between two signs of life.
HEARTBEAT = 20.0
# For what is not inside of a test: starting Python, ending a shared guest.
BETWEEN_TESTS = 90.0


class Job:
    """One class and which of its tests are left to run."""

    def __init__(self, cls: type[KvmResetTest], methods: list[str]) -> None:
        self.cls = cls
        self.methods = methods

    def names(self) -> list[str]:
        return [name_of(self.cls(method)) for method in self.methods]


def find_tests(wanted: re.Pattern[str], done: set[str]) -> list[Job]:
    jobs = []
    for path in sorted(HERE.glob('*_test.py')):
        module = importlib.import_module(path.stem)
        for cls in vars(module).values():
            if not (isinstance(cls, type) and issubclass(cls, KvmResetTest)
                    and cls.__module__ == module.__name__
                    and JUDGE in cls.JUDGES):
                continue
            methods = [m for m in vars(cls) if m.startswith('test_')
                       and wanted.search(name_of(cls(m)))
                       and name_of(cls(m)) not in done]
            if methods:
                jobs.append(Job(cls, methods))
    return sorted(jobs, key=lambda job: -job.cls.WEIGHT)


class Worker:
    """A process that runs a job."""

    def __init__(self, job: Job, failures: Path, scratch: Path) -> None:
        self.job = job
        self.failures = failures
        self.root = scratch / job.cls.__name__
        self.root.mkdir(parents=True, exist_ok=True)
        self.test: Optional[str] = None
        self.began = time.monotonic()
        self.deadline = self.began + BETWEEN_TESTS
        self.log = (self.root / 'worker.log').open('ab')
        self.process = subprocess.Popen(
            [sys.executable, '-B', str(HERE / 'worker.py'), str(failures),
             job.cls.__module__, job.cls.__name__, *job.methods],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, 'QEMU_BUILD_ROOT': str(self.root),
                 'TMPDIR': str(self.root),
                 'QEMU_TEST_QEMU_BINARY': os.environ['KVM_RESET_QEMU']},
            start_new_session=True)
        self.heard = b''

    def hear(self) -> list[dict[str, Any]]:
        """What the worker said since; TimeoutError when a test's time is over,
        EOFError when the worker is gone."""
        assert self.process.stdout
        wait = max(0.0, self.deadline - time.monotonic())
        if not select.select([self.process.stdout], [], [], wait)[0]:
            raise TimeoutError
        data = os.read(self.process.stdout.fileno(), 65536)
        if not data:
            raise EOFError
        *lines, self.heard = (self.heard + data).split(b'\n')
        events = [json.loads(line) for line in lines]
        for event in events:
            now = time.monotonic()
            if event['event'] == 'begin':
                self.test, self.began = event['name'], now
                self.deadline = now + event['limit']
            else:
                self.test, self.deadline = None, now + BETWEEN_TESTS
                names = self.job.names()
                if event['name'] in names:
                    self.job.methods.pop(names.index(event['name']))
        return events

    def kill(self) -> None:
        """With all that it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def keep_stacks(self) -> None:
        """Of a test that hangs, while there is somebody to ask."""
        if self.test:
            keep_stacks(self.process.pid, self.failures / self.test)

    def keep_logs(self) -> None:
        """Of a test that could not do it by itself."""
        if self.test:
            for directory in self.root.rglob('*'):
                if directory.is_dir():
                    copy_logs(directory, self.failures / self.test
                              / directory.relative_to(self.root))

    def why_dead(self) -> str:
        self.process.wait()
        last = (self.root / 'worker.log').read_text(errors='replace')
        lines = last.strip().splitlines()
        return (f'the test\'s process ended with {self.process.returncode}: '
                + (lines[-1] if lines else 'no word'))


class Claims:
    """Which class of tests is whose, where several of these runs, each on a
    machine of its own, share the work."""

    def __init__(self, directory: Path, owner: str) -> None:
        self.directory = directory
        self.owner = owner

    def is_ours(self, job: Job) -> bool:
        path = self.directory / job.cls.__name__
        return path.exists() and path.read_text() == self.owner

    def take(self, job: Job) -> bool:
        try:
            with (self.directory / job.cls.__name__).open('x') as file:
                file.write(self.owner)
            return True
        except FileExistsError:
            return self.is_ours(job)


class Run:
    """One worker after the other, and what came of the tests."""

    def __init__(self, jobs: list[Job], args: argparse.Namespace) -> None:
        self.jobs = jobs
        self.until = time.monotonic() + args.seconds
        self.args = args
        self.failed = False
        self.claims = Claims(args.claims, args.owner) if args.claims else None
        # What was under way when this run's first machine failed.
        self.again = {job.names()[0] for job in jobs
                      if self.claims and self.claims.is_ours(job)}

    def report(self, name: str, outcome: str, reason: str,
               seconds: float) -> None:
        result = Result(name, outcome, reason, round(seconds, 1), tries=1)
        if name in self.again:
            result.second_try_after('its appliance failed')
        print(f'{WORDS[outcome]:4} {name} {seconds:.1f}'
              + (f' [{result.reason}]' if result.reason else ''), flush=True)
        write(self.args.results, [result])
        self.failed = self.failed or outcome == FAILED

    def time_is_over(self) -> bool:
        return time.monotonic() >= self.until

    def watch(self, worker: Worker) -> str:
        """Until it ends: empty, or why it did so before all was done."""
        while True:
            if self.time_is_over() and not worker.test:
                return ''
            try:
                for event in worker.hear():
                    if event['event'] == 'end':
                        self.report(event['name'], event['outcome'],
                                    event['reason'], event['seconds'])
            except TimeoutError:
                worker.keep_stacks()
                took = time.monotonic() - worker.began
                return f'it did not end in {took:.0f} s and was killed'
            except EOFError:
                whole = not worker.job.methods and not worker.test
                return '' if whole else worker.why_dead()

    def blame(self, worker: Worker, why: str) -> None:
        """The test that was under way, or could not begin."""
        names = worker.job.names()
        if worker.test is None and not names:
            self.report(worker.job.cls.__name__ + '.end', FAILED, why, 0)
            return
        worker.keep_logs()
        name = worker.test or names[0]
        self.report(name, FAILED, why, time.monotonic() - worker.began)
        worker.job.methods.pop(names.index(name))

    def run(self, job: Job) -> None:
        """In a new process after each test that took the last one with it."""
        while job.methods and not self.time_is_over():
            worker = Worker(job, self.args.failures, self.args.scratch)
            why = 'the run was ended'
            try:
                why = self.watch(worker)
            finally:
                worker.kill()
            if why:
                self.blame(worker, why)
            else:
                shutil.rmtree(worker.root, ignore_errors=True)
        for name in job.names():
            self.report(name, 'skipped', 'no time was left: scripts/functional '
                        f'--filter {name}', 0)

    def all(self) -> int:
        for job in self.jobs:
            if not self.claims or self.claims.take(job):
                self.run(job)
        return 1 if self.failed else 0


def show_life(results: Path) -> None:
    """kvm_reset.new_appliances ends a machine that does not."""
    while True:
        results.touch()
        time.sleep(HEARTBEAT)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--filter', default='')
    parser.add_argument('--results', type=Path,
                        help='tests that it has already are not run')
    parser.add_argument('--claims', type=Path,
                        help='a directory that several runs share')
    parser.add_argument('--owner', default='', help='this one of them')
    parser.add_argument('--failures', type=Path, required=True)
    parser.add_argument('--scratch', type=Path)
    parser.add_argument('--seconds', type=float, default=math.inf,
                        help='in which a test can begin; the light ones come '
                        'first then, and the others are skipped by name')
    parser.add_argument('--list', action='store_true')
    args = parser.parse_args()
    done = set()
    if args.results and args.results.exists():
        done = {result.name for result in read(args.results)}
    jobs = find_tests(re.compile(args.filter), done)
    if args.seconds < math.inf:
        jobs.reverse()
    if not jobs and not done:
        print(f'error: no test matches {args.filter!r}', file=sys.stderr)
        return 2
    if args.list:
        print('\n'.join(name for job in jobs for name in job.names()))
        return 0
    shutil.rmtree(args.scratch, ignore_errors=True)
    if args.results:
        threading.Thread(target=show_life, args=[args.results],
                         daemon=True).start()
    # An interrupt must not leave guests behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return Run(jobs, args).all()


if __name__ == '__main__':
    sys.exit(main())
