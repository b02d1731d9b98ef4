# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU and the guest in it: its monitor, its console, its VM."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from qemu.machine import QEMUMachine

import process
from console import Console
from judge import ON_LAB

# Emulated CPUs of a busy machine: how long until a guest must have spoken.
BOOT_TIMEOUT = 600.0 if ON_LAB else 150.0
# The same for what QEMU does by itself.
TIMEOUT = 240.0 if ON_LAB else 60.0

BOOT_LINE = r'kvm-reset-guest: boot id=([0-9a-f]{32}) cpus=(\d+)'
READY_LINE = r'kvm-reset-guest: ready'

# What makes no difference but for time.
QUICK_KERNEL = ('console=ttyS0 quiet mitigations=off nokaslr '
                'random.trust_cpu=on rcupdate.rcu_expedited=1 '
                'rcupdate.rcu_cpu_stall_suppress=1 nowatchdog'
                # Each page that an encrypted guest shares takes its time.
                + (' swiotlb=4096' if ON_LAB else ''))


class Guest:
    """A launched QEMUMachine with its console; made by KvmResetTest.start()."""

    def __init__(self, vm: QEMUMachine, console_log: Path) -> None:
        self.vm = vm
        self.boot_ids: list[str] = []
        self.cpus = 0
        self.rebirths: list[dict[str, Any]] = []
        vm.launch()
        self.console = Console(vm.console_socket, console_log)
        pid = vm.get_pid()
        assert pid is not None
        self.pid = pid

    # --- the monitor ------------------------------------------------------

    def qmp(self, command: str, **arguments: Any) -> Any:
        return self.vm.cmd(command, **arguments)

    def hmp(self, line: str) -> str:
        return self.vm.cmd('human-monitor-command', command_line=line)

    def info(self) -> dict[str, Any]:
        return self.qmp('query-kvm-reset')

    def generation(self) -> int:
        return self.info()['generation']

    def wait_rebirth(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        """The data of the next KVM_REBIRTH."""
        event = self.event('KVM_REBIRTH', timeout)
        self.rebirths.append(event)
        return event

    def event(self, name: str, timeout: float = TIMEOUT,
              **data: str) -> dict[str, Any]:
        """The data of the next event of that name that has these in it."""
        try:
            event = self.vm.event_wait(name, timeout,
                                       {'data': data} if data else None)
        except asyncio.TimeoutError:
            raise AssertionError(
                f'no event {name} {data or ""} in {timeout} s') from None
        assert event is not None
        return event.get('data', {})

    def unplug(self, device: str) -> None:
        """Until the guest has let go of it.

        A CPU's APIC goes with an event of its own, which has no name.
        """
        self.qmp('device_del', id=device)
        self.event('DEVICE_DELETED', 90, device=device)

    def drop_events(self) -> None:
        self.rebirths += [event['data'] for event in self.vm.get_qmp_events()
                          if event['event'] == 'KVM_REBIRTH']

    def wait_generation(self, at_least: int, timeout: float = TIMEOUT) -> int:
        return self.wait(lambda: self.generation() >= at_least
                         and self.generation(), timeout,
                         f'generation {at_least}')

    def settle(self) -> None:
        """Until no old VM is left, and none is being made."""
        def settled() -> bool:
            info = self.info()
            return (info['retiring'] == 0 and
                    info['spare']['state'] != 'preparing')
        self.wait(settled, TIMEOUT, 'the old VMs to be taken down')

    def wait(self, condition: Any, timeout: float, what: str) -> Any:
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if not self.vm.is_running():
                raise AssertionError(f'QEMU ended while waiting for {what}: '
                                     + self.qemu_log()[-500:])
            if time.monotonic() > deadline:
                raise AssertionError(f'{timeout} s: waited for {what}')
            time.sleep(0.05)
        return value

    # --- the console ------------------------------------------------------

    def wait_boot(self, timeout: float = BOOT_TIMEOUT) -> str:
        """The next boot's id, once the guest answers commands."""
        match = self.console.wait_for(BOOT_LINE, timeout)
        self.cpus = int(match[2])
        self.boot_ids.append(match[1])
        self.console.wait_for(READY_LINE, TIMEOUT)
        return match[1]

    def wait_firmware(self, timeout: float = TIMEOUT) -> None:
        """SeaBIOS came up and found nothing to start."""
        self.console.wait_for(r'SeaBIOS \(version', timeout)
        self.console.wait_for(r'No bootable device', timeout)

    def command(self, line: str, answer: str, timeout: float = TIMEOUT) -> str:
        """Has the guest do something; its answer from the first group on."""
        self.console.send(line)
        match = self.console.wait_for(answer, timeout)
        return match[1] if match.lastindex else match[0]

    def must_answer(self) -> None:
        self.command('ping', 'kvm-reset-guest: pong')

    def restart(self, how: str) -> None:
        """@how: QMP's `system_reset`, or what the guest is told."""
        if how == 'system_reset':
            self.qmp(how)
        else:
            self.console.send(how)

    def msrs(self, *indices: str) -> dict[str, int]:
        """Registers of its first CPU, by their hexadecimal index."""
        self.command('run modprobe msr', 'done status=0')
        self.console.send('run guest-tool msr ' + ' '.join(indices))
        return {index: int(self.console.wait_for(
            f'msr {index}=(\\w+)\\s', TIMEOUT)[1], 16) for index in indices}

    # --- the kernel -------------------------------------------------------

    def running_vm(self) -> process.Vm:
        """The one VM on which vCPUs have run: KVM counts their exits. Others
        are those kept ready for a reset."""
        def those_that_ran() -> list[process.Vm]:
            self.settle()
            return [vm for vm in process.vms_of(self.pid) if vm.exits]
        ran = self.wait(those_that_ran, TIMEOUT, 'a VM that runs')
        assert len(ran) == 1, f'the guest ran on {ran} and all of them live'
        return ran[0]

    def usage(self) -> process.Usage:
        return process.Usage.of(self.pid)

    def qemu_log(self) -> str:
        """What QEMU said on its standard output and error so far."""
        path = getattr(self.vm, '_qemu_log_path', None)
        if path and os.path.exists(path):
            return Path(path).read_text(errors='replace')
        return self.vm.get_log() or ''

    def stop(self) -> None:
        self.vm.shutdown()
