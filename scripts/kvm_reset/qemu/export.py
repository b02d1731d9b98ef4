# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes of patches/ and our sources a series that `git am` takes, or quilt.

    scripts/export-series --qemu ~/src/qemu --out ~/series
    cd ~/src/qemu && git checkout -b kvm-reset && git am ~/series/*.patch

    cd ~/src/qemu-10.0.13+ds        (from apt-get source qemu)
    .../scripts/export-series --format quilt --qemu . --out debian/patches
    dpkg-buildpackage

TREE is a pristine QEMU tree of a supported version, with git or without; it is
only read. There is one commit for each line of patches/series. With quilt, DIR
is the debian/patches of a source package: what is in its `series` stays, and
ours follow it. A tree without git becomes one that `git am` takes with

    git init && git add -f . && git commit -m 'QEMU as released'
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from kvm_reset.qemu import quilt, tree_sync
from kvm_reset.qemu.apply import Commit, File, apply, result
from kvm_reset.qemu.series import (
    PatchError, load, qemu_version, upward_includes)

TOP = Path(__file__).resolve().parents[3]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--qemu', type=Path, required=True, metavar='TREE')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.add_argument('--format', choices=('mbox', 'quilt'), default='mbox',
                        help='for git am, or for debian/patches')
    parser.add_argument('--signoff', metavar='"NAME <MAIL>"',
                        help="who signs off; git's user.name and user.email "
                             'by default')
    parser.add_argument('--check-builds', action='store_true',
                        help='build QEMU after each commit (minutes each)')
    parser.add_argument('--cache', type=Path, metavar='DIR',
                        help='keep what Coccinelle answers here')
    parser.add_argument('--patches', type=Path, default=TOP / 'patches',
                        metavar='DIR', help='patches/ of another checkout')
    return parser.parse_args()


def say(text: str) -> None:
    print(f'export-series: {text}', file=sys.stderr)


class Git:
    """A repository in DIR that heeds nobody's configuration."""

    def __init__(self, directory: Path, author: tuple[str, str], date: str):
        self._directory = directory
        self._environment = {
            'PATH': os.environ['PATH'], 'HOME': str(directory),
            'GIT_CONFIG_NOSYSTEM': '1', 'TZ': 'UTC', 'LC_ALL': 'C.UTF-8',
            'GIT_AUTHOR_NAME': author[0], 'GIT_AUTHOR_EMAIL': author[1],
            'GIT_COMMITTER_NAME': author[0], 'GIT_COMMITTER_EMAIL': author[1],
            'GIT_AUTHOR_DATE': date, 'GIT_COMMITTER_DATE': date,
        }
        self.run('init', '--quiet', '--initial-branch=base')

    def run(self, *words: str, text: str | None = None) -> str:
        done = subprocess.run(
            ['git', *words], cwd=self._directory, env=self._environment,
            input=text, capture_output=True, text=True)
        if done.returncode != 0:
            why = (done.stderr or done.stdout).strip().splitlines()
            raise PatchError(f'git {words[0]} fails: '
                             f'{why[0] if why else "no reason given"}')
        return done.stdout

    def commit(self, message: str, *options: str) -> None:
        self.run('add', '--force', '--all', '.')
        self.run('commit', '--quiet', '--allow-empty', '--cleanup=verbatim',
                 '--file=-', *options, text=message)


def author(signoff: str | None) -> tuple[str, str]:
    if signoff is None:
        found = [
            subprocess.run(['git', 'config', f'user.{key}'], cwd=TOP,
                           capture_output=True, text=True).stdout.strip()
            for key in ('name', 'email')]
        if not all(found):
            raise PatchError('git does not know who you are: say it with '
                             '--signoff "Your Name <you@example.org>"')
        return found[0], found[1]
    match = re.fullmatch(r'\s*([^<>]+?)\s*<([^<>@\s]+@[^<>\s]+)>\s*', signoff)
    if not match:
        raise PatchError(f'--signoff {signoff!r}: '
                         f'"Your Name <you@example.org>" is its form')
    return match[1], match[2]


def epoch() -> int:
    """The same series for the same commit of ours, whenever it is made."""
    said = os.environ.get('SOURCE_DATE_EPOCH')
    if said is None:
        said = subprocess.run(
            ['git', 'log', '-1', '--format=%ct'], cwd=TOP,
            capture_output=True, text=True).stdout.strip() or '0'
    return int(said)


def export(commits: list[Commit], tree: Path, out: Path,
           who: tuple[str, str], form: str) -> list[Path]:
    """Writes the series to OUT, and tries it with git."""
    after = result(commits)
    # Only the files that change matter to a patch, and they are few.
    before = {name: File((tree / name).read_bytes(),
                                    (tree / name).stat().st_mode & 0o777)
              for name in after if (tree / name).is_file()}
    with tempfile.TemporaryDirectory(prefix='export-series.') as scratch:
        work = Path(scratch, 'work')
        work.mkdir()
        git = Git(work, who, f'@{epoch()} +0000')
        tree_sync.write(work, before)
        git.commit('QEMU as released\n')
        git.run('tag', 'pristine')
        for commit in commits:
            tree_sync.write(work, commit.files)
            git.commit(commit.patch.message, '--signoff')
        whole = git.run('rev-parse', 'HEAD^{tree}')
        git.run('checkout', '--quiet', '-b', 'trial', 'pristine')
        if form == 'quilt':
            made = quilt_patches(git, commits, who)
        else:
            made = mbox_patches(git, Path(scratch, 'series'))
        if git.run('rev-parse', 'HEAD^{tree}') != whole:
            raise PatchError('the series does not give the patched tree: this '
                             'is an error of export-series')
    if form == 'quilt':
        return quilt.write(out, made)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob('[0-9][0-9][0-9][0-9]-*.patch'):
        old.unlink()
    for name, text in made.items():
        (out / name).write_text(text)
    return [out / name for name in made]


def mbox_patches(git: Git, scratch: Path) -> dict[str, str]:
    git.run('format-patch', '--quiet', '--zero-commit', '--no-signature',
            '--full-index', f'--output-directory={scratch}', 'pristine..base')
    series = sorted(scratch.iterdir())
    git.run('am', '--quiet', *map(str, series))
    return {patch.name: patch.read_text() for patch in series}


def quilt_patches(git: Git, commits: list[Commit],
          who: tuple[str, str]) -> dict[str, str]:
    made = {}
    steps = git.run('rev-list', '--reverse', 'pristine..base').split()
    for commit, step in zip(commits, steps, strict=True):
        diff = git.run('diff', '--no-renames', '--full-index', f'{step}~', step)
        made[f'{commit.patch.name}.patch'] = quilt.header(
            commit.patch, '{} <{}>'.format(*who), epoch()) + '\n' + diff
        git.run('apply', '--index', '-', text=diff)
        git.run('commit', '--quiet', '--allow-empty', '--message=trial')
    return made


def check_builds(commits: list[Commit], tree: Path) -> None:
    for number, commit in enumerate(commits, 1):
        name = commit.patch.name
        say(f'building {number} of {len(commits)}: {name}')
        done = subprocess.run(
            [TOP / 'scripts/build-qemu', '--source', tree, '--until', name],
            stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            raise PatchError(f'QEMU does not build after {name}: move what '
                             f'it needs into that patch')


def run(args: argparse.Namespace) -> None:
    who = author(args.signoff)
    series = load(args.patches, qemu_version(args.qemu))
    for upward in upward_includes(series):
        raise PatchError(f'{upward}: mend patches/overlay.toml or patches/'
                         f'series')
    commits = apply(series, args.qemu, cache=args.cache)
    made = export(commits, args.qemu, args.out, who, args.format)
    say(f'{len(made)} patches for QEMU {series.version}, tried with git')
    if args.format == 'mbox' and not (args.qemu / '.git').exists():
        say(f"{args.qemu} has no git: there, say \"git init && git add -f . && "
            f"git commit -m 'QEMU as released'\" before git am")
    for path in made:
        print(path)
    if args.check_builds:
        check_builds(commits, args.qemu)
        say(f'QEMU builds after each of the {len(commits)} commits')


def main() -> str | None:
    try:
        run(arguments())
    except PatchError as error:
        return f'export-series: error: {error}'
    except FileNotFoundError as error:
        return (f'export-series: error: {error.filename}: not found' +
                (': apt-get install git' if error.filename == 'git' else ''))
    except OSError as error:
        return f'export-series: error: {error.filename}: {error.strerror}'
    return None
