/*
 * The journal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "journal.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace kvm_reset {

size_t KeyHash::operator()(const Key &key) const
{
    static_assert(
        std::has_unique_object_representations_v<decltype(key.fields)>);
    std::string_view fields(reinterpret_cast<const char *>(&key.fields),
                            sizeof(key.fields));
    size_t hash = std::hash<std::string_view>{}(fields);
    for (uint64_t part : {key.target, uint64_t(key.family), key.serial}) {
        hash = (hash ^ part) * 0x9e3779b97f4a7c15;
    }
    return hash;
}

const Object *Snapshot::object(ObjectId id) const
{
    auto found = std::ranges::lower_bound(objects, id, {}, &Object::id);

    return found != objects.end() && found->id == id ? &*found : nullptr;
}

FdOf Snapshot::fd_of() const
{
    return [this](ObjectId id) {
        const Object *known = object(id);
        return known ? known->fd : -1;
    };
}

static size_t footprint_of(const Entry &entry)
{
    return sizeof(Entry) + entry.arg.footprint() +
           (entry.sub_command ? entry.sub_command->footprint() : 0);
}

EntryPtr Journal::put(const Key &key, Entry entry)
{
    auto known = by_key_.find(key);

    if (known != by_key_.end()) {
        const EntryPtr &old = by_order_.at(known->second);
        if (old->row == entry.row && old->arg == entry.arg &&
            old->files == entry.files && old->objects == entry.objects &&
            !entry.held && !entry.sub_command &&
            (!entry.row->moves_to_end || is_last(*old))) {
            return old;
        }
        entry.order = old->order;
        drop(*old);
    }
    if (!entry.order || entry.row->moves_to_end) {
        entry.order = next();
    }
    entry.version = version_ = next();
    entry_bytes_ += footprint_of(entry);

    auto shared = std::make_shared<const Entry>(std::move(entry));
    by_order_[shared->order] = shared;
    by_key_[key] = shared->order;
    return shared;
}

bool Journal::is_last(const Entry &entry) const
{
    return by_order_.rbegin()->first == entry.order;
}

/* Leaves by_key_ to the caller. */
void Journal::drop(const Entry &entry)
{
    entry_bytes_ -= footprint_of(entry);
    version_ = next();
    by_order_.erase(entry.order);
}

EntryPtr Journal::find(const Key &key) const
{
    auto known = by_key_.find(key);

    return known == by_key_.end() ? nullptr : by_order_.at(known->second);
}

EntryPtr Journal::remove(const Key &key)
{
    EntryPtr entry = find(key);

    if (entry) {
        drop(*entry);
        by_key_.erase(key);
    }
    return entry;
}

Object &Journal::add_object(Object object)
{
    by_fd_[object.fd] = object.id;
    return objects_[object.id] = std::move(object);
}

void Journal::remove_object(ObjectId id)
{
    auto found = objects_.find(id);

    if (found == objects_.end()) {
        return;
    }
    auto number = by_fd_.find(found->second.fd);
    if (number != by_fd_.end() && number->second == id) {
        by_fd_.erase(number);
    }
    objects_.erase(found);

    std::vector<ObjectId> made_by_it;
    remove_if([&](const Entry &entry) {
        if (entry.target == id && entry.row->effect == Effect::Create) {
            made_by_it.push_back(entry.order);
        }
        return entry.target == id || entry.order == id;
    });
    for (ObjectId made : made_by_it) {
        remove_object(made);
    }
}

const Object *Journal::object_at(int fd) const
{
    auto known = by_fd_.find(fd);

    return known == by_fd_.end() ? nullptr : &objects_.at(known->second);
}

Object *Journal::object_at(int fd)
{
    return const_cast<Object *>(std::as_const(*this).object_at(fd));
}

void Journal::forget_mapping(const void *address)
{
    for (auto &[id, object] : objects_) {
        if (std::erase_if(object.mappings, [address](const Mapping &mapping) {
                return mapping.address == address;
            })) {
            touch();
        }
    }
}

size_t Journal::footprint() const
{
    /* A node of the standard containers: its value and four pointers. */
    constexpr size_t node = 4 * sizeof(void *);

    return entry_bytes_ +
           by_order_.size() * (node + sizeof(*by_order_.begin())) +
           by_key_.size() * (node + sizeof(*by_key_.begin())) +
           objects_.size() * (node + sizeof(*objects_.begin())) +
           by_fd_.size() * (node + sizeof(*by_fd_.begin()));
}

void Journal::clear()
{
    uint64_t clock = next();

    *this = Journal();
    clock_ = version_ = clock;
}

Snapshot Journal::snapshot() const
{
    Snapshot snapshot;

    snapshot.version = version_;
    snapshot.entries.reserve(by_order_.size());
    for (const auto &[order, entry] : by_order_) {
        snapshot.entries.push_back(entry);
    }
    snapshot.objects.reserve(objects_.size());
    for (const auto &[id, object] : objects_) {
        snapshot.objects.push_back(object);
    }
    return snapshot;
}

} /* namespace kvm_reset */
