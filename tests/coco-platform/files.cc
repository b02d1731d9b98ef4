/*
 * Which fd, and which mapping, belongs to what
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "files.h"

#include <map>
#include <mutex>
#include <shared_mutex>
#include <vector>

namespace coco::files {

namespace {

struct Mapping {
    uint64_t end;
    std::shared_ptr<File> file;
};

struct Table {
    std::shared_mutex mutex;
    std::vector<std::shared_ptr<File>> files;
    std::map<uint64_t, Mapping> mappings;
};

/* Never destroyed: other threads may run while the process exits. */
Table &table()
{
    static auto *table = new Table;
    return *table;
}

} // namespace

std::shared_ptr<File> get(int fd)
{
    Table &t = table();
    std::shared_lock lock(t.mutex);
    auto number = static_cast<size_t>(fd);
    return fd >= 0 && number < t.files.size() ? t.files[number] : nullptr;
}

std::shared_ptr<File> put(int fd, std::shared_ptr<File> file)
{
    Table &t = table();
    std::unique_lock lock(t.mutex);
    auto number = static_cast<size_t>(fd);
    if (fd < 0 || (!file && number >= t.files.size())) {
        return nullptr;
    }
    if (number >= t.files.size()) {
        t.files.resize(number + 64);
    }
    t.files[number].swap(file);
    return file;
}

int number_of(const Vcpu *vcpu)
{
    Table &t = table();
    std::shared_lock lock(t.mutex);
    for (size_t fd = 0; fd < t.files.size(); fd++) {
        const auto &file = t.files[fd];
        if (file && file->kind == FileKind::Vcpu && file->vcpu.get() == vcpu) {
            return static_cast<int>(fd);
        }
    }
    return -1;
}

void mapped(uint64_t address, uint64_t length, std::shared_ptr<File> file)
{
    Table &t = table();
    std::unique_lock lock(t.mutex);
    t.mappings[address] = {address + length, std::move(file)};
}

/* What is unmapped in part is kept whole: no program does that here. */
void unmapped(uint64_t address, uint64_t length)
{
    Table &t = table();
    std::vector<std::shared_ptr<File>> gone;
    {
        std::shared_lock lock(t.mutex);
        if (t.mappings.empty()) {
            return;
        }
    }
    std::unique_lock lock(t.mutex);
    auto it = t.mappings.lower_bound(address);
    while (it != t.mappings.end() && it->second.end <= address + length) {
        gone.push_back(std::move(it->second.file));
        it = t.mappings.erase(it);
    }
    lock.unlock();
}

} // namespace coco::files
