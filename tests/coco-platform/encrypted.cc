/*
 * The host's pages that are encrypted in place for one SEV guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "encrypted.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <sys/random.h>
#include <unistd.h>

#include "host_memory.h"
#include "sys.h"

namespace coco {

namespace {

/* All that live: a page encrypted for one is lost to the others. */
std::mutex all_mutex;

std::set<EncryptedMemory *> &all()
{
    static auto *all = new std::set<EncryptedMemory *>;
    return *all;
}

/* Not a cipher: it only must look like none of what was there before. */
uint64_t next_noise(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

} // namespace

std::unique_ptr<EncryptedMemory> EncryptedMemory::make(Vm *vm)
{
    int fd = host_memory::new_file("coco-encrypted", 0);
    if (fd < 0) {
        return nullptr;
    }
    auto memory = std::unique_ptr<EncryptedMemory>(new EncryptedMemory(vm, fd));
    if (getrandom(&memory->noise_, sizeof(memory->noise_), 0) < 0) {
        memory->noise_ = static_cast<uint64_t>(getpid());
    }
    std::lock_guard lock(all_mutex);
    all().insert(memory.get());
    return memory;
}

EncryptedMemory::~EncryptedMemory()
{
    std::lock_guard lock(all_mutex);
    all().erase(this);
    sys::close(fd_);
}

/* Where in the file the page with this address is, or ~0. */
uint64_t EncryptedMemory::in_file(uint64_t address) const
{
    auto it = runs_.upper_bound(address);
    if (it == runs_.begin() || (--it)->second.end <= address) {
        return ~0ull;
    }
    return it->second.in_file + (address - it->first);
}

/* Makes pages the guest's own, as they are now. */
int EncryptedMemory::own(uint64_t address, uint64_t length)
{
    uint64_t end = page_up(address + length);
    address = page_down(address);
    int ret = host_memory::adopt(address, end - address);
    if (ret != 0) {
        return ret;
    }
    while (address < end) {
        auto next = runs_.upper_bound(address);
        if (in_file(address) != ~0ull) {
            address = std::prev(next)->second.end;
            continue;
        }
        uint64_t to = next == runs_.end() ? end : std::min(end, next->first);
        uint64_t size = to - address;
        if (ftruncate(fd_, static_cast<off_t>(file_size_ + size)) != 0 ||
            pwrite(fd_, reinterpret_cast<void *>(address), size,
                   static_cast<off_t>(file_size_)) !=
                static_cast<ssize_t>(size)) {
            return -ENOMEM;
        }
        runs_[address] = {to, file_size_};
        file_size_ += size;
        address = to;
    }
    return 0;
}

void EncryptedMemory::scramble(uint64_t address, uint64_t length)
{
    auto *at = reinterpret_cast<uint8_t *>(address);
    for (uint64_t i = 0; i < length; i += sizeof(uint64_t)) {
        uint64_t noise = next_noise(&noise_);
        memcpy(at + i, &noise, std::min<uint64_t>(sizeof(noise), length - i));
    }
}

/* Another guest's key was used on these pages: this one reads noise. */
void EncryptedMemory::spoil(uint64_t address, uint64_t length)
{
    for (uint64_t end = address + length; address < end;
         address = page_down(address) + kPage) {
        uint64_t at = in_file(page_down(address));
        if (at == ~0ull) {
            continue;
        }
        uint64_t part = std::min(end, page_down(address) + kPage) - address;
        uint8_t noise[kPage];
        for (uint8_t &byte : noise) {
            byte = static_cast<uint8_t>(next_noise(&noise_));
        }
        [[maybe_unused]] ssize_t n = pwrite(
            fd_, noise, part, static_cast<off_t>(at + address % kPage));
    }
}

int EncryptedMemory::place(uint64_t address, const uint8_t *bytes,
                           uint64_t length)
{
    std::lock_guard lock(all_mutex);
    int ret = own(address, length);
    if (ret != 0) {
        return ret;
    }
    uint64_t done = 0;
    while (done < length) {
        uint64_t here = address + done;
        uint64_t part = std::min(length - done, kPage - here % kPage);
        uint64_t at = in_file(page_down(here)) + here % kPage;
        if (pwrite(fd_, bytes + done, part, static_cast<off_t>(at)) !=
            static_cast<ssize_t>(part)) {
            return -ENOMEM;
        }
        done += part;
    }
    for (EncryptedMemory *other : all()) {
        if (other != this) {
            other->spoil(address, length);
        }
    }
    scramble(address, length);
    for (auto &[id, slot] : vm_->slots) {
        uint64_t from = std::max(page_down(address), slot.host_address);
        uint64_t to = std::min(page_up(address + length),
                               slot.host_address + slot.size);
        if (slot.view && from < to) {
            ret = show(&slot, from - slot.host_address, to - from);
            if (ret != 0) {
                return ret;
            }
        }
    }
    return 0;
}

int EncryptedMemory::encrypt(uint64_t address, uint64_t length)
{
    return place(address, reinterpret_cast<const uint8_t *>(address), length);
}

int EncryptedMemory::show(Slot *slot, uint64_t offset, uint64_t length)
{
    uint64_t start = slot->host_address + offset;
    uint64_t end = start + length;
    for (const auto &[address, run] : runs_) {
        uint64_t from = std::max(start, address);
        uint64_t to = std::min(end, run.end);
        if (from < to) {
            int ret = slot->view->show_file(from - slot->host_address,
                                            to - from, fd_,
                                            run.in_file + (from - address));
            if (ret != 0) {
                return ret;
            }
        }
    }
    return 0;
}

} // namespace coco
