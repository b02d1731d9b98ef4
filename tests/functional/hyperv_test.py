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
