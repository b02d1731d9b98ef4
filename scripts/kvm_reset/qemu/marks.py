# SPDX-License-Identifier: GPL-2.0-or-later
"""Marks commands of QEMU's monitors where they are defined: with a feature in a
QAPI schema, or a letter of their flags in one of the human monitor's tables.

Text in, text out; a ValueError says what did not fit.
"""

from __future__ import annotations

import re
import textwrap


def qapi_feature(text: str, command: str, feature: str, means: str) -> str:
    """The schema TEXT in which COMMAND has FEATURE, and documents it."""
    found = list(re.finditer(rf"^{{ ?'command': '{re.escape(command)}'", text,
                             re.MULTILINE))
    if len(found) != 1:
        raise ValueError(f'defines the command {command} {len(found)} times '
                         f'where 1 is right')
    at = found[0]
    end = re.compile(r'^(?=\n|##)', re.MULTILINE).search(text, at.end())
    body = text[at.end():end.start() if end else len(text)]
    listed = re.subn(r"'features': \[ ?", f"'features': [ '{feature}', ", body,
                     count=1)
    if not listed[1]:
        listed = (f",\n  'features': [ '{feature}' ]{body}", 1)

    above = text.rfind(f'\n##\n# @{command}:\n', 0, at.start())
    doc = text[above:at.start()]
    if above < 0 or doc.count('\n##\n') != 2:
        raise ValueError(f'has no documentation of the command {command} '
                         f'above it')
    return (text[:above] + _documented(doc, command, feature, means) +
            at[0] + listed[0] + text[at.end() + len(body):])


def _documented(doc: str, command: str, feature: str, means: str) -> str:
    entry = ''.join(f'{line}\n' for line in textwrap.wrap(
        f'@{feature}: {means}', 70, initial_indent='# ',
        subsequent_indent='#     ')) + '#\n'
    section = '# Features:\n#\n'
    if section in doc:
        return doc.replace(section, section + entry, 1)
    since = re.search(r'^# Since: ', doc, re.MULTILINE)
    if not since:
        raise ValueError(f'does not say since when there is {command}')
    return doc[:since.start()] + section + entry + doc[since.start():]


def hmp_flag(text: str, command: str, flag: str) -> str:
    """The table TEXT in which the entry of COMMAND has FLAG."""
    found = list(re.finditer(
        rf'^ *\.name *= "{re.escape(command)}",\n(?:.*\n)*?(?= *}},$)', text,
        re.MULTILINE))
    if len(found) != 1:
        raise ValueError(f'has the command {command} {len(found)} times where '
                         f'1 is right')
    entry, count = re.subn(r'^( *\.flags *= "[a-z]*)(",)$', rf'\g<1>{flag}\2',
                           found[0][0], flags=re.MULTILINE)
    if not count:
        entry += f'        .flags      = "{flag}",\n'
    return text[:found[0].start()] + entry + text[found[0].end():]
