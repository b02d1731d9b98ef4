# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's end of the appliance: starts QEMU, hands the command to the agent
inside, carries its input and output, and takes over its exit status.

Exit status: the command's; 124 after the timeout; 125 when the appliance itself
failed; 128 plus the signal's number when ended by one.
"""

import argparse
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

# Starting takes seconds, and 20 at most on a machine that is busy all over.
# On one, about one start in a hundred was seen to hang in early boot; as the
# command has not begun by then, another try does no harm.
BOOT_TIMEOUT = 90
BOOT_TRIES = 3
TIMED_OUT = 124
BROKEN = 125

# What of the environment means the same inside.
PASSED = re.compile(r"^(PATH|HOME|LANG|LC_\w+|TERM|USER|LOGNAME|SHELL|TZ|"
                    r"PYTHON\w+|KVM_RESET_\w+|(A|L|UB|T)SAN_OPTIONS)$")

# Words of the kernel that make a run worthless (first) or doubtful.
PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
OOPS = re.compile(r"(Oops: .*|BUG: .*|general protection fault.*|"
                  r"appliance: .*)")
DOUBT = re.compile(r"(WARNING: .*|BUG: .*|INFO: task .* blocked .*)")

# Only devices that say so are behind it, so it costs the others nothing.
IOMMU = ["-device", "intel-iommu,aw-bits=48",
         "-device", "pcie-root-port,id=rp", "-netdev", "user,id=net",
         "-device", "virtio-net-pci,netdev=net,bus=rp,disable-legacy=on,"
                    "iommu_platform=on,romfile="]

# The host of lab/, by what it offers. Its CPUs take turns, because a page is
# seen decrypted by one of them alone. Linux takes SNP only from Zen 3 or 4, and
# not in a virtual machine. Each byte of what "rep" copies or clears costs as much
# as an instruction, so Linux had better do it in words.
LAB_KINDS = {"sev": 1, "sev-es": 2, "snp": 3}
LAB_CPU = ("EPYC-Milan,+svm,+npt,+nrip-save,+lbrv,+flushbyasid,"
           "+decodeassists,-hypervisor,-erms,-fsrm,sev-lab=%d")
# Its time is what it has executed: an encrypted guest makes some thirty exits
# for each tick of its timer, and where the ticks do not wait for the emulator,
# on a busy machine it does nothing else.
LAB_CLOCK = ["-icount", "shift=1,sleep=on"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """The run is over with a status, and perhaps a reason to print."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.why = why
        # What the kernel complained about meanwhile.
        self.doubts: list[str] = []


def say(text: str) -> None:
    print(f"appliance: {text}", file=sys.stderr, flush=True)


def qemu_escape(path: str) -> str:
    return path.replace(",", ",,")


class NotStarted(Ended):
    """The command has not begun, so that another try does no harm."""


class Appliance:
    """One QEMU and its four ports."""

    PORTS = ("control", "stdin", "stdout", "stderr")

    def __init__(self, args: argparse.Namespace, log: Path) -> None:
        self.args = args
        self.log = log
        self.qemu_log = log.with_suffix(".qemu")
        self.port: dict[str, socket.socket] = {}
        self.heard = b""
        self.moved = {"stdout": 0, "stderr": 0}
        self.expected: dict[str, int] | None = None
        self.status = 0
        self.deadline = time.monotonic() + BOOT_TIMEOUT
        self.running = False
        self.stdin_held = b""
        self.sent = 0
        # A terminal stays with the shell that it belongs to.
        self.stdin_open = not os.isatty(0)
        self.qemu = self.start()

    def command_line(self, fds: dict[str, int]) -> list[str]:
        args = self.args
        kind, comma, options = (args.lab or "").partition(",")
        append = ("console=ttyS0 loglevel=5 panic=-1 oops=panic "
                  # An emulated CPU has nothing to mitigate, and waits long.
                  "mitigations=off nowatchdog tsc=reliable "
                  "rcupdate.rcu_expedited=1 rcupdate.rcu_cpu_stall_suppress=1 "
                  "random.trust_cpu=on "
                  "rdinit=/init " +
                  ("intel_iommu=on iommu=pt " if args.iommu else "") +
                  # Linux sees no hypervisor there, and panics if its timer
                  # comes late, as on a busy machine.
                  ("no_timer_check " if args.lab else "") +
                  args.append)
        line = [
            # Should this very process be killed, QEMU goes with it.
            "setpriv", "--pdeathsig", "KILL",
            args.qemu, "-name", "kvm-reset-appliance",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot",
            "-machine", "q35" if args.iommu or args.lab else "pc",
            "-accel", "tcg,thread=" + ("single" if args.lab else "multi"),
            "-cpu", (LAB_CPU % LAB_KINDS[kind] if args.lab
                     else "EPYC-v1,+svm,+npt"),
            "-smp", str(args.cpus), "-m", args.mem, "-rtc", "base=utc",
            "-chardev", f"file,id=log,path={qemu_escape(str(self.log))}",
            "-serial", "chardev:log",
            "-kernel", args.kernel, "-initrd", args.initrd, "-append", append,
            "-virtfs", "local,path=/,mount_tag=host,readonly=on,"
                       "security_model=none,multidevs=remap",
            "-device", "virtio-serial-pci",
        ]
        for nr, name in enumerate(self.PORTS, 1):
            line += ["-chardev", f"socket,id={name},fd={fds[name]}", "-device",
                     f"virtserialport,nr={nr},chardev={name},name={name}"]
        if args.iommu:
            line += IOMMU
        if kind == "snp":
            # Linux has SNP only with an IOMMU that supports it and is used.
            line += ["-device", "amd-iommu"]
        if args.lab:
            line += [*LAB_CLOCK, "-device", "sev-psp" + comma + options]
        for nr, path in enumerate(args.rw):
            line += ["-virtfs", f"local,path={qemu_escape(path)},"
                                f"mount_tag=rw{nr},security_model=none,"
                                "multidevs=remap"]
        return line

    def start(self) -> subprocess.Popen[bytes]:
        ends = {}
        for name in self.PORTS:
            self.port[name], ends[name] = socket.socketpair()
            self.port[name].setblocking(False)
        line = self.command_line({n: s.fileno() for n, s in ends.items()})
        with open(self.qemu_log, "wb") as out:
            qemu = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                pass_fds=[s.fileno() for s in ends.values()],
                # Ctrl-C is for this process, which ends QEMU in its own way.
                start_new_session=True)
        for end in ends.values():
            end.close()
        return qemu

    def job(self) -> bytes:
        args = self.args
        items = [b"A" + os.fsencode(word) for word in args.command]
        items += [b"C" + os.fsencode(os.getcwd()),
                  b"M" + os.fsencode(args.lib_modules),
                  b"T%d" % time.time_ns()]
        items += [b"W" + os.fsencode(path) for path in args.rw]
        items += [b"E" + name + b"=" + value
                  for name, value in os.environb.items()
                  if PASSED.match(name.decode(errors="replace"))
                  or name.decode(errors="replace") in args.env]
        if self.stdin_open:
            items.append(b"I")
        text = b"".join(item + b"\0" for item in items)
        return b"%d\n" % len(text) + text

    def hear(self, data: bytes) -> None:
        """What the agent says on the control port."""
        self.heard += data
        while b"\n" in self.heard:
            line, self.heard = self.heard.split(b"\n", 1)
            verb, _, rest = line.decode(errors="replace").partition(" ")
            if verb == "ready":
                control = self.port["control"]
                control.setblocking(True)
                control.sendall(self.job())
                control.setblocking(False)
            elif verb == "start":
                self.running = True
                self.deadline = (time.monotonic() + self.args.timeout
                                 if self.args.timeout else float("inf"))
            elif verb == "exit":
                status, out, err = map(int, rest.split())
                self.status = status
                self.expected = {"stdout": out, "stderr": err}
            elif verb == "error":
                raise Ended(BROKEN, rest)

    def pump_stdin(self) -> None:
        if not self.stdin_held:
            self.stdin_held = os.read(0, 65536)
            if not self.stdin_held:
                self.stdin_open = False
                self.port["control"].sendall(b"eof %d\n" % self.sent)
                return
        try:
            n = self.port["stdin"].send(self.stdin_held)
            self.stdin_held = self.stdin_held[n:]
            self.sent += n
        except BlockingIOError:
            pass

    def pump_out(self, name: str, fd: int) -> None:
        data = self.port[name].recv(262144)
        self.moved[name] += len(data)
        while data:
            try:
                data = data[os.write(fd, data):]
            except BlockingIOError:
                select.select([], [fd], [])

    def turn(self) -> None:
        """Waits for one thing to happen and deals with it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            if self.running:
                raise Ended(TIMED_OUT, "timed out: the command did not end in "
                            f"{self.args.timeout} s and was killed")
            raise NotStarted(BROKEN, f"it did not start in {BOOT_TIMEOUT} s; "
                             f"see {self.log}")
        reads = [self.port["control"], self.port["stdout"],
                 self.port["stderr"]]
        writes = []
        if self.stdin_open and self.running:
            if self.stdin_held:
                writes.append(self.port["stdin"])
            else:
                reads.append(0)
        readable, writable, _ = select.select(reads, writes, [],
                                              min(left, 3600))
        if 0 in readable or writable:
            self.pump_stdin()
        for name, fd in (("stdout", 1), ("stderr", 2)):
            if self.port[name] in readable:
                self.pump_out(name, fd)
        if self.port["control"] in readable:
            data = self.port["control"].recv(65536)
            if not data:
                raise Ended(BROKEN, self.why_dead())
            self.hear(data)
        if self.moved == self.expected:
            raise Ended(self.status)

    def run(self) -> None:
        while True:
            try:
                self.turn()
            except (ConnectionError, BrokenPipeError) as error:
                if self.qemu.poll() is None:
                    raise Ended(128 + signal.SIGPIPE) from error
                raise Ended(BROKEN, self.why_dead()) from error

    def why_dead(self) -> str:
        """QEMU is gone although the command had not ended."""
        try:
            code = self.qemu.wait(5)
        except subprocess.TimeoutExpired:
            return "QEMU closed its ports; see " + str(self.log)
        text = self.log.read_text(errors="replace")
        oops, panic = OOPS.search(text), PANIC.search(text)
        if oops or panic:
            words = [m.group(1).strip() for m in (panic, oops) if m]
            if not self.running:
                raise NotStarted(BROKEN, "its kernel panicked at start: "
                                 f"{'; '.join(words)}; see {self.log}")
            return f"its kernel panicked: {'; '.join(words)}; see {self.log}"
        said = self.qemu_log.read_text(errors="replace").strip().splitlines()
        said = [s for s in said if "TCG doesn't support requested" not in s]
        if code < 0:
            name = signal.Signals(-code).name
            return f"QEMU was killed by {name}; see {self.log}"
        if code > 0:
            return "QEMU failed: " + (said[-1] if said else f"status {code}")
        return f"the machine went down before the command ended; " \
               f"see {self.log}"

    def stop(self) -> None:
        self.qemu.kill()
        self.qemu.wait()

    def doubts(self) -> list[str]:
        text = self.log.read_text(errors="replace")
        return [m.group(1).strip() for m in DOUBT.finditer(text)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--mem", required=True)
    parser.add_argument("--timeout", type=int, default=0)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--initrd", required=True)
    parser.add_argument("--lib-modules", required=True)
    parser.add_argument("--qemu", default="qemu-system-x86_64")
    parser.add_argument("--lab")
    parser.add_argument("--iommu", action="store_true")
    parser.add_argument("--append", default="")
    parser.add_argument("--log-dir", type=Path, required=True)
    parser.add_argument("--rw", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def on_signal(number: int, _frame: object) -> NoReturn:
    raise Ended(128 + number)


def attempt(args: argparse.Namespace, log: Path) -> Ended:
    """Runs the command in a new appliance, and says how that ended."""
    appliance = None
    try:
        appliance = Appliance(args, log)
        appliance.run()
    except Ended as end:
        ended = end
    # From here on, it is over in any case.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if appliance:
        appliance.stop()
        ended.doubts = appliance.doubts()
    return ended


def main() -> int:
    args = parse()
    log = args.log_dir / f"appliance-{os.getpid()}.log"
    for left in reversed(range(BOOT_TRIES)):
        log.write_bytes(b"")
        for number in ENDING:
            signal.signal(number, on_signal)
        ended = attempt(args, log)
        if not (left and isinstance(ended, NotStarted)):
            break
        say(f"trying again, since {ended.why}")
    if ended.why:
        say(f"error: {ended.why}")
    if ended.doubts and ended.status != BROKEN:
        say(f"its kernel complained, {len(ended.doubts)} times, first: "
            f"{ended.doubts[0]}; see {log}")
    if not (ended.status or ended.doubts):
        log.unlink()
        log.with_suffix(".qemu").unlink(missing_ok=True)
    return ended.status
