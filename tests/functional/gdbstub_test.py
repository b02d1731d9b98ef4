# SPDX-License-Identifier: GPL-2.0-or-later
"""A debugger that stays attached while the guest gets a new VM."""

from pathlib import Path

from guest import BOOT_TIMEOUT
from kvm_reset_test import KvmResetTest
from proof import proves
from rsp import Rsp

HARDWARE = 1


class Gdbstub(KvmResetTest):
    WEIGHT = 25

    @proves('gdbstub')
    def test_a_breakpoint_from_before_is_hit_after_the_reboot(self) -> None:
        path = str(Path(self.socket_dir().name, 'gdb'))
        guest = self.start(machine='pc', smp='2', args=[
            '-chardev', f'socket,id=gdb,path={path},server=on,wait=off',
            '-gdb', 'chardev:gdb'])
        guest.wait_boot()
        # Where each boot comes by once, at the same address since the
        # kernel is told to be where it was linked.
        address = int(guest.command(
            'run grep " kernel_init$" /proc/kallsyms', r'([0-9a-f]{16}) [tT] '),
            16)
        old = guest.running_vm()
        debugger = Rsp(path, BOOT_TIMEOUT)
        self.addCleanup(debugger.close)
        self.assertTrue(debugger.ask('?').startswith('T05'))
        debugger.must(f'Z{HARDWARE},{address:x},1')
        debugger.send('c')
        guest.console.send('reboot linux')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        self.assertTrue(debugger.receive().startswith('T05'))
        self.assertEqual(debugger.rip(), address)
        self.assertNotEqual(guest.running_vm(), old)
        debugger.must(f'z{HARDWARE},{address:x},1')
        debugger.send('c')
        self.assertNotEqual(guest.wait_boot(), guest.boot_ids[0])
        # A debugger that is there with nothing set is no obstacle either.
        with self.reborn(guest):
            guest.console.send('reboot linux')
