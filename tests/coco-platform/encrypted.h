/*
 * The host's pages that are encrypted in place for one SEV guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest's view of such a page is a page of the platform's; the host's
 * page holds noise from then on, also when the guest is gone.
 */

#ifndef COCO_ENCRYPTED_H
#define COCO_ENCRYPTED_H

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "vm.h"

namespace coco {

class EncryptedMemory {
public:
    /** Null if there is no memory for it. */
    static std::unique_ptr<EncryptedMemory> make(Vm *vm);
    ~EncryptedMemory();
    EncryptedMemory(const EncryptedMemory &) = delete;
    EncryptedMemory &operator=(const EncryptedMemory &) = delete;

    /** Encrypts host memory and shows the guest what was there: 0 or -errno.
     *  16-byte aligned. Another guest that had these pages loses them. */
    int encrypt(uint64_t address, uint64_t length);

    /** The guest is shown these bytes, the host noise (LAUNCH_SECRET). */
    int place(uint64_t address, const uint8_t *bytes, uint64_t length);

    /** Puts the guest's pages into the slot's view. VM's lock held. */
    int show(Slot *slot, uint64_t offset, uint64_t length);

private:
    struct Run {
        uint64_t end;
        uint64_t in_file;
    };

    EncryptedMemory(Vm *vm, int fd) : vm_(vm), fd_(fd) {}
    int own(uint64_t address, uint64_t length);
    void spoil(uint64_t address, uint64_t length);
    uint64_t in_file(uint64_t address) const;
    void scramble(uint64_t address, uint64_t length);

    Vm *vm_;
    int fd_;
    uint64_t file_size_ = 0;
    uint64_t noise_ = 0;
    std::map<uint64_t, Run> runs_; /* host address → file, page-aligned */
};

} // namespace coco

#endif
