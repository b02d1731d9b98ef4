/*
 * Which calls an audit writes down, by the ioctl's name alone
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "interest.h"

#include <algorithm>

namespace audit {

/* What happens at once and leaves nothing behind that is a setting. */
static constexpr std::string_view moments[] = {
    "KVM_RUN",           "KVM_IRQ_LINE",         "KVM_IRQ_LINE_STATUS",
    "KVM_SIGNAL_MSI",    "KVM_INTERRUPT",        "KVM_NMI",
    "KVM_SMI",           "KVM_CLEAR_DIRTY_LOG",  "KVM_RESET_DIRTY_RINGS",
    "KVM_KVMCLOCK_CTRL", "KVM_PRE_FAULT_MEMORY", "KVM_XEN_HVM_EVTCHN_SEND",
};

/* Whose names do not begin as those of other questions. */
static constexpr std::string_view questions[] = {
    "KVM_TRANSLATE",
    "KVM_XEN_HVM_GET_ATTR",
    "KVM_XEN_VCPU_GET_ATTR",
    "KVM_X86_GET_MCE_CAP_SUPPORTED",
};

static constexpr std::string_view uses[] = {
    "KVM_RUN",          "KVM_GET_REGS",        "KVM_SET_REGS",
    "KVM_SET_SREGS",    "KVM_SET_SREGS2",      "KVM_GET_MP_STATE",
    "KVM_SET_MP_STATE", "KVM_SET_VCPU_EVENTS",
};

Interest interest(std::string_view name)
{
    bool asks = name.starts_with("KVM_GET_") ||
                name.starts_with("KVM_CHECK_") ||
                name.starts_with("KVM_HAS_") ||
                std::ranges::find(questions, name) != std::end(questions);
    bool passes = std::ranges::find(moments, name) != std::end(moments);

    return asks || passes ? Interest::Count : Interest::Record;
}

bool shows_use(std::string_view name)
{
    return std::ranges::find(uses, name) != std::end(uses);
}

} /* namespace audit */
