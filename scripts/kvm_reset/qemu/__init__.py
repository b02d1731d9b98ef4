# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads patches/ and applies it: to a tree, or as a series of commits."""
