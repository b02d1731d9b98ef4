# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new VM adds to a reset: scripts/bench reset."""
