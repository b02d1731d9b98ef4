# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands of QEMU's monitors are marked where they are defined."""

import unittest

from fake_qemu import FakeQemu

SCHEMA = """
##
# @query-one:
#
# Say one.
#
# Since: 1.0
##
{ 'command': 'query-one', 'returns': 'One' }

##
# @query-old:
#
# Say one as before.
#
# Features:
#
# @deprecated: Use query-one instead.
#
# Since: 0.1
##
{ 'command': 'query-old', 'data': { '*all': 'bool' },
  'features': [ 'deprecated' ],
  'returns': 'One' }
"""

TABLE = """
    {
        .name       = "one",
        .help       = "say one",
        .cmd        = hmp_one,
    },

SRST
ERST

    {
        .name       = "quit|q",
        .cmd        = hmp_quit,
        .flags      = "p",
    },
"""


class Marks(FakeQemu):
    def setUp(self):
        super().setUp()
        self.put(self.qemu, {'qapi/one.json': SCHEMA, 'hmp.hx': TABLE})
        self.series('funnel', 'second')

    def mark(self, how, file, *commands):
        self.patch('second', f"""
            [[mark]]
            {how}
            commands = {{ '{file}' = {list(commands)} }}
            """)

    FEATURE = "feature = 'quick'\nmeans = 'It does not wait.'"

    def test_a_command_gets_a_feature_that_is_documented(self):
        self.mark(self.FEATURE, 'qapi/one.json', 'query-one')
        self.apply()
        text = (self.qemu / 'qapi/one.json').read_text()
        self.assertIn(
            "# Say one.\n#\n# Features:\n#\n# @quick: It does not wait.\n#\n"
            "# Since: 1.0\n##\n{ 'command': 'query-one',\n"
            "  'features': [ 'quick' ], 'returns': 'One' }\n", text)
        self.assertTrue(text.endswith(SCHEMA[SCHEMA.index('# @query-old'):]))

    def test_beside_a_feature_that_it_has_already(self):
        self.mark(self.FEATURE, 'qapi/one.json', 'query-old')
        self.apply()
        text = (self.qemu / 'qapi/one.json').read_text()
        self.assertIn('# Features:\n#\n# @quick: It does not wait.\n#\n'
                      '# @deprecated: Use', text)
        self.assertIn("'features': [ 'quick', 'deprecated' ],", text)
        self.assertTrue(text.startswith(SCHEMA[:SCHEMA.index('##\n# @query-old')]))

    def test_a_command_of_the_human_monitor_gets_a_flag(self):
        self.mark("flag = 'd'", 'hmp.hx', 'one', 'quit|q')
        self.apply()
        self.assertEqual(
            (self.qemu / 'hmp.hx').read_text(),
            TABLE.replace('hmp_one,\n', 'hmp_one,\n        .flags      = "d",\n')
            .replace('"p"', '"pd"'))

    def test_a_command_that_is_not_there_is_an_error(self):
        self.mark(self.FEATURE, 'qapi/one.json', 'query-one', 'query-two')
        self.assert_refused('patch second, mark 1', 'qapi/one.json',
                            'query-two 0 times')
        self.mark("flag = 'd'", 'hmp.hx', 'quit')
        self.assert_refused('patch second, mark 1', 'hmp.hx', 'quit 0 times')

    def test_a_command_without_documentation_is_an_error(self):
        self.put(self.qemu, {'qapi/one.json': SCHEMA + "{ 'command': 'bare' }\n"})
        self.mark(self.FEATURE, 'qapi/one.json', 'bare')
        self.assert_refused('no documentation of the command bare')

    def test_one_of_feature_and_flag_says_how(self):
        for how in ("flag = 'd'\n" + self.FEATURE, ''):
            self.mark(how, 'hmp.hx', 'one')
            self.assert_refused('one of feature and flag says how')


if __name__ == '__main__':
    unittest.main()
