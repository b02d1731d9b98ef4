/*
 * Would QEMU launch this guest on KVM?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_checks.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ovmf.h"
#include "tdvf.h"
#include "vmsa.h"

namespace kvm_reset {

/* The entry by which an SVSM says where it wants to be loaded. */
constexpr Guid svsm_info = Guid::of("a789a612-0597-4c4b-a49f-cbb1fe9d1ddd");

/* QEMU's -bios, the only way to give firmware to an SNP guest or a TD. */
constexpr size_t bios_unit = 64 << 10;

/* Documentation/arch/x86/boot.rst */
constexpr size_t boot_magic_at = 0x202;
constexpr char boot_magic[] = "HdrS";

static Result<void> check_format(Bytes file)
{
    constexpr char igvm[] = "IGVM";

    if (file.size() >= 4 && !memcmp(file.data(), igvm, 4)) {
        return refuse(EINVAL, "this is an IGVM file, and not firmware that "
                              "QEMU gets by -bios: kvm-reset-measure takes it "
                              "by --igvm");
    }
    return {};
}

static Result<void> check_size(Bytes file)
{
    if (file.size() % bios_unit) {
        return refuse(EINVAL,
                      "the firmware has 0x%zx bytes, and QEMU's -bios takes "
                      "whole 64 KiB: if this is the OVMF_CODE part of a pair, "
                      "take the whole OVMF.fd",
                      file.size());
    }
    return {};
}

static Result<void> check_snp(const Guest &guest, const Ovmf &ovmf)
{
    if (!(guest.sev_features & sev_feature_snp_active)) {
        return refuse(EINVAL,
                      "--guest-features 0x%llx lacks bit 0 (SNP is active), "
                      "which KVM sets for each SEV-SNP guest: add 0x1",
                      (unsigned long long)guest.sev_features);
    }
    auto sections = sev_sections(ovmf);
    if (sections && !std::ranges::all_of(*sections, &SevSection::size)) {
        return refuse(EINVAL, "the firmware's SEV metadata has an empty "
                              "section, which KVM does not launch: take a "
                              "firmware that is made for SEV-SNP (Debian's "
                              "is in ovmf or ovmf-amdsev)");
    }
    return {};
}

static Result<void> check_tdx(const Ovmf &ovmf)
{
    auto sections = tdvf_sections(ovmf);
    if (!sections) {
        return std::unexpected(sections.error());
    }
    const auto hobs = std::ranges::count(*sections, TdvfSection::Hob,
                                         &TdvfSection::type);
    if (hobs != 1) {
        return refuse(EINVAL,
                      "the firmware's TDVF metadata has %zd sections for the "
                      "TD HOB, and QEMU wants one: take a firmware that is "
                      "made for TDX (Debian's is in ovmf-inteltdx)",
                      ssize_t(hobs));
    }
    return {};
}

Result<void> check_guest(const Guest &guest)
{
    const bool by_bios = guest.tee == Tee::Snp || guest.tee == Tee::Tdx;

    if (auto good = check_format(guest.firmware); !good) {
        return good;
    }
    auto ovmf = Ovmf::parse(guest.firmware);
    if (!ovmf) {
        return std::unexpected(ovmf.error());
    }
    if (ovmf->find(svsm_info)) {
        return refuse(EINVAL, "this is an SVSM, which QEMU does not load by "
                              "-bios: take the firmware that it starts");
    }
    if (by_bios) {
        if (auto good = check_size(guest.firmware); !good) {
            return good;
        }
    }
    switch (guest.tee) {
    case Tee::Snp:
        return check_snp(guest, *ovmf);
    case Tee::Tdx:
        return check_tdx(*ovmf);
    case Tee::Sev:
    case Tee::SevEs:
        break;
    }
    return {};
}

Result<void> check_kernel(Bytes beginning)
{
    const size_t length = strlen(boot_magic);

    if (beginning.empty() ||
        (beginning.size() >= boot_magic_at + length &&
         !memcmp(beginning.data() + boot_magic_at, boot_magic, length))) {
        return {};
    }
    return refuse(EINVAL,
                  "it is no bzImage (no '%s' at 0x%zx), and QEMU hashes no "
                  "other kernel: take the kernel's vmlinuz",
                  boot_magic, boot_magic_at);
}

} /* namespace kvm_reset */
