/*
 * The launch digest of a guest that has not been started yet
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "measure.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "ovmf.h"
#include "tdvf.h"
#include "vmsa.h"

namespace kvm_reset {

/* --- vCPUs ---------------------------------------------------------------- */

struct SaveAreas {
    VmsaPage first;
    VmsaPage others; /* all alike */
};

static VmsaPage save_area(const Guest &guest, uint32_t entry)
{
    const VmsaState state = initial_vmsa(entry, guest.cpu_signature,
                                         guest.sev_features);

    return vmsa_page(guest.fpu_in_save_area ? state : without_fpu(state));
}

static Result<SaveAreas> save_areas(const Guest &guest, const Ovmf &ovmf)
{
    if (guest.vcpus < 1 || guest.vcpus > most_vcpus) {
        return refuse(EINVAL, "%u vCPUs cannot be: from 1 to %u can",
                      guest.vcpus, most_vcpus);
    }
    /* QEMU wants it even for one vCPU. */
    auto entry = sev_es_reset_address(ovmf);
    if (!entry) {
        return std::unexpected(entry.error());
    }
    return SaveAreas{save_area(guest, reset_vector), save_area(guest, *entry)};
}

/* --- SEV and SEV-ES ------------------------------------------------------- */

static Result<Digest> sev_digest(const Guest &guest, const Ovmf &ovmf)
{
    SevDigest digest;

    digest.update(ovmf.image());
    if (guest.kernel) {
        if (auto area = hash_table_area(ovmf); !area) {
            return std::unexpected(area.error());
        }
        digest.update(hash_table(*guest.kernel));
    }
    if (guest.tee == Tee::SevEs) {
        auto areas = save_areas(guest, ovmf);
        if (!areas) {
            return std::unexpected(areas.error());
        }
        digest.update(areas->first);
        for (unsigned i = 1; i < guest.vcpus; i++) {
            digest.update(areas->others);
        }
    }
    return digest.digest();
}

/* --- SEV-SNP -------------------------------------------------------------- */

/* Real ones have one page. */
constexpr uint32_t largest_hash_section = 1 << 20;

std::unexpected<Error> no_hash_section()
{
    return refuse(ENOENT, "the firmware's SEV metadata has no section for "
                          "kernel hashes: take a firmware that has "
                          "(Debian's is in ovmf-amdsev)");
}

Result<std::vector<uint8_t>> kernel_hash_pages(const Ovmf &ovmf,
                                               const SevSection &section,
                                               const KernelHashes &kernel)
{
    auto area = hash_table_area(ovmf);
    if (!area) {
        return std::unexpected(area.error());
    }
    const HashTable table = hash_table(kernel);
    const uint64_t offset = area->address % launch_page_size;

    if (section.size > largest_hash_section ||
        area->address < section.address ||
        area->address - section.address >= launch_page_size ||
        offset + table.size() > section.size) {
        return refuse(EINVAL,
                      "the firmware's table for kernel hashes (at 0x%x) does "
                      "not lie in its section for them (0x%x bytes at 0x%x)",
                      area->address, section.size, section.address);
    }
    std::vector<uint8_t> pages(section.size);
    std::ranges::copy(table, pages.begin() + offset);
    return pages;
}

static Result<void> add_kernel_hashes(SnpDigest &digest, const Ovmf &ovmf,
                                      const SevSection &section,
                                      const KernelHashes &kernel)
{
    auto pages = kernel_hash_pages(ovmf, section, kernel);

    if (!pages) {
        return std::unexpected(pages.error());
    }
    return digest.add(SnpPage::Normal, section.address, *pages);
}

/* QEMU takes what it does not know for memory. */
static SnpPage page_type(const SevSection &section)
{
    switch (section.type) {
    case SevSection::Secrets:
        return SnpPage::Secrets;
    case SevSection::Cpuid:
        return SnpPage::Cpuid;
    default:
        return SnpPage::Zero;
    }
}

static Result<void> add_sections(SnpDigest &digest, const Guest &guest,
                                 const Ovmf &ovmf)
{
    bool hashes_wanted = guest.kernel.has_value();
    auto sections = sev_sections(ovmf);

    if (!sections) {
        return std::unexpected(sections.error());
    }
    for (const SevSection &section : *sections) {
        const bool hashes = guest.kernel &&
                            section.type == SevSection::KernelHashes;
        auto added = hashes
                       ? add_kernel_hashes(digest, ovmf, section, *guest.kernel)
                       : digest.add(page_type(section), section.address,
                                    uint64_t(section.size));
        if (!added) {
            return added;
        }
        hashes_wanted = hashes_wanted && !hashes;
    }
    if (hashes_wanted) {
        return no_hash_section();
    }
    return {};
}

static Result<Digest> snp_digest(const Guest &guest, const Ovmf &ovmf)
{
    SnpDigest digest;

    auto areas = save_areas(guest, ovmf);
    if (!areas) {
        return std::unexpected(areas.error());
    }
    auto added = digest.add(SnpPage::Normal, ovmf.address(), ovmf.image());
    if (added) {
        added = add_sections(digest, guest, ovmf);
    }
    if (added) {
        added = digest.add_vmsa(areas->first);
    }
    if (!added) {
        return std::unexpected(added.error());
    }
    const Digest others = SnpDigest::contents_digest(areas->others);
    for (unsigned i = 1; i < guest.vcpus; i++) {
        digest.add_page(SnpPage::Vmsa, snp_vmsa_gpa, others);
    }
    return digest.digest();
}

/* --- TDX ------------------------------------------------------------------ */

static Result<Digest> tdx_digest(const Guest &guest, const Ovmf &ovmf)
{
    TdxDigest digest;

    auto sections = tdvf_sections(ovmf);
    if (!sections) {
        return std::unexpected(sections.error());
    }
    for (const TdvfSection &section : *sections) {
        const std::vector<uint8_t> zeros(
            section.measured && section.data.empty() ? section.size : 0);
        auto added = section.measured
                       ? digest.add(section.address,
                                    section.data.empty() ? zeros : section.data,
                                    true, guest.tdx_pages)
                       : digest.add(section.address, section.size);
        if (!added) {
            return std::unexpected(added.error());
        }
    }
    return digest.digest();
}

/* --- all ------------------------------------------------------------------ */

Result<Digest> launch_digest(const Guest &guest)
{
    auto ovmf = Ovmf::parse(guest.firmware);

    if (!ovmf) {
        return std::unexpected(ovmf.error());
    }
    switch (guest.tee) {
    case Tee::Sev:
    case Tee::SevEs:
        return sev_digest(guest, *ovmf);
    case Tee::Snp:
        return snp_digest(guest, *ovmf);
    case Tee::Tdx:
        return tdx_digest(guest, *ovmf);
    }
    return refuse(EINVAL, "there is no such kind of guest");
}

} /* namespace kvm_reset */
