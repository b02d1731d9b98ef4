/*
 * An ioctl that is not recorded, around a real system call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The shortest system call that there is: the fd is not open.
 */

#include "measure.h"
#include "sysemu/kvm-reset.h"

namespace {

void bare(benchmark::State &state)
{
    measure(state, [](int fd, unsigned long request, void *arg) {
        return ioctl(fd, request, arg);
    });
}
BENCHMARK(bare)->Name("system call/bare");

void ours(benchmark::State &state)
{
    measure(state, [](int fd, unsigned long request, void *arg) {
        return kvm_reset_ioctl(fd, request, arg);
    });
}
BENCHMARK(ours)->Name("system call/ours");

} /* namespace */
