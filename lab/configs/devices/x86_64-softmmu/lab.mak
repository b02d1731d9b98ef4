# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the lab's host is made of; the many other devices of a PC would take as
# long to compile as all the rest.

CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_HPET=y
CONFIG_AMD_IOMMU=y
CONFIG_ISA_DEBUG=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_NET=y
CONFIG_VIRTIO_RNG=y
