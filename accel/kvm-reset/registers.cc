/*
 * Lists of registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "registers.h"

#include <algorithm>

namespace kvm_reset {

using namespace registers;

uint64_t data_of(std::span<const uint8_t> list, size_t entry)
{
    return read_field(list, field_of_entry(entry, &abi::kvm_msr_entry::data));
}

size_t count_of(std::span<const uint8_t> list)
{
    return (list.size() - head) / entry_size;
}

std::vector<uint8_t> registers_of(std::span<const uint32_t> indices)
{
    std::vector<uint8_t> all(head + indices.size() * entry_size);

    write_field(all, count_field, indices.size());
    for (size_t i = 0; i < indices.size(); i++) {
        write_field(all, index_of(i), indices[i]);
    }
    return all;
}

std::vector<uint8_t> part_of(std::span<const uint8_t> all, size_t from,
                             size_t count)
{
    std::vector<uint8_t> part(head);

    write_field(part, count_field, count);
    auto entries = all.subspan(head + from * entry_size, count * entry_size);
    part.insert(part.end(), entries.begin(), entries.end());
    return part;
}

int get_registers(Kernel &kernel, uint32_t request, int fd,
                  std::span<uint8_t> all)
{
    size_t done = 0;

    while (done < count_of(all)) {
        size_t now = std::min(most_at_once, count_of(all) - done);
        std::vector<uint8_t> part = part_of(all, done, now);
        int ret = kernel.ioctl(fd, request, uintptr_t(part.data()));
        if (ret < 0) {
            return ret;
        }
        size_t got = std::min<size_t>(ret, now);
        std::copy_n(part.begin() + head, got * entry_size,
                    all.begin() + head + done * entry_size);
        done += got;
        if (got < now) {
            break;
        }
    }
    return int(done);
}

} /* namespace kvm_reset */
