# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a pristine QEMU tree one with kvm-reset: our directories are laid over
it and patches/ is applied. Either all of that is done or, with the rule and the
file that do not fit named, nothing.

    scripts/apply-patches ~/src/qemu                your own tree, in place
    scripts/apply-patches --check ~/src/qemu        would it work?
    scripts/apply-patches --from PRISTINE WORK      WORK becomes PRISTINE,
                                                    patched; only files whose
                                                    content differs are written
"""

import argparse
import sys
from pathlib import Path

from kvm_reset.qemu import tree_sync
from kvm_reset.qemu.apply import apply, result
from kvm_reset.qemu.series import PatchError, load, qemu_version

TOP = Path(__file__).resolve().parents[3]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('tree', type=Path, metavar='TREE')
    parser.add_argument('--from', dest='pristine', type=Path,
                        metavar='PRISTINE',
                        help='a pristine tree; TREE is made from it')
    parser.add_argument('--version', metavar='V',
                        help='10.0 or 10.2; as TREE/VERSION says by default')
    parser.add_argument('--until', metavar='PATCH',
                        help='stop after this patch of patches/series')
    parser.add_argument('--check', action='store_true',
                        help='write nothing')
    parser.add_argument('--patches', type=Path, default=TOP / 'patches',
                        metavar='DIR', help='patches/ of another checkout')
    parser.add_argument('--cache', type=Path, metavar='DIR',
                        help='keep what Coccinelle answers here')
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    pristine = args.pristine or args.tree
    version = args.version or qemu_version(pristine)
    series = load(args.patches, version)
    commits = apply(series, pristine, args.until, args.cache)
    files = result(commits)
    if args.check:
        done = 'would change'
        names = files.keys()
    elif args.pristine:
        done = 'wrote'
        names = tree_sync.sync(pristine, args.tree, files)
    else:
        done = 'changed'
        names = tree_sync.write(args.tree, files)
    print(f'apply-patches: {len(commits)} patches for QEMU {version} fit; '
          f'{done} {len(names)} files of {args.tree}', file=sys.stderr)


def main() -> str | None:
    try:
        run(arguments())
    except PatchError as error:
        return f'apply-patches: error: {error}'
    except OSError as error:
        return f'apply-patches: error: {error.filename}: {error.strerror}'
    return None
