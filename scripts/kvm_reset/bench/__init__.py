# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/bench measures with whole QEMUs, and its table."""
