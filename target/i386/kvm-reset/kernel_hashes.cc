/*
 * The hashes of a guest's kernel, initrd and command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "kernel_hashes.h"

#include <string>

#include "guid.h"
#include "little_endian.h"

namespace kvm_reset {

constexpr Guid table_guid = Guid::of("9438d606-4f22-4cc9-b479-a793d411fd21");
constexpr Guid cmdline_guid = Guid::of("97d02dd8-bd20-4c94-aa78-e7714d36ab2a");
constexpr Guid initrd_guid = Guid::of("44baf731-3a2f-4bd7-9af1-41e29169781d");
constexpr Guid kernel_guid = Guid::of("4de79437-abd2-427f-b835-d5b172d2045b");

/* The table and each entry begin with their name and length. */
constexpr size_t header_size = 16 + sizeof(uint16_t);
constexpr size_t entry_size = header_size + 32;
constexpr size_t table_size = header_size + 3 * entry_size;

static_assert((table_size + 15) / 16 * 16 == sizeof(HashTable));

Digest cmdline_hash(std::string_view cmdline)
{
    const std::string whole(cmdline);

    return Hash::of(
        HashKind::Sha256,
        {reinterpret_cast<const uint8_t *>(whole.c_str()), whole.size() + 1});
}

static void put_header(uint8_t *to, const Guid &name, uint16_t size)
{
    memcpy(to, name.bytes.data(), name.bytes.size());
    put_le(to + name.bytes.size(), size);
}

HashTable hash_table(const KernelHashes &hashes)
{
    const struct {
        Guid name;
        const Digest &hash;
    } entries[] = {
        {cmdline_guid, hashes.cmdline},
        {initrd_guid, hashes.initrd},
        {kernel_guid, hashes.kernel},
    };
    HashTable table{};
    uint8_t *at = table.data();

    put_header(at, table_guid, table_size);
    at += header_size;
    for (const auto &entry : entries) {
        put_header(at, entry.name, entry_size);
        memcpy(at + header_size, entry.hash.bytes.data(),
               entry_size - header_size);
        at += entry_size;
    }
    return table;
}

} /* namespace kvm_reset */
