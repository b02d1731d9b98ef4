/*
 * What the environment asks of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "config.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

#include "fault.h"

namespace coco {

void refuse_to_start(const std::string &why)
{
    fprintf(stderr, "coco-platform: error: %s\n", why.c_str());
    _exit(2);
}

namespace {

struct Errno {
    const char *name;
    int value;
};

constexpr Errno kErrnos[] = {
    {"EPERM", EPERM},   {"EIO", EIO},       {"ENXIO", ENXIO},
    {"E2BIG", E2BIG},   {"EBADF", EBADF},   {"EAGAIN", EAGAIN},
    {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EFAULT", EFAULT},
    {"EBUSY", EBUSY},   {"EEXIST", EEXIST}, {"ENODEV", ENODEV},
    {"EINVAL", EINVAL}, {"EMFILE", EMFILE}, {"ENOTTY", ENOTTY},
    {"ENOSPC", ENOSPC}, {"EINTR", EINTR},   {"LOST", kStepLost},
};

/* The steps that can be lost. */
constexpr const char *kAddPages[] = {"SNP_LAUNCH_UPDATE", "LAUNCH_UPDATE_DATA",
                                     "TDX_INIT_MEM_REGION"};

std::vector<std::string> split(std::string_view text, char at)
{
    std::vector<std::string> parts;
    while (true) {
        size_t end = text.find(at);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(end + 1);
    }
}

bool to_number(const std::string &text, uint64_t *value)
{
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(),
                                        *value);
    return error == std::errc() && end == text.data() + text.size();
}

uint64_t number(const char *name, uint64_t otherwise, uint64_t most)
{
    const char *text = getenv(name);
    uint64_t value;
    if (!text) {
        return otherwise;
    }
    if (!to_number(text, &value) || value > most) {
        refuse_to_start(std::string(name) + "='" + text +
                        "' is not a number from 0 to " + std::to_string(most));
    }
    return value;
}

unsigned small_number(const char *name, unsigned otherwise)
{
    return static_cast<unsigned>(number(name, otherwise, 1000));
}

[[noreturn]] void bad_rule(const char *name, const std::string &rule,
                           const char *form)
{
    refuse_to_start(std::string(name) + ": '" + rule + "' is not " + form);
}

int errno_of(const std::string &name)
{
    for (const Errno &known : kErrnos) {
        if (name == known.name) {
            return known.value;
        }
    }
    return 0;
}

void read_faults(Config *config)
{
    const char *name = "KVM_RESET_COCO_FAULT";
    const char *form = "NAME:N:ERRNO[:FIRMWARE-ERROR], N a number or *";
    const char *text = getenv(name);
    if (!text || !*text) {
        return;
    }
    for (const std::string &rule : split(text, ',')) {
        std::vector<std::string> part = split(rule, ':');
        FaultRule fault = {};
        uint64_t fw_error = 0;
        if (part.size() < 3 || part.size() > 4) {
            bad_rule(name, rule, form);
        }
        fault.what = part[0];
        fault.error = errno_of(part[2]);
        if ((part[1] != "*" &&
             (!to_number(part[1], &fault.nth) || !fault.nth)) ||
            !fault.error ||
            (part.size() == 4 && !to_number(part[3], &fw_error))) {
            bad_rule(name, rule, form);
        }
        if (fault.error == kStepLost &&
            std::ranges::find(kAddPages, fault.what) == std::end(kAddPages)) {
            bad_rule(name, rule,
                     "one of a step that adds pages, which alone "
                     "can be LOST");
        }
        fault.fw_error = static_cast<uint32_t>(fw_error);
        config->faults.push_back(fault);
    }
}

void read_delays(Config *config)
{
    const char *name = "KVM_RESET_COCO_DELAY";
    const char *form = "NAME:MICROSECONDS or NAME:MICROSECONDS/page";
    const char *text = getenv(name);
    if (!text || !*text) {
        return;
    }
    for (const std::string &rule : split(text, ',')) {
        std::vector<std::string> part = split(rule, ':');
        DelayRule delay = {};
        if (part.size() != 2) {
            bad_rule(name, rule, form);
        }
        std::vector<std::string> amount = split(part[1], '/');
        delay.what = part[0];
        delay.per_page = amount.size() == 2 && amount[1] == "page";
        if (amount.size() > 2 || (amount.size() == 2 && !delay.per_page) ||
            !to_number(amount[0], &delay.microseconds)) {
            bad_rule(name, rule, form);
        }
        config->delays.push_back(delay);
    }
}

void read_not_ready(Config *config)
{
    const char *name = "KVM_RESET_COCO_NOT_READY";
    const char *text = getenv(name);
    if (!text || !*text) {
        return;
    }
    std::vector<std::string> part = split(text, ':');
    config->not_ready_from = 1;
    if (part.size() > 2 || !to_number(part[0], &config->not_ready_seed) ||
        (part.size() == 2 && (!to_number(part[1], &config->not_ready_from) ||
                              !config->not_ready_from))) {
        bad_rule(name, text, "SEED[:FIRST-VM], two numbers, the second from 1");
    }
}

/* 16 bytes as 32 hexadecimal digits; nothing if it is not set. */
std::string key_of(const char *name)
{
    const char *text = getenv(name);
    std::string hex = text ? text : "", key;
    bool good = !text || hex.size() == 32;
    for (size_t i = 0; good && i < hex.size(); i += 2) {
        unsigned byte = 0;
        auto [end, error] = std::from_chars(hex.data() + i, hex.data() + i + 2,
                                            byte, 16);
        good = error == std::errc() && end == hex.data() + i + 2;
        key += static_cast<char>(byte);
    }
    if (!good) {
        refuse_to_start(std::string(name) + ": not 32 hexadecimal digits");
    }
    return key;
}

/* Whether the variable is @other, and not @usual, which it need not say. */
bool is_other(const char *name, std::string_view usual, std::string_view other)
{
    const char *text = getenv(name);
    if (text && text != usual && text != other) {
        refuse_to_start(std::string(name) + "='" + text + "' is neither '" +
                        std::string(usual) + "' nor '" + std::string(other) +
                        "'");
    }
    return text && text == other;
}

Config read_all()
{
    Config config;
    const char *log = getenv("KVM_RESET_COCO_LOG");

    config.es_asids = small_number("KVM_RESET_COCO_ES_ASIDS", config.es_asids);
    config.sev_asids = small_number("KVM_RESET_COCO_SEV_ASIDS",
                                    config.sev_asids);
    config.key_ids = small_number("KVM_RESET_COCO_KEY_IDS", config.key_ids);
    config.linux_6_12 = is_other("KVM_RESET_COCO_LINUX", "7.3", "6.12");
    config.strict_memory = is_other("KVM_RESET_COCO_MEMORY", "open", "strict");
    config.private_mib = number("KVM_RESET_COCO_PRIVATE_MIB",
                                config.private_mib, 1 << 24);
    config.hold = small_number("KVM_RESET_COCO_HOLD", 0);
    config.log_file = log ? log : "";
    config.tik = key_of("KVM_RESET_COCO_TIK");
    config.tek = key_of("KVM_RESET_COCO_TEK");
    read_not_ready(&config);
    read_faults(&config);
    read_delays(&config);
    return config;
}

} // namespace

const Config &config()
{
    static const Config *config = new Config(read_all());
    return *config;
}

} // namespace coco
