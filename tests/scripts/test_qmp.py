# SPDX-License-Identifier: GPL-2.0-or-later
"""The client of QEMU's monitor, and a QEMU that says what a test wants."""

import json
import os
import socket
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset.qmp import Gone, Monitor, QmpError  # noqa: E402

VERSION = {'qemu': {'major': 10, 'minor': 0, 'micro': 13}, 'package': ''}
GREETING = {'QMP': {'version': VERSION, 'capabilities': []}}
RESET = {'event': 'RESET', 'data': {'guest': False}}
REBIRTH = {'event': 'KVM_REBIRTH', 'data': {'outcome': 'completed'}}
STOP = {'event': 'STOP'}


class Qmp(unittest.TestCase):

    def answer_with(self, channel: socket.socket,
                    *answers: list[dict[str, Any]]) -> None:
        """To each command all messages of one answer; then it ends."""
        def qemu() -> None:
            with channel, channel.makefile('r') as file:
                for messages in ([GREETING], [{'return': {}}], *answers):
                    if messages[0] is not GREETING:
                        self.asked.append(json.loads(file.readline()))
                    channel.sendall(b''.join(
                        json.dumps(message).encode() + b'\r\n'
                        for message in messages))
        self.asked: list[dict[str, Any]] = []
        thread = threading.Thread(target=qemu)
        thread.start()
        self.addCleanup(thread.join)

    def monitor(self, *answers: list[dict[str, Any]],
                timeout: float = 30) -> Monitor:
        ours, theirs = socket.socketpair()
        self.answer_with(theirs, *answers)
        monitor = Monitor(ours, timeout)
        self.addCleanup(monitor.close)
        return monitor

    def test_a_command_and_its_arguments_arrive_and_it_is_answered(
            self) -> None:
        monitor = self.monitor([{'return': {'a': 1}}])
        self.assertEqual(monitor.command('migrate', uri='x'), {'a': 1})
        self.assertEqual(monitor.version, VERSION)
        self.assertEqual(self.asked, [
            {'execute': 'qmp_capabilities', 'arguments': {}},
            {'execute': 'migrate', 'arguments': {'uri': 'x'}}])

    def test_descriptors_come_before_the_command(self) -> None:
        monitor = self.monitor()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        monitor.channel.close()
        monitor.channel = ours
        with tempfile.TemporaryFile() as file:
            monitor.send('getfd', [file.fileno()], fdname='a')
            data, fds, _, _ = socket.recv_fds(theirs, 4096, 4)
            same = [os.path.sameopenfile(fd, file.fileno()) for fd in fds]
            for fd in fds:
                os.close(fd)
        self.assertEqual(same, [True])
        data += theirs.recv(4096)
        self.assertEqual(json.loads(data), {'execute': 'getfd',
                                            'arguments': {'fdname': 'a'}})

    def test_an_error_names_the_command(self) -> None:
        monitor = self.monitor(
            [{'error': {'class': 'GenericError', 'desc': 'no'}}])
        with self.assertRaisesRegex(QmpError, '^cont: no$'):
            monitor.command('cont')

    def test_an_event_before_the_answer_is_kept(self) -> None:
        monitor = self.monitor([STOP, {'return': {}}])
        monitor.command('stop')
        self.assertEqual(monitor.events, [STOP])
        self.assertEqual(monitor.wait('STOP'), STOP)

    def test_until_tells_all_events_up_to_the_one_and_leaves_the_rest(
            self) -> None:
        monitor = self.monitor([REBIRTH, {'return': {}}, RESET, STOP])
        monitor.command('system_reset')
        self.assertEqual(monitor.until('RESET'), [REBIRTH, RESET])
        self.assertEqual(monitor.wait('STOP'), STOP)

    def test_the_same_event_twice_is_two(self) -> None:
        monitor = self.monitor([{'return': {}}, RESET, RESET])
        monitor.command('system_reset')
        self.assertEqual(monitor.until('RESET'), [RESET])
        self.assertEqual(monitor.until('RESET'), [RESET])

    def test_answers_may_be_taken_later_in_their_order(self) -> None:
        monitor = self.monitor([{'return': 1}], [{'return': 2}])
        monitor.send('a')
        monitor.send('b')
        self.assertEqual((monitor.answer(), monitor.answer()), (1, 2))

    def test_a_qemu_that_ends_is_gone(self) -> None:
        monitor = self.monitor()
        with self.assertRaisesRegex(Gone, 'QEMU ended'):
            monitor.command('query-status')

    def test_one_that_is_silent_is_gone_after_the_timeout(self) -> None:
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        with self.assertRaisesRegex(Gone, 'said nothing for 0 s'):
            Monitor(ours, 0.01)

    def test_a_path_is_connected_to(self) -> None:
        with tempfile.TemporaryDirectory() as scratch, \
                socket.socket(socket.AF_UNIX) as listener:
            path = Path(scratch, 'qmp')
            listener.bind(str(path))
            listener.listen()
            monitor_end: list[Monitor] = []
            thread = threading.Thread(
                target=lambda: monitor_end.append(Monitor.at(path, 30)))
            thread.start()
            self.answer_with(listener.accept()[0], [{'return': 7}])
            thread.join()
            monitor = monitor_end[0]
            self.addCleanup(monitor.close)
            self.assertEqual(monitor.command('x'), 7)


if __name__ == '__main__':
    unittest.main()
