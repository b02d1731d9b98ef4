# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads patches/: which edits there are to QEMU, and in which order.

The format is described in patches/README.md. Nothing here touches a QEMU tree.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import sys
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
class Mark:
    """Something that commands get where they are defined."""
    name: str
    file: str               # a QAPI schema, or a table of the human monitor
    commands: list[str]
    feature: str            # of QAPI, with its meaning; or …
    means: str
    flag: str               # … a letter of the human monitor's


@dataclass
class Overlay:
    """Our files, by their paths in QEMU's tree, and which patch brings each."""
    sources: dict[str, Path]
    owners: dict[str, str]
    lists: list[str]

    def of(self, patch: str) -> dict[str, Path]:
        return {dest: source for dest, source in self.sources.items()
                if self.owners[dest] == patch}

    def as_listed(self, dest: str, there: set[str]) -> bytes:
        """DEST, one of the lists, without the lines that name a file of ours
        which is not THERE yet."""
        def late(word: str) -> bool:
            path = posixpath.normpath(f'{posixpath.dirname(dest)}/{word}')
            return path in self.sources and path not in there

        lines = []
        for line in self.sources[dest].read_text().splitlines(keepends=True):
            alone = re.fullmatch(r"\s*'([^']+)',?\s*", line)
            if alone and late(alone[1]):
                continue
            for word in re.findall(r"'([^']+)'", line):
                if late(word):
                    raise PatchError(
                        f'{dest}: {word} comes with a later patch than '
                        f'others on its line: give it a line of its own')
            lines.append(line)
        return ''.join(lines).encode()


@dataclass
class Patch:
    """One logical commit."""
    name: str
    message: str
    upstream: bool                          # whether QEMU itself could take it
    rules: list[Cocci | Insert | Include | Mark] = \
        field(default_factory=list)


@dataclass
class Series:
    version: str                            # of QEMU: "10.0", "10.2"
    overlay: Overlay
    patches: list[Patch]


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
    series = Series(version, Overlay({}, {}, []), [])
    for name in _words(patches / 'series'):
        series.patches.append(_patch(patches / name, versions, version))
    series.overlay = _overlay(patches, [patch.name for patch in series.patches])
    return series


def _overlay(patches: Path, names: list[str]) -> Overlay:
    """What patches/overlay.toml says; each file must be in it once."""
    where = patches / 'overlay.toml'
    raw = _Table('patches/overlay.toml', _toml(where), [], '')
    directories = raw.take('directories', list)
    lists = raw.take('lists', list, [])
    brings = raw.take('brings', dict, {})
    raw.end()
    unknown = brings.keys() - set(names)
    if unknown:
        raise PatchError(f'{where} says what {min(unknown)} brings, which is '
                         f'no patch of patches/series')
    sources = {str(path.relative_to(patches.parent)): path
               for directory in directories
               for path in sorted((patches.parent / directory).rglob('*'))
               if path.is_file() and not _is_litter(path)}
    owners = {}
    for dest in sources:
        found = [name for name, patterns in brings.items()
                 if any(matches(dest, pattern) for pattern in patterns)]
        if len(found) != 1:
            raise PatchError(
                f'{dest} is brought by {" and ".join(found) or "no patch"}: '
                f'patches/overlay.toml must name it for exactly one')
        owners[dest] = found[0]
    return Overlay(sources, owners, [dest for dest in lists if dest in sources])


def upward_includes(series: Series) -> list[str]:
    """Headers of ours that are included before they are there, in words."""
    found = []
    there: set[str] = set()

    def look(who: str, patch: str, header: str) -> None:
        ours = [dest for dest in series.overlay.sources
                if dest.endswith(f'/{header}')]
        if ours and not there.intersection(ours):
            found.append(f'{who} comes with {patch} and includes {header}, '
                         f'which comes with {series.overlay.owners[ours[0]]}')

    for patch in series.patches:
        brought = series.overlay.of(patch.name)
        there.update(brought)
        for dest, source in brought.items():
            if source.suffix in ('.c', '.cc', '.h'):
                for header in re.findall(r'^#include "([^"]+)"',
                                         source.read_text(), re.MULTILINE):
                    look(dest, patch.name, header)
        for rule in patch.rules:
            if isinstance(rule, Include):
                look(rule.file, patch.name, rule.header)
    return found


def matches(path: str, pattern: str) -> bool:
    """Whether PATTERN means PATH; in it * is anything but a slash."""
    parts, words = path.split('/'), pattern.split('/')
    return (len(parts) == len(words) and
            all(map(fnmatch.fnmatchcase, parts, words)))


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


def _toml(path: Path) -> dict[str, Any]:
    try:
        with open(path, 'rb') as file:
            return tomllib.load(file)
    except OSError as error:
        raise PatchError(f'cannot read {path}: {error.strerror}')
    except tomllib.TOMLDecodeError as error:
        raise PatchError(f'{path}: {error}')


def _patch(where: Path, versions: list[str], version: str) -> Patch:
    try:
        message = (where / 'message').read_text().strip() + '\n'
    except OSError as error:
        raise PatchError(f'patch {where.name} of patches/series: cannot read '
                         f'{error.filename}: {error.strerror}')
    rules = where / 'rules.toml'
    raw = _toml(rules) if rules.exists() else {}
    # What was written for several versions becomes what it is for this one.
    table = _Table(f'patch {where.name}', raw, versions, version)
    patch = Patch(where.name, message, table.take('upstream', bool, False))
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
    for number, rule in enumerate(table.tables('mark'), 1):
        rule.name = f'{table.name}, mark {number}'
        if rule.for_version():
            patch.rules += _marks(rule)
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


def _marks(rule: _Table) -> list[Mark]:
    by_feature = rule.has('feature')
    if by_feature == rule.has('flag'):
        raise PatchError(f'{rule.name}: one of feature and flag says how')
    feature = rule.take('feature', str) if by_feature else ''
    means = rule.take('means', str) if by_feature else ''
    flag = '' if by_feature else rule.take('flag', str)
    marks = [Mark(rule.name, file, commands, feature, means, flag)
             for file, commands in rule.take('commands', dict).items()]
    rule.end()
    return marks


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


def main() -> str | None:
    """Prints the version of the QEMU tree that the first argument names."""
    try:
        print(qemu_version(Path(sys.argv[1])))
    except PatchError as error:
        return str(error)
    return None
