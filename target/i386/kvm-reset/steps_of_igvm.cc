/*
 * The steps of a launch that an IGVM file asks for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "steps_of_igvm.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <string_view>

#include "field_of.h"
#include "launch_abi.h"
#include "launch_commands.h"

namespace kvm_reset {

using namespace abi;
using igvm::Platform;

/* Ascending, and none touches the next. */
std::vector<MemoryRange> private_memory(const Definition &recorded)
{
    using Region = kvm_userspace_memory_region2;
    std::vector<MemoryRange> slots, ranges;

    for (const EntryPtr &entry : recorded.entries) {
        if (entry->row->request == KVM_SET_USER_MEMORY_REGION2 &&
            entry->arg.read(field_of(&Region::flags)) & KVM_MEM_GUEST_MEMFD) {
            slots.push_back(
                {entry->arg.read(field_of(&Region::guest_phys_addr)),
                 entry->arg.read(field_of(&Region::memory_size))});
        }
    }
    std::ranges::sort(slots, {}, &MemoryRange::begin);
    for (const MemoryRange &slot : slots) {
        if (!ranges.empty() &&
            ranges.back().begin + ranges.back().size == slot.begin) {
            ranges.back().size += slot.size;
        } else {
            ranges.push_back(slot);
        }
    }
    return ranges;
}

namespace {

/*
 * Each step of a launch is kept in mappings of its own, of which a process can
 * have some 65000.
 */
constexpr size_t most_steps = 1024;

/* --- steps ---------------------------------------------------------------- */

/* The first one of that name, of those recorded; nullptr: none. */
const PlannedStep *find_step(const Definition &recorded, std::string_view name)
{
    const auto &steps = recorded.plan.steps();
    auto found = std::ranges::find_if(steps, [&](const PlannedStep &planned) {
        return planned.step->name() == name;
    });

    return found == steps.end() ? nullptr : &*found;
}

class Planner {
public:
    Planner(Kernel &kernel, const Definition &recorded,
            const IgvmLaunch &launch, uint64_t most_bytes)
        : kernel_(kernel), recorded_(recorded), launch_(launch),
          left_(most_bytes), most_(most_bytes)
    {}

    Result<std::vector<PlannedStep>> run();

private:
    Result<void> add_snp(const IgvmRegion &region);
    Result<void> add_tdx(const IgvmRegion &region);
    Result<void> finish_snp();
    Result<void> check_hob();
    Result<const uint8_t *> source(const IgvmRegion &region, bool filled,
                                   std::vector<uint8_t> &room);
    Result<void> fill_cpuid(const IgvmRegion &region,
                            std::vector<uint8_t> &page);
    void fill_hob(const IgvmRegion &region, std::vector<uint8_t> &bytes);
    Result<void> add(const PlannedStep &like, const LaunchCommand &command,
                     uint32_t flags, void *argument);

    Kernel &kernel_;
    const Definition &recorded_;
    const IgvmLaunch &launch_;
    uint64_t left_, most_; /* bytes that may be kept */
    std::vector<PlannedStep> steps_;
};

/* On the same fds, the platform's included, as @like. */
Result<void> Planner::add(const PlannedStep &like, const LaunchCommand &command,
                          uint32_t flags, void *argument)
{
    kvm_sev_cmd header{.id = command.id,
                       .pad0 = flags,
                       .data = uint64_t(argument),
                       .error = 0,
                       .sev_fd = uint32_t(like.step->read_header(
                           field_of(&kvm_sev_cmd::sev_fd)))};

    if (steps_.size() >= most_steps) {
        return refuse(EFBIG,
                      "the IGVM file has more than %zu separate regions of "
                      "pages",
                      most_steps);
    }
    auto step = LaunchStep::copy(kernel_, command, uintptr_t(&header));
    if (!step) {
        return std::unexpected(step.error());
    }
    steps_.push_back(
        {like.target, std::make_shared<const LaunchStep>(std::move(*step))});
    return {};
}

/*
 * A step copies its pages, so they are taken from the file where it has them.
 * Zeros, and what the host fills in, are put into @room.
 */
Result<const uint8_t *> Planner::source(const IgvmRegion &region, bool filled,
                                        std::vector<uint8_t> &room)
{
    if (region.size > left_) {
        return refuse(EFBIG,
                      "the pages of the IGVM file take more than the 0x%" PRIx64
                      " bytes that this guest may have kept for them: raise "
                      "kvm-reset-launch-memory",
                      most_);
    }
    left_ -= region.size;
    if (!filled && !region.data.empty()) {
        return region.data.data();
    }
    room.assign(region.data.begin(), region.data.end());
    room.resize(region.size);
    return room.data();
}

/* --- SEV-SNP -------------------------------------------------------------- */

uint8_t snp_type(IgvmPages kind)
{
    switch (kind) {
    case IgvmPages::Zero:
        return KVM_SEV_SNP_PAGE_TYPE_ZERO;
    case IgvmPages::Unmeasured:
        return KVM_SEV_SNP_PAGE_TYPE_UNMEASURED;
    case IgvmPages::Secrets:
        return KVM_SEV_SNP_PAGE_TYPE_SECRETS;
    case IgvmPages::Cpuid:
        return KVM_SEV_SNP_PAGE_TYPE_CPUID;
    case IgvmPages::Normal:
    case IgvmPages::Shared:
        break;
    }
    return KVM_SEV_SNP_PAGE_TYPE_NORMAL;
}

/* With what the host said of the CPU at the first launch. */
Result<void> Planner::fill_cpuid(const IgvmRegion &region,
                                 std::vector<uint8_t> &page)
{
    for (const PlannedStep &planned : recorded_.plan.steps()) {
        const LaunchStep &step = *planned.step;
        if (step.name() == std::string_view("KVM_SEV_SNP_LAUNCH_UPDATE") &&
            step.read(field_of(&kvm_sev_snp_launch_update::type)) ==
                KVM_SEV_SNP_PAGE_TYPE_CPUID &&
            step.pointed().size() == page.size()) {
            std::ranges::copy(step.pointed(), page.begin());
            return {};
        }
    }
    return refuse(EINVAL,
                  "the IGVM file has 0x%" PRIx64 " bytes of CPUID pages at the "
                  "address 0x%" PRIx64 ", and this guest was started with "
                  "firmware that has no page like that to take it from",
                  region.size, region.gpa);
}

Result<void> Planner::add_snp(const IgvmRegion &region)
{
    const PlannedStep *like = find_step(recorded_, "KVM_SEV_SNP_LAUNCH_FINISH");
    kvm_sev_snp_launch_update update{.gfn_start = region.gpa / launch_page_size,
                                     .len = region.size,
                                     .type = snp_type(region.kind)};
    std::vector<uint8_t> pages;

    if (region.kind != IgvmPages::Zero) {
        const bool cpuid = region.kind == IgvmPages::Cpuid;
        auto from = source(region, cpuid, pages);
        if (!from) {
            return std::unexpected(from.error());
        }
        if (cpuid) {
            if (auto filled = fill_cpuid(region, pages); !filled) {
                return filled;
            }
        }
        update.uaddr = uint64_t(*from);
    }
    return add(*like,
               *x86_launch_command(recorded_.vm_type, FdClass::Vm,
                                   KVM_SEV_SNP_LAUNCH_UPDATE),
               0, &update);
}

/* An ID block is of one launch, so the first one's is not this one's. */
Result<void> Planner::finish_snp()
{
    const PlannedStep *like = find_step(recorded_, "KVM_SEV_SNP_LAUNCH_FINISH");
    std::span<const uint8_t> recorded = like->step->argument();
    kvm_sev_snp_launch_finish finish;

    memcpy(&finish, recorded.data(), std::min(sizeof finish, recorded.size()));
    finish.id_block_uaddr = finish.id_auth_uaddr = 0;
    finish.id_block_en = finish.auth_key_en = 0;
    if (launch_.identity) {
        finish.id_block_uaddr = uint64_t(launch_.identity->block.data());
        finish.id_auth_uaddr = uint64_t(
            launch_.identity->authentication.data());
        finish.id_block_en = 1;
        finish.auth_key_en = launch_.identity->author_key;
    }
    return add(*like, like->step->command(), 0, &finish);
}

/* --- TDX ------------------------------------------------------------------ */

bool is_measured(const LaunchStep &step)
{
    return step.read_header(field_of(&kvm_tdx_cmd::flags)) &
           KVM_TDX_MEASURE_MEMORY_REGION;
}

uint64_t gpa_of(const LaunchStep &step)
{
    return step.read(field_of(&kvm_tdx_init_mem_region::gpa));
}

bool is_hob(const PlannedStep &planned)
{
    return planned.step->name() ==
               std::string_view("KVM_TDX_INIT_MEM_REGION") &&
           !is_measured(*planned.step) &&
           std::ranges::any_of(planned.step->pointed(),
                               [](uint8_t byte) { return byte; });
}

/* What is not measured and says something is the host's. */
void Planner::fill_hob(const IgvmRegion &region, std::vector<uint8_t> &bytes)
{
    for (const PlannedStep &planned : recorded_.plan.steps()) {
        if (is_hob(planned) &&
            MemoryRange{region.gpa, region.size}.has(
                gpa_of(*planned.step), planned.step->pointed().size())) {
            std::ranges::copy(planned.step->pointed(),
                              bytes.begin() +
                                  (gpa_of(*planned.step) - region.gpa));
        }
    }
}

/* Its vCPUs are told where the HOB is, by QEMU. */
Result<void> Planner::check_hob()
{
    for (const PlannedStep &planned : recorded_.plan.steps()) {
        if (!is_hob(planned)) {
            continue;
        }
        const uint64_t gpa = gpa_of(*planned.step);
        const size_t size = planned.step->pointed().size();
        if (std::ranges::none_of(
                launch_.plan.regions, [&](const IgvmRegion &region) {
                    return region.kind == IgvmPages::Unmeasured &&
                           MemoryRange{region.gpa, region.size}.has(gpa, size);
                })) {
            return refuse(EINVAL,
                          "the IGVM file has no unmeasured pages at the "
                          "address 0x%" PRIx64 ", where this TD's HOB is",
                          gpa);
        }
    }
    return {};
}

Result<void> Planner::add_tdx(const IgvmRegion &region)
{
    const PlannedStep *like = find_step(recorded_, "KVM_TDX_INIT_MEM_REGION");
    const bool measured = region.kind != IgvmPages::Unmeasured;
    std::vector<uint8_t> pages;
    auto from = source(region, !measured, pages);

    if (!from) {
        return std::unexpected(from.error());
    }
    if (!measured) {
        fill_hob(region, pages);
    }
    kvm_tdx_init_mem_region pages_of{.source_addr = uint64_t(*from),
                                     .gpa = region.gpa,
                                     .nr_pages = region.size /
                                                 launch_page_size};
    return add(*like, like->step->command(),
               measured ? KVM_TDX_MEASURE_MEMORY_REGION : 0, &pages_of);
}

/* --- all ------------------------------------------------------------------ */

Result<std::vector<PlannedStep>> Planner::run()
{
    const bool snp = launch_.platform == Platform::SevSnp;
    const std::vector<MemoryRange> memory = private_memory(recorded_);
    const PlannedStep *finish = find_step(
        recorded_, snp ? "KVM_SEV_SNP_LAUNCH_FINISH" : "KVM_TDX_FINALIZE_VM");
    Result<void> done;

    if (!finish || (!snp && !find_step(recorded_, "KVM_TDX_INIT_MEM_REGION"))) {
        return refuse(EAGAIN, "the guest was not launched yet");
    }
    for (const IgvmRegion &region : launch_.plan.regions) {
        if (region.kind == IgvmPages::Shared) {
            return refuse(
                ENOTSUP,
                "the IGVM file has shared pages at the address 0x%" PRIx64
                ", and kvm-reset does not write such",
                region.gpa);
        }
        if (std::ranges::none_of(memory, [&](const MemoryRange &range) {
                return range.has(region.gpa, region.size);
            })) {
            return refuse(EINVAL,
                          "the IGVM file has 0x%" PRIx64
                          " bytes at the address "
                          "0x%" PRIx64 ", where this guest had no private "
                          "memory when it was started",
                          region.size, region.gpa);
        }
        done = snp ? add_snp(region) : add_tdx(region);
        if (!done) {
            return std::unexpected(done.error());
        }
    }
    if (snp) {
        done = finish_snp();
    } else if (done = check_hob(); done) {
        steps_.push_back(*finish);
    }
    if (!done) {
        return std::unexpected(done.error());
    }
    return std::move(steps_);
}

} /* namespace */

Result<std::vector<PlannedStep>> steps_of_igvm(Kernel &kernel,
                                               const Definition &recorded,
                                               const IgvmLaunch &launch,
                                               uint64_t most_bytes)
{
    return Planner(kernel, recorded, launch, most_bytes).run();
}

} /* namespace kvm_reset */
