# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints what `info kvm-reset` says in the monitor, of each QEMU of this host."""

import argparse
import json
import sys
from typing import Any

from .monitors import Failure, discovered, monitor_at, sockets_of
from .qmp import Gone, QmpError

# Seconds; another program that holds the monitor keeps us waiting.
PATIENCE = 10.0

EPILOG = """\
It only asks. A monitor takes one program at a time: what libvirt or another
program holds cannot be asked here.

Exit status: 0, all is well; 1, a guest cannot have a new VM at its reset, or has
no VM now, or was stopped for a reset that failed, or cannot be asked; 2, bad
usage."""


class Guest:
    def __init__(self, path: str) -> None:
        self.qmp, pid = monitor_at(path, PATIENCE)
        try:
            self.name = f'{self.ask("query-name").get("name") or path} ({pid})'
            self.enabled = self.ask('query-kvm')['enabled']
            commands = {c['name'] for c in self.ask('query-commands')}
        except (Gone, QmpError) as error:
            self.qmp.close()
            raise Failure(f'{path} ({pid}): {error}') from None
        self.has_module = 'query-kvm-reset' in commands

    def ask(self, command: str, **arguments: Any) -> Any:
        return self.qmp.command(command, **arguments)

    def without(self) -> str:
        """Why there is nothing to say of it."""
        if not self.enabled:
            return 'KVM is not in use'
        return '' if self.has_module else 'this QEMU is without kvm-reset'

    def info(self) -> dict[str, Any]:
        if self.without():
            return {'name': self.name, 'without': self.without()}
        return {'name': self.name, **self.ask('query-kvm-reset')}

    def picture(self) -> str:
        if self.without():
            return f'  {self.without()}\n'
        said = self.ask('human-monitor-command',
                        **{'command-line': 'info kvm-reset'})
        return ''.join(f'  {line}\n' for line in said.splitlines())


def is_well(info: dict[str, Any]) -> bool:
    return bool(info.get('restartable') and info['vm-present']
                and 'failure' not in info)


def tell(args: argparse.Namespace) -> int:
    paths = sockets_of(args.sockets) or discovered()
    status = 0
    if not paths:
        raise Failure('no QEMU with KVM has a QMP socket on its command line: '
                      'name one')
    for path in paths:
        try:
            guest = Guest(path)
        except Failure as failure:
            print(f'kvm-reset-status: {failure}', file=sys.stderr)
            status = 1
            continue
        try:
            info = guest.info()
            if args.json:
                print(json.dumps(info))
            else:
                print(guest.name, guest.picture(), sep='\n', end='')
            if guest.enabled and not is_well(info):
                status = 1
        except (Gone, QmpError) as error:
            print(f'kvm-reset-status: {guest.name}: {error}', file=sys.stderr)
            status = 1
        finally:
            guest.qmp.close()
    return status


def main() -> int:
    parser = argparse.ArgumentParser(
        prog='scripts/kvm-reset-status', epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Says of each QEMU of this host whether its guest can have '
                    'a new VM, and what became of its last resets.')
    parser.add_argument('sockets', nargs='*', metavar='SOCKET',
                        help='QMP sockets, directories of them, or patterns; '
                        'without any, those on the command lines of all '
                        'processes that have KVM open')
    parser.add_argument('--json', action='store_true',
                        help='what query-kvm-reset says, a line each')
    try:
        return tell(parser.parse_args(sys.argv[1:]))
    except Failure as failure:
        print(f'kvm-reset-status: error: {failure}', file=sys.stderr)
        return failure.status
