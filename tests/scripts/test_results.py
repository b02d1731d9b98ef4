# SPDX-License-Identifier: GPL-2.0-or-later
"""How scripts/test counts: nothing that went wrong may look like a pass."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

from kvm_reset import results as test_results  # noqa: E402
from kvm_reset.results import Result  # noqa: E402

GTEST = '''<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="1" errors="0" name="AllTests">
  <testsuite name="Journal" tests="4" failures="1" skipped="1">
    <testcase name="ItIsSmall" status="run" time="0.5" classname="Journal" />
    <testcase name="NotChosen" status="notrun" time="0" classname="Journal" />
    <testcase name="ItFails" status="run" time="0" classname="Journal">
      <failure message="a_test.cc:12&#x0A;Expected: 1&#x0A;  Actual: 2"
        type=""><![CDATA[...]]></failure>
    </testcase>
    <testcase name="ItIsSkipped" status="run" classname="Journal">
      <skipped message="a_test.cc:20&#x0A;no KVM here&#x0A;" />
    </testcase>
  </testsuite>
</testsuites>
'''

MESON_TAP = '''<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" errors="0" failures="0">
  <testsuite name="abi" tests="2" errors="0" failures="0" skipped="1">
    <testcase name="sizes" classname="abi" time="1.0" />
    <testcase name="headers" classname="abi"><skipped />
      <system-out>no headers are given</system-out></testcase>
  </testsuite>
</testsuites>
'''

DIED = '''<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="1" errors="0" failures="1">
  <testsuite name="core" tests="1" errors="0" failures="1">
    <testcase name="ItWasFine" status="run" classname="Core" />
  </testsuite>
</testsuites>
'''


class Counting(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def of_xml(self, text):
        path = self.scratch / 'results.xml'
        path.write_text(text)
        return [(r.name, r.outcome, r.reason)
                for r in test_results.of_junit(path, 'unit: ')]

    def summary(self, *results):
        path = self.scratch / 'unit'
        if results:
            test_results.write(path, list(results))
        return self.summary_of(path)

    def summary_of(self, *paths):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = test_results.summary(list(paths))
        return status, out.getvalue().splitlines()

    def test_googletest_s_cases_are_counted_one_by_one(self):
        self.assertEqual(self.of_xml(GTEST), [
            ('unit: Journal.ItIsSmall', 'passed', ''),
            ('unit: Journal.ItFails', 'failed', 'Expected: 1 Actual: 2'),
            ('unit: Journal.ItIsSkipped', 'skipped', 'no KVM here')])

    def test_the_reason_of_a_tap_skip_is_found(self):
        self.assertEqual(self.of_xml(MESON_TAP)[1],
                         ('unit: abi.headers', 'skipped',
                          'no headers are given'))

    def test_a_program_that_died_after_its_last_case_has_failed(self):
        self.assertIn('failed', [r[1] for r in self.of_xml(DIED)])

    def test_the_rate_of_second_tries_is_told_of_those_that_get_one(self):
        path = self.scratch / 'functional'
        again = Result('a', 'passed', tries=2)
        again.second_try_after('it hung')
        test_results.write(path, [again, Result('b', 'passed', tries=1),
                                  Result('no try of c', 'passed')])
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(test_results.summary([path]), 0)
        self.assertEqual(out.getvalue().splitlines(), [
            'Passed, but:', '  a: at the second try; the first: it hung',
            'Second tries: 1 of 2 functional tests, 50.0 %',
            '3 passed, 0 failed, 0 skipped'])

    def test_results_that_cannot_be_read_are_a_failure(self):
        self.assertEqual(self.of_xml('<testsuites>')[0][1], 'failed')
        missing = test_results.of_junit(self.scratch / 'no.xml', '')
        self.assertEqual(missing[0].outcome, 'failed')

    def test_the_last_line_counts_and_the_status_is_0(self):
        status, lines = self.summary(Result('a', 'passed'),
                                     Result('b', 'skipped', 'no KVM'))
        self.assertEqual(lines, ['Skipped:', '  b: no KVM',
                                 '1 passed, 0 failed, 1 skipped'])
        self.assertEqual(status, 0)

    def test_a_failure_is_named_and_the_status_is_1(self):
        status, lines = self.summary(Result('a', 'passed'),
                                     Result('b', 'failed', 'it broke'))
        self.assertEqual(lines, ['Failed:', '  b: it broke',
                                 '1 passed, 1 failed, 0 skipped'])
        self.assertEqual(status, 1)

    def test_a_pass_at_the_second_try_is_told(self):
        status, lines = self.summary(Result('a', 'passed', 'at the second'),
                                     Result('b', 'passed'))
        self.assertEqual(lines, ['Passed, but:', '  a: at the second',
                                 '2 passed, 0 failed, 0 skipped'])
        self.assertEqual(status, 0)

    def test_nothing_but_skips_is_no_success(self):
        status, lines = self.summary(Result('b', 'skipped', 'no KVM'))
        self.assertEqual(status, 1)

    def test_nothing_at_all_is_no_success(self):
        status, lines = self.summary_of()
        self.assertEqual(lines, ['Nothing ran.',
                                 '0 passed, 0 failed, 0 skipped'])
        self.assertEqual(status, 1)

    def test_a_part_without_results_is_a_failure(self):
        status, lines = self.summary_of(self.scratch / 'functional')
        self.assertIn('  functional: it left no results', lines)
        self.assertEqual(status, 1)

    def test_a_line_that_is_cut_short_is_a_failure(self):
        path = self.scratch / 'functional'
        test_results.write(path, [Result('a', 'passed')])
        with path.open('a') as file:
            file.write('{"name": "b", "outc')
        self.assertEqual([r.outcome for r in test_results.read(path)],
                         ['passed', 'failed'])

    def test_an_outcome_that_nobody_knows_is_a_failure(self):
        path = self.scratch / 'functional'
        path.write_text('{"name": "b", "outcome": "fine"}\n')
        self.assertEqual([r.outcome for r in test_results.read(path)],
                         ['failed'])

    def test_a_cost_with_a_target_is_a_test(self):
        path = self.scratch / 'bench.json'
        line = {'name': 'quiet', 'unit': 'ns', 'value': 2.5, 'target': 2.0,
                'why_skipped': '', 'verdict': 'FAIL'}
        path.write_text(json.dumps([
            line, line | {'value': 1.0, 'verdict': 'pass'},
            line | {'target': None, 'verdict': ''},
            line | {'why_skipped': 'no KVM', 'verdict': 'skipped: no KVM'}]))
        self.assertEqual(
            [(r.outcome, r.reason) for r in test_results.of_bench(path)],
            [('failed', '2.50 ns, and no more than 2 is allowed'),
             ('passed', ''), ('skipped', 'no KVM')])

    def test_python_s_tests_are_counted(self):
        directory = self.scratch / 'tests'
        directory.mkdir()
        (directory / 'test_counted_here.py').write_text('''
import unittest
class T(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): self.fail('no')
    def test_c(self): self.skipTest('not here')
    def test_d(self):
        with self.subTest(n=1): self.fail('within')
    @unittest.expectedFailure
    def test_e(self): pass
@unittest.skip('the whole class')
class U(unittest.TestCase):
    def test_f(self): pass
class V(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise OSError('no setup')
    def test_g(self): pass
class W(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise unittest.SkipTest('no setup here')
    def test_h(self): pass
''')
        (directory / 'test_broken_here.py').write_text('import nonexistent')
        subprocess.run(
            ['/usr/bin/python3', '-B', '-m', 'pytest', '-p',
             'no:cacheprovider', '--continue-on-collection-errors',
             f'--junit-xml={self.scratch}/results.xml',
             directory], check=False, stdout=subprocess.DEVNULL,
            env={**os.environ, 'PYTEST_ADDOPTS': ''})
        found = test_results.of_junit(self.scratch / 'results.xml', '')
        outcomes = {r.name.split('.')[-1]: r.outcome for r in found}
        self.assertEqual(
            [outcomes.get(f'test_{c}') for c in 'abcdefgh'],
            ['passed', 'failed', 'skipped', 'failed', 'failed', 'skipped',
             'failed', 'skipped'])
        self.assertEqual(outcomes['test_broken_here'], 'failed')


if __name__ == '__main__':
    unittest.main()
