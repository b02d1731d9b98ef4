# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads patches/: which edits there are to QEMU, and in which order.

The format is described in patches/README.md. Nothing here touches a QEMU tree.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class PatchError(Exception):
    """What failed, on what, and what to do: one line for a person."""


@dataclass(frozen=True)
class Cocci:
    """A semantic patch and the files that it must change, each of them."""
    name: str
    path: Path
    files: list[str]
    adds: dict[str, int]


@dataclass(frozen=True)
class Insert:
    """Text put at a place that a regular expression names."""
    name: str
    file: str
    where: str              # "after", "before" or "replace"
    anchor: re.Pattern[str]
    text: str
    count: int
    within: re.Pattern[str] | None


@dataclass(frozen=True)
class Include:
    """An #include, put where QEMU's style wants it."""
    name: str
    file: str
    header: str


@dataclass(frozen=True)
class Overlay:
    """A file or directory of ours and where it goes in QEMU's tree."""
    source: Path
    dest: str

    def files(self) -> dict[str, Path]:
        """Destination to source, without what editors and Python leave."""
        if self.source.is_file():
            return {self.dest: self.source}
        return {
            f'{self.dest}/{path.relative_to(self.source)}': path
            for path in sorted(self.source.rglob('*'))
            if path.is_file() and not _is_litter(path)
        }


@dataclass
class Patch:
    """One logical commit."""
    name: str
    message: str
    overlay: list[str]                      # destinations that it brings
    rules: list[Cocci | Insert | Include] = field(default_factory=list)


@dataclass
class Series:
    version: str                            # of QEMU: "10.0", "10.2"
    overlay: list[Overlay]
    patches: list[Patch]

    def overlay_of(self, patch: Patch) -> dict[str, Path]:
        """The overlay files that come with PATCH."""
        return {dest: source for dest, source in self._overlay_files().items()
                if self._owner(dest) is patch}

    def _overlay_files(self) -> dict[str, Path]:
        return {dest: source for overlay in self.overlay
                for dest, source in overlay.files().items()}

    def _owner(self, dest: str) -> Patch:
        """The patch that names the longest path above DEST."""
        owners = [(len(path), patch) for patch in self.patches
                  for path in patch.overlay
                  if dest == path or dest.startswith(path + '/')]
        if not owners:
            raise PatchError(
                f'patches/overlay lays {dest}, but no patch brings it: name '
                f'it in the `overlay` of one of the rules.toml')
        return max(owners, key=lambda owner: owner[0])[1]


def qemu_version(tree: Path) -> str:
    """What TREE's VERSION file says, as the release series: "10.0"."""
    try:
        text = (tree / 'VERSION').read_text().strip()
    except OSError:
        raise PatchError(f'{tree} is not a QEMU tree: it has no file VERSION')
    match = re.match(r'(\d+)\.(\d+)\.(\d+)', text)
    if not match:
        raise PatchError(f'{tree}/VERSION says {text!r}, which is no version')
    major, minor, micro = map(int, match.groups())
    # A development tree of the next release calls itself 10.1.50 and so on.
    if micro >= 50:
        minor += 1
    return f'{major}.{minor}'


def load(patches: Path, version: str) -> Series:
    """The series in PATCHES as it is for QEMU VERSION."""
    versions = _words(patches / 'versions')
    if version not in versions:
        raise PatchError(f'QEMU {version} is not supported: there are '
                         f'patches for {" and ".join(versions)}')
    overlay = []
    for line in _lines(patches / 'overlay'):
        source, *dest = line.split()
        overlay.append(Overlay(patches.parent / source,
                               dest[0] if dest else source))
    series = Series(version, overlay, [])
    for name in _words(patches / 'series'):
        series.patches.append(_patch(patches / name, versions, version))
    return series


def _is_litter(path: Path) -> bool:
    return (path.name.startswith('.') or path.name.endswith(('~', '.orig'))
            or '__pycache__' in path.parts)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise PatchError(f'cannot read {path}: {error.strerror}')
    return [line.strip() for line in lines
            if line.strip() and not line.lstrip().startswith('#')]


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _patch(where: Path, versions: list[str], version: str) -> Patch:
    try:
        message = (where / 'message').read_text().strip() + '\n'
        with open(where / 'rules.toml', 'rb') as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise PatchError(f'patch {where.name} of patches/series: cannot read '
                         f'{error.filename}: {error.strerror}')
    except tomllib.TOMLDecodeError as error:
        raise PatchError(f'{where}/rules.toml: {error}')
    # What was written for several versions becomes what it is for this one.
    table = _Table(f'patch {where.name}', raw, versions, version)
    patch = Patch(where.name, message, table.take('overlay', list, []))
    lines = message.splitlines()
    if not re.match(r'\S+: \S', lines[0]) or lines[1:2] not in ([], ['']):
        raise PatchError(f'{where}/message: its first line must be '
                         f'`subsystem: what` and its second be blank')
    for number, rule in enumerate(table.tables('cocci'), 1):
        if not rule.for_version():
            continue
        cocci = where / rule.take('rule', str)
        rule.name = f'{table.name}, {cocci.name}'
        if not cocci.is_file():
            raise PatchError(f'{table.name}: there is no {cocci}')
        patch.rules.append(Cocci(
            rule.name, cocci, rule.take('files', list),
            rule.take('adds', dict, {})))
        rule.end()
    for number, rule in enumerate(table.tables('insert'), 1):
        rule.name = f'{table.name}, insert {number}'
        if rule.for_version():
            patch.rules.append(_insert(rule))
    for number, rule in enumerate(table.tables('include'), 1):
        rule.name = f'{table.name}, include {number}'
        if rule.for_version():
            header = rule.take('header', str)
            patch.rules += [Include(rule.name, file, header)
                            for file in rule.take('files', list)]
            rule.end()
    table.end()
    return patch


def _insert(rule: _Table) -> Insert:
    where = [key for key in ('after', 'before', 'replace') if rule.has(key)]
    if len(where) != 1:
        raise PatchError(f'{rule.name}: one of after, before and replace '
                         f'says where; {len(where)} are given')
    within = rule.take('within', str, '')
    text = rule.take('text', str)
    if where[0] != 'replace' and not text.endswith('\n'):
        text += '\n'
    insert = Insert(
        rule.name, rule.take('file', str), where[0],
        rule.regex(rule.take(where[0], str)), text,
        rule.take('count', int, 1),
        rule.regex(within) if within else None)
    rule.end()
    return insert


class _Table:
    """A TOML table that complains of what is missing, odd or left over.

    A value that is a table with QEMU versions as its keys stands for the one
    of the version at hand.
    """

    def __init__(self, name: str, raw: dict[str, Any], versions: list[str],
                 version: str):
        self.name = name
        self._raw = dict(raw)
        self._versions = versions
        self._version = version

    def for_version(self) -> bool:
        """Whether a rule with `versions` is for this one."""
        only = self.take('versions', list, self._versions)
        odd = [version for version in only if version not in self._versions]
        if odd:
            raise PatchError(f'{self.name}: versions names {odd[0]}, which '
                             f'is not in patches/versions')
        return self._version in only

    def has(self, key: str) -> bool:
        return key in self._raw

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        if key not in self._raw:
            if default is None:
                raise PatchError(f'{self.name}: `{key}` is missing')
            return default
        value = self._pick(key, self._raw.pop(key))
        if not isinstance(value, kind):
            raise PatchError(f'{self.name}: `{key}` must be a {kind.__name__}')
        return value

    def tables(self, key: str) -> list[_Table]:
        return [_Table(f'{self.name}, {key} {number}', raw, self._versions,
                       self._version)
                for number, raw in enumerate(self._raw.pop(key, []), 1)]

    def regex(self, pattern: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern, re.MULTILINE)
        except re.error as error:
            raise PatchError(f'{self.name}: {pattern!r}: {error}')

    def end(self) -> None:
        if self._raw:
            raise PatchError(f'{self.name}: unknown key `{min(self._raw)}`')

    def _pick(self, key: str, value: Any) -> Any:
        if not isinstance(value, dict) or not value:
            return value
        if set(value) <= set(self._versions):
            if self._version not in value:
                raise PatchError(f'{self.name}: `{key}` says nothing for QEMU '
                                 f'{self._version}')
            return self._pick(key, value[self._version])
        return {name: self._pick(key, item) for name, item in value.items()}
