# SPDX-License-Identifier: GPL-2.0-or-later
"""vm-launch-update, as far as that needs no guest."""

import re
import subprocess
import tempfile
import unittest
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[1] / 'launch-client'


class LaunchClient(unittest.TestCase):
    program: Path

    @classmethod
    def setUpClass(cls) -> None:
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.program = Path(scratch.name, 'vm-launch-update')
        source = CLIENT / 'vm-launch-update.c'
        # As its first comment says.
        words = re.search(r'^ +\*     gcc (.*) -o vm-launch-update \*\.c$',
                          source.read_text(), re.MULTILINE)
        assert words
        subprocess.run(['gcc', '-Wall', '-Wextra', '-Werror',
                        *words[1].split(), '-o', cls.program,
                        *sorted(CLIENT.glob('*.c'))], check=True)

    def run_it(self, *args: str) -> tuple[int, str, str]:
        done = subprocess.run([self.program, *args], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_its_manual_has_the_options_that_it_has(self) -> None:
        status, told, _ = self.run_it('--help')
        self.assertEqual(status, 0)
        manual = (CLIENT / 'vm-launch-update.1').read_text().replace('\\', '')
        sections = manual.split('.SH OPTIONS\n')[1].split('.SH ')[0]
        self.assertEqual(re.findall(r'^  (--[a-z-]+)', told, re.MULTILINE),
                         re.findall(r'^\.BI? (--[a-z-]+)', sections,
                                    re.MULTILINE))

    def test_a_command_line_that_makes_no_sense_is_refused(self) -> None:
        for line, why in (
                ('', 'there is no FILE'),
                ('--once', 'about a FILE'),
                ('a b', 'one FILE'),
                ('--host a', "host's firmware or FILE"),
                ('--status a', 'nothing else'),
                ('--memory 1 a', 'ADDRESS:SIZE'),
                ('--memory 0x1000: a', 'ADDRESS:SIZE'),
                ('--memory 0x1000:0 a', 'ADDRESS:SIZE'),
                ('--memory -1:1 a', 'ADDRESS:SIZE'),
                ('--memory 0x1000:-1 a', 'ADDRESS:SIZE'),
                ('--memory 0xfffffffffffff000:0x2000 a', 'ADDRESS:SIZE'),
                ('--memory 0x1000000000000000000:1 a', 'ADDRESS:SIZE'),
                ('--nonsense', 'nonsense')):
            status, told, said = self.run_it(*line.split())
            self.assertEqual((status, told), (2, ''), line)
            self.assertIn(why, said)
            self.assertIn('usage:', said)

    def test_outside_of_a_guest_it_says_so(self) -> None:
        status, told, said = self.run_it('--status')
        self.assertEqual((status, told), (1, ''))
        self.assertRegex(said, 'the ports of fw_cfg|no guest of QEMU|the host takes')


if __name__ == '__main__':
    unittest.main()
