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
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Optional

from kvm_reset_test import KvmResetTest
from stacks import keep_stacks
from worker import copy_logs, name_of

HERE = Path(__file__).resolve().parent
WORDS = {'passed': 'ok', 'failed': 'FAIL', 'skipped': 'skip'}
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
                    and cls.__module__ == module.__name__):
                continue
            methods = [m for m in vars(cls) if m.startswith('test_')
                       and wanted.search(name_of(cls(m)))
                       and name_of(cls(m)) not in done]
            if methods:
                jobs.append(Job(cls, methods))
    return sorted(jobs, key=lambda job: -job.cls.WEIGHT)


def read_results(path: Optional[Path]) -> list[dict[str, Any]]:
    """Of an earlier run."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


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
        """What the worker said since; none at all when it is gone."""
        assert self.process.stdout
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
    machine of its own, share the work. A run that begins again finds its own."""

    def __init__(self, directory: Path, owner: str) -> None:
        self.directory = directory
        self.owner = owner

    def take(self, job: Job) -> bool:
        path = self.directory / job.cls.__name__
        try:
            with path.open('x') as file:
                file.write(self.owner)
            return True
        except FileExistsError:
            return path.read_text() == self.owner


class Run:
    """All workers, and what came of the tests."""

    def __init__(self, jobs: list[Job], args: argparse.Namespace) -> None:
        self.queue = jobs
        self.args = args
        self.count = Counter(dict.fromkeys(WORDS, 0))
        self.workers: dict[Worker, None] = {}
        self.selector = selectors.DefaultSelector()
        self.count.update(result['outcome']
                          for result in read_results(args.results))
        self.results = open(args.results, 'a')
        self.claims = Claims(args.claims, args.owner) if args.claims else None
        self.first_try = {result['name']: result['reason']
                          for result in read_results(args.first_try)
                          if result['outcome'] == 'failed'}

    def report(self, name: str, outcome: str, reason: str,
               seconds: float) -> None:
        self.count[outcome] += 1
        if outcome == 'passed' and name in self.first_try:
            reason = 'at the second try; the first: ' + self.first_try[name]
        print(f'{WORDS[outcome]:4} {name} {seconds:.1f}'
              + (f' [{reason}]' if reason else ''), flush=True)
        print(json.dumps({'name': name, 'outcome': outcome, 'reason': reason,
                          'seconds': round(seconds, 1)}),
              file=self.results, flush=True)

    def start(self, job: Job) -> None:
        worker = Worker(job, self.args.failures, self.args.scratch)
        self.workers[worker] = None
        self.selector.register(worker.process.stdout, selectors.EVENT_READ,
                               worker)

    def end(self, worker: Worker, why: Optional[str]) -> None:
        """@why: of a test that was under way, or could not begin."""
        del self.workers[worker]
        self.selector.unregister(worker.process.stdout)
        worker.kill()
        if why is None:
            shutil.rmtree(worker.root, ignore_errors=True)
            return
        names = worker.job.names()
        if worker.test is None and not names:
            self.report(worker.job.cls.__name__ + '.end', 'failed', why, 0)
            return
        worker.keep_logs()
        name = worker.test or names[0]
        self.report(name, 'failed', why, time.monotonic() - worker.began)
        worker.job.methods.pop(names.index(name))
        if worker.job.methods:
            self.queue.insert(0, worker.job)

    def turn(self) -> None:
        while self.queue and len(self.workers) < self.args.jobs:
            job = self.queue.pop(0)
            if not self.claims or self.claims.take(job):
                self.start(job)
        if not self.workers:
            return
        first = min(worker.deadline for worker in self.workers)
        wait = max(0.0, first - time.monotonic())
        for key, _ in self.selector.select(wait):
            worker = key.data
            try:
                for event in worker.hear():
                    if event['event'] == 'end':
                        self.report(event['name'], event['outcome'],
                                    event['reason'], event['seconds'])
            except EOFError:
                whole = not worker.job.methods and not worker.test
                self.end(worker, None if whole else worker.why_dead())
        for worker in list(self.workers):
            if time.monotonic() > worker.deadline:
                took = time.monotonic() - worker.began
                worker.keep_stacks()
                self.end(worker, f'it did not end in {took:.0f} s and was '
                                 'killed')

    def all(self) -> int:
        while self.queue or self.workers:
            self.turn()
        return 1 if self.count['failed'] else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--filter', default='')
    parser.add_argument('--results', type=Path,
                        help='tests that it has already are not run')
    parser.add_argument('--claims', type=Path,
                        help='a directory that several runs share')
    parser.add_argument('--owner', default='', help='this one of them')
    parser.add_argument('--first-try', type=Path,
                        help='results of what failed and is tried again')
    parser.add_argument('--failures', type=Path, required=True)
    parser.add_argument('--scratch', type=Path)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--list', action='store_true')
    args = parser.parse_args()
    done = set()
    if not args.list:
        done = {result['name'] for result in read_results(args.results)}
    jobs = find_tests(re.compile(args.filter), done)
    if args.list:
        print('\n'.join(name for job in jobs for name in job.names()))
        return 0
    if not jobs and not done:
        print(f'error: no test matches {args.filter!r}', file=sys.stderr)
        return 2
    shutil.rmtree(args.scratch, ignore_errors=True)
    run = Run(jobs, args)
    # An interrupt must not leave guests behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run.all()
    finally:
        for worker in list(run.workers):
            worker.kill()


if __name__ == '__main__':
    sys.exit(main())
