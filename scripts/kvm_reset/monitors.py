# SPDX-License-Identifier: GPL-2.0-or-later
"""The QMP monitors of the QEMUs that run on this host."""

import glob
import os
import re
import socket
import stat
import struct
from pathlib import Path

from . import kvm_modules
from .qmp import Gone, Monitor


# For a QEMU to take us; seconds.
PATIENCE = 10.0


class Failure(Exception):
    """Ends it, with one line and a status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def connect(path: str) -> tuple[socket.socket, int]:
    """To that socket, and the number of the process behind it."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Of a monitor that another program holds, a few more may wait in line.
    line.settimeout(PATIENCE)
    try:
        line.connect(path)
        said = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except OSError as error:
        line.close()
        raise Failure(f'{path}: {error.strerror or error}') from None
    pid, _, _ = struct.unpack('3i', said)
    return line, int(pid)


def monitor_at(path: str, patience: float) -> tuple[Monitor, int]:
    """Of the QEMU behind that socket, and the number of its process."""
    line, pid = connect(path)
    try:
        return Monitor(line, patience), pid
    except Gone as gone:
        line.close()
        raise Failure(f'{path} ({pid}): {gone}; does another program hold its '
                      'monitor?') from None


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def sockets_of(wanted: list[str]) -> list[str]:
    """Of paths, directories and patterns."""
    found: dict[str, None] = {}
    for item in wanted:
        if os.path.isdir(item):
            some = sorted(filter(is_socket, glob.glob(f'{item}/*')))
        else:
            some = sorted(filter(is_socket, glob.glob(item)))
        if not some:
            raise Failure(f'{item}: there is no socket', 2)
        found.update(dict.fromkeys(some))
    return list(found)


def options_of(text: str) -> dict[str, str]:
    """Of an argument of QEMU's such as 'socket,id=mon,path=/run/x'."""
    options = {}
    for part in re.split(r'(?<!,),(?!,)', text):
        name, _, value = part.partition('=')
        options[name] = value.replace(',,', ',')
    return options


def monitor_of(command: list[str]) -> str:
    """The first QMP socket that a QEMU's command line names, or nothing."""
    chardevs = {}
    for option, value in zip(command, command[1:]):
        if option.lstrip('-') == 'chardev' and value.startswith('socket,'):
            chardevs[options_of(value).get('id', '')] = \
                options_of(value).get('path', '')
    for option, value in zip(command, command[1:]):
        option = option.lstrip('-')
        if option in ('qmp', 'qmp-pretty') and value.startswith('unix:'):
            path, *_ = re.split(r'(?<!,),(?!,)', value[len('unix:'):])
            return path.replace(',,', ',')
        options = options_of(value)
        if option == 'mon' and options.get('mode') == 'control':
            name = options.get('chardev', next(iter(options)))
            if chardevs.get(name):
                return chardevs[name]
    return ''


def discovered() -> list[str]:
    """Of the processes that have KVM open, and of those that a run before this
    one may have left without it: all that are called qemu-something."""
    paths = []
    for pid in sorted({*kvm_modules.holders(), *kvm_modules.named('qemu-')}):
        try:
            line = Path(f'/proc/{pid}/cmdline').read_bytes()
            path = monitor_of(os.fsdecode(line).split('\0'))
            if path and not path.startswith('/'):
                path = os.path.join(os.readlink(f'/proc/{pid}/cwd'), path)
        except OSError:
            continue
        if path:
            paths.append(path)
    return paths
