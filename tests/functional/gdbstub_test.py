# SPDX-License-Identifier: GPL-2.0-or-later
"""A debugger that stays attached while the guest gets a new VM."""

from pathlib import Path

from guest import BOOT_TIMEOUT
from kvm_reset_test import KvmResetTest
from proof import proves
from rsp import Rsp

# By the hardware: of execution, of writes; and what symbols these are for.
BREAK, WATCH = 1, 2
SYMBOLS = {BREAK: '[tT]', WATCH: '[bBdD]'}


class Gdbstub(KvmResetTest):
    WEIGHT = 25

    def stops_after_a_reboot(self, symbol: str, kind: int) -> None:
        """At @symbol, which each boot comes by and nothing later; it is at the
        same address since the kernel is told to be where it was linked."""
        path = str(Path(self.socket_dir().name, 'gdb'))
        guest = self.start(machine='pc', smp='2', args=[
            '-chardev', f'socket,id=gdb,path={path},server=on,wait=off',
            '-gdb', 'chardev:gdb'])
        guest.wait_boot()
        address = int(guest.command(
            f'run grep " {symbol}$" /proc/kallsyms',
            rf'([0-9a-f]{{16}}) {SYMBOLS[kind]} '), 16)
        old = guest.running_vm()
        debugger = Rsp(path, BOOT_TIMEOUT)
        self.addCleanup(debugger.close)
        self.assertTrue(debugger.ask('?').startswith('T05'))
        debugger.must(f'Z{kind},{address:x},1')
        debugger.send('c')
        guest.console.send('reboot linux')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        why = debugger.receive()
        self.assertTrue(why.startswith('T05'), why)
        if kind == WATCH:
            self.assertIn(f'watch:{address:x};', why)
        else:
            self.assertEqual(debugger.rip(), address)
        self.assertNotEqual(guest.running_vm(), old)
        debugger.must(f'z{kind},{address:x},1')
        debugger.send('c')
        self.assertNotEqual(guest.wait_boot(), guest.boot_ids[0])
        # A debugger that is there with nothing set is no obstacle either.
        with self.reborn(guest):
            guest.console.send('reboot linux')

    @proves('gdbstub')
    def test_a_breakpoint_from_before_is_hit_after_the_reboot(self) -> None:
        self.stops_after_a_reboot('kernel_init', BREAK)

    @proves('gdbstub')
    def test_a_watchpoint_from_before_is_hit_after_the_reboot(self) -> None:
        self.stops_after_a_reboot('early_boot_irqs_disabled', WATCH)
