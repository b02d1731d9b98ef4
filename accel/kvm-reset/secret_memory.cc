/*
 * Memory for what must not leave the process
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "secret_memory.h"

#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace kvm_reset {

static size_t whole_pages(size_t size)
{
    size_t page = sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

SecretMemory SecretMemory::make(size_t size)
{
    SecretMemory memory;

    memory.size_ = size;
    if (!size) {
        return memory;
    }
    void *at = ::mmap(nullptr, whole_pages(size), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return memory;
    }
    /* A kernel without these has them nowhere else either. */
    ::madvise(at, whole_pages(size), MADV_DONTDUMP);
    ::madvise(at, whole_pages(size), MADV_DONTFORK);
    memory.data_ = static_cast<uint8_t *>(at);
    return memory;
}

SecretMemory SecretMemory::copy(const void *from, size_t size)
{
    SecretMemory memory = make(size);

    if (memory) {
        memcpy(memory.data_, from, size);
    }
    return memory;
}

void SecretMemory::shorten(size_t size)
{
    if (!data_ || size >= size_) {
        return;
    }
    explicit_bzero(data_ + size, size_ - size);
    size_t keep = whole_pages(size), have = whole_pages(size_);
    if (keep < have) {
        ::munmap(data_ + keep, have - keep);
    }
    size_ = size;
    data_ = size ? data_ : nullptr;
}

SecretMemory::~SecretMemory()
{
    if (data_) {
        explicit_bzero(data_, size_);
        ::munmap(data_, whole_pages(size_));
    }
}

} /* namespace kvm_reset */
