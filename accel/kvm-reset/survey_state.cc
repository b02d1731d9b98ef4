/*
 * Which state a guest has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A new VM of the same definition shows it, while the guest runs on its own.
 */

#include <algorithm>
#include <cerrno>

#include "guest_state.h"
#include "kvm_abi.h"
#include "registers.h"

namespace kvm_reset {

using namespace registers;

namespace {

/* What a KVM or a VM says that has no such thing. */
bool says_none(int code)
{
    return code == EINVAL || code == ENXIO || code == ENOTTY ||
           code == ENODEV || code == EOPNOTSUPP || code == EPERM ||
           code == ENOENT;
}

} /* namespace */

/* What KVM fails to say it has, it may have all the same. */
Result<bool> GuestState::has(uint32_t cap, int vm) const
{
    int ret = kernel_->ioctl(vm, abi::KVM_CHECK_EXTENSION, cap);

    if (ret < 0) {
        return fail(-ret, "asking KVM for capability %u", cap);
    }
    return ret > 0;
}

Result<bool> GuestState::applies(const StatePiece &piece,
                                 const Snapshot &snapshot, int vm) const
{
    if (piece.needs && std::ranges::none_of(snapshot.entries, [&](auto &entry) {
            return entry->row->request == piece.needs;
        })) {
        return false;
    }
    if (piece.cap) {
        if (Result<bool> there = has(piece.cap, vm); !there || !*there) {
            return there;
        }
    }
    if (piece.unless) {
        Result<bool> newer = has(piece.unless, vm);
        return newer ? Result<bool>(!*newer) : newer;
    }
    return true;
}

Result<std::vector<uint8_t>> GuestState::blank(const StatePiece &piece,
                                               int system, int vm)
{
    if (piece.indices) {
        Result<std::vector<uint32_t>> indices = piece.indices(*kernel_, system);
        if (!indices) {
            return std::unexpected(indices.error());
        }
        return registers_of(*indices);
    }
    size_t size = piece.size;
    if (piece.form == PieceForm::Sized) {
        int need = kernel_->ioctl(vm, abi::KVM_CHECK_EXTENSION, piece.cap);
        if (need < 0) {
            return fail(-need, "asking for the size of %s", piece.name);
        }
        size = std::max<size_t>(size, need);
    }
    std::vector<uint8_t> bytes(size);
    write_field(bytes, piece.selector, piece.selected);
    write_field(bytes, piece.room, size);
    return bytes;
}

/* Those that a vCPU has not, or KVM does not tell of, stay out. */
Result<void> GuestState::survey_registers(Item &item, int fd)
{
    std::vector<uint8_t> &all = item.fresh;
    std::vector<uint8_t> have(head);

    while (count_of(all) > 0) {
        int got = get_registers(*kernel_, item.piece->get, fd, all);
        if (got < 0) {
            return fail(-got, "%s of a new VM", item.piece->name);
        }
        have.insert(have.end(), all.begin() + head,
                    all.begin() + head + got * entry_size);
        size_t skip = std::min<size_t>(got + 1, count_of(all));
        all.erase(all.begin() + head, all.begin() + head + skip * entry_size);
    }
    write_field(have, count_field, count_of(have));
    all = std::move(have);
    return {};
}

Result<bool> GuestState::survey_item(const StatePiece &piece, ObjectId object,
                                     int fd, int system, int vm)
{
    Result<std::vector<uint8_t>> fresh = blank(piece, system, vm);
    if (!fresh) {
        return std::unexpected(fresh.error());
    }
    Item item{.piece = &piece, .object = object, .fresh = std::move(*fresh)};

    if (piece.form == PieceForm::Registers) {
        Result<void> done = survey_registers(item, fd);
        if (!done) {
            return std::unexpected(done.error());
        }
        if (count_of(item.fresh) == 0) {
            return false;
        }
    } else {
        int ret = get(piece, fd, item.fresh);
        if (ret < 0 && -ret != piece.none) {
            if (says_none(-ret)) {
                item.absent = true;
                items_.push_back(std::move(item));
                return false;
            }
            return fail(-ret, "%s of a new VM", piece.name);
        }
    }
    items_.push_back(std::move(item));
    return true;
}

/* Rows of the VM stand alone; rows of vCPUs go vCPU by vCPU. */
Result<void> GuestState::survey_group(std::span<const StatePiece> group,
                                      const Snapshot &snapshot,
                                      const FdOf &fresh, int system, int vm)
{
    for (const Object &object : snapshot.objects) {
        bool before = true;
        for (const StatePiece &piece : group) {
            if (object.kind != piece.on || (piece.fallback && before)) {
                continue;
            }
            before = false;
            Result<bool> there = applies(piece, snapshot, vm);
            if (there && !*there) {
                continue;
            }
            if (there) {
                there = survey_item(piece, object.id, fresh(object.id), system,
                                    vm);
            }
            if (!there) {
                return std::unexpected(there.error());
            }
            before = *there;
        }
    }
    return {};
}

/* The guest's memory, or a part of it, would stay behind. */
Result<void> GuestState::may_be_carried(const Definition &definition)
{
    if (definition.plan.state() != LaunchState::None) {
        return refuse(ENOTSUP, "the guest is confidential: nobody but its "
                               "hardware can read its state");
    }
    for (const Object &object : definition.objects) {
        if (object.kind == FdClass::GuestMemfd) {
            return refuse(ENOTSUP, "the guest has memory in a guest_memfd, "
                                   "which belongs to one VM");
        }
    }
    return {};
}

Result<void> GuestState::survey(const Definition &definition, const FdOf &fresh)
{
    int system = -1, vm = -1;

    items_.clear();
    if (Result<void> may = may_be_carried(definition); !may) {
        return may;
    }
    for (const Object &object : definition.objects) {
        if (object.kind == FdClass::System) {
            system = fresh(object.id);
        } else if (object.kind == FdClass::Vm) {
            vm = fresh(object.id);
        }
    }
    for (auto from = pieces_.begin(); from != pieces_.end();) {
        auto to = std::find_if(from, pieces_.end(), [from](const auto &piece) {
            return piece.on != from->on;
        });
        Result<void> done = survey_group({from, to}, definition, fresh, system,
                                         vm);
        if (!done) {
            return done;
        }
        from = to;
    }
    version_ = definition.version;
    return {};
}

bool GuestState::surveyed(const Snapshot &snapshot) const
{
    return version_ == snapshot.version;
}

} /* namespace kvm_reset */
