# SPDX-License-Identifier: GPL-2.0-or-later
"""The remote serial protocol of GDB, as much as the tests speak."""

import socket


class Rsp:
    """A debugger's end. Attaching stops the guest."""

    def __init__(self, path: str, timeout: float) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(timeout)
        self._sock.connect(path)
        self._held = b''

    def _byte(self) -> bytes:
        if not self._held:
            self._held = self._sock.recv(4096)
            if not self._held:
                raise AssertionError('QEMU closed the debugger\'s socket')
        byte, self._held = self._held[:1], self._held[1:]
        return byte

    def send(self, text: str) -> None:
        data = text.encode()
        self._sock.sendall(b'$%s#%02x' % (data, sum(data) & 0xff))

    def receive(self) -> str:
        """The next packet; acknowledgements between are passed over."""
        while self._byte() != b'$':
            pass
        data = b''
        while (byte := self._byte()) != b'#':
            data += byte
        digits = self._byte() + self._byte()
        if int(digits, 16) != sum(data) & 0xff:
            raise AssertionError(f'a damaged packet: {data!r}')
        self._sock.sendall(b'+')
        return data.decode()

    def ask(self, text: str) -> str:
        self.send(text)
        return self.receive()

    def must(self, text: str) -> None:
        answer = self.ask(text)
        if answer != 'OK':
            raise AssertionError(f'{text}: {answer!r} is not OK')

    def rip(self) -> int:
        """Of the thread that stopped: the 17th register of x86-64."""
        registers = bytes.fromhex(self.ask('g'))
        return int.from_bytes(registers[16 * 8:17 * 8], 'little')

    def close(self) -> None:
        self._sock.close()
