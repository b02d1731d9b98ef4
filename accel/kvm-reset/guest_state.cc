/*
 * The volatile state of a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest_state.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "field_of.h"
#include "kvm_abi.h"
#include "registers.h"

namespace kvm_reset {

using namespace registers;

namespace {

/* Of kvm_run: the struct, and the data of port I/O. */
constexpr size_t page_bytes = 8192;

} /* namespace */

std::vector<std::string> GuestState::names() const
{
    std::vector<std::string> names;

    for (const StatePiece &piece : pieces_) {
        if (std::ranges::any_of(items_, [&](const Item &item) {
                return item.piece == &piece && !item.absent;
            })) {
            names.push_back(piece.name);
        }
    }
    return names;
}

size_t GuestState::bytes() const
{
    size_t sum = 0;

    for (const Item &item : items_) {
        sum += item.value.size();
    }
    for (const Page &page : pages_) {
        sum += page.bytes.size();
    }
    return sum;
}

/* --- Reading -------------------------------------------------------------- */

int GuestState::issue(const StatePiece &piece, uint32_t request, int fd,
                      std::vector<uint8_t> &value) const
{
    if (piece.form == PieceForm::Attribute) {
        abi::kvm_device_attr attribute{.group = abi::KVM_VCPU_TSC_CTRL,
                                       .attr = abi::KVM_VCPU_TSC_OFFSET,
                                       .addr = uintptr_t(value.data())};
        return kernel_->ioctl(fd, request, uintptr_t(&attribute));
    }
    return kernel_->ioctl(fd, request, uintptr_t(value.data()));
}

int GuestState::get(const StatePiece &piece, int fd,
                    std::vector<uint8_t> &value) const
{
    return issue(piece, piece.get, fd, value);
}

int GuestState::set(const StatePiece &piece, int fd,
                    std::vector<uint8_t> value) const
{
    write_field(value, piece.selector, piece.selected);
    return issue(piece, piece.set, fd, value);
}

static const char *whose(const StatePiece &piece)
{
    return piece.on == FdClass::Vm ? "the VM" : "a vCPU";
}

Result<void> GuestState::read_item(Item &item, const Snapshot &snapshot)
{
    const StatePiece &piece = *item.piece;
    const int fd = snapshot.object(item.object)->fd;

    item.value = item.fresh;
    item.present = true;
    item.at = kernel_->now();
    if (piece.form == PieceForm::Registers) {
        int got = get_registers(*kernel_, piece.get, fd, item.value);
        if (got < 0) {
            return fail(-got, "reading %s of %s", piece.name, whose(piece));
        }
        if (size_t(got) != count_of(item.value)) {
            return fail(
                ENOTSUP, "reading register %#llx of %s",
                (unsigned long long)read_field(item.value, index_of(got)),
                whose(piece));
        }
        return {};
    }
    /* What the survey's answer has written over. */
    write_field(item.value, piece.selector, piece.selected);
    write_field(item.value, piece.room, item.value.size());
    int ret = get(piece, fd, item.value);
    if (item.absent && ret >= 0) {
        return fail(ENOTSUP, "%s of %s, which a new VM has not", piece.name,
                    whose(piece));
    }
    if (item.absent || (ret < 0 && -ret == piece.none)) {
        item.present = false;
        return {};
    }
    if (ret < 0) {
        return fail(-ret, "reading %s of %s", piece.name, whose(piece));
    }
    if (piece.amend) {
        return piece.amend(*kernel_, snapshot, item.value);
    }
    return piece.autonomous ? stop_item(item, fd) : Result<void>();
}

Result<void> GuestState::stop_item(Item &item, int fd)
{
    const StatePiece &piece = *item.piece;

    if (item.value == item.fresh) {
        return {};
    }
    int ret = set(piece, fd, item.fresh);
    if (ret < 0) {
        return fail(-ret, "stopping %s of %s", piece.name, whose(piece));
    }
    item.stopped = true;
    return {};
}

Result<void> GuestState::resume(const Snapshot &snapshot)
{
    Result<void> outcome;

    for (Item &item : items_) {
        if (!std::exchange(item.stopped, false)) {
            continue;
        }
        Result<void> done = put_item(item, snapshot.object(item.object)->fd);
        if (!done && outcome) {
            outcome = std::move(done);
        }
    }
    return outcome;
}

Result<void> GuestState::read_page(const Object &vcpu)
{
    for (const Mapping &mapping : vcpu.mappings) {
        if (mapping.offset != 0) {
            continue;
        }
        Page page{.object = vcpu.id,
                  .bytes = std::vector<uint8_t>(
                      std::min(mapping.length, page_bytes))};
        int ret = kernel_->read_memory(uintptr_t(mapping.address), page.bytes);
        if (ret < 0) {
            return fail(-ret, "reading a vCPU's run page");
        }
        pages_.push_back(std::move(page));
    }
    return {};
}

Result<void> GuestState::read(const Snapshot &snapshot)
{
    pages_.clear();
    for (bool first : {true, false}) {
        for (Item &item : items_) {
            if (item.piece->first != first) {
                continue;
            }
            if (Result<void> done = read_item(item, snapshot); !done) {
                return done;
            }
        }
    }
    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::Vcpu) {
            if (Result<void> done = read_page(object); !done) {
                return done;
            }
        }
    }
    return {};
}

/* --- Putting -------------------------------------------------------------- */

Result<void> GuestState::put_registers(const Item &item, int fd) const
{
    std::vector<uint8_t> changed(head);
    size_t all = count_of(item.value);

    for (size_t i = 0; i < all; i++) {
        if (data_of(item.value, i) != data_of(item.fresh, i)) {
            auto entry = item.value.begin() + head + i * entry_size;
            changed.insert(changed.end(), entry, entry + entry_size);
        }
    }
    for (size_t from = 0; from < count_of(changed);) {
        size_t now = std::min(most_at_once, count_of(changed) - from);
        std::vector<uint8_t> part = part_of(changed, from, now);
        int ret = kernel_->ioctl(fd, item.piece->set, uintptr_t(part.data()));
        if (ret < 0) {
            return fail(-ret, "putting %s of %s", item.piece->name,
                        whose(*item.piece));
        }
        if (size_t(ret) < now) {
            return fail(ENOTSUP, "putting register %#llx of %s",
                        (unsigned long long)read_field(part, index_of(ret)),
                        whose(*item.piece));
        }
        from += now;
    }
    return {};
}

Result<void> GuestState::put_item(const Item &item, int fd) const
{
    const StatePiece &piece = *item.piece;
    std::vector<uint8_t> value = item.value;

    if (piece.if_differs && item.value == item.fresh) {
        return {};
    }
    if (piece.form == PieceForm::Registers) {
        return put_registers(item, fd);
    }
    if (piece.form == PieceForm::Clock) {
        /* KVM adds the time since, if it told what time it was. */
        constexpr Field clock = field_of(&abi::kvm_clock_data::clock);
        constexpr Field flags = field_of(&abi::kvm_clock_data::flags);
        uint64_t realtime = read_field(value, flags) & abi::KVM_CLOCK_REALTIME;
        if (!realtime) {
            write_field(value, clock,
                        read_field(value, clock) + (kernel_->now() - item.at));
        }
        write_field(value, flags, realtime);
    }
    int ret = set(piece, fd, std::move(value));
    if (ret < 0) {
        return fail(-ret, "putting %s of %s", piece.name, whose(piece));
    }
    return {};
}

Result<void> GuestState::put(const FdOf &fd_of) const
{
    for (const Item &item : items_) {
        if (!item.present) {
            continue;
        }
        Result<void> done = put_item(item, fd_of(item.object));
        if (!done) {
            return done;
        }
    }
    return {};
}

Result<void> GuestState::put_page(const Object &vcpu) const
{
    auto page = std::ranges::find(pages_, vcpu.id, &Page::object);

    if (page == pages_.end()) {
        return {};
    }
    for (const Mapping &mapping : vcpu.mappings) {
        if (mapping.offset != 0) {
            continue;
        }
        int ret = kernel_->write_memory(uintptr_t(mapping.address),
                                        page->bytes);
        if (ret < 0) {
            return fail(-ret, "putting a vCPU's run page");
        }
    }
    return {};
}

} /* namespace kvm_reset */
