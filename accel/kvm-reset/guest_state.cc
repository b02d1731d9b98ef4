/*
 * The volatile state of a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest_state.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "catalogue_builder.h"
#include "registers.h"

namespace kvm_reset {

using namespace registers;

namespace {

constexpr uint32_t check_extension = builder::io(0x03);

/* struct kvm_clock_data */
constexpr Field clock_field{0, 8};
constexpr Field clock_flags{8, 4};
constexpr uint32_t clock_realtime = 1 << 2;

/* struct kvm_device_attr: flags, group, attr, addr; all zero but the last. */
struct Attribute {
    uint32_t flags = 0;
    uint32_t group = 0;
    uint64_t attr = 0;
    uint64_t address = 0;
};

/* Of kvm_run: the struct, and the data of port I/O. */
constexpr size_t page_bytes = 8192;

/* What a KVM or a VM says that has no such thing. */
bool says_none(int code)
{
    return code == EINVAL || code == ENXIO || code == ENOTTY ||
           code == ENODEV || code == EOPNOTSUPP || code == EPERM ||
           code == ENOENT;
}

} /* namespace */

/* --- What there is -------------------------------------------------------- */

/* What KVM fails to say it has, it may have all the same. */
Result<bool> GuestState::has(uint32_t cap, int vm) const
{
    int ret = kernel_->ioctl(vm, check_extension, cap);

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
        int need = kernel_->ioctl(vm, check_extension, piece.cap);
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
                                      const Replica &replica, int system,
                                      int vm)
{
    for (const Object &object : snapshot.objects) {
        bool before = true;
        for (const StatePiece &piece : group) {
            if (object.kind != piece.on || (piece.fallback && before)) {
                continue;
            }
            if (left_out_ == piece.name) {
                before = true;
                continue;
            }
            before = false;
            Result<bool> there = applies(piece, snapshot, vm);
            if (there && !*there) {
                continue;
            }
            if (there) {
                there = survey_item(piece, object.id, replica.fd(object.id),
                                    system, vm);
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
static Result<void> check_memory(const Snapshot &snapshot)
{
    if (snapshot.plan.state() != LaunchState::None) {
        return refuse(ENOTSUP, "the guest is confidential: nobody but its "
                               "hardware can read its state");
    }
    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::GuestMemfd) {
            return refuse(ENOTSUP, "the guest has memory in a guest_memfd, "
                                   "which belongs to one VM");
        }
    }
    return {};
}

Result<void> GuestState::survey(const Snapshot &snapshot,
                                const Replica &replica)
{
    int system = -1, vm = -1;

    items_.clear();
    if (Result<void> may = check_memory(snapshot); !may) {
        return may;
    }
    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::System) {
            system = replica.fd(object.id);
        } else if (object.kind == FdClass::Vm) {
            vm = replica.fd(object.id);
        }
    }
    for (auto from = pieces_.begin(); from != pieces_.end();) {
        auto to = std::find_if(from, pieces_.end(), [from](const auto &piece) {
            return piece.on != from->on;
        });
        Result<void> done = survey_group({from, to}, snapshot, replica, system,
                                         vm);
        if (!done) {
            return done;
        }
        from = to;
    }
    version_ = snapshot.version;
    return {};
}

bool GuestState::surveyed(const Snapshot &snapshot) const
{
    return version_ == snapshot.version;
}

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
        Attribute attribute{.address = uintptr_t(value.data())};
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

Result<void> GuestState::read_item(Item &item, int fd)
{
    const StatePiece &piece = *item.piece;

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
        if (mapping.offset != 0 || left_out_ == "RUN_PAGE") {
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
            const Object *object = snapshot.object(item.object);
            if (item.piece->first != first) {
                continue;
            }
            if (Result<void> done = read_item(item, object->fd); !done) {
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
        uint64_t realtime = read_field(value, clock_flags) & clock_realtime;
        if (!realtime) {
            write_field(value, clock_field,
                        read_field(value, clock_field) +
                            (kernel_->now() - item.at));
        }
        write_field(value, clock_flags, realtime);
    }
    int ret = set(piece, fd, std::move(value));
    if (ret < 0) {
        return fail(-ret, "putting %s of %s", piece.name, whose(piece));
    }
    return {};
}

Result<void> GuestState::put(const Replica &replica) const
{
    for (const Item &item : items_) {
        if (!item.present) {
            continue;
        }
        Result<void> done = put_item(item, replica.fd(item.object));
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
