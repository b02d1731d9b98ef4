/*
 * Tells libFuzzer where a program that g++ made has been
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * g++ -fsanitize-coverage=trace-pc calls a function at each basic block,
 * which libFuzzer once took and no longer does. Here each block has a counter,
 * by a hash of its address, of the kind that libFuzzer does take. This file
 * itself is compiled without coverage.
 *
 * clang 14, which is Debian 12's, cannot compile <expected> of that Debian's
 * libstdc++; and this fuzzes what the compiler of the product makes.
 */

#include <cstdint>

extern "C" void __sanitizer_cov_8bit_counters_init(uint8_t *begin,
                                                   uint8_t *end);

static uint8_t counters[1 << 16];

__attribute__((constructor)) static void announce()
{
    __sanitizer_cov_8bit_counters_init(counters, counters + sizeof counters);
}

extern "C" void __sanitizer_cov_trace_pc()
{
    const auto pc = uint64_t(__builtin_return_address(0));

    counters[pc * 0x9e3779b97f4a7c15 >> 48]++;
}
