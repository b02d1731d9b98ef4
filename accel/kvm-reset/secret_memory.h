/*
 * Memory for what must not leave the process
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a guest is launched from is its owner's: session keys, hashes, pages
 * that the host sees in the clear only until they are encrypted.  So the copy
 * is in pages of its own that no core dump and no child gets, and that are
 * wiped before they go back to the kernel.
 */

#ifndef KVM_RESET_SECRET_MEMORY_H
#define KVM_RESET_SECRET_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace kvm_reset {

class SecretMemory {
public:
    SecretMemory() = default;
    SecretMemory(SecretMemory &&other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0))
    {}
    SecretMemory &operator=(SecretMemory &&other) noexcept
    {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    SecretMemory(const SecretMemory &) = delete;
    ~SecretMemory();

    /*
     * @size bytes of zeros; 0 is a size too.  Empty with ok() false when
     * there is no memory.
     */
    static SecretMemory make(size_t size);
    static SecretMemory copy(const void *from, size_t size);

    bool ok() const { return data_ || !size_; }
    explicit operator bool() const { return data_; }
    uint8_t *data() { return data_; }
    size_t size() const { return size_; }
    std::span<uint8_t> bytes() { return {data_, size_}; }
    std::span<const uint8_t> bytes() const { return {data_, size_}; }

    /* Wipes and forgets all behind the first @size bytes. */
    void shorten(size_t size);

private:
    uint8_t *data_ = nullptr;
    size_t size_ = 0;
};

} /* namespace kvm_reset */

#endif
