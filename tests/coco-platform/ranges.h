/*
 * A set of numbers, kept as ranges
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_RANGES_H
#define COCO_RANGES_H

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace coco {

class Ranges {
public:
    void add(uint64_t start, uint64_t end)
    {
        if (start >= end) {
            return;
        }
        auto it = ranges_.upper_bound(start);
        if (it != ranges_.begin() && std::prev(it)->second >= start) {
            --it;
            start = it->first;
        }
        while (it != ranges_.end() && it->first <= end) {
            end = std::max(end, it->second);
            it = ranges_.erase(it);
        }
        ranges_[start] = end;
    }

    void remove(uint64_t start, uint64_t end)
    {
        auto it = ranges_.upper_bound(start);
        if (it != ranges_.begin() && std::prev(it)->second > start) {
            --it;
        }
        while (it != ranges_.end() && it->first < end) {
            uint64_t from = it->first, to = it->second;
            it = ranges_.erase(it);
            if (from < start) {
                ranges_[from] = start;
            }
            if (to > end) {
                ranges_[end] = to;
            }
        }
    }

    bool contains(uint64_t what) const
    {
        auto it = ranges_.upper_bound(what);
        return it != ranges_.begin() && std::prev(it)->second > what;
    }

    bool contains(uint64_t start, uint64_t end) const
    {
        return contains(start) && change_after(start) >= end;
    }

    /** The first number above this one for which contains() differs, or ~0. */
    uint64_t change_after(uint64_t what) const
    {
        auto it = ranges_.upper_bound(what);
        if (it != ranges_.begin() && std::prev(it)->second > what) {
            return std::prev(it)->second;
        }
        return it == ranges_.end() ? ~0ull : it->first;
    }

    bool empty() const { return ranges_.empty(); }

    /** How many numbers it has. */
    uint64_t count() const { return count(0, ~0ull); }

    /** … and how many of these. */
    uint64_t count(uint64_t start, uint64_t end) const
    {
        uint64_t total = 0;
        for (const auto &[from, to] : ranges_) {
            uint64_t first = std::max(from, start), last = std::min(to, end);
            total += first < last ? last - first : 0;
        }
        return total;
    }

private:
    std::map<uint64_t, uint64_t> ranges_;
};

} // namespace coco

#endif
