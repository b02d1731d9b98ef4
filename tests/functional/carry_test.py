# SPDX-License-Identifier: GPL-2.0-or-later
"""What only hooks carry to the new VM. docs/subsystems.toml says of each hook
which test fails without it, and scripts/test hooks takes it out to see that."""

import mmap
import os
import re
import signal
import struct
import subprocess
import tomllib
from pathlib import Path

import planted
import process
from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest
from proof import proves
from qemu.qmp import ExecuteError
from shim import Shim

HERE = Path(__file__).resolve().parent
FACTS = HERE.parents[1] / 'docs/subsystems.toml'

# What planes.S writes, and how often.
PATTERN = bytes([0xa5]) * 4
CELLS = 64
LAST_WRITE = (0xa0000 + CELLS - 1, 0xa5)

# KVM_COALESCED_MMIO_PAGE_OFFSET of a vCPU's mapping; struct
# kvm_coalesced_mmio_ring {first, last} and its entries {address, length, pio,
# data}.
RING_PAGE = 2
RING = struct.Struct('=II')
WRITE = struct.Struct('=Q8xB7x')

# The number of the capability in <linux/kvm.h>.
MANUAL_DIRTY_LOG_PROTECT2 = 168


class Carry(KvmResetTest):
    WEIGHT = 150

    def test_a_running_qemu_has_the_hooks_of_the_table(self) -> None:
        with FACTS.open('rb') as file:
            table = {hook['name'] for hook in tomllib.load(file)['hook']}
        guest = self.start(firmware=True, memory=64)
        self.assertEqual(set(guest.info()['hooks']), table)
        for name in table:
            self.assertIn(name, guest.hmp('info kvm-reset'))

    def test_a_machine_without_kvm_is_reset_as_ever(self) -> None:
        vm = self.get_vm('-machine', 'q35,x-change-vmfd-on-reset=on', '-accel',
                         'qtest', '-nodefaults', '-m', '64', '-display', 'none')
        vm.launch()
        for _ in range(2):
            vm.cmd('system_reset')
            self.assertIsNotNone(vm.event_wait('RESET', 30))
        info = vm.cmd('query-kvm-reset')
        self.assertEqual(info['reason'], 'KVM is not in use')
        self.assertEqual((info['restartable'], info['generation']), (False, 0))

    # --- coalesced-mmio -----------------------------------------------------

    def boot_sector(self, source: str) -> str:
        obj, sector = self.scratch_file('sector.o'), self.scratch_file('disk')
        subprocess.run(['gcc', '-m32', '-c', '-o', obj, HERE / source],
                       check=True)
        subprocess.run(['ld', '-m', 'elf_i386', '-Ttext', '0x7c00', '-e',
                        'start', '--oformat', 'binary', '-o', sector, obj],
                       check=True)
        with open(sector, 'r+b') as disk:
            disk.truncate(64 * 512)
        return sector

    def screen(self, guest: Guest) -> bytes:
        """The beginning of the VGA's memory, from outside of QEMU: whoever
        asks QEMU for it has it empty the ring."""
        where = re.search(r'vga\.vram .*\s0x([0-9a-f]+)\s+r[ow]\s*$',
                          guest.hmp('info ramblock'), re.M)
        assert where
        with open(f'/proc/{guest.pid}/mem', 'rb') as memory:
            memory.seek(int(where[1], 16))
            return memory.read(CELLS * len(PATTERN))

    def last_in_ring(self, guest: Guest) -> tuple[int, int]:
        """Where the last write went that KVM has collected, and its first
        byte. Nothing that QEMU would notice."""
        ring = process.vcpu_mapping(guest.pid) + RING_PAGE * mmap.PAGESIZE
        with open(f'/proc/{guest.pid}/mem', 'rb') as memory:
            memory.seek(ring)
            page = memory.read(mmap.PAGESIZE)
        _, end = RING.unpack_from(page)
        entries = (len(page) - RING.size) // WRITE.size
        where, byte = WRITE.unpack_from(
            page, RING.size + (end - 1) % entries * WRITE.size)
        return where, byte

    @proves('coalesced-mmio')
    def test_what_waits_in_the_ring_of_coalesced_writes_is_not_lost(self) \
            -> None:
        guest = self.start(firmware=True, memory=64, machine='pc', args=[
            '-device', 'VGA', '-drive',
            f'file={self.boot_sector("planes.S")},format=raw,if=ide'])
        guest.console.wait_for('written', 90)
        guest.wait(lambda: self.last_in_ring(guest) == LAST_WRITE, TIMEOUT,
                   'the writes in the ring')
        guest.qmp('stop')
        self.assertFalse(self.screen(guest) == PATTERN * CELLS,
                         'the ring is empty: this shows nothing')
        guest.qmp('system_reset')
        self.assertEqual(guest.wait_rebirth()['outcome'], 'completed')
        self.assertTrue(self.screen(guest) == PATTERN * CELLS,
                        'what waited in the ring is lost')

    # --- dirty-pages --------------------------------------------------------

    def memory_of(self, guest: Guest) -> bytes:
        for fd in Path('/proc', str(guest.pid), 'fd').iterdir():
            if os.readlink(fd).startswith('/memfd:memory-backend'):
                return fd.read_bytes()
        raise AssertionError('QEMU has no memory-backend-memfd')

    def press(self, guest: Guest, key: str, last: int, word: int) -> None:
        """Until the guest has written @word to the last page that it writes
        to then. Not long: QEMU asks for dirty rings once a second."""
        guest.qmp('send-key', keys=[{'type': 'qcode', 'data': key}])
        guest.wait(lambda: self.memory_of(guest)[last:last + 2]
                   == bytes([word]) * 2, TIMEOUT, 'the guest to write')

    def begin_migration(self, accel: str = 'kvm') -> tuple[Guest, Guest]:
        """Of a guest that has written once, until that was sent; what it then
        writes as a key is pressed, KVM alone knows."""
        uri = 'unix:' + str(Path(self.socket_dir().name, 'migration'))
        options = {
            'firmware': True, 'memory': 64, 'accel': accel,
            'machine': 'pc,memory-backend=m', 'args': [
                '-object', 'memory-backend-memfd,id=m,size=64M,share=on',
                '-drive', f'file={self.boot_sector("dirty.S")},format=raw,'
                          'if=ide,file.locking=off']}
        source = self.start('source', **options)
        options['args'] = [*options['args'], '-S', '-incoming', 'defer']
        there = self.start('destination', **options)
        there.qmp('migrate-incoming', uri=uri)
        source.console.wait_for('written', 90)
        source.qmp('migrate-set-parameters', max_bandwidth=128 << 10)
        source.qmp('migrate', uri=uri)
        # The first MiB is sent first, and nothing is looked at again before
        # all of memory is through.
        source.wait(lambda: source.qmp('query-migrate').get('ram', {}).get(
            'transferred', 0) >= 600 << 10, TIMEOUT, 'the pages to be sent')
        # It has to wait for whoever does not read.
        os.kill(there.pid, signal.SIGSTOP)
        self.press(source, 'a', 0x7f000, 0x22)
        return source, there

    def must_arrive_whole(self, source: Guest, there: Guest) -> None:
        """The guest has been stopped."""
        self.assertEqual(source.qmp('query-migrate')['status'], 'active')
        source.qmp('migrate-set-parameters', max_bandwidth=1 << 40,
                   downtime_limit=10000)
        os.kill(there.pid, signal.SIGCONT)
        source.wait(lambda: source.qmp('query-migrate')['status']
                    == 'completed', TIMEOUT, 'the migration')
        there.wait(lambda: there.qmp('query-status')['status']
                   in ('paused', 'prelaunch'), TIMEOUT, 'the guest to arrive')
        one, other = self.memory_of(source), self.memory_of(there)
        different = [page for page in range(0, len(one), 4096)
                     if one[page:page + 4096] != other[page:page + 4096]]
        self.assertEqual(len(different), 0,
                         f'{len(different)} pages are lost, the first at '
                         f'{different[:1]}')

    def arrives_whole(self, accel: str = 'kvm') -> None:
        """A guest that is reset while it migrates, after which it does not
        run."""
        source, there = self.begin_migration(accel)
        source.qmp('stop')
        source.qmp('system_reset')
        self.assertEqual(source.wait_rebirth()['outcome'], 'completed')
        self.must_arrive_whole(source, there)

    @proves('dirty-log')
    def test_pages_that_only_the_old_vm_knows_to_be_dirty_are_sent(self) \
            -> None:
        self.arrives_whole()

    @proves('dirty-log')
    def test_pages_are_sent_where_new_slots_begin_as_clean(self) -> None:
        """A KVM without KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, as old ones are."""
        shim = Shim(Path(self.workdir))
        self.addCleanup(shim.forget)
        with shim.rule('KVM_ENABLE_CAP', error='EINVAL',
                       word=MANUAL_DIRTY_LOG_PROTECT2) as rule:
            self.arrives_whole()
            self.assertEqual(rule.hits, 2)

    @proves('dirty-ring')
    def test_pages_in_the_old_vms_dirty_rings_are_sent(self) -> None:
        self.arrives_whole('kvm,dirty-ring-size=4096')

    @proves('dirty-ring')
    def test_the_rings_of_a_vm_that_is_kept_are_read_on_where_they_were(
            self) -> None:
        """A move fails after it had collected what is in them; on its old VM
        the guest then writes to other pages."""
        with planted.preloaded(Path(self.workdir)):
            source, there = self.begin_migration('kvm,dirty-ring-size=4096')
        self.assertEqual(planted.plant(source.pid, planted.FAILS_ON_NEW_VM), '')
        with self.assertRaisesRegex(ExecuteError,
                                    'phase new-vm.*the guest keeps its VM'):
            source.qmp('kvm-rebirth', preserve=True)
        self.press(source, 'b', 0x1f000, 0x33)
        source.qmp('stop')
        self.must_arrive_whole(source, there)

    # --- virtio -------------------------------------------------------------

    def irqfds_of_a_reset(self, guest: Guest, shim: Shim, new_vm: bool) -> int:
        """How many KVM_IRQFD it takes, until devices are reset."""
        guest.qmp('qom-set', path='/machine',
                  property='x-change-vmfd-on-reset', value=new_vm)
        guest.settle()
        guest.vm.get_qmp_events()
        with shim.rule('KVM_IRQFD') as rule:
            guest.qmp('system_reset')
            guest.event('RESET')
            return rule.hits

    @proves('irqfd')
    def test_irqfds_of_virtio_stay_behind_with_the_old_vm(self) -> None:
        """Each that moves costs the guest a wait for the kernel, and the
        device takes it away a moment later."""
        shim = self.shimmed()
        disk = self.scratch_disk(65 * 4096)
        guest = self.start(machine='pc', args=[
            '-drive', f'file={disk},format=raw,if=none,id=d',
            '-device', 'virtio-blk-pci,drive=d,num-queues=4'])
        guest.wait_boot()
        plain = self.irqfds_of_a_reset(guest, shim, False)
        self.assertGreater(plain, 0)
        guest.wait_boot()
        self.assertEqual(self.irqfds_of_a_reset(guest, shim, True), plain)
        guest.wait_boot()
        guest.must_answer()
