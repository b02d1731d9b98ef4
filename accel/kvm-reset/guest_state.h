/*
 * The volatile state of a guest, on its way from one VM to another
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Read from the VM in use and put into a replica before the replica takes its
 * place, so that whatever fails leaves the guest where it was.  What there is
 * to carry is found out beforehand, on the replica, while the guest runs.
 */

#ifndef KVM_RESET_GUEST_STATE_H
#define KVM_RESET_GUEST_STATE_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "definition.h"
#include "error.h"
#include "kernel.h"
#include "state_piece.h"

namespace kvm_reset {

class GuestState {
public:
    /* ENOTSUP if nobody could carry the state of such a guest. */
    static Result<void> may_be_carried(const Definition &definition);

    /* @pieces has static storage and the order of putting. */
    GuestState(Kernel &kernel, std::span<const StatePiece> pieces)
        : kernel_(&kernel), pieces_(pieces)
    {}

    /*
     * Which pieces this VM has, as a new one of that definition shows.
     * ENOTSUP if it has state that cannot be carried.  The guest may run.
     */
    Result<void> survey(const Definition &definition, const FdOf &fresh);
    /* Whether that is still so. */
    bool surveyed(const Snapshot &snapshot) const;

    /* From the VM in use, whose vCPUs are stopped. */
    Result<void> read(const Snapshot &snapshot);
    Result<void> put(const FdOf &fd_of) const;
    /* The VM in use stays in use: what was stopped to be read goes on. */
    Result<void> resume(const Snapshot &snapshot);
    /*
     * After a survey of what there is now: adopts what @other has read of
     * the objects that there still are.  ENOTSUP if there is no place for a
     * part of it.
     */
    Result<void> adopt(const GuestState &other, const Snapshot &snapshot);
    /* Behind the mapping of a vCPU's fd: what its run page said. */
    Result<void> put_page(const Object &vcpu) const;

    /* The names of what is carried, each once. */
    std::vector<std::string> names() const;
    size_t bytes() const;

private:
    /* One piece of one object. */
    struct Item {
        const StatePiece *piece;
        ObjectId object;
        std::vector<uint8_t> fresh; /* what a new VM has */
        std::vector<uint8_t> value{};
        bool present = false;
        bool absent = false;  /* a new VM says that it has none */
        bool stopped = false; /* where it was read */
        uint64_t at = 0;      /* when it was read, ns */
    };
    struct Page {
        ObjectId object;
        std::vector<uint8_t> bytes;
    };

    Result<void> survey_group(std::span<const StatePiece> group,
                              const Snapshot &snapshot, const FdOf &fresh,
                              int system, int vm);
    Result<bool> survey_item(const StatePiece &piece, ObjectId object, int fd,
                             int system, int vm);
    Result<bool> has(uint32_t cap, int vm) const;
    Result<bool> applies(const StatePiece &piece, const Snapshot &snapshot,
                         int vm) const;
    Result<std::vector<uint8_t>> blank(const StatePiece &piece, int system,
                                       int vm);
    Result<void> survey_registers(Item &item, int fd);
    int issue(const StatePiece &piece, uint32_t request, int fd,
              std::vector<uint8_t> &value) const;
    int get(const StatePiece &piece, int fd, std::vector<uint8_t> &value) const;
    int set(const StatePiece &piece, int fd, std::vector<uint8_t> value) const;
    Result<void> read_item(Item &item, const Snapshot &snapshot);
    Result<void> stop_item(Item &item, int fd);
    Result<void> adopt_item(const Item &from);
    Result<void> adopt_registers(Item &to, const Item &from);
    Result<void> put_item(const Item &item, int fd) const;
    Result<void> put_registers(const Item &item, int fd) const;
    Result<void> read_page(const Object &vcpu);

    Kernel *kernel_;
    std::span<const StatePiece> pieces_;
    uint64_t version_ = 0;
    std::vector<Item> items_; /* in the order of putting */
    std::vector<Page> pages_;
};

} /* namespace kvm_reset */

#endif
