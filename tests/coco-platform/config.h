/*
 * What the environment asks of the platform
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All variables begin with KVM_RESET_COCO_; README.md lists them.  A value
 * that makes no sense ends the process with one line, when it starts: a test
 * must not run with less than it asked for.
 */

#ifndef COCO_CONFIG_H
#define COCO_CONFIG_H

#include <cstdint>
#include <string>
#include <vector>

namespace coco {

struct FaultRule {
    std::string what;
    uint64_t nth; /* 0: every one */
    int error;    /* errno */
    uint32_t fw_error;
};

struct DelayRule {
    std::string what;
    uint64_t microseconds;
    bool per_page;
};

struct Config {
    unsigned es_asids = 4;   /* SEV-ES and SEV-SNP guests */
    unsigned sev_asids = 4;  /* plain SEV guests */
    unsigned key_ids = 4;    /* TDX guests */
    bool linux_6_12 = false; /* its rules, and not those of 7.3 */
    bool strict_memory = false;
    uint64_t private_mib = ~0ull; /* private memory that the host has */
    uint64_t hold = 0; /* the number of the VM that somebody else holds */
    uint64_t not_ready_seed = 0;
    uint64_t not_ready_from = 0; /* the first such VM's number; 0: none */
    std::string log_file;
    /* 16 bytes each, or empty: random ones for each guest */
    std::string tik;
    std::string tek;
    std::vector<FaultRule> faults;
    std::vector<DelayRule> delays;
};

/** The configuration, read from the environment at the first call. */
const Config &config();

/** Says why and ends the process: only for nonsense found at start. */
[[noreturn]] void refuse_to_start(const std::string &why);

} // namespace coco

#endif
