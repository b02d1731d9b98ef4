# SPDX-License-Identifier: GPL-2.0-or-later
"""Hooks that a debugger registers in a running QEMU: planted_hook.c."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import debugger

HERE = Path(__file__).resolve().parent
# Two hooks each, of which the second one fails in that phase …
FAILS_BEFORE, FAILS_ON_NEW_VM = 0, 1
# … or that cannot be registered.
TWICE, CYCLE = 2, 3


@contextlib.contextmanager
def preloaded(scratch: Path) -> Iterator[None]:
    """Into each QEMU that is started inside."""
    library = scratch / 'planted.so'
    subprocess.run(['gcc', '-shared', '-fPIC', '-Wall', '-Werror',
                    f'-I{HERE.parents[1]}', f'-I{HERE.parents[1] / "include"}',
                    '-o', library, HERE / 'planted_hook.c'], check=True)
    os.environ['LD_PRELOAD'] = str(library)
    try:
        yield
    finally:
        del os.environ['LD_PRELOAD']


def plant(pid: int, what: int) -> str:
    """Why the registration failed; empty: it did not."""
    functions = ', '.join(f'(void *) &kvm_reset_{name}' for name in
                          ('add_hook', 'error_set', 'error_take'))
    done, why = debugger.call(
        pid, '((int (*)(void *, void *, void *, int)) '
        f'kvm_reset_plant)({functions}, {what}) & 1',
        '(char *) &kvm_reset_planted_why')
    why = why[why.index('"'):].strip('"')
    assert (done == '1') == (not why), (done, why)
    return why
