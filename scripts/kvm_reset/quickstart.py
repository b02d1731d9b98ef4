# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots a Linux guest, has it reset ten times, and shows that each time the
kernel made it another VM: the second half of scripts/quickstart, which runs
where the KVM is. Fails unless all of it is so.

QEMU's own qemu.qmp must be on PYTHONPATH.
"""

import argparse
import asyncio
import re
import socket
import subprocess
import sys
import time
from typing import Any, Awaitable, TypeVar

from . import kvm_device
from .kernel_vms import Debugfs, KernelVm, NoDebugfs, Tally
from qemu.qmp import EventListener, QMPClient, QMPError

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
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        self.last_lines: list[str] = []
        self.qmp = QMPClient("quickstart")
        self.rebirths = EventListener(["KVM_REBIRTH"])
        self.resets = EventListener(["RESET"])
        ours, theirs = socket.socketpair()
        self.monitor = ours
        # qboot, since SeaBIOS restarts the machine once more after a reset.
        self.process = subprocess.Popen(
            [args.qemu, "-nodefaults", "-no-user-config", "-display", "none",
             "-name", "kvm-reset-quickstart", "-accel", "kvm",
             "-machine", "q35,x-change-vmfd-on-reset=on", "-cpu", "host",
             "-smp", "1", "-m", "512", "-bios", "qboot.rom",
             "-kernel", args.kernel, "-initrd", args.initrd, "-append",
             "console=ttyS0 quiet mitigations=off random.trust_cpu=on",
             "-chardev", f"socket,id=monitor,fd={theirs.fileno()}",
             "-mon", "chardev=monitor,mode=control", "-serial", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, pass_fds=[theirs.fileno()])
        theirs.close()

    async def connect(self) -> None:
        self.reader = asyncio.create_task(self.read_serial())
        try:
            await self.qmp.connect(self.monitor)
        except QMPError as error:
            await asyncio.to_thread(self.process.wait)
            raise Failure(self.why_dead()) from error
        self.qmp.register_listener(self.rebirths)
        self.qmp.register_listener(self.resets)

    async def read_serial(self) -> None:
        while line := await asyncio.to_thread(self.process.stdout.readline):
            text = line.decode(errors="replace").rstrip()
            self.last_lines = [*self.last_lines[-2:], text]
            self.lines.put_nowait(text)

    def why_dead(self) -> str:
        said = self.process.stderr.read().decode(errors="replace")
        words = said.strip().splitlines() or ["it said nothing"]
        return f"QEMU ended with status {self.process.poll()}: {words[-1]}"

    def type(self, text: str) -> None:
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    async def wait(self, what: str, event: Awaitable[T]) -> T:
        """Waits for the event, for QEMU's end or for patience to end."""
        task = asyncio.ensure_future(event)
        end = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < end:
                done, _ = await asyncio.wait([task], timeout=0.5)
                if done:
                    return task.result()
                if self.process.poll() is not None:
                    raise Failure(f"waiting for {what}: {self.why_dead()}")
        finally:
            task.cancel()
        raise Failure(f"{what} did not come in {PATIENCE} s; the last that the "
                      f"guest said: {' / '.join(self.last_lines) or 'nothing'}")

    async def line(self, pattern: re.Pattern[str]) -> re.Match[str]:
        while True:
            if match := pattern.search(await self.lines.get()):
                return match

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Show:
    def __init__(self, guest: Guest, debugfs: Debugfs) -> None:
        self.guest = guest
        self.debugfs = debugfs
        self.tally = Tally(len(WAYS))
        self.pid = guest.process.pid

    async def the_vm(self) -> KernelVm:
        """The one that runs the guest, when the old one is taken down."""

        async def alone() -> KernelVm:
            while True:
                vms = list(self.debugfs.vms(self.pid))
                if len(vms) == 1:
                    return vms[0]
                await asyncio.sleep(0.05)

        return await self.guest.wait(
            "the end of the old VM in the kernel's debugfs", alone())

    async def boot(self) -> None:
        """Follows one boot and notes who came up, on which VM."""
        match = await self.guest.wait("the guest's boot line",
                                      self.guest.line(BOOT_LINE))
        self.tally.boot_ids.append(match[1])
        await self.guest.wait("the guest's word that it is ready",
                              self.guest.line(READY_LINE))
        self.tally.vms.append(await self.the_vm())

    async def reset(self, way: str) -> str:
        """Has the guest reset; who asked for it, as QEMU says."""
        if way == "QMP":
            await self.guest.qmp.execute("system_reset")
        else:
            self.guest.type("reboot")
        reset = await self.guest.wait("the reset", self.guest.resets.get())
        # It is sent before RESET, if at all.
        if self.guest.rebirths.empty():
            raise Failure(f"a reset by {way} left the guest on its old VM")
        rebirth = (await self.guest.rebirths.get())["data"]
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
            f"{last['total'] / 1e6:.2f}" if last else "",
            f"{last['commit'] / 1e6:.2f}" if last else "",
            ("yes" if last["spare"] else "no") if last else "",
            vm.name, vm.inode, vm.made_at()), flush=True)

    async def run(self) -> None:
        await self.guest.connect()
        say("booting Linux for the first time")
        await self.boot()
        print(f"\n{HEADINGS}")
        self.print_row(0, "(start)", None, 0)
        for nr, way in enumerate(WAYS, 1):
            asked = await self.reset(way)
            await self.boot()
            info = await self.guest.qmp.execute("query-kvm-reset")
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


async def show() -> None:
    args = parse()
    kvm_device.check()
    debugfs = Debugfs()
    try:
        guest = Guest(args)
        try:
            show = Show(guest, debugfs)
            await show.run()
        finally:
            guest.stop()
        show.print_summary()
    finally:
        debugfs.close()


def main() -> None:
    try:
        asyncio.run(show())
    except (Failure, NoDebugfs, kvm_device.Unusable) as failure:
        sys.exit(f"quickstart: error: {failure}")
    except QMPError as failure:
        sys.exit(f"quickstart: error: QEMU's monitor: {failure}")
