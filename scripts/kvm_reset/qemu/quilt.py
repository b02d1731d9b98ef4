# SPDX-License-Identifier: GPL-2.0-or-later
"""A series as the debian/patches of a source package: files with DEP-3 headers
(https://dep-team.pages.debian.net/deps/dep3/) that quilt and dpkg-source take.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from kvm_reset.qemu.series import Patch

# Ours are in a directory of their own, beside the distribution's.
DIRECTORY = 'kvm-reset'


def header(patch: Patch, author: str, epoch: int) -> str:
    """What DEP-3 wants to stand above the diff."""
    subject, _, body = patch.message.strip().partition('\n\n')
    day = datetime.fromtimestamp(epoch, timezone.utc).date().isoformat()
    return '\n'.join([
        f'Description: {subject}',
        *(f' {line}' if line else ' .' for line in body.splitlines()),
        f'Author: {author}',
        f'Forwarded: {"no" if patch.upstream else "not-needed"}',
        f'Last-Update: {day}',
        '---', ''])


def write(out: Path, patches: dict[str, str]) -> list[Path]:
    """PATCHES, in their order, into the debian/patches OUT; others stay."""
    ours = out / DIRECTORY
    ours.mkdir(parents=True, exist_ok=True)
    for old in ours.glob('*.patch'):
        old.unlink()
    for name, text in patches.items():
        (ours / name).write_text(text)
    series = out / 'series'
    others = [line for line in
              (series.read_text().splitlines() if series.exists() else [])
              if not line.startswith(f'{DIRECTORY}/')]
    series.write_text('\n'.join(
        others + [f'{DIRECTORY}/{name}' for name in patches]) + '\n')
    return [ours / name for name in patches]
