/*
 * The memory that the program gave to its guests, as the host sees it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "host_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/mman.h>
#include <sys/stat.h>
#include <vector>

#include "abi.h"
#include "sys.h"

namespace coco::host_memory {

namespace {

struct Block {
    uint64_t end;
    int fd;
    uint64_t offset; /* in the file */
    bool ours;       /* not the program's own file */
};

std::mutex mutex;

std::map<uint64_t, Block> &blocks()
{
    static auto *blocks = new std::map<uint64_t, Block>;
    return *blocks;
}

/* The block that holds this address, or the next one. */
std::map<uint64_t, Block>::iterator block_from(uint64_t address)
{
    auto it = blocks().upper_bound(address);
    if (it != blocks().begin() && std::prev(it)->second.end > address) {
        --it;
    }
    return it;
}

/* The file is closed with the last block in it. */
void drop_file(int fd)
{
    for (const auto &[start, block] : blocks()) {
        if (block.fd == fd) {
            return;
        }
    }
    sys::close(fd);
}

/* Pages that were never touched need not be copied. */
int copy_into(int fd, uint64_t address, uint64_t length)
{
    std::vector<unsigned char> there(length / kPage);
    if (mincore(reinterpret_cast<void *>(address), length, there.data()) != 0) {
        return -errno;
    }
    for (size_t i = 0; i < there.size();) {
        if (!(there[i] & 1)) {
            i++;
            continue;
        }
        size_t first = i;
        while (i < there.size() && (there[i] & 1)) {
            i++;
        }
        uint64_t from = first * kPage, left = (i - first) * kPage;
        while (left) {
            ssize_t n = pwrite(fd, reinterpret_cast<void *>(address + from),
                               left, static_cast<off_t>(from));
            if (n <= 0) {
                return n < 0 ? -errno : -EIO;
            }
            from += static_cast<uint64_t>(n);
            left -= static_cast<uint64_t>(n);
        }
    }
    return 0;
}

/* One line of /proc/self/maps. */
struct Mapping {
    uint64_t start, end, offset;
    bool shared;
};

/* The mapping that holds this address. */
bool find_mapping(uint64_t address, Mapping *mapping)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    char line[512], permissions[8];
    while (maps && !found && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s %lx", &mapping->start, &mapping->end,
                   permissions, &mapping->offset) == 4) {
            mapping->shared = permissions[3] == 's';
            found = mapping->start <= address && address < mapping->end;
        }
    }
    if (maps) {
        fclose(maps);
    }
    return found;
}

/* A file's memory is mapped again as it is; a device's cannot be opened. */
int adopt_file(const Mapping &mapping, uint64_t address, uint64_t length)
{
    char name[80];
    snprintf(name, sizeof(name), "/proc/self/map_files/%lx-%lx", mapping.start,
             mapping.end);
    int low = sys::openat(AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
    struct stat info;
    if (low < 0) {
        return -errno;
    }
    if (fstat(low, &info) != 0 || !S_ISREG(info.st_mode)) {
        sys::close(low);
        return -ENODEV;
    }
    int fd = sys::fcntl(low, F_DUPFD_CLOEXEC, 700);
    sys::close(low);
    if (fd < 0) {
        return -errno;
    }
    blocks()[address] = {address + length, fd,
                         mapping.offset + (address - mapping.start), false};
    return 0;
}

int adopt_anonymous(uint64_t address, uint64_t length)
{
    int fd = new_file("coco-shared", length);
    if (fd < 0) {
        return fd;
    }
    int ret = copy_into(fd, address, length);
    void *there = reinterpret_cast<void *>(address);
    if (ret == 0 && sys::mmap(there, length, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        ret = -errno;
    }
    if (ret != 0) {
        sys::close(fd);
        return ret;
    }
    blocks()[address] = {address + length, fd, 0, true};
    return 0;
}

} // namespace

int new_file(const char *name, uint64_t size)
{
    int low = memfd_create(name, MFD_CLOEXEC);
    if (low < 0) {
        return -errno;
    }
    int fd = sys::fcntl(low, F_DUPFD_CLOEXEC, 700);
    int ret = fd < 0 ? -errno : 0;
    sys::close(low);
    if (ret == 0 && ftruncate(fd, static_cast<off_t>(size)) != 0) {
        ret = -errno;
        sys::close(fd);
    }
    return ret ? ret : fd;
}

int adopt(uint64_t address, uint64_t length)
{
    std::lock_guard lock(mutex);
    uint64_t end = address + length;
    while (address < end) {
        auto it = block_from(address);
        if (it != blocks().end() && it->first <= address) {
            address = it->second.end;
            continue;
        }
        uint64_t to = it == blocks().end() ? end : std::min(end, it->first);
        Mapping mapping;
        if (!find_mapping(address, &mapping)) {
            return -ENOMEM;
        }
        to = std::min(to, mapping.end);
        int ret = mapping.shared ? adopt_file(mapping, address, to - address)
                                 : adopt_anonymous(address, to - address);
        if (ret != 0) {
            return ret;
        }
        address = to;
    }
    return 0;
}

int map_again(void *at, uint64_t address, uint64_t length)
{
    std::lock_guard lock(mutex);
    auto *to = static_cast<uint8_t *>(at);
    while (length) {
        auto it = block_from(address);
        if (it == blocks().end() || it->first > address) {
            return -EFAULT;
        }
        uint64_t part = std::min(length, it->second.end - address);
        uint64_t offset = it->second.offset + (address - it->first);
        if (sys::mmap(to, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                      it->second.fd,
                      static_cast<off_t>(offset)) == MAP_FAILED) {
            return -errno;
        }
        to += part;
        address += part;
        length -= part;
    }
    return 0;
}

void discard(uint64_t address, uint64_t length, bool files_too)
{
    std::lock_guard lock(mutex);
    uint64_t end = address + length;
    for (auto it = block_from(address); it != blocks().end() && it->first < end;
         ++it) {
        uint64_t from = std::max(address, it->first);
        uint64_t to = std::min(end, it->second.end);
        if (!it->second.ours && !files_too) {
            continue;
        }
        fallocate(it->second.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(it->second.offset + (from - it->first)),
                  static_cast<off_t>(to - from));
    }
}

void forget(uint64_t address, uint64_t length)
{
    std::lock_guard lock(mutex);
    uint64_t end = address + length;
    auto it = block_from(address);
    while (it != blocks().end() && it->first < end) {
        auto [start, block] = *it;
        it = blocks().erase(it);
        if (start < address) {
            blocks()[start] = {address, block.fd, block.offset, block.ours};
        }
        if (block.end > end) {
            blocks()[end] = {block.end, block.fd, block.offset + (end - start),
                             block.ours};
        }
        drop_file(block.fd);
    }
}

} // namespace coco::host_memory
