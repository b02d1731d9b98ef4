/*
 * Any bytes at all, taken for an IGVM file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A target for libFuzzer: the reader, the dry run and the digest, as a guest
 * can reach them. The first byte says which guest it is; the rest is the
 * file, whose checksum is put right, since no fuzzer would guess it. Every
 * byte that a plan points to is read, so that the address sanitizer sees
 * those that are not the file's.
 */

#include <cstdio>
#include <cstdlib>

#include "igvm_launch.h"
#include "igvm_writer.h"

using namespace kvm_reset;
using namespace kvm_reset::igvm;

static IgvmX86Guest guest_of(uint8_t choice)
{
    IgvmX86Guest guest;

    guest.platform = Platform(choice % 6);
    guest.reset_other_vcpus = choice & 0x80;
    guest.guest.vcpus = 1 + (choice >> 5 & 3);
    guest.guest.ram = {{0, 16 << 20}, {uint64_t(1) << 32, 16 << 20}};
    guest.guest.firmware = {(uint64_t(1) << 32) - (1 << 20), 1 << 20};
    guest.guest.parameters[Type::Madt] = {'A', 'P', 'I', 'C'};
    /* So that a run is short. */
    guest.guest.most_memory = 1 << 20;
    guest.guest.most_launched = 4 << 20;
    guest.guest.most_filled = 256 << 10;
    return guest;
}

/* Only if the headers are where the fixed header says. */
static void mend_checksum(std::vector<uint8_t> &file)
{
    FixedHeader fixed;

    if (file.size() < sizeof fixed) {
        return;
    }
    memcpy(static_cast<void *>(&fixed), file.data(), sizeof fixed);
    if (uint64_t(fixed.headers_offset) + fixed.headers_size <= file.size()) {
        set_igvm_checksum(file);
    }
}

static void complain(const char *what)
{
    fprintf(stderr, "igvm_fuzz: %s\n", what);
    abort();
}

/* What a launcher relies on. */
static void check(const IgvmLaunch &launch, const IgvmX86Guest &guest)
{
    uint64_t launched = 0;
    uint8_t sum = 0;

    if (launch.vcpus.size() != guest.guest.vcpus) {
        complain("not a place for each vCPU");
    }
    for (const IgvmRegion &region : launch.plan.regions) {
        bool there = guest.guest.firmware.has(region.gpa, region.size);
        for (const MemoryRange &range : guest.guest.ram) {
            there = there || range.has(region.gpa, region.size);
        }
        if (!there || !region.size || region.size % page_size ||
            region.gpa % page_size) {
            complain("a region that the guest does not have");
        }
        if (!region.data.empty() && region.data.size() != region.size) {
            complain("a region whose data is of another size");
        }
        launched += region.size;
        for (uint8_t byte : region.data) {
            sum ^= byte;
        }
    }
    if (launched > guest.guest.most_launched) {
        complain("more than may be launched");
    }
    /* Read, not only looked at. */
    asm volatile("" : : "r"(sum));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) {
        return 0;
    }
    const IgvmX86Guest guest = guest_of(*data);
    std::vector<uint8_t> bytes(data + 1, data + size);
    mend_checksum(bytes);

    auto file = IgvmFile::parse(bytes);
    auto launch = file ? igvm_launch(*file, guest)
                       : Result<IgvmLaunch>(std::unexpected(file.error()));
    std::string words;
    if (launch) {
        check(*launch, guest);
        auto digest = igvm_digest(*launch, guest);
        words = digest ? "" : digest.error().what;
    } else {
        words = launch.error().what;
        if (words.empty()) {
            complain("refused without a word");
        }
    }
    if (words.find('\n') != words.npos) {
        complain("an error of more than one line");
    }
    return 0;
}
