# SPDX-License-Identifier: GPL-2.0-or-later
"""The half of scripts/audit that runs where the KVM is: takes QEMU through its
two lives under the recorder.

    first life    the guest starts, and is stopped when it has settled
                  an ordinary reset, of the stopped guest: plain
                  it goes on and settles: booted; then it is stopped
                  another ordinary reset: plain again
    second life   a reset with a new VM, of the stopped guest: reborn
                  it goes on and settles: rebooted

At each of the points with a name the recorder gets a mark, and if the guest is
stopped, what KVM lets one read is read. Firmware does other things when it starts cold, so the first
boot is not compared. What the record means is for another program.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..qmp import Gone, Monitor, QmpError, pair

PROPERTY = 'x-change-vmfd-on-reset'


class Failed(Exception):
    """There is nothing to compare."""


@dataclass
class Story:
    """How it went, for the report."""
    qemu: str = ''
    version: str = ''
    kernel: str = ''
    arguments: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # What must not happen in a second life, and did.
    troubles: list[str] = field(default_factory=list)


class Driver:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.record = args.out / 'record'
        self.log = args.out / 'qemu.log'
        self.story = Story(qemu=args.qemu[0], arguments=args.arguments,
                           kernel=' '.join(os.uname()[i] for i in (0, 2)))
        qmp, qemu_qmp, monitor = pair()
        self.control, qemu_control = socket.socketpair()
        libraries = [*args.preload, args.recorder]
        environment = {**os.environ,
                       'LD_PRELOAD': ':'.join(map(str, libraries)),
                       'KVM_AUDIT_RECORD': str(self.record),
                       'KVM_AUDIT_CONTROL': str(qemu_control.fileno())}
        self.process = subprocess.Popen(
            [*args.qemu, *args.arguments, *monitor],
            stdin=subprocess.DEVNULL, stdout=self.log.open('wb'),
            stderr=subprocess.STDOUT, env=environment,
            pass_fds=[qemu_qmp.fileno(), qemu_control.fileno()])
        qemu_qmp.close()
        qemu_control.close()
        try:
            self.qmp = Monitor(qmp, args.timeout)
        except Gone as gone:
            raise Failed(f'{gone} before it was up: {self.last_words()}') \
                from gone
        version = self.qmp.version
        self.story.version = version['package'] or '.'.join(
            str(version['qemu'][part]) for part in ('major', 'minor', 'micro'))

    def last_words(self) -> str:
        lines = self.log.read_text(errors='replace').strip().splitlines()
        return lines[-1] if lines else 'it said nothing'

    def mark(self, name: str, word: str = 'mark') -> None:
        self.control.settimeout(self.args.timeout)
        try:
            self.control.sendall(f'{word} {name}\n'.encode())
            answer = self.control.recv(16)
        except OSError as error:
            answer = b''
            if self.process.poll() is None:
                raise Failed('the recorder does not answer: is QEMU '
                             'statically linked, or not using KVM?') from error
        if answer != b'ok\n':
            raise Gone('QEMU ended')

    def settle(self, start: int) -> None:
        """Until the guest said what --until wants, if anything, and then until
        no call that changes the VM came for a while."""
        deadline = time.monotonic() + self.args.patience
        until = self.args.until
        while until:
            said = self.log.read_bytes()[start:].decode(errors='replace')
            if until.search(said):
                break
            self.watch(deadline, f'the guest did not say "{until.pattern}" '
                                 f'in {self.args.patience:.0f} s')
        size, since = -1, time.monotonic()
        while time.monotonic() - since < self.args.quiet:
            now = self.record.stat().st_size if self.record.exists() else 0
            if now != size:
                size, since = now, time.monotonic()
            if time.monotonic() > deadline:
                self.story.notes.append(
                    'the guest never was quiet: what it was doing may differ')
                break
            self.watch(None, '')

    def watch(self, deadline: float | None, what: str) -> None:
        time.sleep(0.1)
        if self.process.poll() is not None:
            raise Gone(f'QEMU ended with status {self.process.returncode}')
        if deadline and time.monotonic() > deadline:
            raise Gone(what)

    def allow(self, new_vm: bool) -> None:
        self.qmp.command('qom-set', path='/machine', property=PROPERTY,
                         value=new_vm)

    def reset(self, name: str) -> None:
        self.qmp.events.clear()
        self.qmp.command('system_reset')
        self.qmp.wait('RESET')
        # The main loop answers when it is done with all of the reset.
        self.qmp.command('query-status')
        self.mark(name)

    def first_life(self) -> None:
        try:
            self.settle(0)
        except Gone as gone:
            raise Failed(f'{gone} in its first life: {self.last_words()}') \
                from gone
        self.qmp.command('stop')
        if not self.record.exists():
            raise Failed('no KVM ioctl was recorded: is QEMU statically '
                         'linked, or not using KVM?')
        try:
            self.allow(True)
            self.allow(False)
        except QmpError as error:
            raise Failed(f'this QEMU cannot reset with a new VM: {error}') \
                from error
        self.reset_and_boot('plain', 'booted')
        self.reset('plain again')

    def second_life(self) -> None:
        self.allow(True)
        self.reset_and_boot('reborn', 'rebooted')

    def reset_and_boot(self, reset: str, booted: str) -> None:
        said = self.log.stat().st_size
        self.reset(reset)
        if not self.args.boots:
            return
        self.qmp.command('cont')
        self.settle(said)
        # While it runs: some devices give up their eventfds when it stops.
        self.mark(booted, 'note')
        self.qmp.command('stop')

    def run(self) -> None:
        try:
            self.first_life()
            try:
                self.second_life()
            except (Gone, QmpError) as error:
                self.story.troubles.append(f'{error}; its last words: '
                                           + self.last_words())
        except (Gone, QmpError) as error:
            raise Failed(f'{error}, in its first life') from error
        finally:
            self.process.kill()
            self.process.wait()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('--qemu', required=True, action='append')
    parser.add_argument('--recorder', required=True, type=Path)
    parser.add_argument('--preload', default=[], action='append', type=Path)
    parser.add_argument('--out', required=True, type=Path)
    # Only the moments of the resets.
    parser.add_argument('--no-boots', dest='boots', action='store_false')
    parser.add_argument('--until', type=re.compile)
    parser.add_argument('--quiet', type=float, default=4)
    parser.add_argument('--patience', type=float, default=180)
    parser.add_argument('--timeout', type=float, default=90)
    parser.add_argument('arguments', nargs='+')
    return parser.parse_args()


def main() -> int:
    """The record is in memory while QEMU runs, since --out may be a file system
    that is shared with another machine and slow."""
    args = parse()
    out, status = args.out, 0
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='audit.') as scratch:
        args.out = Path(scratch)
        try:
            driver = Driver(args)
            driver.run()
            story = json.dumps(asdict(driver.story), indent=1)
            (args.out / 'story').write_text(story)
        except Failed as failed:
            print(f'audit: error: {failed}', file=sys.stderr)
            status = 2
        for path in args.out.iterdir():
            shutil.copy(path, out)
    return status
