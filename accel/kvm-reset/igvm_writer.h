/*
 * Makes an IGVM file
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Headers are written in the order in which they are added, and their data
 * behind all of them.
 */

#ifndef KVM_RESET_IGVM_WRITER_H
#define KVM_RESET_IGVM_WRITER_H

#include <cstdint>
#include <span>
#include <vector>

#include "igvm_format.h"

namespace kvm_reset {

class IgvmWriter {
public:
    /* Data that headers may share; what "data" in a header is to be. */
    uint32_t data(std::span<const uint8_t> bytes);

    /* A header of any type; @content is a struct of igvm_format.h. */
    template <class T> IgvmWriter &add(igvm::Type type, const T &content)
    {
        return add_bytes(
            uint32_t(type),
            {reinterpret_cast<const uint8_t *>(&content), sizeof content});
    }
    IgvmWriter &add(const igvm::SupportedPlatform &platform);
    IgvmWriter &add(const igvm::GuestPolicy &policy);
    IgvmWriter &add(igvm::ParameterArea area);
    IgvmWriter &add(igvm::PageData page);
    IgvmWriter &add(const igvm::ParameterInsert &insert);
    IgvmWriter &add(igvm::VpContext context);

    IgvmWriter &add_bytes(uint32_t type, std::span<const uint8_t> content);

    std::vector<uint8_t> build(uint32_t version = 1) const;

private:
    /* @offset is that of the field "data" in a header's content. */
    void add_with_data(igvm::Type type, std::span<const uint8_t> content,
                       size_t offset, uint32_t data);

    std::vector<uint8_t> headers_, data_;
    std::vector<size_t> references_; /* in headers_, to be moved behind them */
};

/* Puts the right checksum into a file whose fixed header makes sense. */
void set_igvm_checksum(std::span<uint8_t> file);

} /* namespace kvm_reset */

#endif
