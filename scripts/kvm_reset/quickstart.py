# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a Linux guest, has it reset ten times, and shows that each time the
kernel made it another VM: the second half of scripts/quickstart, which runs
where the KVM is. Fails unless all of it is so.
"""

import argparse
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from . import kvm_device
from .kernel_vms import Debugfs, KernelVm, NoDebugfs, Tally
from .qmp import Gone, Monitor, QmpError, pair

T = TypeVar("T")

# An emulated CPU on a busy machine boots Linux in half a minute.
PATIENCE = 180

BOOT_LINE = re.compile(r"kvm-reset-guest: boot id=([0-9a-f]{32})")
READY_LINE = re.compile(r"kvm-reset-guest: ready")

WAYS = ["guest"] * 5 + ["QMP"] * 5

ROW = "{:>5}  {:<8}  {:>10}  {:<12}  {:>8}  {:>9}  {:<5}  {:<10}  {:>6}  {}"
HEADINGS = ROW.format("reset", "asked by", "generation", "boot id", "total ms",
                      "commit ms", "spare", "VM", "inode", "made at")


class Failure(Exception):
    """Ends it all, with one line."""


def say(text: str) -> None:
    print(f"quickstart: {text}", file=sys.stderr, flush=True)


class Guest:
    """QEMU, its monitor and its serial port."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.lines: queue.Queue[str] = queue.Queue()
        self.last_lines: list[str] = []
        ours, theirs, monitor = pair()
        # qboot, since SeaBIOS restarts the machine once more after a reset.
        self.process = subprocess.Popen(
            [args.qemu, "-nodefaults", "-no-user-config", "-display", "none",
             "-name", "kvm-reset-quickstart", "-accel", "kvm",
             "-machine", "q35,x-change-vmfd-on-reset=on", "-cpu", "host",
             "-smp", "1", "-m", "512", "-bios", "qboot.rom",
             "-kernel", args.kernel, "-initrd", args.initrd, "-append",
             "console=ttyS0 quiet mitigations=off random.trust_cpu=on",
             *monitor, "-serial", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=[theirs.fileno()])
        theirs.close()
        threading.Thread(target=self.read_serial, daemon=True).start()
        try:
            self.qmp = Monitor(ours, PATIENCE)
        except Gone as gone:
            raise Failure(self.why_gone(gone)) from gone

    def read_serial(self) -> None:
        while line := self.process.stdout.readline():
            text = line.decode(errors="replace").rstrip()
            self.last_lines = [*self.last_lines[-2:], text]
            self.lines.put(text)

    def why_gone(self, gone: Gone) -> str:
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return str(gone)
        said = self.process.stderr.read().decode(errors="replace")
        words = said.strip().splitlines() or ["it said nothing"]
        return f"QEMU ended with status {status}: {words[-1]}"

    def type(self, text: str) -> None:
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Looks until there is something, QEMU ends, or patience does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if (found := look()) is not None:
                return found
            if self.process.poll() is not None:
                raise Gone(what)
        raise Failure(f"{what} did not come in {PATIENCE} s; the last that the "
                      f"guest said: {' / '.join(self.last_lines) or 'nothing'}")

    def line(self, what: str, pattern: re.Pattern[str]) -> re.Match[str]:
        def look() -> re.Match[str] | None:
            try:
                return pattern.search(self.lines.get(timeout=0.5))
            except queue.Empty:
                return None

        return self.until(what, look)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Show:
    def __init__(self, guest: Guest, debugfs: Debugfs) -> None:
        self.guest = guest
        self.debugfs = debugfs
        self.tally = Tally(len(WAYS))
        self.pid = guest.process.pid

    def the_vm(self) -> KernelVm:
        """The one that runs the guest, when the old one is taken down."""

        def alone() -> KernelVm | None:
            vms = list(self.debugfs.vms(self.pid))
            if len(vms) == 1:
                return vms[0]
            time.sleep(0.05)
            return None

        return self.guest.until(
            "the end of the old VM in the kernel's debugfs", alone)

    def boot(self) -> None:
        """Follows one boot and notes who came up, on which VM."""
        match = self.guest.line("the guest's boot line", BOOT_LINE)
        self.tally.boot_ids.append(match[1])
        self.guest.line("the guest's word that it is ready", READY_LINE)
        self.tally.vms.append(self.the_vm())

    def reset(self, way: str) -> str:
        """Has the guest reset; who asked for it, as QEMU says."""
        if way == "QMP":
            self.guest.qmp.command("system_reset")
        else:
            self.guest.type("reboot")
        *before, reset = self.guest.qmp.until("RESET")
        rebirths = [event["data"] for event in before
                    if event["event"] == "KVM_REBIRTH"]
        if not rebirths:
            raise Failure(f"a reset by {way} left the guest on its old VM")
        rebirth = rebirths[0]
        if rebirth["outcome"] != "completed":
            raise Failure(f"a reset by {way} gave no new VM: "
                          f"{rebirth['reason']}")
        self.tally.rebirths += 1
        asked = "guest" if reset["data"]["guest"] else "QMP"
        if asked != way:
            raise Failure(f"a reset by {way} came from {asked}")
        return asked

    def print_row(self, nr: int, asked: str, last: dict[str, Any] | None,
                  generation: int) -> None:
        vm = self.tally.vms[-1]
        print(ROW.format(
            nr, asked, generation, self.tally.boot_ids[-1][:12],
            f"{last['total-ns'] / 1e6:.2f}" if last else "",
            f"{last['commit-ns'] / 1e6:.2f}" if last else "",
            ("yes" if last["spare"] else "no") if last else "",
            vm.name, vm.inode, vm.made_at()), flush=True)

    def run(self) -> None:
        say("booting Linux for the first time")
        self.boot()
        print(f"\n{HEADINGS}")
        self.print_row(0, "(start)", None, 0)
        for nr, way in enumerate(WAYS, 1):
            asked = self.reset(way)
            self.boot()
            info = self.guest.qmp.command("query-kvm-reset")
            self.tally.generation = info["generation"]
            self.print_row(nr, asked, info["last"], info["generation"])
        if problems := list(self.tally.problems()):
            raise Failure("; ".join(problems))

    def print_summary(self) -> None:
        print(f"""
{self.tally.rebirths} rebirths, {len(set(self.tally.boot_ids))} boot ids \
(the first boot's and {len(WAYS)} more), one QEMU process (pid {self.pid}).
total: the whole rebirth; commit: the part of it that cannot be done ahead;
spare: whether the rest had been done before the reset, on the side.
VM: the directory of KVM's in debugfs, which the kernel makes with a VM and
names TASK-FD; its inode and the time at which it was made tell VMs apart.""",
              flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    return parser.parse_args()


def run(args: argparse.Namespace) -> None:
    kvm_device.check()
    debugfs = Debugfs()
    try:
        guest = Guest(args)
        try:
            show = Show(guest, debugfs)
            show.run()
        except Gone as gone:
            raise Failure(guest.why_gone(gone)) from gone
        finally:
            guest.stop()
        show.print_summary()
    finally:
        debugfs.close()


def main() -> None:
    try:
        run(parse())
    except (Failure, NoDebugfs, kvm_device.Unusable) as failure:
        sys.exit(f"quickstart: error: {failure}")
    except QmpError as failure:
        sys.exit(f"quickstart: error: QEMU's monitor: {failure}")
