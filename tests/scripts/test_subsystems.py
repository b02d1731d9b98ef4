# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of subsystems: what it is made of, and what it will not be made
from."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / 'scripts/kvm_reset'

FACTS = '''
[[subsystem]]
name = "slots"
group = "Memory"
rows = ["KVM_SET_SLOT"]

[[subsystem]]
name = "ring"
group = "Memory"
rows = ["KVM_CAP_RING"]
hooks = ["drain"]
kvm = ["UseTest.TheRingIsThere"]
unit = ["RingTest.ItIsDrained"]

[[hook]]
name = "drain"
does = "drains the ring"
test = "memory.a_slot_comes_back"

[[claim]]
says = "Memory comes back"
where = "a real KVM"
tests = ["memory.*"]
limits = "slots"
'''

README = '''# Ours
<!-- Made by scripts/subsystems from docs/subsystems.toml: begin -->
an old table
<!-- end -->
The rest.
'''

CATALOGUE = [
    {'kind': 'row', 'name': 'KVM_SET_SLOT', 'effect': 'add', 'recorded': True},
    {'kind': 'row', 'name': 'KVM_RUN', 'effect': 'run', 'recorded': False},
    {'kind': 'row', 'name': 'KVM_ENABLE_CAP', 'effect': 'define',
     'recorded': True},
    {'kind': 'rule', 'name': 'KVM_CAP_RING', 'effect': 'define'},
    {'kind': 'rule', 'name': 'KVM_CAP_CLOCK', 'effect': 'volatile'},
    {'kind': 'another', 'name': 'a table that the catalogue has besides'},
]

HOOK = '''
static const KvmResetHook hooks[] = {
    {
        .name = "drain",
        .run = drain,
    },
};
'''

TEST = '''
class Memory(KvmResetTest):
    @takes(600)
    @proves('slots')
    def test_a_slot_comes_back(self) -> None:
        pass

    def helper(self) -> None:
        pass
'''

GTEST = 'TEST_F(UseTest, TheRingIsThere)\n{\n}\n'


class Subsystems(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory(prefix='kvm-reset.')
        self.addCleanup(scratch.cleanup)
        self.top = Path(scratch.name)
        self.catalogue = list(CATALOGUE)
        self.write('docs/subsystems.toml', FACTS)
        self.write('README.md', README)
        self.write('accel/kvm-reset/qemu/hooks.c', HOOK)
        self.write('tests/functional/memory_test.py', TEST)
        self.write('tests/kvm/use_test.cc', GTEST)
        self.write('tests/unit/ring_test.cc',
                   'TEST(RingTest,\n     ItIsDrained)\n{\n}\n')

    def write(self, path: str, text: str) -> None:
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).write_text(text)

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.top / path).read_text()
        self.assertIn(old, text)
        self.write(path, text.replace(old, new))

    def facts(self, old: str, new: str) -> None:
        self.replace('docs/subsystems.toml', old, new)

    def run_it(self, *args: str) -> 'subprocess.CompletedProcess[str]':
        self.write('catalogue', '\n'.join(map(json.dumps, self.catalogue)))
        return subprocess.run(
            [sys.executable, '-B', PACKAGE, 'subsystems', '--top', self.top,
             '--catalogue', self.top / 'catalogue', *args], capture_output=True, text=True)

    def page(self) -> str:
        done = self.run_it()
        self.assertEqual(done.returncode, 0, done.stderr)
        return (self.top / 'docs/subsystems.md').read_text()

    def fails(self, *words: str, args: tuple[str, ...] = ()) -> None:
        """With one clear line, and nothing written."""
        before = (self.top / 'docs/subsystems.md').exists()
        done = self.run_it(*args)
        self.assertEqual(done.returncode, 1, done.stdout)
        lines = done.stderr.splitlines()
        for word in words:
            self.assertTrue(any(word in line for line in lines), lines)
        self.assertTrue(all(line.startswith('subsystems: error: ')
                            for line in lines), lines)
        self.assertEqual((self.top / 'docs/subsystems.md').exists(), before)

    def test_each_subsystem_is_a_row_with_all_four_cells(self) -> None:
        page = self.page()
        self.assertIn('| slots | `KVM_SET_SLOT` | journal | '
                      '`memory.a_slot_comes_back` |', page)
        self.assertIn('| ring | `KVM_CAP_RING` | journal; hook `drain` | '
                      'kvm: `UseTest.TheRingIsThere`, '
                      'unit: `RingTest.ItIsDrained` |', page)
        self.assertIn('| drain | `accel/kvm-reset/qemu/hooks.c` | '
                      'drains the ring | `memory.a_slot_comes_back` |', page)

    def test_a_row_that_defines_and_belongs_to_nobody_is_an_error(self) -> None:
        self.catalogue.append({'kind': 'row', 'name': 'KVM_SET_NEW',
                               'effect': 'define', 'recorded': True})
        self.fails('KVM_SET_NEW defines a VM and belongs to no subsystem')

    def test_a_capability_that_belongs_to_nobody_is_an_error(self) -> None:
        self.facts('"KVM_CAP_RING"', '"KVM_SET_SLOT"')
        self.fails('KVM_CAP_RING defines a VM and belongs to no subsystem')

    def test_a_row_that_is_not_in_the_catalogue_is_an_error(self) -> None:
        self.facts('"KVM_SET_SLOT"', '"KVM_SET_SLOT", "KVM_SET_SLOTS"')
        self.fails('slots: the catalogue has no KVM_SET_SLOTS')

    def test_a_row_that_defines_nothing_is_an_error(self) -> None:
        self.facts('"KVM_SET_SLOT"', '"KVM_SET_SLOT", "KVM_CAP_CLOCK"')
        self.fails('slots: KVM_CAP_CLOCK defines nothing')

    def test_a_subsystem_that_no_test_proves_is_an_error(self) -> None:
        self.replace('tests/functional/memory_test.py', "@proves('slots')",
                     "@proves('ring')")
        self.fails('slots: no test proves it')

    def test_a_test_of_the_fake_kernel_alone_is_no_proof(self) -> None:
        self.facts('kvm = ["UseTest.TheRingIsThere"]\n', '')
        self.fails('ring: no test proves it')

    def test_or_it_says_why_not_and_how_it_was_checked(self) -> None:
        self.facts('kvm = ["UseTest.TheRingIsThere"]',
                   'checked = "no hardware has it"')
        self.assertIn('unit: `RingTest.ItIsDrained`; '
                      '*not a guest:* no hardware has it |', self.page())

    def test_a_test_that_proves_the_unknown_is_an_error(self) -> None:
        self.replace('tests/functional/memory_test.py', "@proves('slots')",
                     "@proves('slots', 'sloths')")
        self.fails('memory.a_slot_comes_back proves sloths, which '
                   'docs/subsystems.toml does not have')

    def test_a_gtest_that_is_not_there_is_an_error(self) -> None:
        self.facts('UseTest.TheRingIsThere', 'UseTest.TheRingWasThere')
        self.fails('ring: tests/kvm has no UseTest.TheRingWasThere')

    def test_a_hook_that_nobody_registers_is_an_error(self) -> None:
        self.replace('accel/kvm-reset/qemu/hooks.c', '"drain"', '"drown"')
        self.fails('ring: nobody registers a hook drain',
                   'the hook drown (accel/kvm-reset/qemu/hooks.c) belongs to '
                   'no subsystem', 'the hook drown', 'hook drain: nobody')

    def test_a_hook_without_a_test_that_fails_without_it_is_an_error(self) \
            -> None:
        self.facts('memory.a_slot_comes_back', 'memory.a_slot_came_back')
        self.fails('hook drain: there is no functional test '
                   'memory.a_slot_came_back')

    def test_nobody_who_restores_it_is_an_error(self) -> None:
        self.facts('rows = ["KVM_SET_SLOT"]', '')
        self.fails('slots: it does not say who restores it')

    def test_a_name_that_is_there_twice_is_an_error(self) -> None:
        self.facts('name = "ring"', 'name = "slots"')
        self.fails('slots: it is there twice')

    def test_facts_that_cannot_be_read_are_an_error(self) -> None:
        for old, new, word in (
                ('name = "ring"', 'nam = "ring"', 'unknown key nam'),
                ('group = "Memory"\nrows = ["KVM_CAP', 'rows = ["KVM_CAP',
                 'ring: it has no group'),
                ('[[hook]]', '[[hooks]]', 'unknown table hooks'),
                ('[[hook]]', '[[hook', 'docs/subsystems.toml')):
            with self.subTest(word):
                self.write('docs/subsystems.toml', FACTS)
                self.facts(old, new)
                self.fails(word)

    def test_a_catalogue_that_is_none_is_an_error(self) -> None:
        self.catalogue = [{'no': 'name'}]
        self.fails('is no catalogue')

    def test_a_test_that_is_no_python_is_an_error(self) -> None:
        self.replace('tests/functional/memory_test.py', 'class Memory(',
                     'class Memory)')
        self.fails('memory_test.py')

    def test_a_page_that_is_out_of_date_is_an_error_of_check(self) -> None:
        self.page()
        self.assertEqual(self.run_it('--check').returncode, 0)
        self.replace('tests/functional/memory_test.py', 'a_slot_comes_back',
                     'slots_come_back')
        self.facts('memory.a_slot_comes_back', 'memory.slots_come_back')
        self.fails('docs/subsystems.md is out of date: run scripts/subsystems',
                   '+| slots |', args=('--check',))

    def test_the_readme_says_what_works_and_how_many_tests_show_it(self) -> None:
        self.page()
        self.assertEqual(
            (self.top / 'README.md').read_text(),
            README.replace('an old table', '\n'.join((
                '| what | where | shown by | limits |',
                '| --- | --- | --- | --- |',
                '| Memory comes back | a real KVM | 1 test: `memory.*` | '
                'slots |'))))

    def test_a_claim_that_no_test_shows_is_an_error(self) -> None:
        self.facts('"memory.*"', '"memory.*", "disk.*"')
        self.fails('Memory comes back: no functional test is named disk.*')

    def test_a_readme_that_is_out_of_date_is_an_error_of_check(self) -> None:
        self.page()
        self.facts('limits = "slots"', 'limits = "none"')
        self.fails('README.md is out of date: run scripts/subsystems',
                   args=('--check',))

    def test_a_readme_without_a_place_for_the_table_is_an_error(self) -> None:
        self.replace('README.md', '<!-- end -->', '')
        self.fails('README.md has no place for the table')

    def test_hooks_and_their_tests_are_told_to_scripts(self) -> None:
        self.assertEqual(self.run_it('--hooks').stdout,
                         'drain memory.a_slot_comes_back\n')


if __name__ == '__main__':
    unittest.main()
