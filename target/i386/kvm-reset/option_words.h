/*
 * The words of a command line: options by their names, and operands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_RESET_OPTION_WORDS_H
#define KVM_RESET_OPTION_WORDS_H

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"

namespace kvm_reset {

/* What a program takes. */
struct OptionNames {
    std::span<const std::string_view> with_value;    /* without "--" */
    std::span<const std::string_view> without_value; /* "help" is -h, too */
    size_t operands = 0;                             /* the most of them */
};

class OptionWords {
public:
    /*
     * @words as main() has them, without the program's name: "--name value",
     * "--name=value", "--name".  EINVAL: one that is not known, is given
     * twice, lacks its value or has one too many.
     */
    static Result<OptionWords> read(std::span<char *const> words,
                                    const OptionNames &names);

    bool has(std::string_view name) const { return find(name); }

    /* nullptr: it was not said.  Of an option without a value it is "". */
    const std::string *find(std::string_view name) const;

    /* EINVAL: it is no number from @least to @most; it must have been said. */
    Result<uint64_t> number(const char *name, uint64_t most,
                            uint64_t least = 0) const;

    /* The same, or @missing. */
    Result<uint64_t> number_or(const char *name, uint64_t missing,
                               uint64_t most, uint64_t least = 0) const;

    const std::vector<std::string> &operands() const { return operands_; }

private:
    std::map<std::string, std::string, std::less<>> said_;
    std::vector<std::string> operands_;
};

} /* namespace kvm_reset */

#endif
