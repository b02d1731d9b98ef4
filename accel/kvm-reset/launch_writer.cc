/*
 * Writes what an ordinary guest is started from that somebody brought
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_writer.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>

#include "arch.h"

namespace kvm_reset {

constexpr size_t most_at_once = 1 << 20;

Result<void> LaunchWriter::write()
{
    const OtherLaunchPtr launch = recorder_.launches().in_place();
    Result<void> done = put_back();

    if (!done || !launch || !launch->written) {
        return done;
    }
    done = write_all(*launch->written);
    if (!done) {
        recorder_.drop_launch_in_place();
        if (auto undone = put_back(); !undone) {
            done.error().what += "; and then " + undone.error().what;
        }
    }
    return done;
}

Result<void> LaunchWriter::put_back()
{
    for (; !saved_.empty(); saved_.pop_back()) {
        const Saved &saved = saved_.back();
        int ret = recorder_.kernel().write_memory(saved.address, saved.bytes);
        if (ret < 0) {
            return fail(-ret, "putting %zu bytes of the host's firmware back",
                        saved.bytes.size());
        }
    }
    return {};
}

/* The guest's memory is what it was when the file was tried, or is refused. */
Result<void> LaunchWriter::write_all(const WrittenLaunch &launch)
{
    const Definition guest = recorder_.recorded();
    const LaunchMemory memory(guest);

    for (const WrittenLaunch::Pages &pages : launch.pages) {
        if (!memory.has(pages.gpa, pages.size)) {
            return refuse(EINVAL,
                          "what was brought has 0x%" PRIx64 " bytes at the "
                          "address 0x%" PRIx64 ", where this guest has no "
                          "memory any more",
                          pages.size, pages.gpa);
        }
    }
    for (const WrittenLaunch::Pages &pages : launch.pages) {
        if (auto done = write_pages(memory, pages); !done) {
            return done;
        }
    }
    if (launch.first_vcpu.empty()) {
        return {};
    }
    const Object *vcpu = guest.object(vcpus_of(guest).front());
    return arch()->start_vcpu(recorder_.kernel(), vcpu->fd, launch.first_vcpu);
}

Result<void> LaunchWriter::write_pages(const LaunchMemory &memory,
                                       const WrittenLaunch::Pages &pages)
{
    Kernel &kernel = recorder_.kernel();
    const std::vector<uint8_t> zeros(
        pages.bytes.empty() ? std::min<uint64_t>(pages.size, most_at_once) : 0);

    for (uint64_t done = 0; done < pages.size;) {
        const auto piece = memory.at(pages.gpa + done);
        const size_t size = std::min(
            {piece->size, pages.size - done, uint64_t(most_at_once)});
        if (piece->read_only) {
            Saved saved{piece->address, std::vector<uint8_t>(size)};
            int ret = kernel.read_memory(piece->address, saved.bytes);
            if (ret < 0) {
                return fail(-ret,
                            "reading 0x%zx bytes at the address "
                            "0x%" PRIx64,
                            size, pages.gpa + done);
            }
            saved_.push_back(std::move(saved));
        }
        int ret = kernel.write_memory(
            piece->address, pages.bytes.empty()
                                ? std::span(zeros).first(size)
                                : std::span(pages.bytes).subspan(done, size));
        if (ret < 0) {
            return fail(-ret, "writing 0x%zx bytes at the address 0x%" PRIx64,
                        size, pages.gpa + done);
        }
        done += size;
    }
    return {};
}

} /* namespace kvm_reset */
