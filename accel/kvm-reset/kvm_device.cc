/*
 * The KVM device, for a VM to be created on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "kvm_device.h"

#include <cerrno>

#include "kvm_abi.h"

namespace kvm_reset {

Result<void> must_be_kvm(Kernel &kernel, int fd, const char *name)
{
    int version;

    do {
        version = kernel.ioctl(fd, abi::KVM_GET_API_VERSION, 0);
    } while (version == -EINTR);
    if (version == -ENOTTY) {
        return refuse(ENOTTY, "%s is not KVM's device", name);
    }
    if (version < 0) {
        return fail(-version, "KVM_GET_API_VERSION on %s", name);
    }
    if (version != int(abi::KVM_API_VERSION)) {
        return refuse(ENODEV, "%s has version %d of KVM's API, not %u", name,
                      version, abi::KVM_API_VERSION);
    }
    return {};
}

Result<Fd> open_kvm_device(Kernel &kernel)
{
    Fd opened(kernel, kernel.open_kvm());

    if (!opened) {
        return fail(-opened.get(), "cannot open the KVM device %s anew",
                    kernel.kvm_path());
    }
    if (auto is = must_be_kvm(kernel, opened.get(), kernel.kvm_path()); !is) {
        return std::unexpected(is.error());
    }
    return opened;
}

Result<Fd> duplicate_kvm_device(Kernel &kernel, int fd)
{
    Fd same(kernel, kernel.dup(fd));

    if (!same) {
        return fail(-same.get(), "cannot duplicate the fd of the KVM device");
    }
    return same;
}

Result<Fd> another_kvm_device(Kernel &kernel, int in_use)
{
    Result<Fd> opened = open_kvm_device(kernel);

    if (opened) {
        return opened;
    }
    Result<Fd> same = duplicate_kvm_device(kernel, in_use);
    if (!same) {
        same.error().what = opened.error().what + "; " + same.error().what;
    }
    return same;
}

} /* namespace kvm_reset */
