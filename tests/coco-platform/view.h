/*
 * What the guest sees of one memory slot
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * KVM's slot is given this range of addresses in place of the program's.
 * Each page of it is, at any time, the host's page (shared), a page that only
 * the guest has (private), or nothing.  Replacing a page is one mmap(), which
 * KVM notices by itself while vCPUs run.
 */

#ifndef COCO_VIEW_H
#define COCO_VIEW_H

#include <cstdint>
#include <memory>

namespace coco {

class View {
public:
    /** Nothing at first; null if there is no address space. */
    static std::unique_ptr<View> make(uint64_t size);
    ~View();
    View(const View &) = delete;
    View &operator=(const View &) = delete;

    uint64_t address() const { return address_; }

    /* Each: 0 or -errno. Offsets into the slot, all page-aligned. */
    int show_shared(uint64_t offset, uint64_t length, uint64_t host_address);
    int show_file(uint64_t offset, uint64_t length, int fd, uint64_t in_file);
    int show_nothing(uint64_t offset, uint64_t length);

private:
    View(uint64_t address, uint64_t size) : address_(address), size_(size) {}
    void *at(uint64_t offset) const;

    uint64_t address_;
    uint64_t size_;
};

} // namespace coco

#endif
