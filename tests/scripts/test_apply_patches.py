# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/apply-patches, on trees of a few files."""

import shutil
import unittest

from fake_qemu import FUNNEL, FakeQemu

needs_spatch = unittest.skipUnless(
    shutil.which('spatch'), 'spatch is not installed: '
    'apt-get install coccinelle')


class Fitting(FakeQemu):
    def test_our_files_and_insertions_are_in_the_tree(self):
        self.apply()
        self.assertEqual((self.qemu / 'meson.build').read_text(),
                         "subdirs = [\n  'kvm',\n  'kvm-reset',\n  'tcg',\n]\n")
        self.assertEqual(
            (self.qemu / 'accel/kvm-reset/meson.build').read_text(), '# ours\n')

    def test_what_an_editor_left_is_not_laid_over_the_tree(self):
        self.apply()
        self.assertFalse((self.qemu / 'accel/kvm-reset/.core.c.swp').exists())

    def test_check_writes_nothing(self):
        before = self.contents(self.qemu)
        self.apply('--check', self.qemu)
        self.assertEqual(self.contents(self.qemu), before)

    def test_before_and_replace_say_where(self):
        self.patch('funnel', r'''
            [[insert]]
            file = 'meson.build'
            before = "^  'kvm',$"
            text = "  'a',"
            [[insert]]
            file = 'meson.build'
            replace = "'(t)cg'"
            text = "'\\1wo'"
            ''')
        self.apply()
        self.assertEqual((self.qemu / 'meson.build').read_text(),
                         "subdirs = [\n  'a',\n  'kvm',\n  'two',\n]\n")

    def test_within_looks_at_one_function_only(self):
        self.patch('funnel', r'''
            [[insert]]
            file = 'accel/kvm/kvm-all.c'
            within = '^int kvm_vm_ioctl\('
            before = '^    return '
            text = '    record();'
            ''')
        self.apply()
        text = (self.qemu / 'accel/kvm/kvm-all.c').read_text()
        self.assertEqual(text.count('record'), 1)
        self.assertGreater(text.index('record'), text.index('kvm_vm_ioctl'))

    def test_a_later_patch_sees_what_an_earlier_one_did(self):
        self.series('funnel', 'second')
        self.patch('second', '''
            [[insert]]
            file = 'accel/kvm-reset/meson.build'
            after = '^# ours$'
            text = '# more'
            [[insert]]
            file = 'meson.build'
            after = "^  'kvm-reset',$"
            text = "  'second',"
            ''')
        self.apply()
        self.assertIn('second', (self.qemu / 'meson.build').read_text())
        self.assertIn('more', (self.qemu /
                               'accel/kvm-reset/meson.build').read_text())

    def test_a_list_names_only_files_that_are_there(self):
        self.list_of_sources("files(\n  'a.c',\n  'b.c',\n  'qemu.c'\n)\n")
        self.apply('--until', 'funnel', self.qemu)
        sources = self.qemu / 'accel/kvm-reset/meson.build'
        self.assertEqual(sources.read_text(),
                         "files(\n  'a.c',\n  'qemu.c'\n)\n")
        (self.qemu / 'accel/kvm-reset').rename(self.scratch / 'before')
        self.put(self.qemu, {'meson.build': "  'kvm',\n"})
        self.apply()
        self.assertEqual(sources.read_text(),
                         "files(\n  'a.c',\n  'b.c',\n  'qemu.c'\n)\n")

    def include(self, before, header='system/kvm-reset.h'):
        """The includes of a file after HEADER was put among them."""
        self.put(self.qemu, {'system/cpus.c': before + '\nint a;\n'})
        self.patch('funnel', f'''
            [[include]]
            header = '{header}'
            files = ['system/cpus.c']
            ''')
        self.apply()
        return (self.qemu / 'system/cpus.c').read_text()[:-len('\nint a;\n')]

    def test_an_include_is_sorted_into_its_directory(self):
        self.assertEqual(self.include(
            '#include "qemu/osdep.h"\n#include "system/hvf.h"\n'
            '#include "system/kvm.h"\n#include "qapi/error.h"\n'),
            '#include "qemu/osdep.h"\n#include "system/hvf.h"\n'
            '#include "system/kvm-reset.h"\n'
            '#include "system/kvm.h"\n#include "qapi/error.h"\n')

    def test_an_include_that_sorts_last_ends_its_directory(self):
        self.assertEqual(self.include(
            '#include "system/cpus.h"\n#include "trace/control.h"\n'),
            '#include "system/cpus.h"\n#include "system/kvm-reset.h"\n'
            '#include "trace/control.h"\n')

    def test_an_include_of_a_new_directory_is_put_by_its_name(self):
        self.assertEqual(self.include(
            '#include "qemu/osdep.h"\n#include "hw/boards.h"\n'
            '#include "ui/console.h"\n'),
            '#include "qemu/osdep.h"\n#include "hw/boards.h"\n'
            '#include "system/kvm-reset.h"\n#include "ui/console.h"\n')

    def test_an_include_is_never_put_into_a_condition(self):
        self.assertEqual(self.include(
            '#ifdef CONFIG_TCG\n#include "system/tcg.h"\n#endif\n'
            '#include "system/xen.h"\n'),
            '#ifdef CONFIG_TCG\n#include "system/tcg.h"\n#endif\n'
            '#include "system/kvm-reset.h"\n#include "system/xen.h"\n')

    def test_until_stops_after_that_patch(self):
        self.series('funnel', 'second')
        self.patch('second', '''
            [[insert]]
            file = 'README.rst'
            after = 'QEMU'
            text = 'and more'
            ''')
        self.apply('--until', 'funnel', self.qemu)
        self.assertEqual((self.qemu / 'README.rst').read_text(), 'QEMU\n')
        self.assertTrue((self.qemu / 'accel/kvm-reset').exists())

    def test_each_version_takes_its_own_alternative(self):
        self.patch('funnel', '''
            [[insert]]
            file = { '10.0' = 'meson.build', '10.2' = 'README.rst' }
            after = { '10.0' = 'tcg', '10.2' = 'QEMU' }
            text = 'here'
            [[insert]]
            versions = ['10.2']
            file = 'README.rst'
            after = 'QEMU'
            text = 'only 10.2'
            ''')
        self.apply('--check', '--version', '10.2', self.qemu)
        self.apply()
        self.assertIn('here', (self.qemu / 'meson.build').read_text())
        self.assertEqual((self.qemu / 'README.rst').read_text(), 'QEMU\n')

    @needs_spatch
    def test_a_semantic_patch_rewrites_each_call(self):
        self.patch('funnel', '''
            [[cocci]]
            rule = 'ioctl.cocci'
            files = ['accel/kvm/kvm-all.c']
            adds = { 'kvm_reset_ioctl(' = 2 }
            ''', ioctl=FUNNEL)
        before = (self.qemu / 'accel/kvm/kvm-all.c').read_text()
        self.apply()
        self.assertEqual(
            (self.qemu / 'accel/kvm/kvm-all.c').read_text(),
            before.replace('return ioctl', 'return kvm_reset_ioctl'))


class NotFitting(FakeQemu):
    """In each of these a first patch fits and the tree is still untouched."""

    def second(self, rules, **cocci):
        self.series('funnel', 'second')
        self.patch('second', rules, **cocci)

    def test_an_anchor_that_is_not_there_is_named(self):
        self.second('''
            [[insert]]
            file = 'meson.build'
            after = '^nowhere$'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', 'nowhere', 'meson.build',
                            '0 times')

    def test_an_anchor_found_twice_is_named(self):
        self.second('''
            [[insert]]
            file = 'accel/kvm/kvm-all.c'
            after = '^    return'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', 'accel/kvm/kvm-all.c',
                            '2 times')

    def test_a_block_that_is_not_there_is_named(self):
        self.second('''
            [[insert]]
            file = 'accel/kvm/kvm-all.c'
            within = '^int kvm_device_ioctl'
            after = '^{'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', 'kvm_device_ioctl')

    def test_a_file_that_is_not_there_is_named(self):
        self.second('''
            [[insert]]
            file = 'accel/accel.c'
            after = 'x'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', 'accel/accel.c')

    def test_an_include_that_is_there_already_is_named(self):
        self.put(self.qemu, {'system/cpus.c': '#include "system/kvm.h"\n'})
        self.second('''
            [[include]]
            header = 'system/kvm.h'
            files = ['system/cpus.c']
            ''')
        self.assert_refused('patch second, include 1', 'system/cpus.c',
                            'system/kvm.h already')

    @needs_spatch
    def test_a_semantic_patch_that_finds_nothing_is_named(self):
        self.second('''
            [[cocci]]
            rule = 'ioctl.cocci'
            files = ['accel/kvm/kvm-all.c']
            ''', ioctl=FUNNEL.replace('ioctl(fd', 'mmap(fd'))
        self.assert_refused('patch second, ioctl.cocci', 'accel/kvm/kvm-all.c',
                            'finds nothing')

    @needs_spatch
    def test_a_semantic_patch_that_matches_too_little_is_named(self):
        self.second('''
            [[cocci]]
            rule = 'ioctl.cocci'
            files = ['accel/kvm/kvm-all.c']
            adds = { 'kvm_reset_ioctl(' = 4 }
            ''', ioctl=FUNNEL)
        self.assert_refused('patch second, ioctl.cocci', '2 times',
                            '4 is right')

    @needs_spatch
    def test_a_semantic_patch_that_spatch_cannot_read_is_named(self):
        self.second('''
            [[cocci]]
            rule = 'ioctl.cocci'
            files = ['accel/kvm/kvm-all.c']
            ''', ioctl='@@ nonsense @@\n')
        self.assert_refused('patch second, ioctl.cocci', 'spatch fails')

    def test_a_version_without_patches_is_refused(self):
        self.put(self.qemu, {'VERSION': '9.2.1\n'})
        self.assert_refused('QEMU 9.2 is not supported', '10.0 and 10.2')

    def test_a_version_without_an_alternative_is_named(self):
        self.second('''
            [[insert]]
            file = { '10.2' = 'meson.build' }
            after = 'kvm'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', '`file`', 'QEMU 10.0')

    def test_a_directory_that_is_not_qemu_is_refused(self):
        (self.qemu / 'VERSION').unlink()
        self.assert_refused('is not a QEMU tree')

    def test_a_patched_tree_is_not_patched_again(self):
        self.apply()
        self.assert_refused('has accel/kvm-reset/meson.build already',
                            'pristine')

    def test_a_file_of_ours_that_no_patch_brings_is_refused(self):
        self.put(self.ours, {'accel/kvm-reset/core.c': 'int a;\n'})
        self.overlay(funnel=['accel/kvm-reset/meson.build'])
        self.assert_refused('accel/kvm-reset/core.c is brought by no patch',
                            'overlay.toml')

    def test_a_file_of_ours_that_two_patches_bring_is_refused(self):
        self.series('funnel', 'second')
        self.patch('second', '')
        self.overlay(funnel=['accel/kvm-reset/*'],
                     second=['accel/*/meson.build'])
        self.assert_refused('accel/kvm-reset/meson.build is brought by funnel '
                            'and second')

    def test_a_directory_does_not_stand_for_what_is_below_it(self):
        self.put(self.ours, {'accel/kvm-reset/qemu/core.c': 'int a;\n'})
        self.overlay(funnel=['accel/kvm-reset/*'])
        self.assert_refused('accel/kvm-reset/qemu/core.c', 'no patch')

    def test_a_patch_that_is_not_there_brings_nothing(self):
        self.overlay(funnel=['accel/kvm-reset/*'], tunnel=[])
        self.assert_refused('tunnel', 'no patch of patches/series')

    def test_a_list_names_a_late_file_on_a_line_of_its_own(self):
        self.list_of_sources("files('a.c', 'b.c')\n")
        self.assert_refused('accel/kvm-reset/meson.build', 'b.c', 'its own')

    def test_a_rule_does_not_edit_a_list(self):
        self.list_of_sources("files(\n  'a.c',\n  'b.c',\n)\n")
        self.patch('second', '''
            [[insert]]
            file = 'accel/kvm-reset/meson.build'
            after = 'a.c'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', 'meson.build is a list')

    def test_a_key_that_means_nothing_is_refused(self):
        self.second('''
            [[insert]]
            file = 'meson.build'
            after = 'tcg'
            txet = 'x'
            text = 'x'
            ''')
        self.assert_refused('patch second, insert 1', 'txet')

    def test_a_message_without_a_subject_is_refused(self):
        self.patch('funnel', '', message='no subsystem\nno blank line\n')
        self.assert_refused('funnel/message', 'subsystem: what')


class Again(FakeQemu):
    """--from PRISTINE WORK: what makes the second build quick."""

    def setUp(self):
        super().setUp()
        self.work = self.scratch / 'work'
        self.again()

    def again(self):
        """The files that were written, by their times and contents."""
        before = self.contents(self.work) if self.work.exists() else {}
        self.apply('--from', self.qemu, self.work)
        after = self.contents(self.work)
        return {name for name in before.keys() | after.keys()
                if before.get(name) != after.get(name)}

    def test_the_pristine_tree_is_only_read(self):
        before = self.contents(self.qemu)
        self.again()
        self.assertEqual(self.contents(self.qemu), before)

    def test_nothing_is_written_when_nothing_changed(self):
        self.assertEqual(self.again(), set())

    def test_only_the_file_of_ours_that_changed_is_written(self):
        self.put(self.ours, {'accel/kvm-reset/meson.build': '# new\n'})
        self.assertEqual(self.again(), {'accel/kvm-reset/meson.build'})

    def test_a_file_of_ours_that_went_away_is_removed(self):
        self.put(self.ours, {'accel/kvm-reset/extra.cc': ''})
        self.assertEqual(self.again(), {'accel/kvm-reset/extra.cc'})
        (self.ours / 'accel/kvm-reset/extra.cc').unlink()
        self.assertEqual(self.again(), {'accel/kvm-reset/extra.cc'})
        self.assertFalse((self.work / 'accel/kvm-reset/extra.cc').exists())

    def test_a_changed_rule_is_applied_to_the_pristine_file(self):
        self.patch('funnel', '''
            [[insert]]
            file = 'meson.build'
            after = "^  'tcg',$"
            text = "  'kvm-reset',"
            ''')
        self.assertEqual(self.again(), {'meson.build'})
        self.assertEqual((self.work / 'meson.build').read_text(),
                         "subdirs = [\n  'kvm',\n  'tcg',\n  'kvm-reset',\n]\n")

    def test_a_file_that_is_patched_no_more_is_newer_than_it_was(self):
        patched = (self.work / 'meson.build').stat().st_mtime_ns
        self.patch('funnel', '')
        self.assertEqual(self.again(), {'meson.build'})
        self.assertEqual((self.work / 'meson.build').read_text(),
                         (self.qemu / 'meson.build').read_text())
        self.assertGreater((self.work / 'meson.build').stat().st_mtime_ns,
                           patched)

    def test_what_changed_in_the_pristine_tree_follows(self):
        self.put(self.qemu, {'README.rst': 'QEMU too\n', 'new.c': ''})
        self.assertEqual(self.again(), {'README.rst', 'new.c'})

    def test_a_stray_edit_of_the_work_tree_is_undone(self):
        self.put(self.work, {'README.rst': 'edited\n'})
        self.assertEqual(self.again(), {'README.rst'})
        self.assertEqual((self.work / 'README.rst').read_text(), 'QEMU\n')

    def test_a_rule_that_fits_no_more_leaves_the_work_tree_alone(self):
        self.patch('funnel', '''
            [[insert]]
            file = 'meson.build'
            after = 'nowhere'
            text = 'x'
            ''')
        before = self.contents(self.work)
        status, said = self.call('apply-patches', '--from', self.qemu,
                                 self.work)
        self.assertEqual(status, 1, said)
        self.assertEqual(self.contents(self.work), before)


if __name__ == '__main__':
    unittest.main()
