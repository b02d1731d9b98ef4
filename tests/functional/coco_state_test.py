# SPDX-License-Identifier: GPL-2.0-or-later
"""What is true of a confidential guest when it has been launched again: what
QEMU knows of it, what it shares, its devices, its attestation."""

import base64
import hashlib
import re
import socket
from typing import Any

import coco_test
from guest import Guest
from judge import ON_LAB
from qemu.qmp import ExecuteError
from virtio_test import SLOTS, BLOCK, WORK_LINE, blocks_of

IOMMU = 'iommu_platform=on,disable-legacy=on'


class State(coco_test.Coco):
    WEIGHT = 60

    def reset(self, guest: Guest) -> None:
        with self.reborn(guest):
            guest.qmp('system_reset')

    def migration_refused(self, guest: Guest) -> str:
        with self.assertRaises(ExecuteError) as raised:
            guest.qmp('migrate', uri='exec:cat >/dev/null')
        return str(raised.exception)

    def platform_measurement(self) -> str:
        """LAUNCH_MEASURE's last answer, as QEMU gives it."""
        blob = bytes.fromhex(self.events('measure')[-1]['measurement'])
        return base64.b64encode(blob).decode()

    def known_right(self) -> None:
        guest = self.boot(smp='1')
        before, blocked = guest.qmp('query-sev'), self.migration_refused(guest)
        self.reset(guest)
        after = guest.qmp('query-sev')
        self.assertEqual(after['state'], 'running')
        for key in before.keys() - {'handle'}:
            self.assertEqual(after[key], before[key], key)
        if 'handle' in before:
            self.assertNotEqual(after['handle'], before['handle'])
            measure = guest.qmp('query-sev-launch-measure')
            self.assertEqual(measure['data'], self.platform_measurement())
        self.assertEqual(self.migration_refused(guest), blocked)
        self.assertTrue(guest.qmp('query-migrate')['blocked-reasons'])

    # --- devices -------------------------------------------------------------

    def forward(self) -> tuple[list[str], int]:
        """A network whose TCP port 7, which sends all back, is one of ours."""
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        return ['-netdev', f'user,id=n,hostfwd=tcp:127.0.0.1:{port}-:7',
                '-device', f'virtio-net-pci,netdev=n,romfile=,{IOMMU}'], port

    def traffic(self, port: int) -> None:
        data = bytes(range(256)) * 256
        with socket.create_connection(('127.0.0.1', port), 60) as peer:
            peer.settimeout(60)
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            back = b''.join(iter(lambda: peer.recv(65536), b''))
        self.assertEqual(hashlib.sha256(back).digest(),
                         hashlib.sha256(data).digest())

    def devices_work(self) -> None:
        image = self.scratch_disk((1 + SLOTS) * BLOCK)
        net, port = self.forward()
        guest = self.boot(smp='1', append='kr.work=1', devices=[
            '-drive', f'file={image},format=raw,if=none,id=d',
            '-device', f'virtio-blk-pci,drive=d,{IOMMU}', *net])
        self.worked(guest, port)
        last = int(re.findall(WORK_LINE, guest.console.text())[-1])
        self.reset(guest)
        found = int(guest.command('', r'disk found=(\d+)\s'))
        self.assertGreaterEqual(found, last)
        self.worked(guest, port)
        self.assertNotIn('work FAIL', guest.console.text())
        written = int(re.findall(WORK_LINE, guest.console.text())[-1])
        guest.vm.kill()
        self.assertGreaterEqual(max(blocks_of(image)), written)

    def worked(self, guest: Guest, port: int) -> None:
        guest.console.wait_for(r'work ok n=\d+ [^\n]*disk=\d+ net=[1-9]', 90)
        self.traffic(port)


class SnpState(State):
    TEE = 'snp'

    def test_snp_is_known_right_after_its_reset(self) -> None:
        self.known_right()

    def test_snp_has_virtio_behind_the_iommu_after_its_reset(self) -> None:
        self.devices_work()

    def private_pages(self) -> list[Any]:
        """At the first instruction of each VM: how many and how much."""
        return [event['private'] for event in self.events('first_run')]

    def test_snp_forgets_what_the_old_guest_shared(self) -> None:
        if ON_LAB:
            self.skipTest('it asks through the ports of the platform, and '
                          "reads the platform's count of pages")
        guest = self.boot(smp='1')
        # Page 0x50, which Linux leaves alone, by the ports of run.cc.
        guest.command(r"run printf '\120\0\0\0\1\0\0\0\1' >/ask; "
                      'dd if=/ask of=/dev/port bs=1 seek=49344',
                      'done status=0')
        shared = [event for event in self.events('convert')
                  if event['gpa'] == 0x50000]
        self.assertEqual([event['to'] for event in shared], ['shared'])
        self.reset(guest)
        first, second = self.private_pages()
        self.assertEqual(first, second)
        self.must_be_the_same(guest, 2)

    def test_snp_that_waits_before_its_launch_ends_can_be_reset(self) -> None:
        """There is nothing to repeat yet, and nothing has run."""
        guest = self.boot(smp='1', stopped=True)
        guest.qmp('system_reset')
        guest.event('RESET')
        guest.qmp('cont')
        guest.wait_boot()
        self.must_be_the_same(guest, 1)
        self.reset(guest)
        self.must_be_the_same(guest, 2)


class SevEsState(State):
    TEE = 'sev-es'

    def test_sev_es_is_known_right_after_its_reset(self) -> None:
        self.known_right()


class SevState(State):
    TEE = 'sev'

    def test_sev_is_known_right_after_its_reset(self) -> None:
        self.known_right()

    def test_sev_reset_in_the_middle_of_its_launch_goes_on_with_it(
            self) -> None:
        guest = self.boot(smp='1', stopped=True)
        self.assertEqual(guest.info()['launch']['state'], 'begun')
        self.assertEqual(guest.qmp('query-sev')['state'], 'launch-secret')
        measure = guest.qmp('query-sev-launch-measure')
        guest.qmp('system_reset')
        guest.event('RESET')
        self.assertEqual(guest.generation(), 0)
        self.assertEqual(guest.qmp('query-sev-launch-measure'), measure)
        guest.qmp('cont')
        guest.wait_boot()
        self.must_be_the_same(guest, 1)
