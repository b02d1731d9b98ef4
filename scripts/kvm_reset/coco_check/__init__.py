# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/coco-check looks at, and its report."""
