/*
 * The recorder
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "recorder.h"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>

#include "arch.h"
#include "code_address.h"
#include "error.h"
#include "classified_call.h"
#include "removal.h"
#include "recorder_call.h"

namespace kvm_reset {

void Observer::seen(int, uint32_t, const char *, Effect, int)
{}
void Observer::blocked(const std::string &)
{}
void Observer::stale(const std::string &)
{}
void Observer::step(const char *, const std::string &, uint64_t)
{}

Recorder::Recorder(Kernel &kernel, Observer &observer)
    : kernel_(kernel), observer_(observer), files_(kernel)
{}

/* The words that tell, in an fd's name, what KVM made it for. */
static const char *fd_name(FdClass kind)
{
    switch (kind) {
    case FdClass::System:
        return "kvm";
    case FdClass::Vm:
        return "kvm-vm";
    case FdClass::Vcpu:
        return "kvm-vcpu:";
    case FdClass::Device:
        return "kvm-";
    case FdClass::GuestMemfd:
        return "gmem";
    case FdClass::Stats:
        return "-stats";
    default:
        return "";
    }
}

const Row *Recorder::row_of(int fd, uint32_t request, ObjectId *target) const
{
    const Object *object = journal_.object_at(fd);

    *target = object ? object->id : no_object;
    return find_row(object ? object->kind : FdClass::System, request);
}

static bool defining_msr(uint32_t index, void *opaque)
{
    auto msrs = static_cast<const std::vector<uint32_t> *>(opaque);

    return std::ranges::binary_search(*msrs, index);
}

ClassifyContext Recorder::context() const
{
    return {.launching = plan_.state() == LaunchState::Begun,
            .launched = plan_.state() == LaunchState::Finished,
            .defining_msr = defining_msr,
            .opaque = const_cast<std::vector<uint32_t> *>(&defining_msrs_)};
}

int Recorder::ioctl(int fd, uint32_t request, uintptr_t arg,
                    const void *code_address)
{
    std::unique_lock lock(mutex_);
    Call call{.row = nullptr,
              .target = no_object,
              .fd = fd,
              .request = request,
              .arg = arg,
              .code_address = code_address};
    call.row = row_of(fd, request, &call.target);
    Effect effect = call.row ? effect_of(*call.row, arg, context())
                             : Effect::Foreign;

    int ret;
    if (is_detached(call) && effect_passes_through(effect)) {
        ret = detached_vm_.answer(*call.row, call.target, arg);
        lock.unlock();
    } else if (effect_passes_through(effect) && layout_.waits() &&
               call.row->when_detached == WhenDetached::Nothing) {
        /* The slot that it names is not yet what userspace takes it to be. */
        lock.unlock();
        ret = -ENOENT;
    } else if (effect_passes_through(effect)) {
        lock.unlock();
        ret = kernel_.ioctl(fd, request, arg);
        if (!call.row->classify) {
            return ret;
        }
    } else {
        ret = effect == Effect::Foreign ? not_understood(call)
            : effect == Effect::Launch  ? launch(call)
                                        : record(call, effect);
        lock.unlock();
    }
    observer_.seen(fd, request, call.row ? call.row->name : "unknown", effect,
                   ret);
    return ret;
}

int Recorder::not_understood(const Call &call)
{
    int ret = kernel_.ioctl(call.fd, call.request, call.arg);

    if (ret < 0 || !vm_ ||
        (!call.row && passes_through_everywhere(call.request))) {
        return ret;
    }
    std::string what = call.row
                         ? std::string(call.row->name)
                         : format("ioctl %#x (KVM number %#x)", call.request,
                                  ioc_number(call.request));
    if (call.row && call.row->note) {
        what += format(" (%s)", call.row->note);
    }
    if (std::string who = describe_code_address(call.code_address);
        !who.empty()) {
        what += " from " + who;
    }
    block_locked(what + " cannot be replayed: the catalogue has no row that "
                        "says how");
    return ret;
}

/* The KVM device itself is there all the time. */
bool Recorder::is_detached(const Call &call) const
{
    return detached_ && call.target;
}

int Recorder::record(const Call &call, Effect effect)
{
    const Row &row = *call.row;
    Argument copy = Argument::copy(row, call.arg);
    Announcer announcer(*this);
    int ret = is_detached(call)
                ? detached_vm_.answer_recorded(row, effect, copy)
            : layout_.concerns(row)
                ? layout_.set(kernel_, call.fd, row, copy)
                : kernel_.ioctl(call.fd, call.request, call.arg);

    if (ret < 0) {
        return ret;
    }
    if (row.creates == FdClass::Vm) {
        begin_vm(call, std::move(copy), ret);
    } else if (effect == Effect::Create) {
        add_created(call, std::move(copy), ret);
    } else if (row.each_element) {
        apply_elements(call, copy, ret);
    } else {
        apply_one(call, std::move(copy), effect);
    }
    return ret;
}

void Recorder::begin_vm(const Call &call, Argument arg, int vm)
{
    if (vm_) {
        block_locked("a second VM was created while the first one lives");
        return;
    }
    if (arch()) {
        defining_msrs_ = arch()->defining_msrs(kernel_, call.fd);
    }
    Object &system = journal_.add_object(
        {.id = journal_.next(), .kind = FdClass::System, .fd = call.fd});
    vm_type_ = call.arg;
    Call made = call;
    made.target = system.id;
    vm_ = add_created(made, std::move(arg), vm);
}

ObjectId Recorder::add_created(const Call &call, Argument arg, int ret)
{
    const Row &row = *call.row;
    int fd = ret;

    if (row.created_in_arg) {
        fd = read_field(user_bytes(row, call.arg), row.created);
    }
    if (const Object *closed = journal_.object_at(fd)) {
        observer_.stale(format("fd %d was closed unseen", fd));
        journal_.remove_object(closed->id);
    }

    Key key{.target = call.target,
            .family = row.request,
            .serial = journal_.next()};
    EntryPtr entry = journal_.put(
        key, {.row = &row, .target = call.target, .arg = std::move(arg)});
    journal_.add_object({.id = entry->order, .kind = row.creates, .fd = fd});
    return entry->order;
}

void Recorder::apply_elements(const Call &call, const Argument &copy, int taken)
{
    const Row &row = *call.row;
    size_t fixed = fixed_size(row);
    int count = std::min<int>(taken, copy.elements(row));

    for (int i = 0; i < count; i++) {
        Argument one = copy.element(row, i);
        Effect effect = effect_of_element(row, one.bytes().subspan(fixed),
                                          context());
        if (!effect_passes_through(effect)) {
            apply_one(call, std::move(one), effect);
        }
    }
}

void Recorder::apply_one(const Call &call, Argument arg, Effect effect)
{
    const Row &row = *call.row;
    Key key = key_of(row, call.target, arg);

    if (row.removes_containing) {
        remove_containing(row, call.target, key);
        return;
    }
    if (effect == Effect::Remove || is_removal(row, arg)) {
        journal_.remove(key);
        return;
    }
    Entry entry{.row = &row, .target = call.target, .arg = std::move(arg)};
    for (size_t i = 0; i < row.fds.size(); i++) {
        const FdField &field = row.fds[i];
        if (!fd_field_present(field, entry.arg)) {
            continue;
        }
        int fd = entry.arg.read(
            {.offset = field.offset, .width = 4, .inside = field.inside});
        if (field.role == FdRole::Eventfd) {
            Result<FileId> file = files_.identify(fd);
            if (!file) {
                block_locked(
                    format("%s: %s", row.name, file.error().what.c_str()));
                return;
            }
            entry.files[i] = *file;
        } else if (field.role == FdRole::Object) {
            const Object *object = journal_.object_at(fd);
            entry.objects[i] = object ? object->id : no_object;
        } else if (field.role == FdRole::Held) {
            int held = kernel_.dup(fd);
            if (held < 0) {
                block_locked(fail(-held, "%s: cannot keep fd %d", row.name, fd)
                                 .error()
                                 .what);
                return;
            }
            entry.held = std::make_shared<Fd>(kernel_, held);
        }
    }
    if (row.adds_up && row.adds_up(entry.arg.bytes())) {
        EntryPtr before = journal_.find(key);
        if (before && before->arg != entry.arg) {
            block_locked(format("%s of %llu was called twice, with other "
                                "arguments: both count, and only one of them "
                                "would be replayed",
                                row.name, (unsigned long long)key.fields[0]));
            return;
        }
    }
    journal_.put(key, std::move(entry));
}

/* key.fields[0] and [1] are a range's start and length. */
void Recorder::remove_containing(const Row &row, ObjectId target,
                                 const Key &inner)
{
    uint64_t start = inner.fields[0], end = start + inner.fields[1];

    journal_.remove_if([&](const Entry &entry) {
        if (entry.row->family != row.family || entry.target != target) {
            return false;
        }
        Key outer = key_of(*entry.row, target, entry.arg);
        return outer.fields[0] <= start &&
               end <= outer.fields[0] + outer.fields[1] &&
               outer.fields[2] == inner.fields[2] &&
               outer.fields[3] == inner.fields[3];
    });
}

int Recorder::mmap(void *address, size_t length, int prot, int flags, int fd,
                   int64_t offset, void **mapping)
{
    std::unique_lock lock(mutex_);
    Announcer announcer(*this);
    int ret = kernel_.mmap(address, length, prot, flags, fd, offset, mapping);

    Object *object = journal_.object_at(fd);
    if (ret == 0 && object && !(flags & MAP_ANONYMOUS)) {
        std::erase_if(object->mappings, [&](const Mapping &old) {
            return old.address == *mapping;
        });
        object->mappings.push_back({*mapping, length, prot, flags, offset});
        journal_.touch();
    }
    return ret;
}

int Recorder::munmap(void *address, size_t length)
{
    std::unique_lock lock(mutex_);
    Announcer announcer(*this);
    int ret = kernel_.munmap(address, length);

    if (ret == 0) {
        journal_.forget_mapping(address);
    }
    return ret;
}

int Recorder::close(int fd)
{
    std::unique_lock lock(mutex_);
    Announcer announcer(*this);

    if (const Object *object = journal_.object_at(fd)) {
        if (object->id == vm_ || object->kind == FdClass::System) {
            end_vm();
        } else {
            journal_.remove_object(object->id);
        }
    }
    return kernel_.close(fd);
}

void Recorder::end_vm()
{
    journal_.clear();
    vm_ = no_object;
    set_plan({});
    set_layout({});
    first_measurement_.reset();
    launches_ = {};
    blocker_.reset();
}

std::optional<std::string> Recorder::blocker() const
{
    std::unique_lock lock(mutex_);
    return blocker_;
}

void Recorder::block(std::string why)
{
    std::unique_lock lock(mutex_);
    block_locked(std::move(why));
}

/* The first reason stays: later ones are often its consequence. */
void Recorder::block_locked(std::string why)
{
    if (!blocker_) {
        blocker_ = std::move(why);
        observer_.blocked(*blocker_);
    }
}

void Recorder::drop_stale()
{
    journal_.remove_if([this](const Entry &entry) {
        for (FileId id : entry.files) {
            if (id.fd >= 0 && !files_.same(id)) {
                observer_.stale(format("%s names eventfd %d, which was closed",
                                       entry.row->name, id.fd));
                return true;
            }
        }
        return false;
    });
    if (detached_) {
        return; /* the fds are there, and none is KVM's */
    }
    for (const Object &object : journal_.snapshot().objects) {
        std::string name = kernel_.describe(object.fd);
        if (name != "?" && !name.contains(fd_name(object.kind))) {
            observer_.stale(format("fd %d, a %s, was closed unseen", object.fd,
                                   to_string(object.kind)));
            journal_.remove_object(object.id);
        }
    }
}

Definition Recorder::recorded_locked() const
{
    Definition definition{journal_.snapshot(), vm_type_, plan_};

    lay_out(definition);
    return definition;
}

Definition Recorder::definition() const
{
    Definition definition = recorded_locked();

    if (launches_.next()) {
        launches_.next()->put_into(definition);
    }
    return definition;
}

Definition Recorder::current()
{
    drop_stale();
    return definition();
}

Definition Recorder::snapshot()
{
    std::unique_lock lock(mutex_);
    return current();
}

Definition Recorder::quick_snapshot() const
{
    std::unique_lock lock(mutex_);
    return definition();
}

void Recorder::on_change(std::function<void()> listener)
{
    std::unique_lock lock(mutex_);
    listener_ = std::move(listener);
}

size_t Recorder::entries() const
{
    std::unique_lock lock(mutex_);
    return journal_.size();
}

size_t Recorder::footprint() const
{
    std::unique_lock lock(mutex_);
    return journal_.footprint() + plan_.footprint();
}

bool Recorder::recording() const
{
    std::unique_lock lock(mutex_);
    return vm_ != no_object;
}

Recorder::Frozen Recorder::freeze()
{
    return Frozen(*this);
}

Definition Recorder::Frozen::snapshot()
{
    return recorder_->current();
}

void Recorder::Frozen::set_detached(bool detached)
{
    recorder_->detached_ = detached;
    see_everything(detached);
}

Result<void> Recorder::Frozen::deliver_pending(const Snapshot &snapshot)
{
    return recorder_->detached_vm_.pending().deliver(recorder_->kernel_,
                                                     snapshot);
}

void Recorder::Frozen::forget_pending()
{
    recorder_->detached_vm_.pending().clear();
}

} /* namespace kvm_reset */
