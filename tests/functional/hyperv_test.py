# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest says to Hyper-V by registers that leave the kernel."""

import socket

from guest import TIMEOUT
from kvm_reset_test import CPU, KvmResetTest
from proof import proves

# What the devices need; subsystem_test.py has all of them.
LIGHTS = ('relaxed', 'vapic', 'time', 'vpindex', 'synic', 'stimer', 'runtime',
          'reset')


def cpu(*more: str) -> str:
    return ','.join([CPU, *(f'hv-{light}' for light in (*LIGHTS, *more))])


class HyperV(KvmResetTest):
    WEIGHT = 50

    @proves('vmbus', 'hyperv-eventfd', 'hv-balloon')
    def test_the_balloon_on_its_vmbus_agrees_with_the_guest_again(self) -> None:
        """VMBus: messages, and a channel, signalled from both sides, on which
        hv-balloon and the guest agree on a protocol."""
        guest = self.start(cpu=cpu() + ',kvm=off', smp='2', args=[
            '-device', 'vmbus-bridge', '-device', 'hv-balloon'])
        guest.wait_boot()
        for how in ('reboot linux', 'system_reset', ''):
            guest.command('run modprobe -a hv_balloon; sleep 1; '
                          'dmesg | grep hv_balloon',
                          r'Using Dynamic Memory protocol version \d')
            for way in ('interrupts', 'events'):
                count = guest.command(
                    f'run cat /sys/bus/vmbus/devices/*/channels/*/{way}',
                    r'\n(\d+)\s')
                self.assertGreater(int(count), 0)
            if how:
                with self.reborn(guest):
                    guest.restart(how)

    @proves('hv-syndbg')
    def test_the_synthetic_debugger_says_what_the_guest_says(self) -> None:
        """hv-syndbg: registers that leave the kernel."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(('127.0.0.1', 0))
        listener.settimeout(TIMEOUT)
        guest = self.start(cpu=cpu('syndbg'), args=[
            '-device', 'vmbus-bridge', '-device',
            f'hv-syndbg,host_ip=127.0.0.1,host_port='
            f'{listener.getsockname()[1]}'])
        guest.wait_boot()
        for text in ('first', 'second'):
            guest.command('run modprobe msr', 'done status=0')
            guest.command(f'run guest-tool syndbg {text}', r'syndbg status=\w+')
            self.assertEqual(listener.recv(1000), text.encode())
            with self.reborn(guest):
                guest.console.send('reboot linux')
