# SPDX-License-Identifier: GPL-2.0-or-later
"""What the reset of a confidential guest costs, on the simulated platform."""
