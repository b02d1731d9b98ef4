# SPDX-License-Identifier: GPL-2.0-or-later
"""The lines that scripts/bench core makes of IGVM files and their launches."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset.bench import table  # noqa: E402


def results(what: str = 'igvm/some file', **runs: dict) -> table.Results:
    with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
        json.dump({'benchmarks': [
            {'name': f'{what}/{step.replace("C_3", "C-3").replace("_", " ")}',
             'time_unit': 'ms', **run} for step, run in runs.items()]}, file)
        file.flush()
        return table.Results([Path(file.name)])


class IgvmLines(unittest.TestCase):
    def lines(self, **times: float) -> dict[str, tuple]:
        found = results(**{step: {'cpu_time': time}
                           for step, time in times.items()})
        return {line.name: (line.value, line.unit, line.verdict)
                for line in table.igvm(found, 'some file')}

    def test_a_check_is_judged_and_compared_in_the_same_run(self) -> None:
        self.assertEqual(
            self.lines(check=10, digest=60, CRC_32=40, read=2), {
                'IGVM, some file: check': (10, 'ms', 'pass'),
                'IGVM, some file: and its digest': (60, 'ms', ''),
                'IGVM, some file: check, of a CRC-32 of its bytes':
                    (0.25, 'times', ''),
                'IGVM, some file: check, of a read of its bytes':
                    (5, 'times', '')})

    def test_more_than_50_ms_fail(self) -> None:
        self.assertEqual(
            self.lines(check=50.1, read=1)['IGVM, some file: check'][2],
            'FAIL')
        self.assertEqual(
            self.lines(check=50, read=1)['IGVM, some file: check'][2], 'pass')

    def test_a_file_that_is_refused_says_why(self) -> None:
        found = results(check={'error_occurred': True, 'error_message': 'no'})
        line, = table.igvm(found, 'some file')
        self.assertEqual(line.verdict, 'skipped: no')


class LaunchLines(unittest.TestCase):
    def verdicts(self, tried: float, lock: float, added: float) -> list[str]:
        found = results('launch/1 MiB', tried={'cpu_time': tried},
                        under_the_lock={'cpu_time': lock},
                        reset={'cpu_time': 1, 'added': added})
        return [line.verdict for line in table.launch(found, '1 MiB')]

    def test_each_of_three_times_has_a_target(self) -> None:
        self.assertEqual(self.verdicts(50, 5, 1), ['pass'] * 3)
        for times, failed in (((51, 5, 1), 0), ((50, 5.1, 1), 1),
                              ((50, 5, 1.1), 2)):
            verdicts = ['pass'] * 3
            verdicts[failed] = 'FAIL'
            self.assertEqual(self.verdicts(*times), verdicts)


if __name__ == '__main__':
    unittest.main()
