# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of docs/subsystems.md: what of a guest must live through a rebirth,
what of it is in KVM, who restores it and which test proves that. And the table
in README.md of what works, each line with the tests that show it.

    subsystems.py --top DIR --catalogue FILE [--check]

It is made of docs/subsystems.toml, of the catalogue (as kvm-reset-catalogue
prints it), of the hooks that are registered in C, and of the tests. Where they
do not fit, each contradiction is a line, and the status is 1.
"""

import argparse
import ast
import difflib
import fnmatch
import json
import re
import sys
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar('T')

FACTS = 'docs/subsystems.toml'
PAGE = 'docs/subsystems.md'
README = 'README.md'
# Around the table in README.md.
BEGIN = f'<!-- Made by scripts/subsystems from {FACTS}: begin -->'
END = '<!-- end -->'

DEFINES = {'define', 'add', 'remove', 'create', 'launch'}
# The row of each classifier whose values are rules, which are listed instead.
RULED = {'KVM_ENABLE_CAP', 'KVM_XEN_HVM_SET_ATTR', 'KVM_XEN_VCPU_SET_ATTR'}

HOOK_SOURCES = ('accel/kvm-reset/qemu/*.c', 'hw/*/kvm-reset/*.c',
                'target/*/kvm-reset/*.c')

HEAD = f'''<!-- SPDX-License-Identifier: GPL-2.0-or-later -->
<!-- Made by scripts/subsystems from {FACTS}, the catalogue, the hooks
     and the tests: change those, and run it. -->
# What lives through a rebirth

Each subsystem that a pc, q35 or microvm guest can use under KVM: what of it is defined in KVM, who
restores it when the guest gets a new VM, and which test fails if nobody does.

- *journal*: the ioctls of the second column were recorded and are repeated on the new VM
  ([adding-an-ioctl.md](adding-an-ioctl.md)). Each of them has a test of its own in `tests/unit`
  (`row_test.cc`) besides those that are named here.
- *hook*: what no ioctl carries ([adding-a-hook.md](adding-a-hook.md)).
- *reset*: QEMU resets its devices on the new VM, and this is what that does.
- Tests that are named `file.test` are functional ones (`scripts/functional --filter`), in which a
  guest uses the subsystem before and after; `kvm:` and `unit:` are of `tests/kvm` and `tests/unit`
  ([testing.md](testing.md)).

A functional test, `carry.a_running_qemu_has_the_hooks_of_the_table`, sees that a running QEMU
registers the hooks that are named here, and `scripts/test hooks` takes out one after the other and
sees a test fail for each.
'''


class Bad(Exception):
    """The facts cannot be read at all."""


@dataclass
class Subsystem:
    """As docs/subsystems.toml describes it."""
    name: str
    group: str
    rows: list[str] = field(default_factory=list)
    hooks: list[str] = field(default_factory=list)
    reset: str = ''
    kvm: list[str] = field(default_factory=list)
    unit: list[str] = field(default_factory=list)
    checked: str = ''
    functional: list[str] = field(default_factory=list)

    def tests(self) -> list[str]:
        return self.functional + self.kvm


@dataclass
class Hook:
    """What the facts say of one."""
    name: str
    does: str
    test: str = ''
    checked: str = ''


@dataclass
class Claim:
    """A line of README.md's table."""
    says: str
    where: str
    tests: list[str] = field(default_factory=list)
    limits: str = ''


def read_facts(path: Path) -> tuple[list[Subsystem], list[Hook], list[Claim]]:
    try:
        with path.open('rb') as file:
            tables = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Bad(f'{path}: {error}') from error
    if unknown := set(tables) - {'subsystem', 'hook', 'claim'}:
        raise Bad(f'{path}: unknown table {sorted(unknown)[0]}')
    return ([read_one(path, Subsystem, table, {'name', 'group'})
             for table in tables.get('subsystem', [])],
            [read_one(path, Hook, table, {'name', 'does'})
             for table in tables.get('hook', [])],
            [read_one(path, Claim, table, {'says', 'where', 'tests'})
             for table in tables.get('claim', [])])


def read_one(path: Path, kind: type[T], table: dict[str, Any],
             needed: set[str]) -> T:
    what = table.get('name') or table.get('says') or 'one without a name'
    what = f'{path}: {what}'
    known = {f.name for f in fields(kind)} - {'functional'}  # type: ignore
    if unknown := set(table) - known:
        raise Bad(f'{what}: unknown key {sorted(unknown)[0]}')
    if missing := needed - set(table):
        raise Bad(f'{what}: it has no {sorted(missing)[0]}')
    return kind(**table)


def read_catalogue(path: Path) -> dict[str, bool]:
    """Each name that facts may speak of, and whether it defines."""
    names: dict[str, bool] = {}
    try:
        for text in path.read_text().splitlines():
            row = json.loads(text)
            if row['kind'] not in ('row', 'rule') or row['name'] in RULED:
                continue
            defines = row['effect'] in DEFINES and row.get('recorded', True)
            names[row['name']] = names.get(row['name'], False) or defines
    except (OSError, ValueError, KeyError) as error:
        raise Bad(f'{path} is no catalogue: {error}') from error
    return names


def find_hooks(top: Path) -> dict[str, Path]:
    """The names in every initialiser of a KvmResetHook."""
    hooks = {}
    for pattern in HOOK_SOURCES:
        for path in sorted(top.glob(pattern)):
            for body in re.findall(r'\bKvmResetHook\s+\w+(?:\[\])?\s*=\s*'
                                   r'(\{.*?\n\s*\};)', path.read_text(), re.S):
                for name in re.findall(r'\.name\s*=\s*"([^"]+)"', body):
                    hooks[name] = path.relative_to(top)
    return hooks


def find_gtests(directory: Path) -> set[str]:
    return {f'{suite}.{name}' for path in directory.glob('*.cc')
            for suite, name in re.findall(
                r'^TEST(?:_[FP])?\((\w+),\s*(\w+)\)', path.read_text(), re.M)}


def find_functional(directory: Path) -> dict[str, list[str]]:
    """Each functional test, as scripts/functional calls it, and what it
    proves."""
    tests = {}
    for path in sorted(directory.glob('*_test.py')):
        module = path.stem.removesuffix('_test')
        try:
            tree = ast.parse(path.read_text(), str(path))
        except SyntaxError as error:
            raise Bad(str(error)) from error
        for cls in tree.body:
            if not isinstance(cls, ast.ClassDef):
                continue
            for method in cls.body:
                if isinstance(method, ast.FunctionDef) and \
                        method.name.startswith('test_'):
                    name = f'{module}.{method.name.removeprefix("test_")}'
                    tests[name] = proved(method)
    return tests


def proved(method: ast.FunctionDef) -> list[str]:
    return [argument.value for mark in method.decorator_list
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name)
            and mark.func.id == 'proves' for argument in mark.args
            if isinstance(argument, ast.Constant)]


class Table:
    """All of it together."""

    def __init__(self, top: Path, catalogue: Path) -> None:
        self.subsystems, self.facts_of_hooks, self.claims = \
            read_facts(top / FACTS)
        self.catalogue = read_catalogue(catalogue)
        self.hooks = find_hooks(top)
        self.gtests = {part: find_gtests(top / 'tests' / part)
                       for part in ('kvm', 'unit')}
        self.functional = find_functional(top / 'tests/functional')
        self.by_name = {one.name: one for one in self.subsystems}
        for test, names in self.functional.items():
            for name in names:
                if name in self.by_name:
                    self.by_name[name].functional.append(test)

    def problems(self) -> list[str]:
        return [*self.of_each(), *self.of_tests(), *self.of_nobody(),
                *self.of_hooks(), *self.of_claims()]

    def of_each(self) -> list[str]:
        found = []
        names = [one.name for one in self.subsystems]
        found += [f'{name}: it is there twice' for name in sorted(set(names))
                  if names.count(name) > 1]
        for one in self.subsystems:
            for row in one.rows:
                if row not in self.catalogue:
                    found.append(f'{one.name}: the catalogue has no {row}')
                elif not self.catalogue[row]:
                    found.append(f'{one.name}: {row} defines nothing, so the '
                                 'journal does not repeat it')
            found += [f'{one.name}: nobody registers a hook {hook}'
                      for hook in one.hooks if hook not in self.hooks]
            for part in 'kvm', 'unit':
                found += [f'{one.name}: tests/{part} has no {test}'
                          for test in getattr(one, part)
                          if test not in self.gtests[part]]
            if not (one.rows or one.hooks or one.reset):
                found.append(f'{one.name}: it does not say who restores it: '
                             'rows, hooks or reset')
            if not one.tests() and not one.checked:
                found.append(f'{one.name}: no test proves it: mark one with '
                             f"@proves('{one.name}'), or say under checked "
                             'why not and how it was checked')
        return found

    def of_tests(self) -> list[str]:
        return [f'{test} proves {name}, which {FACTS} does not have'
                for test, names in self.functional.items()
                for name in names if name not in self.by_name]

    def of_nobody(self) -> list[str]:
        """What belongs to no subsystem."""
        rows = {row for one in self.subsystems for row in one.rows}
        hooks = {hook for one in self.subsystems for hook in one.hooks}
        return [f'{row} defines a VM and belongs to no subsystem of {FACTS}'
                for row, defines in self.catalogue.items()
                if defines and row not in rows] + \
               [f'the hook {hook} ({path}) belongs to no subsystem of {FACTS}'
                for hook, path in self.hooks.items() if hook not in hooks]

    def of_hooks(self) -> list[str]:
        told = {hook.name for hook in self.facts_of_hooks}
        found = [f'the hook {name} ({path}) is not in {FACTS}: say what it '
                 'does and which test fails without it'
                 for name, path in self.hooks.items() if name not in told]
        for hook in self.facts_of_hooks:
            if hook.name not in self.hooks:
                found.append(f'hook {hook.name}: nobody registers it')
            if not hook.test and not hook.checked:
                found.append(f'hook {hook.name}: it names no test that fails '
                             'without it, and does not say under checked why')
            if hook.test and hook.test not in self.functional:
                found.append(f'hook {hook.name}: there is no functional test '
                             f'{hook.test}')
        return found

    def of_claims(self) -> list[str]:
        return [f'{claim.says}: no functional test is named {pattern}'
                for claim in self.claims for pattern in claim.tests
                if not self.matching(pattern)]

    def matching(self, pattern: str) -> list[str]:
        return [test for test in self.functional
                if fnmatch.fnmatchcase(test, pattern)]

    def works(self) -> str:
        """README.md's table."""
        lines = ['| what | where | shown by | limits |',
                 '| --- | --- | --- | --- |']
        for claim in self.claims:
            count = len({test for pattern in claim.tests
                         for test in self.matching(pattern)})
            lines.append(f'| {claim.says} | {claim.where} | {count} test{"s" * (count != 1)}: '
                         f'{code(claim.tests)} | {claim.limits} |')
        return '\n'.join(lines)

    def page(self) -> str:
        lines = [HEAD]
        group = None
        for one in self.subsystems:
            if one.group != group:
                group = one.group
                lines += ([''] if len(lines) > 1 else []) + [
                    f'## {group}', '',
                    '| subsystem | defines in KVM | who restores it | proved by |',
                    '| --- | --- | --- | --- |']
            lines.append(f'| {one.name} | {code(one.rows) or "nothing"} | '
                         f'{restorer(one)} | {proof(one)} |')
        lines += ['', '## Hooks', '',
                  '| hook | registered in | does | fails without it |',
                  '| --- | --- | --- | --- |']
        lines += [f'| {hook.name} | `{self.hooks[hook.name]}` | {hook.does} | '
                  + (f'`{hook.test}` |' if hook.test else
                     f'*none:* {hook.checked} |')
                  for hook in self.facts_of_hooks]
        return '\n'.join(lines) + '\n'


def code(names: list[str]) -> str:
    return ', '.join(f'`{name}`' for name in names)


def restorer(one: Subsystem) -> str:
    who = []
    if one.rows:
        who.append('journal')
    if one.hooks:
        who.append(('hooks ' if len(one.hooks) > 1 else 'hook ')
                   + code(one.hooks))
    if one.reset:
        who.append(f'reset: {one.reset}')
    return '; '.join(who)


def proof(one: Subsystem) -> str:
    tests = ', '.join([f'`{name}`' for name in one.functional]
                      + [f'kvm: `{name}`' for name in one.kvm]
                      + [f'unit: `{name}`' for name in one.unit])
    return '; '.join(filter(None, [
        tests, one.checked and f'*not a guest:* {one.checked}']))


def readme(path: Path, table: str) -> str:
    """README.md with that table between its marks."""
    text = path.read_text() if path.exists() else ''
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Bad(f'{path} has no place for the table: put {BEGIN} and {END} '
                  'around it')
    return f'{before}{begin}\n{table}\n{end}{after}'


def check(top: Path, name: str, page: str) -> list[str]:
    """What the page that is there has otherwise."""
    path = top / name
    old = path.read_text() if path.exists() else ''
    if old == page:
        return []
    changed = [line for line in difflib.unified_diff(
        old.splitlines(), page.splitlines(), n=0, lineterm='')
        if re.match(r'[-+](?![-+])', line)]
    return [f'{name} is out of date: run scripts/subsystems',
            *(line[:160] for line in changed[:6])]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument('--top', type=Path, required=True)
    parser.add_argument('--catalogue', type=Path, required=True)
    parser.add_argument('--check', action='store_true')
    # For scripts: a name and its test a line.
    parser.add_argument('--hooks', action='store_true')
    args = parser.parse_args()
    try:
        table = Table(args.top, args.catalogue)
        problems = table.of_hooks() if args.hooks else table.problems()
        pages = {} if problems or args.hooks else {
            PAGE: table.page(),
            README: readme(args.top / README, table.works())}
    except Bad as bad:
        print(f'subsystems: error: {bad}', file=sys.stderr)
        return 1
    if args.check:
        problems += [line for name, page in pages.items()
                     for line in check(args.top, name, page)]
    for problem in problems:
        print(f'subsystems: error: {problem}', file=sys.stderr)
    if problems:
        return 1
    if args.hooks:
        for hook in table.facts_of_hooks:
            if hook.test:
                print(hook.name, hook.test)
        return 0
    if not args.check:
        for name, page in pages.items():
            (args.top / name).write_text(page)
    bare = sum(not one.tests() for one in table.subsystems)
    print(f'{len(table.subsystems)} subsystems, {len(table.hooks)} hooks, '
          f'{sum(table.catalogue.values())} ioctls and values that define; '
          f'{bare} subsystems that no guest proves, each with the reason')
    return 0
