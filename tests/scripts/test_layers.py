# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's files are in layers, and no file includes upwards."""

import re
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CORE = 'accel/kvm-reset'
X86 = 'target/i386/kvm-reset'

# From the bottom up. X.h and X.cc are one file, X; of X86 all is one layer.
LAYERS = {
    # The seam to the kernel, and what is there without KVM.
    'kernel': 'error kernel system_kernel file_watch masked_thread'
              ' secret_memory code_address crc32 little_endian',
    # A guest's own firmware, as a file: what it asks for.
    'igvm': 'igvm_format igvm_file memory_range igvm_plan igvm_areas'
            ' igvm_dry_run igvm_writer',
    # What each ioctl means.
    'catalogue': 'kvm_abi kvm_cap kvm_struct field_of catalogue'
                 ' catalogue_builder catalogue_foreign catalogue_rows classify'
                 ' argument',
    # The calls that are in force.
    'journal': 'sub_command journal classified_call removal issue',
    # A VM that is built from them; the end of one.
    'rebuild': 'kvm_device replica vm_reaper old_vm',
    # How a confidential guest is launched, and on such a VM launched again.
    'launch': 'launch_command launch_measurement launch_step launch_plan'
              ' definition memory_layout launch_memory other_launch'
              ' prepared_vm',
    # What a guest's state is, and how it is carried.
    'state': 'state_piece host_features registers guest_state survey_state'
             ' adopt_state',
    # What is asked of the CPU's architecture.
    'arch': 'arch measuring',
    'x86': '',
    # What goes to the kernel, and is recorded.
    'record': 'pending_interrupts detached_vm recorder recorder_call'
              ' recorder_launch',
    # The guest gets another VM.
    'transaction': 'registry swap spare durations generations transaction',
    # What asks for one.
    'request': 'relaunch reset launch_writer preserve detach',
    'api': 'c_instance c_api c_api_launch catalogue_dump',
}
ORDER = list(LAYERS)
LAYER_OF = {f'{CORE}/{stem}': layer
            for layer, stems in LAYERS.items() for stem in stems.split()}


def stem_of(path):
    return str(Path(path).with_suffix(''))


def layer_of(stem):
    return 'x86' if stem.startswith(X86) else LAYER_OF.get(stem)


def includes(files):
    """Pairs of a path and what it includes of the others, without suffix."""
    stems = {stem_of(path) for path in files}
    for path, text in files.items():
        for name in re.findall(r'^#include "([^"]+)"', text, re.M):
            for folder in (CORE, X86):
                stem = stem_of(f'{folder}/{name}')
                if stem in stems and stem != stem_of(path):
                    yield path, stem


def upward(files):
    """What is wrong, in words, with @files: their text by path."""
    for path in sorted(files):
        if layer_of(stem_of(path)) is None:
            yield f'{path} is in no layer'
    for path, included in includes(files):
        mine, theirs = layer_of(stem_of(path)), layer_of(included)
        if mine and theirs and ORDER.index(theirs) > ORDER.index(mine):
            yield f'{path} of {mine} includes {included}.h of {theirs}'


def circles(files):
    """Headers of which each one includes the next one, in a circle."""
    edges = {}
    for path, included in includes(files):
        edges.setdefault(path, set()).add(f'{included}.h')
    done = set()

    def visit(path, way):
        if path in way:
            yield ' includes '.join(way[way.index(path):] + [path])
        elif path not in done:
            for included in sorted(edges.get(path, ())):
                yield from visit(included, way + [path])
            done.add(path)

    for path in sorted(edges):
        yield from visit(path, [])


def ours():
    return {str(path.relative_to(TOP)): path.read_text()
            for folder in (CORE, X86) for path in (TOP / folder).iterdir()
            if path.suffix in ('.cc', '.h') and path.name != 'trace.h'}


# The module's headers that are no interface: which files may include each,
# as their directories and the headers' own.
PRIVATE = {
    f'{CORE}/c_api.h': (CORE, f'{CORE}/qemu', X86, 'hw/i386/kvm-reset',
                        'tests/unit', 'tests/bench', 'tests/functional',
                        'tests/hooks'),
    f'{CORE}/qemu/launches.h': (f'{CORE}/qemu', X86, 'hw/i386/kvm-reset'),
    f'{CORE}/qemu/internal.h': (f'{CORE}/qemu',),
}
C_SOURCES = ('accel', 'hw', 'include', 'target', 'tests')


def trespasses(files):
    """Who includes a private header from elsewhere, of @files."""
    for path, text in sorted(files.items()):
        home = str(Path(path).parent)
        for name in re.findall(r'^#include "([^"]+)"', text, re.M):
            for header, homes in PRIVATE.items():
                if header in (name, f'{home}/{name}') and home not in homes:
                    yield f'{path} includes {header}'


def sources():
    return {str(path.relative_to(TOP)): path.read_text()
            for folder in C_SOURCES for path in (TOP / folder).rglob('*.[ch]*')
            if path.suffix in ('.c', '.cc', '.h')}


class Layers(unittest.TestCase):
    def test_no_file_includes_upwards(self):
        self.assertGreater(len(list(includes(ours()))), 100)
        self.assertEqual(list(upward(ours())), [])

    def test_no_headers_include_each_other_in_a_circle(self):
        self.assertEqual(list(circles(ours())), [])

    def test_each_name_in_the_table_is_a_file(self):
        self.assertEqual(LAYER_OF.keys() - {stem_of(p) for p in ours()}, set())

    def test_an_upward_include_is_found(self):
        files = ours()
        files[f'{CORE}/journal.cc'] += '\n#include "recorder.h"\n'
        self.assertEqual(list(upward(files)), [
            'accel/kvm-reset/journal.cc of journal includes '
            'accel/kvm-reset/recorder.h of record'])

    def test_a_file_without_a_layer_is_found(self):
        files = {**ours(), f'{CORE}/thing.h': ''}
        self.assertEqual(list(upward(files)),
                         ['accel/kvm-reset/thing.h is in no layer'])

    def test_a_circle_is_found(self):
        files = ours()
        files[f'{CORE}/journal.h'] += '\n#include "removal.h"\n'
        self.assertEqual(list(circles(files)), [
            'accel/kvm-reset/journal.h includes accel/kvm-reset/removal.h '
            'includes accel/kvm-reset/journal.h'])

    def test_private_headers_stay_private(self):
        self.assertEqual(list(trespasses(sources())), [])

    def test_a_private_header_from_elsewhere_is_found(self):
        self.assertEqual(
            list(trespasses({
                'hw/i386/kvm-reset/pam.c':
                    '#include "accel/kvm-reset/qemu/internal.h"\n',
                'include/sysemu/kvm-reset.h':
                    '#include "accel/kvm-reset/c_api.h"\n',
                f'{CORE}/qemu/reset.c': '#include "internal.h"\n'})),
            ['hw/i386/kvm-reset/pam.c includes accel/kvm-reset/qemu/internal.h',
             'include/sysemu/kvm-reset.h includes accel/kvm-reset/c_api.h'])


if __name__ == '__main__':
    unittest.main()
