# SPDX-License-Identifier: GPL-2.0-or-later
"""A quote that a TD asked for reaches the guest that asked, and no other one.

QEMU fetches it from a service, which may take half a minute: here, until the
test says so. The guest's request comes through the ports of
tests/coco-platform/run.cc; on hardware it is a TDVMCALL. What is shared is
written and read from outside."""

import json
import socket
import struct

from chores import Qtest
from coco_test import Coco
from guest import Guest

TIMEOUT = 60
# In pages that Linux leaves alone.
PAGE, PAGES = 1, 2
GET_QUOTE = 7
# GHCI: version, status, bytes of the request and of the answer.
REQUEST = struct.Struct('<QQII')
REPORT, QUOTE = b'a report', b'the quote of this guest'
# The service's: length; then version, type, size, error; id and quote.
LENGTH, HEADER = struct.Struct('>I'), struct.Struct('<HHIII')
ANSWER = 1


class Service:
    """It has a request until answer()."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.listener.settimeout(TIMEOUT)

    def close(self) -> None:
        self.listener.close()

    def request(self) -> bytes:
        self.channel, _ = self.listener.accept()
        self.channel.settimeout(TIMEOUT)
        size, = LENGTH.unpack(self.channel.recv(LENGTH.size,
                                                socket.MSG_WAITALL))
        return self.channel.recv(size, socket.MSG_WAITALL)

    def answer(self) -> None:
        """Until QEMU has all of it, and has done with it what it does."""
        tail = struct.pack('<II', 0, len(QUOTE)) + QUOTE
        message = HEADER.pack(1, 1, ANSWER, HEADER.size + len(tail), 0) + tail
        self.channel.sendall(LENGTH.pack(len(message)) + message)
        while self.channel.recv(4096):
            pass
        self.channel.close()


class TdxQuote(Coco):
    TEE = 'tdx'
    JUDGES = ('platform',)

    def setUp(self) -> None:
        super().setUp()
        self.qtest = Qtest()
        path = str(self.qtest.directory / 'quotes')
        self.service = Service(path)
        self.addCleanup(self.service.close)
        self.guest = self.boot(
            smp='1', devices=self.qtest.arguments(),
            confidential=json.dumps({
                'qom-type': 'tdx-guest', 'id': 'cg',
                'quote-generation-socket': {'type': 'unix', 'path': path}}))
        self.qtest.connect()
        self.addCleanup(self.qtest.close)

    def ask(self, guest: Guest) -> None:
        request = REQUEST.pack(1, 0, len(REPORT), 0) + REPORT
        self.qtest.qtests([f'write {PAGE << 12:#x} {len(request):#x} '
                           f'0x{request.hex()}'])
        guest.console.send(f'run guest-tool out c0c0={PAGE:02x} '
                           f'c0c4={PAGES:02x} c0c8={GET_QUOTE:02x}')
        self.assertTrue(self.service.request().endswith(REPORT))

    def shared(self) -> bytes:
        """What the guest finds where its request was."""
        size = REQUEST.size + len(QUOTE)
        answer, = self.qtest.qtests([f'read {PAGE << 12:#x} {size:#x}'])
        return bytes.fromhex(answer[2:])

    def test_tdx_quote_reaches_the_guest_that_asked_and_no_other(self) -> None:
        self.ask(self.guest)
        self.service.answer()
        self.guest.wait(lambda: self.shared().endswith(QUOTE), TIMEOUT,
                        'the quote')
        self.ask(self.guest)
        generation = self.guest.generation()
        with self.reborn(self.guest):
            self.guest.qmp('system_reset')
            self.guest.wait(lambda: self.guest.generation() > generation,
                            TIMEOUT, 'a new VM')
            # QEMU waits for half a minute, and not for a boot.
            before = self.shared()
            self.service.answer()
        self.assertEqual(self.shared(), before)
        self.assertNotIn(QUOTE, before)
        # And the new guest may ask, too.
        self.ask(self.guest)
        self.service.answer()
        self.guest.wait(lambda: self.shared().endswith(QUOTE), TIMEOUT,
                        'the quote of the new guest')
