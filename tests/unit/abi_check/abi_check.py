#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks a C compiler whether kvm_abi.h says what <linux/kvm.h> says.

The product and its tests have KVM's structs and numbers from headers of their
own (ABI below).  This puts the same questions to a C compiler that reads a
set of kernel headers, and to a C++ compiler that reads ours: every struct's
size, every field's place, every number.  It asks, too, about every ioctl that
the kernel headers define, every field that a row of the catalogue names
(facts.txt), every command of a confidential launch and every value that a
classifier knows.
C, because some of these headers give other numbers to a C++ compiler.

A set of headers is "installed" (the compiler's own) or a folder like QEMU's
linux-headers/, with linux/ and asm-x86/.  Prints TAP.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE_BITS = 0x3FFF << 16
FIRST_QUESTION = 7      # line of the C program that asks
CASES = 9
ROOT = HERE.parents[2]
ABI = [ROOT / 'accel/kvm-reset/kvm_abi.h',
       ROOT / 'accel/kvm-reset/kvm_cap.h',
       ROOT / 'accel/kvm-reset/kvm_struct.h',
       ROOT / 'target/i386/kvm-reset/launch_abi.h']
# Of Linux 7.3.  Headers that have it are as new as ours, and lack nothing of
# ours.
NEWEST = 'KVM_SEV_SNP_ENABLE_REQ_CERTS'
# Members that came to a struct later: padding that got a name, and these.
LATER = re.compile(r'.*\.(?:pad\w*|reserved\w*'
                   r'|runstate_update_flag|u\.hva|hypercall\.flags)')
FROM_ENVIRONMENT = 'KVM_RESET_LINUX_HEADERS'
# What describes a VM; the rest of asm/ is about the machine we run on.
ASM_FILES = ('kvm.h', 'ptrace.h', 'sve_context.h')

DEFINE = re.compile(r'^[ \t]*#[ \t]*define[ \t]+(\w+)(?!\()[ \t]+(.+)$', re.M)
IOCTL = re.compile(r'\b_IO[RW]*\s*\(\s*KVMIO\s*,')
STRUCT = re.compile(r'\bstruct\s+(\w+)')
STRUCT_BODY = re.compile(r'\bstruct\s+(\w+)\s*\{')
FIELD = re.compile(r'(kvm_\w+)\.([\w.\[\]]+)')
ENUM_BODY = re.compile(r'\benum\s+\w*\s*\{([^}]*)\}')
# Values of which each means something else to a rebirth, so that one more in
# the kernel headers is one that nobody has thought about.
FAMILY = re.compile(
    r'(?:GUEST_MEMFD_FLAG|KVM_MEMORY_ATTRIBUTE|KVM_MEM|KVM_IRQFD_FLAG'
    r'|KVM_X86_REG_TYPE|KVM_XEN_ATTR_TYPE|KVM_XEN_VCPU_ATTR_TYPE)_[A-Z]\w+'
    r'|KVM_X86_\w+_VM')
CAPABILITY = re.compile(r'KVM_CAP_(?!(?:ARM|LOONGARCH|MIPS|PPC|RISCV|S390)_)\w+')
# How many there are is no command.
LAUNCH = re.compile(r'KVM_(?:SEV|TDX)_(?!(?:CMD_)?NR_MAX)\w+')
MACRO = re.compile(r'\b[A-Z][A-Z0-9_]{3,}\b')
NO_MEMBER = re.compile(r':(\d+):\d+: error: .*no member named')
OUR_STRUCT = re.compile(r'\bstruct\s+(kvm_\w+?)(?:_of)?\s*\{')
OUR_CONSTANT = re.compile(
    r'\bconstexpr\s+uint\d+_t\s+((?:KVM|GUEST_MEMFD)_\w+)\s*=')
OUR_FIELD = re.compile(r'[\w:]+\s*\*?\s*(\w+)((?:\[\w+\])*)'
                       r'(?:\s*=\s*(?:\w+|\{\}))?;')


class Unusable(Exception):
    """What ends the check, in one line."""


class LackingMembers(Exception):
    """Structs lack members that a C program asks about, on these lines."""

    def __init__(self, lines: set[int]) -> None:
        super().__init__(f'lines {sorted(lines)}')
        self.lines = lines


def answers_of(program: Path) -> dict[str, list[int]]:
    """What a program of questions says, by label."""
    answers = subprocess.run([str(program)], capture_output=True,
                             text=True, check=True).stdout
    return {label: [int(n) for n in numbers.split()]
            for label, numbers in
            (line.split(' ', 1) for line in answers.splitlines())}


def join_lines(text: str) -> str:
    """The text without comments, each definition on one line."""
    text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    return re.sub(r'\\\n', ' ', text)


def ioctls_in(text: str) -> dict[str, str]:
    """Every name that stands for an ioctl of KVM's, and its definition.

    A name that is defined as another such name is one too.
    """
    defined = {name: body.strip()
               for name, body in DEFINE.findall(join_lines(text))}
    found = {name: body for name, body in defined.items()
             if IOCTL.search(body)}
    while True:
        aliases = {name: found[body] for name, body in defined.items()
                   if body in found and name not in found}
        if not aliases:
            return found
        found |= aliases


@dataclass
class Headers:
    """A set of kernel headers and the C compiler that reads them."""
    name: str
    cc: str
    folder: Path | None
    work: Path
    arch: str = 'x86'
    text: str = field(init=False)
    structs: set[str] = field(init=False)
    enumerators: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.flags: list[str] = []
        if self.folder:
            if not (self.folder / 'linux/kvm.h').is_file():
                raise Unusable(f'{self.folder}: no linux/kvm.h in it; give a '
                               "folder like QEMU's linux-headers/")
            asm = self.folder / f'asm-{self.arch}'
            overlay = self.work / f'include-{self.arch}/asm'
            overlay.mkdir(parents=True)
            for name in ASM_FILES:
                if (asm / name).is_file():
                    (overlay / name).symlink_to((asm / name).resolve())
            self.flags += ['-isystem', str(overlay.parent)]
            self.flags += ['-isystem', str(self.folder)]
        self.text = self.compile(
            '#include <linux/kvm.h>\n', 'preprocess', '-E').decode()
        self.structs = set(STRUCT_BODY.findall(self.text))
        self.enumerators = {
            name for body in ENUM_BODY.findall(self.text)
            for name in re.findall(r'(\w+)\s*(?:=[^,]*)?(?:,|$)', body)}

    def compile(self, source: str, what: str, *flags: str) -> bytes:
        path = self.work / f'{what}-{self.arch}.c'
        path.write_text(source)
        done = subprocess.run(
            [self.cc, '-std=gnu11', *flags, *self.flags, str(path)],
            capture_output=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.decode().splitlines()
                      if ' error: ' in line
                      and 'too many errors' not in line]
            places = [NO_MEMBER.search(line) for line in errors]
            if errors and all(places):
                raise LackingMembers({int(place[1]) for place in places})
            first = done.stderr.decode().strip().splitlines()
            raise Unusable(f'{self.cc} on {self.name}: '
                           + next((line for line in first if 'error' in line),
                                  f'exit {done.returncode}'))
        return done.stdout

    def other_architectures(self) -> list[str]:
        found = self.folder.glob('asm-*/kvm.h') if self.folder else ()
        archs = sorted(path.parent.name.removeprefix('asm-')
                       for path in found)
        return [arch for arch in archs if arch != self.arch]

    def on(self, arch: str) -> Headers:
        """The same headers as another architecture has them, as far as a
        compiler for this one can read them."""
        return Headers(self.name, self.cc, self.folder, self.work, arch)

    def kvm_h(self) -> str:
        """The text of linux/kvm.h and asm/kvm.h, macros and all."""
        files = re.findall(r'^# \d+ "([^"]*/kvm\.h)"', self.text, re.M)
        return '\n'.join(Path(name).read_text()
                         for name in dict.fromkeys(files))

    def ask(self, questions: list[tuple[str, str]]) -> dict[str, list[int]]:
        """The values of C expressions, by label; a question whose structs or
        macros these headers lack gets no answer."""
        lines = ['#include <stddef.h>', '#include <stdio.h>',
                 '#include <linux/kvm.h>',
                 '#define WIDTH(s, f) sizeof(((struct s *)0)->f)',
                 'int main(void)', '{']
        assert len(lines) == FIRST_QUESTION - 1
        asked = [(label, expression) for label, expression in questions
                 if not set(STRUCT.findall(expression)) - self.structs]
        for label, expression in asked:
            macros = [name for name in MACRO.findall(expression)
                      if name != 'WIDTH' and name not in self.enumerators]
            values = expression.split('; ')
            lines += [f'#if {" && ".join(f"defined({m})" for m in macros)}'
                      if macros else '#if 1',
                      f'    printf("{label}{" %llu" * len(values)}\\n"'
                      + ''.join(f', (unsigned long long)({v})'
                                for v in values) + ');',
                      '#endif']
        lines += ['    return 0;', '}', '']
        program = self.work / f'ask-{self.arch}'
        try:
            self.compile('\n'.join(lines), 'ask', '-w', '-o', str(program))
        except LackingMembers as lacking:
            # The question is the line between its #if and #endif.
            dropped = {(line - FIRST_QUESTION) // 3 for line in lacking.lines}
            return self.ask([question for n, question in enumerate(asked)
                             if n not in dropped])
        return answers_of(program)


class Abi:
    """Our own headers, and the C++ compiler that reads them."""

    def __init__(self, cxx: str) -> None:
        self.cxx = cxx
        text = ''.join(path.read_text() for path in ABI)
        text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
        self.constants = OUR_CONSTANT.findall(text)
        self.fields: dict[str, list[tuple[str, str]]] = {}
        for struct in OUR_STRUCT.finditer(text):
            self.fields[struct[1]] = self.fields_in(text, struct.end())
        missed = (set(re.findall(r'\b(?:KVM|GUEST_MEMFD)_\w+(?=\s*=)', text))
                  - set(self.constants))
        if missed:
            raise Unusable(f'{", ".join(sorted(missed))}: neither uint32_t nor '
                           'uint64_t')

    @staticmethod
    def fields_in(text: str, at: int) -> list[tuple[str, str]]:
        """The fields up to the brace that closes a struct: path and array
        bounds.  What is in a union or struct without a name is the outer
        one's."""
        fields: list[tuple[str, str]] = []
        starts: list[int] = []
        token = re.compile(r'\s*(?:(?:union|struct)\s*(\{)|(\})\s*(\w*)([^;]*);|'
                           + OUR_FIELD.pattern + ')')
        while True:
            found = token.match(text, at)
            if not found:
                raise Unusable(f'cannot read {text[at:at + 60].strip()!r}')
            at = found.end()
            opens, closes, name, bounds, field, array = found.groups()
            if opens:
                starts.append(len(fields))
            elif closes and not starts:
                return fields
            elif closes:
                start = starts.pop()
                if name:
                    inner = [(f'{name}.{path}', array)
                             for path, array in fields[start:]]
                    fields[start:] = inner
            elif field != 'gap':
                fields.append((field, array))

    def questions(self) -> dict[str, str]:
        asked = {name: name for name in self.constants}
        for struct, fields in self.fields.items():
            asked[struct] = f'sizeof(struct {struct})'
            for path, array in fields:
                # Of an array that follows the struct, an element's width.
                first = '[0]' if array == '[count]' else ''
                asked[f'{struct}.{path}'] = (
                    f'offsetof(struct {struct}, {path}); '
                    f'WIDTH({struct}, {path}{first})')
        return asked

    def answers(self, work: Path) -> dict[str, list[int]]:
        lines = ['#include <cstddef>', '#include <cstdio>']
        lines += [f'#include "{path}"' for path in ABI]
        lines += ['#define WIDTH(s, f) sizeof(((s *)0)->f)',
                  'using namespace kvm_reset::abi;', 'int main()', '{']
        for label, expression in self.questions().items():
            values = expression.replace('struct ', '').split('; ')
            lines.append(f'    printf("{label}{" %llu" * len(values)}\\n"'
                         + ''.join(f', (unsigned long long)({value})'
                                   for value in values) + ');')
        lines += ['}', '']
        source, program = work / 'abi.cc', work / 'abi'
        source.write_text('\n'.join(lines))
        done = subprocess.run(
            [self.cxx, '-std=gnu++2b', '-w', '-I', str(ABI[0].parent),
             str(source), '-o', str(program)],
            capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unusable(f'{self.cxx} on {source.name}: '
                           + next((line for line in done.stderr.splitlines()
                                   if 'error' in line), 'no reason given'))
        return answers_of(program)


@dataclass
class Catalogue:
    """What kvm-reset-catalogue prints."""
    rows: list[dict]
    rules: list[dict]
    launches: list[dict]

    @classmethod
    def of(cls, tool: Path) -> Catalogue:
        done = subprocess.run([str(tool.resolve())], capture_output=True, text=True,
                              check=True)
        entries = [json.loads(line) for line in done.stdout.splitlines()]
        return cls(*([entry for entry in entries if entry['kind'] == kind]
                     for kind in ('row', 'rule', 'launch')))

    def facts(self) -> dict[str, int | list[int]]:
        return {f'{row["class"]}:{row["name"]}:{name}': value
                for row in self.rows + self.launches
                for name, value in row['facts'].items()}


def read_facts(path: Path) -> dict[str, str]:
    """The questions of facts.txt, by label."""
    questions = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith('#'):
            continue
        parts = line.split(None, 3)
        if len(parts) != 4:
            raise Unusable(f'{path}:{number}: wants CLASS NAME FACT '
                           'EXPRESSION')
        questions[':'.join(parts[:3])] = parts[3]
    return questions


class Check:
    """The test cases, printed as TAP.  Each is one sentence."""

    def __init__(self, headers: Headers, catalogue: Catalogue,
                 questions: dict[str, str], abi: Abi) -> None:
        self.headers = headers
        self.abi = abi
        self.catalogue = catalogue
        self.questions = questions
        self.ioctls = ioctls_in(headers.kvm_h())
        self.rows: dict[str, list[dict]] = {}
        for row in catalogue.rows:
            self.rows.setdefault(row['name'], []).append(row)

    def every_struct_is_what_c_says(self) -> tuple[list[str], str]:
        return self.ours_is_theirs(struct=True)

    def every_constant_is_what_c_says(self) -> tuple[list[str], str]:
        return self.ours_is_theirs(struct=False)

    def ours_is_theirs(self, struct: bool) -> tuple[list[str], str]:
        questions = {label: expression for label, expression
                     in self.abi.questions().items()
                     if label.startswith('kvm_') == struct}
        theirs = self.headers.ask(list(questions.items()))
        ours = self.abi.answers(self.headers.work)
        wrong = [f'{label}: our header says {ours[label]}, C says {answer}'
                 for label, answer in theirs.items() if answer != ours[label]]
        lacking = [label for label in questions if label not in theirs]
        wrong += [f'{label}: the kernel headers know no such thing'
                  for label in lacking if self.should_know(label)]
        return wrong, (f'{len(theirs)} questions' +
                       (f'; {len(lacking)} on what these headers lack'
                        if lacking else ''))

    def should_know(self, label: str) -> bool:
        return (NEWEST in self.headers.enumerators
                or (label.partition('.')[0] in self.headers.structs
                    and not LATER.fullmatch(label)))

    def every_value_of_a_family_is_known(self) -> tuple[list[str], str]:
        ours = self.abi.answers(self.headers.work)
        newest = max(number for label, (number, *_) in ours.items()
                     if CAPABILITY.fullmatch(label))
        defined = dict(DEFINE.findall(join_lines(self.headers.kvm_h())))
        family = [name for name in defined if FAMILY.fullmatch(name)]
        caps = [name for name in defined if CAPABILITY.fullmatch(name)]
        wrong = [f'{name}: kvm_abi.h has no such value'
                 for name in family if name not in ours]
        # Of the older ones, those that matter were picked by hand.
        wrong += [f'{name}: newer than all in kvm_cap.h, and not there'
                  for name in caps
                  if name not in ours and int(defined[name], 0) > newest]
        if not family or not caps:
            wrong = [f'no such values found in {self.headers.name}']
        return wrong, f'{len(family)} values, {len(caps)} capabilities'

    def every_ioctl_has_a_row(self) -> tuple[list[str], str]:
        # Of two names for one ioctl, one is enough.
        known = {body for name, body in self.ioctls.items()
                 if name in self.rows}
        wrong = [f'{name} ({body}) has no row in the catalogue'
                 for name, body in self.ioctls.items() if body not in known]
        if not self.ioctls:
            wrong = [f'no ioctl found in {self.headers.name}']
        return wrong, f'{len(self.ioctls)} ioctls'

    def every_number_is_what_c_says(self) -> tuple[list[str], str]:
        def ask(headers: Headers, names: list[str]) -> dict[str, list[int]]:
            return headers.ask([(name, f'{name} /* {self.ioctls[name]} */')
                                for name in names])

        numbers = ask(self.headers, list(self.ioctls))
        for arch in self.headers.other_architectures():
            lacking = [name for name in self.ioctls if name not in numbers]
            try:
                numbers |= ask(self.headers.on(arch), lacking)
            except Unusable:
                continue        # needs that architecture's own libc

        # A struct that none of these headers has: all but the size is known.
        unsized = [name for name in self.ioctls if name not in numbers]
        numbers |= self.headers.ask([
            (name, STRUCT.sub('char', self.ioctls[name])) for name in unsized])
        wrong = []
        for name in self.ioctls:
            mask = ~SIZE_BITS if name in unsized else ~0
            said = numbers[name][0]
            for row in self.rows.get(name, []):
                if (row['request'] ^ said) & mask & 0xFFFFFFFF:
                    wrong.append(
                        f'{name} on {row["class"]}: the catalogue says '
                        f'{row["request"]:#x}, C says {said:#x}'
                        + (' (but for the size)' if name in unsized else ''))
        return wrong, (f'{len(numbers) - len(unsized)} numbers' +
                       (f'; {len(unsized)} but for the size, which these '
                        f'headers lack: {" ".join(unsized)}'
                        if unsized else ''))

    def every_fact_is_what_c_says(self) -> tuple[list[str], str]:
        facts = self.catalogue.facts()
        asked = []
        for label, expression in self.questions.items():
            place = FIELD.fullmatch(expression)
            if place:
                struct, member = place.groups()
                expression = f'offsetof(struct {struct}, {member})'
                if isinstance(facts.get(label), list):
                    expression += f'; WIDTH({struct}, {member})'
                if struct not in self.headers.structs:
                    continue
            asked.append((label, expression))
        answers = self.headers.ask(asked)
        wrong = []
        for label, answer in answers.items():
            fact = facts.get(label)
            if fact is not None and fact not in (answer, answer[0]):
                wrong.append(f'{label}: the catalogue says {fact}, '
                             f'{self.questions[label]} is {answer}')
        lacking = len(self.questions) - len(answers)
        return wrong, (f'{len(answers)} facts' +
                       (f'; {lacking} on what these headers lack'
                        if lacking else ''))

    def every_fact_is_asked_about(self) -> tuple[list[str], str]:
        facts = self.catalogue.facts()
        wrong = [f'{label}: nothing in facts.txt says what it should be'
                 for label in facts if label not in self.questions]
        wrong += [f'{label}: in facts.txt, but the catalogue has no such fact'
                  for label in self.questions if label not in facts]
        return wrong, f'{len(facts)} facts'

    def every_argument_rule_is_on_the_right_value(self) -> tuple[list[str], str]:
        rules = self.catalogue.rules
        answers = self.headers.ask([(r['name'], r['name']) for r in rules])
        wrong = [f'{r["name"]}: the classifier says {r["value"]}, '
                 f'C says {answers[r["name"]][0]}'
                 for r in rules if r['name'] in answers
                 and answers[r['name']][0] != r['value']]
        lacking = len(rules) - len(answers)
        return wrong, (f'{len(answers)} values' +
                       (f'; {lacking} that these headers lack'
                        if lacking else ''))

    def every_launch_command_has_a_row(self) -> tuple[list[str], str]:
        """Of x86, where they are in enums of asm/kvm.h."""
        known = {launch['name'] for launch in self.catalogue.launches}
        commands = {name for name in self.headers.enumerators
                    if LAUNCH.fullmatch(name)}
        wrong = [f'{name} has no row in launch_commands.cc'
                 for name in sorted(commands - known)]
        if not commands:
            wrong = [f'no launch command found in {self.headers.name}']
        return wrong, f'{len(commands)} commands'

    def run(self, first: int) -> bool:
        """Prints the cases numbered from @first on; whether all are good."""
        cases = [
            ('EveryStructIsWhatACCompilerSays',
             self.every_struct_is_what_c_says),
            ('EveryConstantIsWhatACCompilerSays',
             self.every_constant_is_what_c_says),
            ('EveryValueOfAFamilyIsKnown',
             self.every_value_of_a_family_is_known),
            ('EveryIoctlOfTheHeadersHasARow', self.every_ioctl_has_a_row),
            ('EveryNumberIsWhatACCompilerSays',
             self.every_number_is_what_c_says),
            ('EveryFactOfARowIsWhatACCompilerSays',
             self.every_fact_is_what_c_says),
            ('EveryFactOfARowIsAskedAbout', self.every_fact_is_asked_about),
            ('EveryArgumentRuleIsOnTheRightValue',
             self.every_argument_rule_is_on_the_right_value),
            ('EveryLaunchCommandOfTheHeadersHasARow',
             self.every_launch_command_has_a_row),
        ]
        assert len(cases) == CASES
        good = True
        for number, (name, case) in enumerate(cases, first):
            wrong, extent = case()
            good = good and not wrong
            print(f'{"not ok" if wrong else "ok"} {number} - {name} '
                  f'({self.headers.name}: {extent})')
            for line in wrong:
                print(f'# {line}')
        return good


def check_all(sets: list[str], cc: str, cxx: str, tool: Path) -> bool:
    catalogue = Catalogue.of(tool)
    abi = Abi(cxx)
    questions = read_facts(HERE / 'facts.txt')
    good = True
    print(f'1..{CASES * len(sets)}')
    for number, name in enumerate(sets):
        with tempfile.TemporaryDirectory() as work:
            folder = None if name == 'installed' else Path(name)
            headers = Headers(name, cc, folder, Path(work))
            check = Check(headers, catalogue, questions, abi)
            good = check.run(CASES * number + 1) and good
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--catalogue', type=Path, required=True,
                        help='the kvm-reset-catalogue program')
    parser.add_argument('--cc', default='cc', help='a C compiler')
    parser.add_argument('--cxx', default='c++', help='a C++ compiler')
    parser.add_argument('headers', nargs='*',
                        help='"installed", or a folder like linux-headers/;\n'
                             'without: the folders that\n'
                             f'{FROM_ENVIRONMENT} lists, with colons')
    args = parser.parse_args()
    sets = args.headers or [name for name in
                            os.environ.get(FROM_ENVIRONMENT, '').split(':')
                            if name]
    if not sets:
        print(f'1..0 # SKIP {FROM_ENVIRONMENT} names no linux-headers/ of a '
              'QEMU tree')
        return 0
    try:
        return 0 if check_all(sets, args.cc, args.cxx, args.catalogue) else 1
    except (Unusable, OSError, subprocess.CalledProcessError) as error:
        print(f'Bail out! {error}')
        print(f'abi_check: error: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
