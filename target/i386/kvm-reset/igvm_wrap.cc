/*
 * An OVMF image as an IGVM file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "igvm_wrap.h"

#include <algorithm>
#include <cerrno>

#include "igvm_file.h"
#include "igvm_writer.h"
#include "measure.h"
#include "ovmf_igvm.h"
#include "tdvf.h"
#include "vmsa.h"

namespace kvm_reset {

using namespace igvm;

namespace {

class Wrapper {
public:
    Wrapper(const IgvmWrap &wrap, const Ovmf &ovmf)
        : wrap_(wrap), ovmf_(ovmf), image_(writer_.data(ovmf.image()))
    {}

    Result<std::vector<uint8_t>> build();

private:
    /* What of the file is for the platform @mask. */
    Result<void> add_sev_es(uint32_t mask);
    Result<void> add_snp(uint32_t mask);
    Result<void> add_tdx(uint32_t mask);
    void add_image(uint32_t mask);

    Result<void> add_section(const SevSection &section,
                             const OvmfParameters &parameters, uint32_t mask);
    void add_parameters(const OvmfParameters &parameters, uint32_t mask);
    Result<void> add_vcpus(uint32_t mask, uint64_t sev_features, bool fpu);

    /* Whole pages, each with a header of its own; @model has all but place. */
    void add_pages(uint64_t gpa, uint64_t size, PageData model);

    const IgvmWrap &wrap_;
    const Ovmf &ovmf_;
    IgvmWriter writer_;
    uint32_t image_; /* its first byte */
    bool inserted_ = false, hashed_ = false;
};

PageData pages_of(uint32_t mask, uint32_t data = no_data)
{
    return {.gpa = 0,
            .mask = mask,
            .data = data,
            .flags = 0,
            .type = PageType::Normal,
            .reserved = 0};
}

void Wrapper::add_pages(uint64_t gpa, uint64_t size, PageData model)
{
    for (uint64_t at = 0; at < size; at += page_size) {
        PageData page = model;
        page.gpa = gpa + at;
        page.data += model.data == no_data ? 0 : uint32_t(at);
        writer_.add(page);
    }
}

void Wrapper::add_image(uint32_t mask)
{
    add_pages(ovmf_.address(), ovmf_.image().size(), pages_of(mask, image_));
}

/* --- SEV-SNP -------------------------------------------------------------- */

/* Once, where its first page would have been. */
void Wrapper::add_parameters(const OvmfParameters &parameters, uint32_t mask)
{
    if (inserted_ || !parameters.size) {
        return;
    }
    inserted_ = true;
    writer_.add(
        ParameterArea{.size = parameters.size, .index = 0, .data = no_data});
    for (auto [type, offset] : parameters.wanted) {
        writer_.add(type, Parameter{.area = 0, .offset = offset});
    }
    writer_.add(
        ParameterInsert{.gpa = parameters.address, .mask = mask, .area = 0});
}

Result<void> Wrapper::add_section(const SevSection &section,
                                  const OvmfParameters &parameters,
                                  uint32_t mask)
{
    PageData model = pages_of(mask);

    if (section.type == SevSection::KernelHashes && wrap_.kernel) {
        auto contents = kernel_hash_pages(ovmf_, section, *wrap_.kernel);
        if (!contents) {
            return std::unexpected(contents.error());
        }
        model.data = writer_.data(*contents);
        add_pages(section.address, section.size, model);
        hashed_ = true;
        return {};
    }
    if (section.type == SevSection::Secrets) {
        model.type = PageType::Secrets;
    } else if (section.type == SevSection::Cpuid) {
        model.type = PageType::Cpuid;
    }
    for (uint64_t at = 0; at < section.size; at += page_size) {
        if (parameters.has(section.address + at)) {
            add_parameters(parameters, mask);
        } else {
            add_pages(section.address + at, page_size, model);
        }
    }
    return {};
}

Result<void> Wrapper::add_vcpus(uint32_t mask, uint64_t sev_features, bool fpu)
{
    if (wrap_.vcpus < 1 || wrap_.vcpus > most_vcpus) {
        return refuse(EINVAL, "%u vCPUs cannot be: from 1 to %u can",
                      wrap_.vcpus, most_vcpus);
    }
    auto others = sev_es_reset_address(ovmf_);
    if (!others) {
        return std::unexpected(others.error());
    }
    auto save_area = [&](uint32_t entry) {
        const VmsaState state = initial_vmsa(entry, wrap_.cpu_signature,
                                             sev_features);
        return writer_.data(vmsa_page(fpu ? state : without_fpu(state)));
    };
    const uint32_t first = save_area(reset_vector);
    const uint32_t other = wrap_.vcpus > 1 ? save_area(*others) : no_data;
    for (unsigned i = 0; i < wrap_.vcpus; i++) {
        writer_.add(VpContext{.gpa = snp_vmsa_gpa,
                              .mask = mask,
                              .data = i ? other : first,
                              .vp = uint16_t(i),
                              .reserved = 0});
    }
    return {};
}

Result<void> Wrapper::add_snp(uint32_t mask)
{
    OvmfParameters parameters;

    if (wrap_.parameters) {
        auto wanted = ovmf_parameters(ovmf_);
        if (!wanted) {
            return std::unexpected(wanted.error());
        }
        parameters = *wanted;
    }
    auto sections = sev_sections(ovmf_);
    if (!sections) {
        return std::unexpected(sections.error());
    }
    add_image(mask);
    for (const SevSection &section : *sections) {
        if (auto added = add_section(section, parameters, mask); !added) {
            return added;
        }
    }
    if (wrap_.kernel && !hashed_) {
        return no_hash_section();
    }
    add_parameters(parameters, mask);
    return add_vcpus(mask, wrap_.sev_features, true);
}

/* --- SEV-ES --------------------------------------------------------------- */

Result<void> Wrapper::add_sev_es(uint32_t mask)
{
    add_image(mask);
    return add_vcpus(mask, wrap_.sev_features & ~sev_feature_snp_active,
                     wrap_.fpu_in_save_area);
}

/* --- TDX ------------------------------------------------------------------ */

Result<void> Wrapper::add_tdx(uint32_t mask)
{
    auto sections = tdvf_sections(ovmf_);

    if (!sections) {
        return std::unexpected(sections.error());
    }
    for (const TdvfSection &section : *sections) {
        PageData model = pages_of(mask);
        if (!section.data.empty()) {
            model.data = image_ +
                         uint32_t(section.data.data() - ovmf_.image().data());
        }
        if (!section.measured) {
            model.flags = Unmeasured;
        }
        add_pages(section.address, section.size, model);
    }
    return {};
}

/* --- all ------------------------------------------------------------------ */

Result<std::vector<uint8_t>> Wrapper::build()
{
    const auto &platforms = wrap_.platforms;

    for (size_t i = 0; i < platforms.size(); i++) {
        writer_.add(SupportedPlatform{.mask = 1u << i,
                                      .highest_vtl = 0,
                                      .platform = platforms[i],
                                      .version = 1,
                                      .shared_gpa_boundary = 0});
    }
    for (size_t i = 0; i < platforms.size(); i++) {
        if (platforms[i] == Platform::SevSnp) {
            writer_.add(GuestPolicy{
                .policy = wrap_.policy, .mask = 1u << i, .reserved = 0});
        }
    }
    for (size_t i = 0; i < platforms.size(); i++) {
        const uint32_t mask = 1u << i;
        Result<void> added;
        switch (platforms[i]) {
        case Platform::Sev:
            add_image(mask);
            break;
        case Platform::SevEs:
            added = add_sev_es(mask);
            break;
        case Platform::SevSnp:
            added = add_snp(mask);
            break;
        case Platform::Tdx:
            added = add_tdx(mask);
            break;
        case Platform::Native:
            add_image(mask);
            break;
        default:
            added = refuse(EINVAL, "firmware is not wrapped for %s",
                           igvm::to_string(platforms[i]));
        }
        if (!added) {
            return std::unexpected(added.error());
        }
    }
    return writer_.build();
}

} /* namespace */

Result<std::vector<uint8_t>> wrap_ovmf(const IgvmWrap &wrap)
{
    auto ovmf = Ovmf::parse(wrap.firmware);

    if (!ovmf) {
        return std::unexpected(ovmf.error());
    }
    return Wrapper(wrap, *ovmf).build();
}

} /* namespace kvm_reset */
