/*
 * What the guest sees of one memory slot
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "view.h"

#include <cerrno>
#include <sys/mman.h>

#include "host_memory.h"
#include "sys.h"

namespace coco {

/* Huge pages of the host's own are of no use here, alignment is. */
constexpr uint64_t kAlignment = 2 << 20;

std::unique_ptr<View> View::make(uint64_t size)
{
    uint64_t reserved = size + kAlignment;
    void *at = sys::mmap(nullptr, reserved, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        return nullptr;
    }
    uint64_t start = reinterpret_cast<uint64_t>(at);
    uint64_t aligned = (start + kAlignment - 1) & ~(kAlignment - 1);
    if (aligned > start) {
        sys::munmap(at, aligned - start);
    }
    if (start + reserved > aligned + size) {
        sys::munmap(reinterpret_cast<void *>(aligned + size),
                    start + reserved - (aligned + size));
    }
    return std::unique_ptr<View>(new View(aligned, size));
}

View::~View()
{
    sys::munmap(at(0), size_);
}

void *View::at(uint64_t offset) const
{
    return reinterpret_cast<void *>(address_ + offset);
}

int View::show_shared(uint64_t offset, uint64_t length, uint64_t host_address)
{
    return host_memory::map_again(at(offset), host_address, length);
}

int View::show_file(uint64_t offset, uint64_t length, int fd, uint64_t in_file)
{
    return sys::mmap(at(offset), length, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, fd,
                     static_cast<off_t>(in_file)) == MAP_FAILED
             ? -errno
             : 0;
}

int View::show_nothing(uint64_t offset, uint64_t length)
{
    return sys::mmap(at(offset), length, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
                     -1, 0) == MAP_FAILED
             ? -errno
             : 0;
}

} // namespace coco
