# SPDX-License-Identifier: GPL-2.0-or-later
"""Applies a series to a QEMU tree, in memory.

The tree itself is only read. What comes out is the files that each patch
changes, so whoever called decides what to do with them: write them all or,
since an error came instead, none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kvm_reset.qemu import marks
from kvm_reset.qemu.series import (Cocci, Include, Insert, Mark, Patch,
                                   PatchError, Series)


@dataclass(frozen=True)
class File:
    data: bytes
    mode: int = 0o644


@dataclass
class Commit:
    """A patch and every file as it is after it."""
    patch: Patch
    files: dict[str, File]


def apply(series: Series, tree: Path, until: str | None = None,
          cache: Path | None = None) -> list[Commit]:
    """The commits of SERIES on the pristine TREE, up to the patch UNTIL.

    CACHE, if given, is a directory that keeps what Coccinelle answered.
    """
    if until is not None and until not in [p.name for p in series.patches]:
        raise PatchError(f'there is no patch {until} in patches/series')
    state = _State(tree, Spatch(tree, cache))
    commits = []
    there: set[str] = set()     # of our files
    for patch in series.patches:
        files: dict[str, File] = {}
        for dest, source in series.overlay.of(patch.name).items():
            if state.original(dest) is not None:
                raise PatchError(
                    f'{tree} has {dest} already: apply to a pristine tree of '
                    f'QEMU {series.version}, not to a patched one')
            files[dest] = File(source.read_bytes(), source.stat().st_mode &
                               0o111 and 0o755 or 0o644)
        there.update(files)
        for dest in there.intersection(series.overlay.lists):
            listed = File(series.overlay.as_listed(dest, there))
            if listed != state.now.get(dest):
                files[dest] = listed
        state.now.update(files)
        for rule in patch.rules:
            files_of = rule.files if isinstance(rule, Cocci) else [rule.file]
            if set(files_of) & set(series.overlay.lists):
                raise PatchError(
                    f'{rule.name}: {files_of[0]} is a list of ours, which is '
                    f'made anew for each patch: edit it itself')
            if isinstance(rule, Cocci):
                changed = state.spatch(rule)
            elif isinstance(rule, Insert):
                changed = state.insert(rule)
            elif isinstance(rule, Mark):
                changed = state.mark(rule)
            else:
                changed = state.include(rule)
            files.update(changed)
            state.now.update(changed)
        commits.append(Commit(patch, files))
        if patch.name == until:
            break
    return commits


def result(commits: list[Commit]) -> dict[str, File]:
    """Every changed file as the last commit leaves it."""
    files: dict[str, File] = {}
    for commit in commits:
        files.update(commit.files)
    return files


class _State:
    """The tree as it is after the rules so far."""

    def __init__(self, tree: Path, spatch: Spatch):
        self.tree = tree
        self.now: dict[str, File] = {}
        self._spatch = spatch

    def original(self, name: str) -> File | None:
        path = self.tree / name
        if not path.is_file():
            return None
        return File(path.read_bytes(), path.stat().st_mode & 0o777)

    def read(self, name: str, rule: str) -> File:
        file = self.now.get(name) or self.original(name)
        if file is None:
            raise PatchError(f'{rule}: there is no {name} in {self.tree}: '
                             f'the rule must be adapted to this QEMU')
        return file

    def spatch(self, rule: Cocci) -> dict[str, File]:
        changed = {}
        for name in rule.files:
            file = self.read(name, rule.name)
            data = self._spatch.run(rule, name, file.data)
            if data == file.data:
                raise PatchError(f'{rule.name}: finds nothing to change in '
                                 f'{name}: the rule must be adapted to this '
                                 f'QEMU')
            changed[name] = File(data, file.mode)
        for text, wanted in rule.adds.items():
            added = sum(
                file.data.count(text.encode()) -
                self.read(name, rule.name).data.count(text.encode())
                for name, file in changed.items())
            if added != wanted:
                raise PatchError(
                    f'{rule.name}: added `{text}` {added} times to '
                    f'{", ".join(rule.files)} where {wanted} is right: the '
                    f'rule must be adapted to this QEMU')
        return changed

    def insert(self, rule: Insert) -> dict[str, File]:
        file = self.read(rule.file, rule.name)
        text = file.data.decode()
        start, end = 0, len(text)
        if rule.within is not None:
            start, end = _block(text, rule)
        matches = list(rule.anchor.finditer(text, start, end))
        if len(matches) != rule.count:
            raise PatchError(
                f'{rule.name}: finds {rule.anchor.pattern!r} {len(matches)} '
                f'times in {rule.file} where {rule.count} is right: the rule '
                f'must be adapted to this QEMU')
        for match in reversed(matches):
            if rule.where == 'replace':
                at, upto, new = *match.span(), match.expand(rule.text)
            elif rule.where == 'after':
                # After the whole line, even if less of it was matched.
                last = max(match.start(), match.end() - 1)
                at = upto = text.find('\n', last) + 1 or len(text)
                new = rule.text
            else:
                at = upto = text.rfind('\n', 0, match.start()) + 1
                new = rule.text
            text = text[:at] + new + text[upto:]
        return {rule.file: File(text.encode(), file.mode)}

    def mark(self, rule: Mark) -> dict[str, File]:
        file = self.read(rule.file, rule.name)
        text = file.data.decode()
        for command in rule.commands:
            try:
                text = marks.qapi_feature(
                    text, command, rule.feature, rule.means) if rule.feature \
                    else marks.hmp_flag(text, command, rule.flag)
            except ValueError as error:
                raise PatchError(f'{rule.name}: {rule.file} {error}: the rule '
                                 f'must be adapted to this QEMU')
        return {rule.file: File(text.encode(), file.mode)}

    def include(self, rule: Include) -> dict[str, File]:
        file = self.read(rule.file, rule.name)
        lines = file.data.decode().splitlines(keepends=True)
        lines.insert(_include_at(lines, rule), f'#include "{rule.header}"\n')
        return {rule.file: File(''.join(lines).encode(), file.mode)}


def _include_at(lines: list[str], rule: Include) -> int:
    """Before the first header of its directory that sorts behind it, else
    behind the last of that directory, else before any header that does."""
    found = []
    depth = 0       # of conditionals
    for number, line in enumerate(lines):
        if re.match(r'#\s*if', line):
            depth += 1
        elif re.match(r'#\s*endif', line):
            depth -= 1
        match = re.match(r'#include "([^"]+/[^"]+)"', line)
        if match and depth == 0 and match[1] != 'qemu/osdep.h':
            found.append((match[1], number))
    if rule.header in [header for header, _ in found]:
        raise PatchError(f'{rule.name}: {rule.file} includes '
                         f'{rule.header} already')
    directory = rule.header.rpartition('/')[0] + '/'
    near = [at for at in found if at[0].startswith(directory)]
    behind = [number for header, number in near or found
              if header > rule.header]
    if behind:
        return behind[0]
    if not found:
        raise PatchError(f'{rule.name}: {rule.file} includes no header that '
                         f'{rule.header} could go beside: insert it')
    return (near or found)[-1][1] + 1


def _block(text: str, rule: Insert) -> tuple[int, int]:
    """From what `within` matches to the next line that starts with `}`."""
    matches = list(rule.within.finditer(text))
    if len(matches) != 1:
        raise PatchError(
            f'{rule.name}: finds the block {rule.within.pattern!r} '
            f'{len(matches)} times in {rule.file} where 1 is right: the rule '
            f'must be adapted to this QEMU')
    start = matches[0].start()
    end = re.compile(r'^}', re.MULTILINE).search(text, matches[0].end())
    return start, end.end() if end else len(text)


class Spatch:
    """Coccinelle on one file, outside the tree."""

    def __init__(self, tree: Path, cache: Path | None):
        self._macros = tree / 'scripts/cocci-macro-file.h'
        self._cache = cache
        self._version: bytes | None = None

    def run(self, rule: Cocci, name: str, data: bytes) -> bytes:
        key = hashlib.sha256(b'\0'.join([
            self._tool_version(), rule.path.read_bytes(), name.encode(),
            self._macros.read_bytes() if self._macros.exists() else b'',
            data])).hexdigest()
        cached = self._cache / key if self._cache else None
        if cached and cached.exists():
            return cached.read_bytes()
        with tempfile.TemporaryDirectory(prefix='spatch.') as scratch:
            # A rule may look at the name, so it keeps its path.
            file = Path(scratch, name)
            file.parent.mkdir(parents=True)
            file.write_bytes(data)
            command = ['spatch', '--very-quiet', '--no-includes',
                       '--timeout', '120', '--sp-file', str(rule.path),
                       '--in-place', str(file)]
            if self._macros.exists():
                command[1:1] = ['--macro-file', str(self._macros)]
            done = subprocess.run(command, capture_output=True, text=True,
                                  cwd=scratch)
            if done.returncode != 0:
                lines = (done.stderr or done.stdout).strip().splitlines()
                raise PatchError(f'{rule.name}: spatch fails on {name}: ' +
                                 (lines[-1] if lines else
                                  f'exit status {done.returncode}'))
            out = file.read_bytes()
        if cached:
            self._cache.mkdir(parents=True, exist_ok=True)
            new = cached.with_suffix(f'.{os.getpid()}')
            new.write_bytes(out)
            new.rename(cached)
        return out

    def _tool_version(self) -> bytes:
        if self._version is None:
            if shutil.which('spatch') is None:
                raise PatchError('spatch is not installed: '
                                 'apt-get install coccinelle')
            self._version = subprocess.run(
                ['spatch', '--version'], capture_output=True).stdout
        return self._version
