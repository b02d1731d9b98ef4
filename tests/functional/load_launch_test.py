# SPDX-License-Identifier: GPL-2.0-or-later
"""An operator brings the firmware that a guest is launched from:
kvm-reset-load-launch.

On the simulated platform, with a guest that is firmware alone and the files of
launch_update_test.py."""

import os
import socket
import struct
import threading
import time
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

from fault_table import OLD_VM
from guest import Guest
from launch_update_test import (DISABLE, HOSTS, LaunchUpdate, SnpLaunchUpdate,
                                TdxLaunchUpdate)

MAY_CHANGE = ',kvm-reset-measurement=any'


def with_large_pages(image: bytes, count: int) -> bytes:
    """An IGVM file that launches so many pages of 2 MiB more, all of the same
    data (docs/igvm.md says which numbers these are)."""
    page_data, context, large = 0x302, 0x304, 1
    fixed = 24
    _, _, at, size, total, _ = struct.unpack_from('<6I', image)
    shift = count * (8 + 24)
    headers, place = b'', at
    while place < at + size:
        kind, length = struct.unpack_from('<2I', image, place)
        content = bytearray(image[place + 8:place + 8 + length])
        if kind in (page_data, context):
            data, = struct.unpack_from('<I', content, 12)
            struct.pack_into('<I', content, 12, data + shift if data else 0)
        headers += struct.pack('<2I', kind, length) + content
        headers += bytes(-length % 8)
        place += 8 + (length + 7) // 8 * 8
    for number in range(count):
        headers += struct.pack('<2IQIIIHH', page_data, 24,
                               (32 + 2 * number) << 20, 1, total + shift,
                               large, 0, 0)
    body = headers + image[at + size:] + os.urandom(2 << 20)
    start = struct.pack('<5I', *struct.unpack_from('<2I', image), fixed,
                        len(headers), fixed + len(body))
    crc = zlib.crc32(start + bytes(4) + headers)
    return start + struct.pack('<I', crc) + body


class LoadLaunch(LaunchUpdate):
    def setUp(self) -> None:
        super().setUp()
        self.files = [Path(self.scratch_file(f'own{n}.igvm')) for n in (1, 2)]

    def turn_on(self, *args: str, machine: str = '', **settings: str) -> Guest:
        """Without the device."""
        return self.launch_guest(*args, machine=machine, platform=settings)

    def load(self, **arguments: Any) -> dict[str, Any]:
        return self.guest.qmp('kvm-reset-load-launch', **arguments)

    def why_not(self, **arguments: Any) -> str:
        """… which changes nothing."""
        before = self.guest.info()['launch']
        answer = self.guest.vm.qmp('kvm-reset-load-launch', **arguments)
        self.assertIn('error', answer)
        self.assertEqual(self.guest.info()['launch'], before)
        return str(answer['error']['desc'])

    def brings(self, nth: int, once: bool = False, **arguments: Any) -> str:
        """… the digest."""
        answer = self.load(filename=str(self.files[nth]), once=once,
                           new_measurement=True, **arguments)
        self.assertEqual(answer, {'source': 'operator', 'once': once,
                                  'digest': self.digests[nth]})
        self.assertEqual(self.guest.info()['launch']['next'], answer)
        return self.digests[nth]

    def goes_back(self) -> None:
        self.assertEqual(self.load(start=True),
                         {'source': 'start', 'once': False})

    def bring_once_and_for_good(self) -> None:
        """20 resets."""
        self.turn_on()
        self.reboots('start', self.hosts)
        for _ in range(3):
            own = self.brings(0)
            self.reboots('operator', own)
            self.reboots('operator', own)
            other = self.brings(1, once=True)
            self.reboots('operator', other)
            self.reboots('operator', own)
            self.goes_back()
            self.reboots('start', self.hosts)
        # Once, and nothing for good; one in place of the other.
        self.brings(0)
        self.goes_back()
        self.brings(1, once=True)
        own = self.brings(0, once=True)
        self.reboots('operator', own)
        self.reboots('start', self.hosts)
        self.brings(0)
        other = self.brings(1)
        self.reboots('operator', other)
        self.assertEqual(self.guest.generation(), 19)
        self.brings(0, once=True)
        self.goes_back()
        self.reboots('start', self.hosts)


class SnpLoadLaunch(LoadLaunch):
    TEE = SnpLaunchUpdate.TEE
    OBJECT = SnpLaunchUpdate.OBJECT
    CPU = SnpLaunchUpdate.CPU
    VCPUS = SnpLaunchUpdate.VCPUS
    VCPU_TYPE = SnpLaunchUpdate.VCPU_TYPE

    def test_an_operator_brings_firmware_once_and_for_good(self) -> None:
        self.bring_once_and_for_good()

    def test_another_measurement_has_to_be_meant(self) -> None:
        own, hosts = str(self.files[0]), self.scratch_file('hosts.igvm')
        self.write_hosts(Path(hosts))
        self.turn_on()
        said = self.why_not(filename=own)
        for words in (f'first measured as {self.hosts}', self.digests[0],
                      'new-measurement'):
            self.assertIn(words, said)
        self.why_not(filename=own, once=True)
        self.why_not(filename=own, check=True)
        # What is measured as at the start is no other one.
        self.assertEqual(self.load(filename=hosts)['digest'], self.hosts)
        self.reboots('operator', self.hosts)
        self.assertIn('new-measurement', self.why_not(filename=own))
        self.goes_back()
        self.assertEqual(
            self.load(filename=own, new_measurement=True)['digest'],
            self.digests[0])
        self.reboots('operator', self.digests[0])
        self.guest.vm.shutdown()

        self.turn_on(machine=MAY_CHANGE)
        self.load(filename=own)
        self.reboots('operator', self.digests[0])

    def write_hosts(self, path: Path) -> None:
        """The firmware that QEMU is started with, as a file."""
        self.run_wrap(self.firmware, path)

    def test_a_check_changes_nothing(self) -> None:
        guest = self.turn_on()
        before = guest.info()['launch']
        self.assertEqual(
            self.load(filename=str(self.files[0]), new_measurement=True,
                      once=True, check=True),
            {'source': 'operator', 'once': True, 'digest': self.digests[0]})
        self.assertEqual(guest.info()['launch'], before)
        self.brings(0)
        self.assertEqual(self.load(start=True, check=True)['source'], 'start')
        self.reboots('operator', self.digests[0])

    def test_what_is_no_file_for_this_guest_is_refused(self) -> None:
        self.turn_on(machine=MAY_CHANGE + ',kvm-reset-launch-memory=4M')
        image = self.images[0]
        bad = Path(self.scratch_file('bad.igvm'))

        def refused(reason: str, content: bytes) -> None:
            bad.write_bytes(content)
            self.assertIn(reason, self.why_not(filename=str(bad)))

        for size in (0, 1, 23, 24, len(image) // 2, len(image) - 1):
            refused('IGVM file', image[:size])
        refused('checksum', image[:20] + bytes([image[20] ^ 1]) + image[21:])
        refused('no IGVM file', self.firmware.read_bytes())
        refused('kvm-reset-launch-memory', image + bytes(4 << 20))
        td = bad.with_suffix('.tdx')
        self.run_wrap(self.firmware, td, 'tdx')
        refused('SEV-SNP', td.read_bytes())

        os.mkfifo(pipe := self.scratch_file('pipe'))
        for name, reason in ((pipe, 'no regular file'),
                             ('/dev/zero', 'no regular file'),
                             (str(bad.parent), 'no regular file'),
                             (self.scratch_file('none'), 'No such file')):
            self.assertIn(reason, self.why_not(filename=name))
        for arguments in ({}, {'start': False},
                          {'filename': 'a', 'fd': 'b'},
                          {'filename': 'a', 'start': True}):
            self.assertIn("'filename', 'fd' and 'start'",
                          self.why_not(**arguments))
        self.assertIn("no 'once'", self.why_not(start=True, once=True))
        self.reboots('start', self.hosts)

    def test_a_descriptor_serves_and_is_given_back(self) -> None:
        guest = self.turn_on(machine=MAY_CHANGE)
        pid, memory = guest.pid, os.memfd_create('firmware')
        self.addCleanup(os.close, memory)

        def holds() -> int:
            return sum('memfd:firmware' in os.readlink(f'/proc/{pid}/fd/{fd}')
                       for fd in os.listdir(f'/proc/{pid}/fd'))

        def give(content: bytes) -> None:
            # Where it was written, its end.
            os.ftruncate(memory, 0)
            os.lseek(memory, 0, os.SEEK_SET)
            os.write(memory, content)
            guest.vm.send_fd_scm(fd=memory)

        give(self.images[0])
        guest.qmp('getfd', fdname='firmware')
        self.assertEqual(self.load(fd='firmware')['digest'], self.digests[0])
        self.assertEqual(holds(), 0)
        self.assertIn('firmware', self.why_not(fd='firmware'))
        self.reboots('operator', self.digests[0])

        give(b'nothing')
        guest.qmp('getfd', fdname='firmware')
        self.assertIn('IGVM', self.why_not(fd='firmware'))
        self.assertEqual(holds(), 0)

        # A set of them is QEMU's to keep.  Its descriptor was opened to
        # be read, as the file of such an operator is.
        for opened, argument in ((os.O_RDONLY, 'fd'), (os.O_RDONLY, 'filename')):
            fd = os.open(self.files[1], opened)
            guest.vm.send_fd_scm(fd=fd)
            os.close(fd)
            number = guest.qmp('add-fd')['fdset-id']
            self.assertEqual(
                self.load(**{argument: f'/dev/fdset/{number}'})['digest'],
                self.digests[1])
            guest.qmp('remove-fd', fdset_id=number)
            self.assertEqual(guest.qmp('query-fdsets'), [])
        self.reboots('operator', self.digests[1])

    def test_it_is_told_apart_from_the_guests(self) -> None:
        guest = self.power_on()
        own, other = self.digests
        self.bring(self.images[0])
        self.brings(1, once=True)
        self.reboots('operator', other)
        self.reboots('guest', own)
        # The host's firmware is the operator's now.
        self.brings(1)
        self.reboots('operator', other)
        self.bring(self.images[0], HOSTS)
        self.assertEqual(guest.info()['launch']['next']['source'], 'guest')
        self.reboots('guest', own)
        self.reboots('operator', other)
        self.bring(self.images[0])
        self.reboots('guest', own)
        self.ask(0, HOSTS)
        self.reboots('operator', other)
        # What the guest wants no more of is what the guest brings.
        self.bring(self.images[0], DISABLE)
        self.reboots('guest', own)
        self.goes_back()
        self.reboots('start', self.hosts)

    def test_what_the_platform_refuses_is_followed_by_what_there_was(
            self) -> None:
        guest = self.turn_on(fault='SNP_LAUNCH_FINISH:3:EIO:9')
        self.brings(0)
        self.reboots('operator', self.digests[0])
        self.brings(1)
        self.reboots('operator', self.digests[0])
        self.assertIn('firmware error 0x9', guest.info()['launch']['refused'])

    def test_an_event_says_what_it_runs_from_after_a_reset_that_failed(self) -> None:
        guest = self.turn_on(fault='SNP_LAUNCH_START:3:ENOMEM:0')
        self.brings(0, once=True)
        self.reboots('operator', self.digests[0])
        self.brings(1)
        self.assertEqual(self.reset_and_judge(), OLD_VM)
        event = guest.rebirths[-1]
        self.assertEqual((event['source'], event['digest']),
                         ('operator', self.digests[0]))
        self.work()
        self.reboots('operator', self.digests[1])

    def test_it_does_not_migrate_with_what_an_operator_brought(self) -> None:
        guest = self.turn_on()
        target = f'file:{self.scratch_file("migration")}'

        def reason() -> str:
            answer = guest.vm.qmp('migrate', uri=target)
            return str(answer.get('error', {}).get('desc', ''))

        self.assertNotIn('was brought', reason())
        self.brings(0)
        self.assertIn('was brought for it', reason())
        self.goes_back()
        self.assertNotIn('was brought', reason())
        self.brings(0, once=True)
        self.reboots('operator', self.digests[0])
        self.assertIn('was brought for it', reason())
        self.reboots('start', self.hosts)
        self.assertNotIn('was brought', reason())

    def test_the_human_monitor_answers_while_a_file_is_tried(self) -> None:
        path = str(Path(self.socket_dir().name, 'second'))
        guest = self.turn_on(
            '-monitor', f'unix:{path},server=on,wait=off',
            machine=',kvm-reset-launch-memory=64M')
        # So large that it takes a while.
        large = Path(self.scratch_file('large.igvm'))
        large.write_bytes(with_large_pages(self.images[0], 28))
        human = self.enterContext(socket.socket(socket.AF_UNIX))
        human.settimeout(120)
        human.connect(path)
        done: list[dict[str, Any]] = []
        waiter = threading.Thread(target=lambda: done.append(guest.vm.qmp(
            'kvm-reset-load-launch', filename=str(large), check=True,
            new_measurement=True)))
        began = time.monotonic()
        waiter.start()
        answers = [began]
        while waiter.is_alive():
            human.sendall(b'info status\n')
            said = b''
            while b'VM status' not in said:
                said += human.recv(4096)
            answers.append(time.monotonic())
        waiter.join()
        self.assertIn('return', done[0])
        longest = max(later - one for one, later in pairwise(answers))
        self.assertLess(longest, (answers[-1] - began) / 2)

    def test_no_ordinary_guest_takes_it(self) -> None:
        guest = self.start('ordinary', firmware=True)
        answer = guest.vm.qmp('kvm-reset-load-launch',
                              filename=str(self.files[0]))
        self.assertIn('is for SEV-SNP, and not for native',
                      answer['error']['desc'])
        guest.qmp('kvm-detach')
        answer = guest.vm.qmp('kvm-reset-load-launch', start=True)
        self.assertIn('detached from KVM', answer['error']['desc'])


class TdxLoadLaunch(LoadLaunch):
    TEE = TdxLaunchUpdate.TEE
    OBJECT = TdxLaunchUpdate.OBJECT
    CPU = TdxLaunchUpdate.CPU
    MACHINE = TdxLaunchUpdate.MACHINE

    def test_an_operator_brings_a_tds_firmware_once_and_for_good(self) -> None:
        self.bring_once_and_for_good()
