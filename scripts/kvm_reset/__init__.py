# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/ does that is more than starting things. __main__.py is the one
way in."""
