# SPDX-License-Identifier: GPL-2.0-or-later
"""The VMs that the kernel shows in debugfs, and whether each reset brought
another one."""

import datetime
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator


class NoDebugfs(Exception):
    """One line: why the kernel does not show its VMs."""


@dataclass(frozen=True)
class KernelVm:
    """One directory of KVM's in debugfs: the kernel makes it with the VM and
    names it TASK-FD, for the thread that made the VM and its fd number."""

    name: str
    inode: int
    made: float

    def made_at(self) -> str:
        at = datetime.datetime.fromtimestamp(self.made)
        return f"{at:%H:%M:%S.%f}"[:-3]


class Debugfs:
    """Where the kernel shows its VMs."""

    MOUNTED = Path("/sys/kernel/debug")
    proc = Path("/proc")

    def __init__(self) -> None:
        self.unmount: Path | None = None
        self.root = self.MOUNTED
        if not (self.root / "kvm").is_dir():
            self.root = self.mount()
        self.kvm = self.root / "kvm"
        if not self.kvm.is_dir():
            self.close()
            raise NoDebugfs("this kernel's debugfs has no kvm/, which is what "
                          "proves that a VM is new: leave --host-kvm out")

    def mount(self) -> Path:
        here = Path(tempfile.mkdtemp(prefix="kvm-reset-debugfs."))
        done = subprocess.run(["mount", "-t", "debugfs", "debugfs", here],
                              capture_output=True, text=True)
        if done.returncode:
            here.rmdir()
            raise NoDebugfs("cannot mount debugfs, where the kernel shows its "
                          f"VMs ({done.stderr.strip()}): leave --host-kvm out")
        self.unmount = here
        return here

    def close(self) -> None:
        if self.unmount:
            subprocess.run(["umount", self.unmount])
            self.unmount.rmdir()

    def vms(self, pid: int) -> Iterator[KernelVm]:
        """Those of the process that ran a guest: one that is only prepared
        did not."""
        tasks = {task.name for task in (self.proc / f"{pid}/task").iterdir()}
        for path in self.kvm.glob("*-*"):
            if path.name.split("-")[0] not in tasks:
                continue
            try:
                status = path.stat()
                exits = int((path / "exits").read_text())
            except (OSError, ValueError):
                # It was taken down just now.
                continue
            if not exits:
                continue
            # A directory's times are of its making and of its first files'.
            yield KernelVm(path.name, status.st_ino, status.st_mtime)


@dataclass
class Tally:
    """What has to be another one each time, or the same."""

    resets: int
    boot_ids: list[str] = field(default_factory=list)
    vms: list[KernelVm] = field(default_factory=list)
    rebirths: int = 0
    generation: int = 0

    def problems(self) -> Iterator[str]:
        resets = self.resets
        if self.rebirths != resets or self.generation != resets:
            yield (f"{resets} resets gave {self.rebirths} rebirths, and "
                   f"QEMU counts {self.generation}")
        if len(set(self.boot_ids)) != resets + 1:
            yield f"{resets + 1} boots had {len(set(self.boot_ids))} boot ids"
        if len({vm.inode for vm in self.vms}) != resets + 1:
            yield f"the kernel did not show {resets + 1} VMs"
        made = [vm.made for vm in self.vms]
        if made != sorted(made):
            yield "the kernel showed a VM that is older than the one before it"
