# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of docs/igvm.md, run as they stand there, and their answers."""

import os
import re
import subprocess
import tempfile
import textwrap
import unittest

from debian_firmware import OVMF, need
from owner_tool import TOP, build

INSTALLED = '/usr/share/ovmf/OVMF.fd'


def examples() -> list[tuple[str, str]]:
    """Commands behind "$", and what is printed then."""
    found = re.findall(r'^    \$ ((?:.*\\\n)*.*)\n((?:    (?!\$ ).*\n)*)',
                       (TOP / 'docs/igvm.md').read_text(), re.M)
    return [(command, textwrap.dedent(answer)) for command, answer in found]


class Example(unittest.TestCase):
    def test_each_command_answers_as_the_document_says(self) -> None:
        firmware = need('ovmf', OVMF)
        for name in ('kvm-reset-igvm', 'kvm-reset-measure'):
            build(name)
        commands = examples()
        self.assertEqual(
            [command.split()[:2] for command, _answer in commands],
            [['scripts/kvm-reset-igvm', 'wrap'],
             ['scripts/kvm-reset-igvm', 'check'],
             ['scripts/kvm-reset-measure', '--tee'],
             ['scripts/kvm-reset-measure', '--tee'],
             ['scripts/kvm-reset-igvm', 'check'],
             ['scripts/kvm-reset-igvm', 'inspect']])
        with tempfile.TemporaryDirectory(prefix='kvm-reset.') as scratch:
            os.symlink(TOP / 'scripts', f'{scratch}/scripts')
            for command, answer in commands:
                with self.subTest(command):
                    done = subprocess.run(
                        ['bash', '-c', command.replace(INSTALLED,
                                                       str(firmware))],
                        cwd=scratch, text=True, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT)
                    self.assertEqual(done.stdout, answer)


if __name__ == '__main__':
    unittest.main()
