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

std::unexpected<Error> too_much(uint64_t most_bytes)
{
    return refuse(EFBIG,
                  "the pages of the IGVM file take more than the 0x%" PRIx64
                  " bytes that this guest may have kept for them: raise "
                  "kvm-reset-launch-memory",
                  most_bytes);
}

namespace {

/*
 * Each step of a launch is kept in mappings of its own, of which a process can
 * have some 65000.
 */
constexpr size_t most_steps = 1024;

/* A length has 32 bits, and is of whole pages. */
constexpr uint64_t most_of_step = uint64_t(1) << 30;

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
            const LaunchMemory &memory, const IgvmLaunch &launch,
            uint64_t most_bytes)
        : kernel_(kernel), recorded_(recorded), memory_(memory),
          launch_(launch), left_(most_bytes), most_(most_bytes)
    {}

    Result<std::vector<PlannedStep>> run();

private:
    Result<void> check_place(const IgvmRegion &region) const;
    Result<void> add_region(const IgvmRegion &region);
    Result<void> add_sev(const IgvmRegion &region);
    Result<void> add_snp(const IgvmRegion &region);
    Result<void> add_tdx(const IgvmRegion &region);
    Result<void> finish();
    void finish_sev();
    Result<void> finish_snp();
    Result<void> finish_tdx();
    Result<void> check_hob();
    Result<const uint8_t *> source(const IgvmRegion &region, bool filled,
                                   std::vector<uint8_t> &room);
    Result<void> fill_cpuid(const IgvmRegion &region,
                            std::vector<uint8_t> &page);
    void fill_hob(const IgvmRegion &region, std::vector<uint8_t> &bytes);
    Result<void> add(const PlannedStep &like, const LaunchCommand &command,
                     uint32_t flags, void *argument, uint64_t address = 0);

    Kernel &kernel_;
    const Definition &recorded_;
    const LaunchMemory &memory_;
    const IgvmLaunch &launch_;
    uint64_t left_, most_; /* bytes that may be kept */
    std::vector<PlannedStep> steps_;
};

/*
 * On the same fds, the platform's included, as @like.  @address: where in
 * guest memory it goes, if it is launched in place.
 */
Result<void> Planner::add(const PlannedStep &like, const LaunchCommand &command,
                          uint32_t flags, void *argument, uint64_t address)
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
    if (address) {
        step->put_at(address);
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
        return too_much(most_);
    }
    left_ -= region.size;
    if (!filled && !region.data.empty()) {
        return region.data.data();
    }
    room.assign(region.data.begin(), region.data.end());
    room.resize(region.size);
    return room.data();
}

/* --- SEV, SEV-ES ---------------------------------------------------------- */

/* What is not encrypted is written, and the firmware does not hear of it. */
constexpr LaunchCommand plain_pages = {
    .name = "pages that are not encrypted",
    .effect = LaunchEffect::Step,
    .size = sizeof(kvm_sev_launch_update_data),
    .no_ioctl = true,
    .pointers = {{{.offset = offset_of(&kvm_sev_launch_update_data::uaddr),
                   .length = field_of(&kvm_sev_launch_update_data::len),
                   .unit = 1,
                   .pointing = LaunchPointing::InPlace}}},
};

bool is_encrypted(const IgvmRegion &region)
{
    return region.kind == IgvmPages::Normal || region.kind == IgvmPages::Zero;
}

/* The firmware hashes all pages as one, so slots may part them. */
Result<void> Planner::add_sev(const IgvmRegion &region)
{
    const PlannedStep *like = find_step(recorded_,
                                        "KVM_SEV_LAUNCH_UPDATE_DATA");
    const LaunchCommand &command = is_encrypted(region) ? like->step->command()
                                                        : plain_pages;
    std::vector<uint8_t> pages;
    auto from = source(region, false, pages);
    uint64_t done = 0;

    if (!from) {
        return std::unexpected(from.error());
    }
    while (done < region.size) {
        const auto piece = memory_.at(region.gpa + done);
        kvm_sev_launch_update_data update{
            .uaddr = uint64_t(*from) + done,
            .len = uint32_t(
                std::min({piece->size, region.size - done, most_of_step}))};
        if (auto added = add(*like, command, 0, &update, piece->address);
            !added) {
            return added;
        }
        done += update.len;
    }
    return {};
}

/* All but the pages is as it was: vCPUs, the question, the end. */
void Planner::finish_sev()
{
    for (const PlannedStep &planned : recorded_.plan.steps()) {
        if (planned.step->name() !=
            std::string_view("KVM_SEV_LAUNCH_UPDATE_DATA")) {
            steps_.push_back(planned);
        }
    }
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

Result<void> Planner::finish_tdx()
{
    auto good = check_hob();

    if (good) {
        steps_.push_back(*find_step(recorded_, "KVM_TDX_FINALIZE_VM"));
    }
    return good;
}

/* --- all ------------------------------------------------------------------ */

Result<void> Planner::check_place(const IgvmRegion &region) const
{
    const bool in_place = recorded_.plan.in_place();

    if (region.kind == IgvmPages::Shared && !in_place) {
        return refuse(ENOTSUP,
                      "the IGVM file has shared pages at the address 0x%" PRIx64
                      ", and kvm-reset does not write such",
                      region.gpa);
    }
    if (!memory_.has(region.gpa, region.size)) {
        return refuse(EINVAL,
                      "the IGVM file has 0x%" PRIx64 " bytes at the address "
                      "0x%" PRIx64 ", where this guest had no %s when it was "
                      "started",
                      region.size, region.gpa,
                      in_place ? "memory to be encrypted" : "private memory");
    }
    return {};
}

Result<void> Planner::add_region(const IgvmRegion &region)
{
    switch (launch_.platform) {
    case Platform::SevSnp:
        return add_snp(region);
    case Platform::Tdx:
        return add_tdx(region);
    default:
        return add_sev(region);
    }
}

Result<void> Planner::finish()
{
    switch (launch_.platform) {
    case Platform::SevSnp:
        return finish_snp();
    case Platform::Tdx:
        return finish_tdx();
    default:
        finish_sev();
        return {};
    }
}

Result<std::vector<PlannedStep>> Planner::run()
{
    for (const IgvmRegion &region : launch_.plan.regions) {
        auto done = check_place(region);
        if (done) {
            done = add_region(region);
        }
        if (!done) {
            return std::unexpected(done.error());
        }
    }
    if (auto done = finish(); !done) {
        return std::unexpected(done.error());
    }
    return std::move(steps_);
}

} /* namespace */

Result<std::vector<PlannedStep>> steps_of_igvm(Kernel &kernel,
                                               const Definition &recorded,
                                               const LaunchMemory &memory,
                                               const IgvmLaunch &launch,
                                               uint64_t most_bytes)
{
    return Planner(kernel, recorded, memory, launch, most_bytes).run();
}

} /* namespace kvm_reset */
