#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The appliance carries a command, its input, output and end, faithfully.

Each test starts it once or twice, 4 s each on an idle machine.
"""

import hashlib
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

APPLIANCE = Path(__file__).resolve().parents[2] / "scripts/appliance"


def run(*words: str, **options) -> subprocess.CompletedProcess:
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        del options["stdin"]
    return subprocess.run([APPLIANCE, *words], capture_output=True, **options)


class Carries(unittest.TestCase):
    def setUp(self) -> None:
        self.dir = tempfile.TemporaryDirectory(prefix="appliance test ")
        self.addCleanup(self.dir.cleanup)
        self.path = Path(self.dir.name)

    def test_ArgumentsDirectoryAndEnvironmentArriveAsTheyAre(self) -> None:
        words = ["a b", '"q"', "l1\nl2", "", "it's", "$HOME", "--", "*"]
        done = run("--env", "MINE", "--", "python3", "-c",
                   "import os,sys; print((sys.argv[1:], os.getcwd(), "
                   "os.environ['MINE'], os.environ['KVM_RESET_X'], "
                   "'OTHER' in os.environ, os.getuid()))", *words,
                   cwd=self.path,
                   env=os.environ | {"MINE": "m\nn", "KVM_RESET_X": "x",
                                     "OTHER": "o"})
        self.assertEqual(done.stdout.decode(), str(
            (words, str(self.path), "m\nn", "x", False, 0)) + "\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_OutputAndErrorsStayApartAndTheStatusIsTheCommands(self) -> None:
        done = run("sh", "-c", "echo out; echo err >&2; sleep 1000 & exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (7, b"out\n", b"err\n"))

    def test_MuchInputAndOutputPassUnchanged(self) -> None:
        data = os.urandom(20 << 20)
        done = run("tee", "/dev/stderr", input=data)
        for got in done.stdout, done.stderr:
            self.assertEqual(hashlib.sha256(got).digest(),
                             hashlib.sha256(data).digest())

    def test_ACommandThatReadsNoInputEndsAllTheSame(self) -> None:
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
            done = run("sh", "-c", "head -n 1; exit 4", stdin=yes.stdout,
                       timeout=120)
            yes.kill()
        self.assertEqual((done.returncode, done.stdout), (4, b"y\n"))

    def test_OutputComesAsItIsWritten(self) -> None:
        with subprocess.Popen([APPLIANCE, "sh", "-c",
                               "echo now; sleep 1000"],
                              stdout=subprocess.PIPE) as process:
            self.assertEqual(process.stdout.readline(), b"now\n")
            process.terminate()

    def test_ACommandKilledByASignalIs128AndItsNumber(self) -> None:
        self.assertEqual(run("sh", "-c", "kill -9 $$").returncode, 137)

    def test_ACommandThatIsNotThereIs127(self) -> None:
        done = run("no such command")
        self.assertEqual(done.returncode, 127)
        self.assertIn(b"cannot run no such command", done.stderr)

    def test_TheTimeoutSaysSo(self) -> None:
        done = run("--timeout", "2", "sleep", "1000")
        self.assertEqual(done.returncode, 124)
        self.assertIn(b"timed out", done.stderr)

    def test_APanicSaysSo(self) -> None:
        done = run("sh", "-c", "echo c >/proc/sysrq-trigger")
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr, rb"its kernel panicked: sysrq[^\n]*\n$")

    def test_AMachineThatGoesDownSaysSo(self) -> None:
        done = run("sh", "-c", "echo o >/proc/sysrq-trigger; sleep 1000")
        self.assertEqual(done.returncode, 125)
        self.assertIn(b"went down before the command ended", done.stderr)

    def test_OnlyWritesIntoRwStay(self) -> None:
        kept, lost = self.path / "ke,pt", self.path / "lost"
        lost.mkdir()
        done = run("--rw", str(kept), "sh", "-c",
                   'echo k >"$1/f"; mv "$1/f" "$1/g"; ln -s g "$1/l"; '
                   'echo l >"$2/f"; cat "$2/f"', "sh", str(kept), str(lost))
        self.assertEqual((done.returncode, done.stdout), (0, b"l\n"))
        self.assertEqual((kept / "l").read_text(), "k\n")
        self.assertEqual(list(lost.iterdir()), [])

    def test_ASignalEndsItAndItsQemu(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with subprocess.Popen([APPLIANCE, "sh", "-c",
                                   "echo up; sleep 1000"],
                                  stdout=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL) as process:
                process.stdout.readline()
                children = Path(f"/proc/{process.pid}/task/{process.pid}/"
                                "children").read_text().split()
                process.send_signal(number)
                status = process.wait(30)
            self.assertIn(status, (128 + number, -number))
            self.assertEqual(len(children), 1)
            deadline = time.monotonic() + 10
            while Path(f"/proc/{children[0]}").exists():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

    def test_TwoRunAtTheSameTime(self) -> None:
        line = [APPLIANCE, "sh", "-c", "echo up; read x; cat /dev/kvm; exit 5"]
        pair = [subprocess.Popen(line, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL) for _ in "ab"]
        for process in pair:
            self.assertEqual(process.stdout.readline(), b"up\n")
        for process in pair:
            process.communicate(b"\n")
            self.assertEqual(process.returncode, 5)

    def test_TheMachineInsideIsComplete(self) -> None:
        script = r"""
            set -e
            echo cpus $(nproc)
            date +%s
            test -c /dev/kvm; test -c /dev/null; test -c /dev/ptmx
            python3 -c 'import os; os.openpty()'
            touch /dev/shm/x /tmp/x
            test -d /sys/kernel/tracing/events/kvm
            test -d /sys/kernel/debug/kvm
            modprobe vhost_vsock; lsmod | grep -q '^vhost_vsock'
            exec 3<>/dev/net/tun 4<>/dev/vhost-net
            python3 -c 'import socket; s = socket.create_server(
                ("127.0.0.1", 0)); socket.create_connection(s.getsockname())'
            uname -r
        """
        done = run("--cpus", "3", "--mem", "2G", "bash", "-c", script)
        lines = done.stdout.decode().split("\n")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(lines[0], "cpus 3")
        self.assertLess(abs(int(lines[1]) - time.time()), 60)
        self.assertRegex(lines[2], r"^6\.12")

    def test_ItsKvmHasXenHypervSmmAndGuestMemfd(self) -> None:
        """By KVM_CHECK_EXTENSION, numbers of <linux/kvm.h>."""
        caps = {"XEN_HVM": 38, "X86_SMM": 117, "HYPERV": 44,
                "HYPERV_SYNIC": 123, "GUEST_MEMFD": 234}
        done = run("python3", "-c", "import fcntl; f = open('/dev/kvm')\n"
                   f"for n, c in {caps}.items(): "
                   "print(n, fcntl.ioctl(f, 0xae03, c))")
        said = dict(re.findall(r"(\w+) (\d+)", done.stdout.decode()))
        self.assertEqual(said.keys(), caps.keys())
        self.assertNotIn("0", said.values(), said)


class BadInput(unittest.TestCase):
    def test_EachBadWordIsOneLine(self) -> None:
        for words, complaint in (
                ([], "no command to run"),
                (["--"], "no command to run"),
                (["--bogus", "true"], "unknown option '--bogus'"),
                (["--cpus", "0", "true"], "--cpus '0'"),
                (["--cpus", "two", "true"], "--cpus 'two'"),
                (["--mem", "4", "true"], "--mem '4'"),
                (["--mem", "1M", "true"], "--mem 1M is too little"),
                (["--mem", "9999G", "true"], "more than this machine has"),
                (["--timeout", "-1", "true"], "--timeout '-1'"),
                (["--timeout"], "--timeout needs a value"),
                (["--rw", "/proc/x", "true"], "--rw '/proc/x'")):
            with self.subTest(words=words):
                done = run(*words)
                self.assertEqual(done.returncode, 1)
                text = done.stderr.decode()
                self.assertIn(complaint, text)
                self.assertEqual(text.count("\n"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
