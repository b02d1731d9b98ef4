# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a guest's memory comes from, who may write it, and what is known of
its pages."""

import os
from pathlib import Path

from guest import TIMEOUT, Guest
from kvm_reset_test import KvmResetTest, takes
from proof import proves

MIB = 1 << 20
HUGE = 2 * MIB
# Where the guest's kernel has KVM write the time of day.
WALL_CLOCK = '4b564d00'
POOL = Path('/sys/kernel/mm/hugepages/hugepages-2048kB')


def memory_of(guest: Guest) -> Path:
    """The file that is the guest's RAM, if it is a memfd."""
    files = [fd for fd in Path('/proc', str(guest.pid), 'fd').iterdir()
             if os.readlink(fd).startswith('/memfd:memory-backend')]
    assert len(files) == 1, files
    return files[0]


class Backend(KvmResetTest):
    WEIGHT = 40

    def pages(self, kind: str) -> int:
        return int((POOL / kind).read_text())

    @proves('hugepages', 'memory-slots')
    def test_memory_of_huge_pages_stays_in_its_pages(self) -> None:
        """Hugepage-backed RAM: the new VM maps the same ones."""
        self.require_file(str(POOL), 'this kernel has no huge pages')
        wanted = 128 * MIB // HUGE
        before = self.pages('nr_hugepages')
        (POOL / 'nr_hugepages').write_text(str(before + wanted))
        self.addCleanup((POOL / 'nr_hugepages').write_text, str(before))
        if self.pages('free_hugepages') < wanted:
            self.skipTest('this machine has no memory for huge pages left')
        guest = self.start(
            memory=128, machine='q35,memory-backend=m', args=[
                '-object', 'memory-backend-memfd,id=m,size=128M,hugetlb=on,'
                           'hugetlbsize=2M,prealloc=on'])
        guest.wait_boot()
        free = self.pages('free_hugepages')
        for reset in ('reboot linux', 'reboot sysrq'):
            with self.reborn(guest):
                guest.console.send(reset)
            guest.command('work 2', r'work ok n=2 ')
            self.assertEqual(self.pages('free_hugepages'), free)
        self.assertRegex(Path('/proc', str(guest.pid), 'smaps').read_text(),
                         r'KernelPageSize: +2048 kB')

    def flash(self, guest: Guest, at: int, value: int) -> None:
        """Programs a byte of the flash: its memory is a read-only slot, which
        goes while a command is under way and comes again."""
        for what in (f'{at:#x} 8 0x40', f'{at:#x} 8 {value:#x}'):
            guest.command(f'run devmem {what}', 'done status=0')
        # Of the read-array command it gives its memory again.
        guest.command(f'run devmem {at:#x} 8 0xff', 'done status=0')

    def reads(self, guest: Guest, at: int) -> int:
        return int(guest.command(f'run devmem {at:#x} 8', r'\n0x(\w\w)\s'), 16)

    @proves('readonly-slots', 'pflash')
    def test_flash_is_read_and_programmed_after_each_rebirth(self) -> None:
        """pflash: firmware in a read-only slot, variables beside it."""
        size = 0x40000
        store = Path(self.scratch_file('flash'))
        store.write_bytes(b'\xff' * size)
        guest = self.start(
            machine='q35,pflash0=code,pflash1=store', args=[
                '-blockdev', 'driver=file,node-name=code,read-only=on,'
                             'filename=/usr/share/seabios/bios-256k.bin',
                '-blockdev', f'driver=file,node-name=store,filename={store}'])
        guest.wait_boot()
        at = (1 << 32) - 0x40000 - size + 0x100
        written = b''
        for number in range(2):
            for i, byte in enumerate(written):
                self.assertEqual(self.reads(guest, at + i), byte)
            self.assertEqual(self.reads(guest, at + number), 0xff)
            self.flash(guest, at + number, 0x50 + number)
            written += bytes([0x50 + number])
            self.assertEqual(self.reads(guest, at + number), 0x50 + number)
            with self.reborn(guest):
                guest.console.send('reboot linux')
        self.assertEqual(store.read_bytes()[0x100:0x103], written + b'\xff')


class Dirty(KvmResetTest):
    """A guest that is reset while it migrates, looked at from outside."""
    WEIGHT = 80

    def migrates_whole(self, **options: object) -> None:
        uri = 'unix:' + str(Path(self.socket_dir().name, 'migration'))
        options |= {'memory': 128, 'machine': 'pc,memory-backend=m'}
        args = ['-object', 'memory-backend-memfd,id=m,size=128M,share=on']
        source = self.start('source', args=args, **options)
        # It arrives and does not run, so that it changes nothing.
        there = self.start('destination', args=[
            *args, '-S', '-incoming', 'defer'], **options)
        there.qmp('migrate-incoming', uri=uri)
        source.wait_boot()
        source.command('work', 'work ok n=1 ')
        source.qmp('migrate-set-parameters', max_bandwidth=32 * MIB)
        source.qmp('migrate', uri=uri)
        source.wait(lambda: source.qmp('query-migrate').get('ram', {}).get(
            'dirty-sync-count', 0) >= 2, TIMEOUT, 'the first pass over memory')
        # What is dirty from now on, only the old VM knows.
        source.qmp('migrate-set-parameters', max_bandwidth=64 * 1024)
        source.console.skip()
        source.console.wait_for('work ok ', 2 * TIMEOUT)
        with self.reborn(source):
            source.qmp('system_reset')
            self.assertEqual(source.qmp('query-migrate')['status'], 'active')
        wall_clock = source.msrs(WALL_CLOCK)[WALL_CLOCK]
        source.qmp('migrate-set-parameters', max_bandwidth=1 << 40,
                   downtime_limit=10000)
        source.wait(lambda: source.qmp('query-migrate')['status'] ==
                    'completed', 120, 'the migration')
        there.wait(lambda: there.qmp('query-status')['status'] == 'paused',
                   TIMEOUT, 'the guest to have arrived')
        self.same_memory(source, there, wall_clock)
        there.qmp('cont')
        said = there.command('id', r'boot id=([0-9a-f]{32})')
        self.assertEqual(said, source.boot_ids[-1])
        there.command('work 2', r'work ok n=2 ')

    def same_memory(self, source: Guest, there: Guest,
                    wall_clock: int) -> None:
        """But for 12 bytes at @wall_clock, which KVM writes anew where it is
        told the register."""
        one, other = (bytearray(memory_of(guest).read_bytes())
                      for guest in (source, there))
        self.assertEqual(len(one), 128 * MIB)
        self.assertNotEqual(wall_clock, 0)
        for memory in (one, other):
            memory[wall_clock:wall_clock + 12] = bytes(12)
        different = [at for at in range(0, len(one), 4096)
                     if one[at:at + 4096] != other[at:at + 4096]]
        self.assertEqual([hex(at) for at in different], [])

    @takes(600)
    @proves('dirty-log')
    def test_no_page_is_lost_in_a_reset_while_it_migrates(self) -> None:
        """Dirty logging: both memories are the same, byte by byte."""
        self.migrates_whole()

    @takes(600)
    @proves('dirty-ring')
    def test_no_page_is_lost_in_a_reset_with_a_dirty_ring(self) -> None:
        """The dirty ring, whose entries the old VM takes along."""
        self.migrates_whole(accel='kvm,dirty-ring-size=32768', smp='2')
