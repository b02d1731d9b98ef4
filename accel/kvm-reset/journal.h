/*
 * The journal: the definition of one VM as it stands now
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One live entry per key, so that its size follows the definition and never
 * the uptime.  Entries are immutable once they are in: a change replaces the
 * entry, which lets a snapshot be taken by copying pointers and read on
 * another thread.  Replay order is the order of first definition: the order
 * that KVM accepted once already.
 *
 * The journal is plain data and not locked; its owner, the Recorder, holds
 * one lock over the ioctl and its entry, so that the two cannot disagree.
 */

#ifndef KVM_RESET_JOURNAL_H
#define KVM_RESET_JOURNAL_H

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "argument.h"
#include "catalogue.h"
#include "file_watch.h"
#include "sub_command.h"

namespace kvm_reset {

/*
 * An fd of KVM's: the KVM device itself, the VM, a vCPU, a device, …  Its id
 * is the order of the entry that created it.
 */
using ObjectId = uint64_t;

constexpr ObjectId no_object = 0;

/* The fd of an object in one VM or another; -1: it has none. */
using FdOf = std::function<int(ObjectId)>;

struct Mapping {
    void *address = nullptr;
    size_t length = 0;
    int prot = 0;
    int flags = 0;
    int64_t offset = 0;
    bool operator==(const Mapping &) const = default;
};

struct Object {
    ObjectId id = no_object;
    FdClass kind = FdClass::None;
    int fd = -1; /* the number that userspace knows */
    std::vector<Mapping> mappings{};
};

struct Entry {
    const Row *row = nullptr;
    ObjectId target = no_object; /* whose fd the ioctl is issued on */
    Argument arg{};
    std::array<FileId, 2> files{};     /* for the row's Eventfd fields */
    std::array<ObjectId, 2> objects{}; /* for the row's Object fields */
    std::shared_ptr<Fd> held{};        /* for a Held field */
    SubCommandPtr sub_command{};       /* has the argument then */
    uint64_t order = 0;
    uint64_t version = 0;
};

using EntryPtr = std::shared_ptr<const Entry>;

/* What an entry is about: two calls with equal keys define the same thing. */
struct Key {
    ObjectId target = no_object;
    uint32_t family = 0;
    std::array<uint64_t, 4> fields{};
    uint64_t serial = 0; /* not 0: never equal to another key */
    bool operator==(const Key &) const = default;
};

struct KeyHash {
    size_t operator()(const Key &key) const;
};

/* The journal at one moment; entries in replay order. */
struct Snapshot {
    uint64_t version = 0;
    std::vector<EntryPtr> entries;
    std::vector<Object> objects;

    const Object *object(ObjectId id) const;
    /* The numbers that userspace knows.  The snapshot is borrowed. */
    FdOf fd_of() const;
};

class Journal {
public:
    /*
     * Puts @entry in place of the one with @key, if there is one.  Its order
     * is kept then, unless the row says that the latest counts.  Returns the
     * entry as it stands, with its order and version.  An entry that says
     * nothing new changes no version.
     */
    EntryPtr put(const Key &key, Entry entry);

    /* Takes the entry away and returns it, or nullptr. */
    EntryPtr remove(const Key &key);
    EntryPtr find(const Key &key) const;

    /* Takes away every entry for which @doomed returns true. */
    template <class Predicate> void remove_if(Predicate doomed)
    {
        for (auto i = by_key_.begin(); i != by_key_.end();) {
            EntryPtr entry = by_order_.at(i->second);
            if (doomed(*entry)) {
                drop(*entry);
                i = by_key_.erase(i);
            } else {
                ++i;
            }
        }
    }

    Object &add_object(Object object);
    /*
     * Forgets the object, its entries and the entry that created it, and
     * likewise what was created through it: a vCPU's statistics.
     */
    void remove_object(ObjectId id);
    Object *object_at(int fd);
    const Object *object_at(int fd) const;

    /* The objects' mappings changed; or one of them, at @address, went. */
    void touch() { version_ = next(); }
    void forget_mapping(const void *address);

    /* Forgets everything, but never gives a number twice. */
    void clear();

    /* The next number for an order, a version or a serial. */
    uint64_t next() { return ++clock_; }

    uint64_t version() const { return version_; }
    size_t size() const { return by_order_.size(); }
    /* Bytes of memory that the journal takes, containers included. */
    size_t footprint() const;
    Snapshot snapshot() const;

private:
    void drop(const Entry &entry);
    bool is_last(const Entry &entry) const;

    uint64_t clock_ = 0;
    uint64_t version_ = 0;
    size_t entry_bytes_ = 0;
    std::map<uint64_t, EntryPtr> by_order_;
    std::unordered_map<Key, uint64_t, KeyHash> by_key_;
    std::map<ObjectId, Object> objects_;
    std::unordered_map<int, ObjectId> by_fd_;
};

} /* namespace kvm_reset */

#endif
