# SPDX-License-Identifier: GPL-2.0-or-later
"""Replaces the host's KVM modules beneath running guests: detaches each guest
from KVM, replaces the modules, attaches each again."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

from . import kvm_modules
from .kvm_modules import ModuleError, Source
from .monitors import Failure, discovered, monitor_at, sockets_of
from .qmp import Gone, Monitor, QmpError

# For what QEMU answers at once, and for what takes it its time; seconds.
PATIENCE = 10.0
LONG_PATIENCE = 120.0

KVM = '/dev/kvm'
# What QEMU calls the descriptor that it is given.
FD_NAME = 'kvm-module-swap'
# In QEMU's words.
CANNOT_OPEN = 'cannot open the KVM device'

EPILOG = """\
Nothing is done if a guest cannot be detached, or another process has KVM open;
--dry-run finds that out, too. If the new modules cannot be loaded, the old ones
are put back. A guest that cannot be attached stays detached, unharmed: run
this again with other modules, or with --attach.

Exit status: 0, all guests go on (or would, with --dry-run); 1, nothing was done,
or the old modules are back and all guests go on; 2, bad usage; 3, a guest is
still detached."""


def say(text: str) -> None:
    print(f'kvm-module-swap: {text}', flush=True)


def milliseconds(nanoseconds: int) -> str:
    return f'{nanoseconds / 1e6:.1f} ms'


class Guest:
    """One QEMU and its monitor."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = path
        self.pid = 0
        self.qmp: Optional[Monitor] = None
        self.concerned = True    # it has, or had, a KVM VM
        self.detached = False
        self.by_fd = False       # it cannot open KVM itself
        self.pause = 0

    def __str__(self) -> str:
        return f'{self.name} ({self.pid})' if self.pid else self.path

    def ask(self, command: str, patience: float = PATIENCE,
            fds: Sequence[int] = (), **arguments: Any) -> Any:
        assert self.qmp
        self.qmp.timeout = patience
        try:
            return self.qmp.command(command, fds, **arguments)
        except (Gone, QmpError) as error:
            raise Failure(f'{self}: {error}') from None

    def connect(self) -> None:
        self.qmp, self.pid = monitor_at(self.path, PATIENCE)
        self.name = self.ask('query-name').get('name') or self.path

    def check(self) -> None:
        """Fails unless it can be detached, or is already."""
        if not self.ask('query-kvm')['enabled']:
            self.concerned = False
            return
        commands = {c['name'] for c in self.ask('query-commands')}
        if not {'kvm-detach', 'kvm-attach'} <= commands:
            raise Failure(f'{self}: this QEMU cannot be detached from KVM: it '
                          'is without kvm-reset, or an older one')
        info = self.ask('query-kvm-reset')
        self.detached = info['detached']
        self.by_fd = 'device-error' in info
        if not self.detached:
            self.ask_to_detach(check=True)

    def ask_to_detach(self, **arguments: Any) -> Any:
        if self.by_fd:
            arguments['attach-by-fd'] = True
        return self.ask('kvm-detach', LONG_PATIENCE, **arguments)

    def detach(self) -> None:
        if not self.detached:
            times = self.ask_to_detach()
            self.detached = True
            say(f'{self}: detached in {milliseconds(times["total-ns"])}, '
                f'{times["bytes"]} bytes of state')

    def attach_by_fd(self) -> Any:
        try:
            fd = os.open(KVM, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Failure(f'{self}: cannot open {KVM} for it: '
                          f'{error.strerror}') from None
        try:
            self.ask('getfd', fds=[fd], fdname=FD_NAME)
        finally:
            os.close(fd)
        return self.ask('kvm-attach', LONG_PATIENCE, fd=FD_NAME)

    def ask_to_attach(self) -> Any:
        if self.by_fd:
            return self.attach_by_fd()
        try:
            return self.ask('kvm-attach', LONG_PATIENCE)
        except Failure as failure:
            # Whether it could was not asked of one that was detached before,
            # and the device may have other rights now.
            if CANNOT_OPEN not in str(failure):
                raise
        return self.attach_by_fd()

    def attach(self) -> None:
        times = self.ask_to_attach()
        self.detached = False
        self.pause = times['pause-ns']
        say(f'{self}: attached in {milliseconds(times["total-ns"])}, '
            + (f'stood still for {milliseconds(self.pause)}'
               if times['running'] else 'is paused, as it was'))

    def close(self) -> None:
        if self.qmp:
            self.qmp.close()


# --- Doing it ---------------------------------------------------------------

class Swap:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.guests: list[Guest] = []
        self.vendor = args.vendor
        self.old: list[Source] = []
        self.new: list[Source] = []

    def plan(self) -> None:
        args = self.args
        if not self.vendor:
            try:
                self.vendor = kvm_modules.vendor_in_use()
            except ModuleError:
                # After a run that ended between the two.
                if not args.vendor_module:
                    raise
                self.vendor = Path(args.vendor_module).name.partition('.')[0] \
                    .replace('-', '_')
        self.new = [Source('kvm', args.kvm_module, args.kvm_options),
                    Source(self.vendor, args.vendor_module,
                           args.vendor_options)]
        self.old = [Source('kvm', args.old_kvm_module,
                           kvm_modules.parameters('kvm')),
                    Source(self.vendor, args.old_vendor_module,
                           kvm_modules.parameters(self.vendor))]
        for source in self.new + self.old:
            if source.path and not os.path.isfile(source.path):
                raise Failure(f'{source.path}: there is no such module', 2)

    def each(self, what: str, guests: list[Guest]) -> list[str]:
        """Has all do it at once; why some did not."""
        def one(guest: Guest) -> Optional[Failure]:
            try:
                getattr(guest, what)()
            except Failure as failure:
                return failure
            return None
        with ThreadPoolExecutor(max_workers=len(guests) or 1) as pool:
            return [str(why) for why in pool.map(one, guests) if why]

    def find(self) -> list[str]:
        """What is in the way."""
        paths = sockets_of(self.args.sockets) or discovered()
        self.guests = [Guest(path) for path in paths]
        problems = self.each('connect', self.guests)
        problems += self.each('check', [guest for guest in self.guests
                                        if guest.qmp])
        self.guests = [guest for guest in self.guests if guest.concerned]
        known = {guest.pid for guest in self.guests}
        problems += [
            f'{name} ({pid}) has KVM open, and is none of these guests'
            for pid, name in kvm_modules.holders().items() if pid not in known]
        return problems

    def attach_all(self) -> list[str]:
        return self.each('attach', [guest for guest in self.guests
                                    if guest.detached])

    def give_up(self, why: str) -> None:
        """With whatever modules there are now."""
        problems = self.attach_all()
        for problem in problems:
            say(problem)
        raise Failure(why, 3 if problems else 1)

    def replace(self) -> None:
        """ModuleError: the old ones are there, or were put back."""
        began = time.monotonic()
        kvm_modules.unload(self.vendor)
        try:
            kvm_modules.load(self.new)
        except ModuleError as error:
            self.put_back()
            raise ModuleError(f'{error}; the old modules are back') from None
        say(f'{self.new[0]}; {self.new[1]}: '
            f'{(time.monotonic() - began) * 1000:.1f} ms')

    def put_back(self) -> None:
        try:
            kvm_modules.load(self.old)
        except ModuleError as error:
            say(f'{error}; once more, without options')
            kvm_modules.load([Source(source.name, source.path)
                              for source in self.old])

    def detach_and_replace(self) -> None:
        problems = self.each('detach', self.guests)
        if problems:
            for problem in problems:
                say(problem)
            self.give_up('not all could be detached: nothing was replaced')
        try:
            kvm_modules.wait_unused(self.vendor)
            self.replace()
        except ModuleError as error:
            self.give_up(str(error))

    def run(self) -> None:
        if not self.args.attach:
            self.plan()
        problems = self.find()
        for guest in self.guests:
            say(f'{guest}: ' + ('is detached already' if guest.detached
                                else 'found'))
        if problems:
            for problem in problems:
                say(problem)
            raise Failure('nothing was done')
        if self.args.dry_run:
            say(f'would attach {sum(g.detached for g in self.guests)} guests'
                if self.args.attach else
                f'would detach {len(self.guests)} guests, then '
                f'rmmod {self.vendor} kvm; {self.new[0]}; {self.new[1]}')
            return
        if not self.args.attach:
            self.detach_and_replace()
        problems = self.attach_all()
        for problem in problems:
            say(problem)
        if problems:
            raise Failure(f'{len(problems)} guests are still detached: give '
                          'them modules that they can use', 3)
        pauses = sorted(guest.pause for guest in self.guests)
        if pauses:
            say(f'{len(pauses)} guests go on; the longest pause: '
                f'{milliseconds(pauses[-1])}')

    def close(self) -> None:
        for guest in self.guests:
            guest.close()


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='scripts/kvm-module-swap', epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Replaces the host's KVM modules beneath running guests.")
    parser.add_argument('sockets', nargs='*', metavar='SOCKET',
                        help='QMP sockets, directories of them, or patterns; '
                        'without any, those on the command lines of all '
                        'processes that have KVM open')
    parser.add_argument('--dry-run', action='store_true',
                        help='say what would be done, and what is in the way')
    parser.add_argument('--attach', action='store_true',
                        help='replace nothing, only attach what is detached')
    parser.add_argument('--vendor', choices=kvm_modules.VENDORS, default='',
                        help='the one that is loaded')
    for name, what in ('kvm', 'kvm'), ('vendor', "the vendor's module"):
        parser.add_argument(f'--{name}-module', metavar='FILE', default='',
                            help=f'{what}, to insmod; else modprobe finds it')
        parser.add_argument(f'--{name}-options', metavar='WORDS', default=[],
                            type=shlex.split,
                            help="its options: 'nested=1 npt=1'")
        parser.add_argument(f'--old-{name}-module', metavar='FILE',
                            default='', help='where the one that is loaded '
                            'now is, should it be put back')
    return parser.parse_args(argv)


def swap(args: argparse.Namespace) -> int:
    work = Swap(args)
    try:
        work.run()
        return 0
    except ModuleError as error:
        say(f'error: {error}')
        return 3 if any(guest.detached for guest in work.guests) else 1
    except Failure as error:
        say(f'error: {error}')
        return error.status
    finally:
        work.close()


def main() -> int:
    return swap(parse(sys.argv[1:]))
