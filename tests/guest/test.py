#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The small guest does what docs/testbed.md says, under a QEMU as it comes.

Run where KVM boots Linux, for instance
  scripts/appliance -- tests/guest/test.py
with GUEST_QEMU naming another QEMU than qemu-system-x86_64. The guest must
have been made (scripts/guest).
"""

import os
import re
import selectors
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KVM_RESET_BUILD", TOP / "build"))
QEMU = os.environ.get("GUEST_QEMU", "qemu-system-x86_64")
BOOT = r"kvm-reset-guest: boot id=([0-9a-f]{32}) cpus=(\d+) uptime=[\d.]+"
# An emulated CPU on a busy machine is slow.
PATIENCE = 120


class Guest:
    """One QEMU with the small guest, driven over its serial port."""

    def __init__(self, *args: str, append: str = "") -> None:
        self.qemu = subprocess.Popen(
            [QEMU, "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults",
             "-no-user-config", "-display", "none", "-serial", "stdio",
             "-kernel", BUILD / "guest/vmlinuz",
             "-initrd", BUILD / "guest/initrd",
             "-append", "console=ttyS0 quiet " + append, *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.heard = ""
        self.selector = selectors.DefaultSelector()
        assert self.qemu.stdout
        self.selector.register(self.qemu.stdout, selectors.EVENT_READ)

    def wait_for(self, pattern: str, timeout: float = PATIENCE) -> re.Match:
        """The next PATTERN; what was heard up to its end is forgotten."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.heard)):
            if not self.selector.select(deadline - time.monotonic()):
                raise AssertionError(f"no '{pattern}' in {timeout} s after:\n"
                                     + self.heard)
            data = os.read(self.qemu.stdout.fileno(), 65536)
            if not data:
                raise AssertionError(f"QEMU ended, no '{pattern}' in:\n"
                                     + self.heard)
            self.heard += data.decode(errors="replace").replace("\r", "")
        self.heard = self.heard[match.end():]
        return match

    def boot(self) -> str:
        identity = self.wait_for(BOOT).group(1)
        self.wait_for("kvm-reset-guest: ready\n")
        return identity

    def send(self, line: str) -> None:
        self.qemu.stdin.write(line.encode() + b"\n")
        self.qemu.stdin.flush()

    def close(self) -> None:
        self.qemu.kill()
        self.qemu.wait()
        self.qemu.stdin.close()
        self.qemu.stdout.close()


class GuestTest(unittest.TestCase):
    def start(self, *args: str, append: str = "") -> Guest:
        guest = Guest(*args, append=append)
        self.addCleanup(guest.close)
        return guest

    def disk(self, size: int) -> Path:
        file = tempfile.NamedTemporaryFile(prefix="guest-disk-")
        self.addCleanup(file.close)
        file.truncate(size)
        return Path(file.name)


class Reboots(GuestTest):
    def every_way(self, machine: str, more: list[str]) -> None:
        ways = ["linux", "acpi", "kbd", "triple", "pci", "bios", "efi",
                "sysrq", "port-kbd", "port-cf9", "port-92", *more]
        guest = self.start("-machine", machine)
        ids = [guest.boot()]
        for way in ways:
            with self.subTest(way=way):
                guest.send(f"reboot {way}")
                guest.wait_for(f"reboot how={way}\n")
                ids.append(guest.boot())
        self.assertEqual(len(set(ids)), len(ways) + 1)

    def test_AGuestOnPcGoesDownByEveryWay(self) -> None:
        self.every_way("pc", [])

    def test_AGuestOnQ35GoesDownByEveryWay(self) -> None:
        self.every_way("q35", ["port-acpi"])

    def test_AMachineWithoutTheHardwareOfAWaySaysSo(self) -> None:
        guest = self.start("-machine", "pc")
        guest.boot()
        guest.send("reboot port-acpi")
        guest.wait_for("error: this machine's ACPI has no reset register")
        guest.wait_for("error: reboot how=port-acpi did nothing\n")

    def test_OneThatIsToldToRebootAtStartDoesSoAgainAndAgain(self) -> None:
        guest = self.start("-smp", "2", append="kr.do=reboot kr.how=kbd")
        self.assertNotEqual(guest.boot(), guest.boot())

    def test_ATripleFaultReboots(self) -> None:
        guest = self.start(append="kr.do=triple")
        self.assertNotEqual(guest.boot(), guest.boot())

    def test_APanicRebootsIfTheKernelIsToldTo(self) -> None:
        guest = self.start(append="kr.do=panic panic=1")
        first = guest.boot()
        guest.wait_for("Kernel panic - not syncing")
        self.assertNotEqual(first, guest.boot())

    def test_APanicHangsIfTheKernelIsNotToldTo(self) -> None:
        guest = self.start(append="kr.do=panic")
        guest.boot()
        guest.wait_for("end Kernel panic")
        with self.assertRaises(AssertionError):
            guest.wait_for(BOOT, 5)

    def test_PoweroffEndsQemu(self) -> None:
        guest = self.start(append="kr.do=poweroff")
        guest.boot()
        self.assertEqual(guest.qemu.wait(PATIENCE), 0)

    def test_AStarvingWatchdogResets(self) -> None:
        for machine, device in (("pc", "i6300esb"), ("q35", "i6300esb"),
                                ("q35", None)):
            with self.subTest(machine=machine, device=device):
                args = ["-device", device] if device else [
                    "-global", "ICH9-LPC.noreboot=false"]
                guest = self.start("-machine", machine, *args,
                                   append="kr.do=watchdog kr.timeout=4")
                first = guest.boot()
                guest.wait_for(r"watchdog armed timeout=\d+\n")
                self.assertNotEqual(first, guest.boot())
                guest.close()


class Answers(GuestTest):
    def test_ItAnswersOnItsSerialPort(self) -> None:
        guest = self.start("-smp", "2")
        match = guest.wait_for(BOOT)
        self.assertEqual(match.group(2), "2")
        guest.wait_for("ready\n")
        guest.send("ping")
        guest.wait_for("kvm-reset-guest: pong\n")
        guest.send("id")
        self.assertEqual(guest.wait_for(BOOT).group(1), match.group(1))
        guest.send("cat /proc/version")
        guest.wait_for("Linux version 6.12[^\n]*\nkvm-reset-guest: "
                       "done status=0\n")
        guest.send("run false; echo $((6 * 7)); (exit 3)")
        guest.wait_for("42\nkvm-reset-guest: done status=3\n")
        guest.send("nonsense")
        guest.wait_for("error: unknown command 'nonsense'\n")


class Works(GuestTest):
    def devices(self, disk: Path) -> list[str]:
        return ["-drive", f"if=virtio,format=raw,file={disk}", "-netdev",
                "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile="]

    def test_AllKindsOfWorkGoOn(self) -> None:
        guest = self.start("-smp", "2", *self.devices(self.disk(16 << 20)),
                           append="kr.do=work")
        guest.boot()
        guest.wait_for(r"disk found=0\n")
        guest.wait_for(r"work ok n=\d+ cpu=[1-9]\d* memory=[1-9]\d* "
                       r"timer=[1-9]\d* disk=[1-9]\d* net=[1-9]\d*\n")
        guest.send("work stop")
        guest.wait_for("work stopped\n")

    def test_AResetLosesNoBlockThatWasAcknowledged(self) -> None:
        # Small, so that the log has gone round.
        disk = self.disk(16 * 4096)
        guest = self.start(*self.devices(disk), append="kr.do=work")
        guest.boot()
        acked = 0
        while acked < 40:
            acked = int(guest.wait_for(r"work ok .* disk=(\d+)").group(1))
        guest.send("reboot port-kbd")
        guest.boot()
        found = int(guest.wait_for(r"disk found=(\d+)\n").group(1))
        self.assertGreaterEqual(found, acked)

    def lose(self, how, complaint: str) -> None:
        disk = self.disk(16 * 4096)
        guest = self.start(*self.devices(disk), append="kr.do=work")
        guest.boot()
        while int(guest.wait_for(r"work ok .* disk=(\d+)").group(1)) < 40:
            pass
        guest.send("work stop")
        guest.wait_for("work stopped\n")
        guest.close()
        data = bytearray(disk.read_bytes())
        how(data)
        disk.write_bytes(data)
        guest = self.start(*self.devices(disk), append="kr.do=work")
        guest.boot()
        guest.wait_for("work FAIL disk: " + complaint)

    def test_ALostBlockIsNoticed(self) -> None:
        def lose(data: bytearray) -> None:
            numbers = [int.from_bytes(data[at + 16:at + 24], "little")
                       for at in range(4096, len(data), 4096)]
            at = (1 + numbers.index(max(numbers) - 1)) * 4096
            data[at + 100] ^= 1
        self.lose(lose, r"block \d+ was acknowledged and is lost")

    def test_ADiskWithSomethingElseIsNotTouched(self) -> None:
        def other(data: bytearray) -> None:
            data[0:4] = b"mine"
        self.lose(other, "/dev/vda holds something else")

    def test_AMemoryErrorIsNoticed(self) -> None:
        """The pattern of some page is changed behind the worker's back."""
        guest = self.start("-smp", "2", append="kr.work=1")
        guest.boot()
        guest.wait_for("work ok n=1 ")
        # The biggest anonymous mapping is the memory that it watches.
        guest.send("run p=$(pidof guest-tool); a=$(grep -B 1 -m 1 "
                   "'^Size: *16[34][0-9][0-9] kB' /proc/$p/smaps | head -n 1 "
                   "| cut -d- -f1); printf x | dd of=/proc/$p/mem bs=1 "
                   "seek=$((0x$a + 8000000)) conv=notrunc 2>/dev/null")
        guest.wait_for(r"work FAIL memory: page \d+ of round \d+ has changed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
