# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiles our files once more as a build of QEMU did and fails if the
compiler says anything. (The build's own output shows only what was compiled
last.)

    own_warnings BUILD
"""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = ("/kvm-reset/", "/kvm-reset.", "-kvm-reset.")


def commands(build: Path) -> list[dict[str, str]]:
    """Of the hundreds that there are, those for files that we brought."""
    found = json.loads((build / "compile_commands.json").read_text())
    return [c for c in found if any(word in "/" + c["file"] for word in OURS)]


def compile_again(command: dict[str, str], output: str) -> str:
    words = shlex.split(command["command"])
    words[words.index("-o") + 1] = output
    # QEMU's own -W flags; it does not fail of warnings where we want to see.
    done = subprocess.run([*words, "-Wall", "-Wno-error"], text=True,
                          cwd=command["directory"], capture_output=True)
    if done.returncode and not done.stderr:
        return f"the compiler ended with status {done.returncode}\n"
    return done.stderr


def main() -> int:
    build = Path(sys.argv[1])
    ours = commands(build)
    if not ours:
        sys.exit(f"own_warnings: error: {build} compiles no file of ours")
    status = 0
    with tempfile.TemporaryDirectory() as scratch:
        for number, command in enumerate(ours):
            said = compile_again(command, f"{scratch}/{number}.o")
            if said:
                print(said, end="")
                print(f"error: a warning from {command['file']}")
                status = 1
    print(f"{len(ours)} files compiled")
    return status
