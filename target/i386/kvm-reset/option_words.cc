/*
 * The words of a command line: options by their names, and operands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "option_words.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace kvm_reset {

Result<OptionWords> OptionWords::read(std::span<char *const> words,
                                      const OptionNames &names)
{
    OptionWords read;

    for (size_t i = 0; i < words.size(); i++) {
        std::string_view word = words[i];
        if (word == "-h") {
            word = "--help";
        }
        if (names.operands && !word.starts_with("-") && !word.empty()) {
            if (read.operands_.size() == names.operands) {
                return refuse(EINVAL,
                              "'%s' is a word too many: --help says what is "
                              "taken",
                              words[i]);
            }
            read.operands_.emplace_back(word);
            continue;
        }
        const size_t equals = word.find('=');
        const std::string name(
            word.substr(0, equals).substr(std::min<size_t>(2, word.size())));
        const bool takes_value = std::ranges::count(names.with_value, name);

        if (!word.starts_with("--") ||
            (!takes_value && !std::ranges::count(names.without_value, name))) {
            return refuse(EINVAL,
                          "there is no option '%s': --help says which are",
                          words[i]);
        }
        if (read.has(name)) {
            return refuse(EINVAL, "--%s is given twice", name.c_str());
        }
        if (!takes_value) {
            if (equals != word.npos) {
                return refuse(EINVAL, "--%s takes no value", name.c_str());
            }
            read.said_[name] = "";
        } else if (equals != word.npos) {
            read.said_[name] = word.substr(equals + 1);
        } else if (i + 1 < words.size()) {
            read.said_[name] = words[++i];
        } else {
            return refuse(EINVAL, "--%s needs a value", name.c_str());
        }
    }
    return read;
}

const std::string *OptionWords::find(std::string_view name) const
{
    auto found = said_.find(name);
    return found == said_.end() ? nullptr : &found->second;
}

Result<uint64_t> OptionWords::number(const char *name, uint64_t most,
                                     uint64_t least) const
{
    const std::string &text = *find(name);
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    const char *begin = text.data() + (hex ? 2 : 0);
    const char *end = text.data() + text.size();
    uint64_t value = 0;
    auto [stop, error] = std::from_chars(begin, end, value, hex ? 16 : 10);

    if (begin == end || stop != end || error != std::errc() || value < least ||
        value > most) {
        return refuse(EINVAL,
                      "--%s '%s' is no number from %llu to %llu (or 0x%llx)",
                      name, text.c_str(), (unsigned long long)least,
                      (unsigned long long)most, (unsigned long long)most);
    }
    return value;
}

Result<uint64_t> OptionWords::number_or(const char *name, uint64_t missing,
                                        uint64_t most, uint64_t least) const
{
    return has(name) ? number(name, most, least) : missing;
}

} /* namespace kvm_reset */
