# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes one source tree like another, touching only what differs.

A file whose content stays keeps its time, so that ninja rebuilds little; one
whose content changes gets the present time, even when its new content comes
from an old file, so that ninja does not miss it.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from kvm_reset.qemu.apply import File


def sync(source: Path, dest: Path, changes: dict[str, File]) -> list[str]:
    """DEST becomes SOURCE with CHANGES; returns the names that differed."""
    if not dest.exists():
        fresh = dest.with_name(dest.name + '.new')
        shutil.rmtree(fresh, ignore_errors=True)
        _copy_all(source, fresh)
        write(fresh, changes)
        fresh.rename(dest)
        return sorted(changes)
    differing = write(dest, changes)
    expected = set(changes)
    for name, info in _files(source):
        expected.add(name)
        if name not in changes and _copy(source / name, info, dest / name):
            differing.append(name)
    for name, _ in list(_files(dest)):
        if name not in expected:
            (dest / name).unlink()
            differing.append(name)
    return sorted(differing)


def write(tree: Path, changes: dict[str, File]) -> list[str]:
    """Writes CHANGES into TREE: all or, if one cannot be, none."""
    todo = [(tree / name, file) for name, file in sorted(changes.items())
            if not _is(tree / name, file)]
    fresh = []
    try:
        for path, file in todo:
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.append(path.with_name(f'.{path.name}.new'))
            fresh[-1].write_bytes(file.data)
            fresh[-1].chmod(file.mode)
    except OSError:
        for path in fresh:
            path.unlink(missing_ok=True)
        raise
    for new, (path, _) in zip(fresh, todo):
        new.rename(path)
    return [str(path.relative_to(tree)) for path, _ in todo]


def _is(path: Path, file: File) -> bool:
    try:
        return (path.stat().st_mode & 0o777 == file.mode and
                path.read_bytes() == file.data)
    except OSError:
        return False


def _files(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of TREE that is source, none of a build directory's."""
    for name, info in _entries(tree):
        if not stat.S_ISDIR(info.st_mode):
            yield name, info


def _entries(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    pending = ['']
    while pending:
        below = pending.pop()
        with os.scandir(tree / below) as entries:
            listed = list(entries)
        names = {entry.name for entry in listed}
        if below and 'meson-private' in names:
            continue
        for entry in listed:
            name = os.path.join(below, entry.name)
            if entry.name in ('.git', '__pycache__'):
                continue
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                pending.append(name)
            yield name, info


def _copy_all(source: Path, dest: Path) -> None:
    dest.mkdir(parents=True)
    for name, info in _entries(source):
        if stat.S_ISDIR(info.st_mode):
            # A directory comes before what is in it. Empty ones count:
            # QEMU's configure looks for python/wheels.
            (dest / name).mkdir()
        else:
            shutil.copy2(source / name, dest / name, follow_symlinks=False)


def _copy(source: Path, info: os.stat_result, dest: Path) -> bool:
    """Whether DEST had to be written to be what SOURCE is."""
    try:
        have = os.lstat(dest)
    except FileNotFoundError:
        have = None
    if have is not None and have.st_mode == info.st_mode:
        if stat.S_ISLNK(info.st_mode):
            same = os.readlink(source) == os.readlink(dest)
        else:
            same = have.st_size == info.st_size and (
                have.st_mtime_ns == info.st_mtime_ns or
                source.read_bytes() == dest.read_bytes())
        if same:
            return False
    dest.parent.mkdir(parents=True, exist_ok=True)
    new = dest.with_name(f'.{dest.name}.new')
    shutil.copy2(source, new, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.utime(new)
    new.rename(dest)
    return True


def main() -> None:
    """Makes the second argument's tree like the first's."""
    sync(Path(sys.argv[1]), Path(sys.argv[2]), {})
