# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/functional: when a test gets a second try, and how many may."""

import argparse
import contextlib
import io
import json
import math
import os
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'scripts'))

from kvm_reset import functional, results  # noqa: E402

# In the place of tests/functional/run.py. What each try of each test comes to
# is in the plan; "dies" takes the appliance with it.
RUNNER = '''
import argparse, json, os, pathlib, re, sys
parser = argparse.ArgumentParser()
for word in ('failures', 'filter', 'results', 'scratch', 'claims', 'owner',
             'seconds'):
    parser.add_argument('--' + word)
parser.add_argument('--list', action='store_true')
args = parser.parse_args()
plan = pathlib.Path(os.environ['PLAN'])
tests = json.loads(plan.read_text())
names = [name for name in tests if re.search(args.filter, name)
         and args.owner in (None, '1')]
if args.list:
    sys.exit(print('\\\\n'.join(names)))
file = pathlib.Path(args.results)
file.touch()
done = file.read_text() if file.exists() else ''
for name in names:
    if f'"{name}"' in done:
        continue
    outcome = tests[name].pop(0) if tests[name] else 'passed'
    if float(args.seconds or 1) <= 0:
        outcome = 'skipped'
    plan.write_text(json.dumps(tests))
    if outcome == 'dies':
        (file.parent / 'died').write_text(name)
        sys.exit(125)
    if outcome == 'failed':
        (file.parent / name).mkdir()
    died = file.parent / 'died'
    tries = 2 if died.exists() and died.read_text() == name else 1
    with file.open('a') as to:
        print(json.dumps({'name': name, 'outcome': outcome, 'reason':
                          'why' if outcome == 'failed' else '',
                          'seconds': 1, 'tries': tries}), file=to)
'''


class Functional(unittest.TestCase):

    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def run_it(self, plan: dict[str, list[str]], *words: str,
               more: int = 0) -> int:
        """@more: so many tests pass besides."""
        plan = plan | {f'm.t{number}': [] for number in range(more)}
        self.out = self.scratch / 'out'
        self.out.mkdir()
        (self.scratch / 'plan').write_text(json.dumps(plan))
        runner = self.scratch / 'run.py'
        runner.write_text(RUNNER.replace('\\\\', '\\'))
        said = io.StringIO()
        with mock.patch.object(functional, 'RUN', runner), \
                mock.patch.object(sys, 'argv', [
                    'functional', '--out', str(self.out), '--results',
                    str(self.scratch / 'results'), *words, '--', 'env']), \
                mock.patch.dict(os.environ,
                                {'PLAN': str(self.scratch / 'plan')}), \
                contextlib.redirect_stdout(said), \
                contextlib.redirect_stderr(said):
            status = functional.main()
        self.said = said.getvalue().splitlines()
        self.results = {result.name: result for result
                        in results.read(self.scratch / 'results')}
        return status

    def test_what_passes_at_once_needs_no_second_try(self) -> None:
        self.assertEqual(self.run_it({'a.x': []}, more=3), 0)
        self.assertEqual(self.said[-2:], [
            'Second tries: 0 of 4 functional tests, 0.0 %',
            '4 passed, 0 failed, 0 skipped'])

    def test_a_failure_that_passes_then_is_told(self) -> None:
        self.assertEqual(self.run_it({'a.x': ['failed']}, more=3), 0)
        self.assertEqual(self.results['a.x'].reason,
                         'at the second try; the first: why')
        self.assertEqual(self.said[-2],
                         'Second tries: 1 of 4 functional tests, 25.0 %')
        self.assertTrue((self.out / 'a.x.first-try').is_dir())

    def test_twice_in_a_row_is_no_accident(self) -> None:
        self.assertEqual(self.run_it({'a.x': ['failed', 'failed']}), 1)
        self.assertEqual(self.results['a.x'].outcome, 'failed')
        self.assertEqual(self.said[-1], '0 passed, 1 failed, 0 skipped')

    def test_more_failures_than_the_share_get_no_second_try(self) -> None:
        plan = {f'a.x{number}': ['failed'] for number in range(3)}
        self.assertEqual(self.run_it(plan, more=146), 1)
        self.assertEqual(self.said[-2],
                         'Second tries: 0 of 149 functional tests, 0.0 %')

    def test_as_many_as_the_share_get_one(self) -> None:
        plan = {f'a.x{number}': ['failed'] for number in range(3)}
        self.assertEqual(self.run_it(plan, more=147), 0)
        self.assertEqual(self.said[-2],
                         'Second tries: 3 of 150 functional tests, 2.0 %')

    def test_what_has_no_time_left_is_skipped_by_name(self) -> None:
        self.assertEqual(self.run_it({'a.x': []}, '--minutes', '0'), 0)
        self.assertEqual(self.results['a.x'].outcome, 'skipped')

    def test_a_runner_that_finds_nothing_to_do_has_not_failed(self) -> None:
        self.assertEqual(self.run_it({'a.x': []}, '--jobs', '2'), 0)
        self.assertEqual(self.said[-1], '1 passed, 0 failed, 0 skipped')

    def test_what_has_time_runs(self) -> None:
        self.assertEqual(self.run_it({'a.x': []}, '--minutes', '9'), 0)
        self.assertEqual(self.results['a.x'].outcome, 'passed')

    def test_who_wants_none_gets_none(self) -> None:
        self.assertEqual(self.run_it({'a.x': ['failed']}, '--again', '0'), 1)

    def test_an_appliance_that_fails_is_a_second_try(self) -> None:
        self.assertEqual(self.run_it({'a.x': ['dies']}, more=3), 0)
        self.assertEqual(self.said[-2],
                         'Second tries: 1 of 4 functional tests, 25.0 %')

    def test_above_the_share_the_run_has_failed(self) -> None:
        self.assertEqual(self.run_it({'a.x': ['dies'], 'a.y': ['failed']},
                                     more=50), 1)
        self.assertEqual(self.results['second_tries'].reason,
                         '2 of 52 tests needed one, and no more than 1 may')
        self.assertEqual(self.said[-1], '52 passed, 1 failed, 0 skipped')

    def test_a_test_that_did_not_run_has_failed(self) -> None:
        self.assertEqual(self.run_it({'a.x': ['dies'] * 9}, more=2), 1)
        self.assertIn('the last run ended with status 125',
                      self.results['a.x'].reason)


class Runner(unittest.TestCase):
    """tests/functional/run.py, without QEMU's own test framework."""

    @classmethod
    def setUpClass(cls) -> None:
        stubs = {name: types.ModuleType(name)
                 for name in ('qemu', 'qemu.machine', 'qemu_test')}
        stubs['qemu.machine'].QEMUMachine = object  # type: ignore
        stubs['qemu_test'].QemuSystemTest = unittest.TestCase  # type: ignore
        path = [str(TOP / 'tests/functional'), *sys.path]
        with mock.patch.dict(sys.modules, stubs), \
                mock.patch.object(sys, 'path', path):
            import run    # pylint: disable=import-outside-toplevel
            import worker    # pylint: disable=import-outside-toplevel
            from kvm_reset_test import KvmResetTest
        cls.run_py = run
        cls.worker = worker

        class Two(KvmResetTest):
            def test_a(self) -> None:
                pass

            def test_b(self) -> None:
                pass
        Two.__module__ = 'two_test'
        cls.two = Two

    def run_of(self, directory: Path, owner: str,
               methods: list[str], seconds: float = math.inf) -> 'object':
        args = argparse.Namespace(claims=directory, owner=owner,
                                  results=directory / 'results',
                                  seconds=seconds)
        return self.run_py.Run([self.run_py.Job(self.two, methods)], args)

    def test_what_was_under_way_when_the_appliance_failed_is_a_second_try(
            self) -> None:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            first = self.run_of(directory, '1', ['test_a', 'test_b'])
            self.assertEqual(first.again, set())
            self.assertTrue(first.claims.take(first.jobs[0]))
            with contextlib.redirect_stdout(io.StringIO()):
                first.report('two.a', 'passed', '', 1)
                second = self.run_of(directory, '1', ['test_b'])
                second.report('two.b', 'passed', '', 1)
            told = list(results.read(directory / 'results'))
            self.assertEqual([(r.name, r.tries) for r in told],
                             [('two.a', 1), ('two.b', 2)])
            self.assertIn('its appliance failed', told[1].reason)

    def test_a_class_that_another_has_claimed_is_left_to_it(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            first = self.run_of(Path(name), '1', ['test_a'])
            first.claims.take(first.jobs[0])
            other = self.run_of(Path(name), '2', ['test_a'])
            self.assertEqual(other.again, set())
            self.assertFalse(other.claims.take(other.jobs[0]))

    def test_what_is_left_when_the_time_is_over_is_skipped(self) -> None:
        with tempfile.TemporaryDirectory() as name, \
                contextlib.redirect_stdout(io.StringIO()):
            run = self.run_of(Path(name), '1', ['test_a', 'test_b'], seconds=0)
            self.assertEqual(run.all(), 0)
            told = list(results.read(Path(name, 'results')))
            self.assertEqual([(r.name, r.outcome) for r in told],
                             [('two.a', 'skipped'), ('two.b', 'skipped')])
            self.assertIn('no time was left', told[0].reason)

    def test_a_part_of_a_test_that_fails_fails_the_test(self) -> None:
        class Parts(unittest.TestCase):
            def test_second(self) -> None:
                for part in (1, 2, 3):
                    with self.subTest(part):
                        self.assertNotEqual(part, 2)

            def test_error(self) -> None:
                with self.subTest():
                    raise OSError('no such guest')

            def test_none(self) -> None:
                with self.subTest():
                    pass

        out = io.StringIO()
        with tempfile.TemporaryDirectory() as name:
            unittest.TestLoader().loadTestsFromTestCase(Parts).run(
                self.worker.Result(out, Path(name)))
        ends = [json.loads(line) for line in out.getvalue().splitlines()
                if '"end"' in line]
        self.assertEqual([(end['name'].split('.')[1], end['outcome'])
                          for end in ends],
                         [('error', 'failed'), ('none', 'passed'),
                          ('second', 'failed')])
        self.assertIn('no such guest', ends[0]['reason'])


if __name__ == '__main__':
    unittest.main()
