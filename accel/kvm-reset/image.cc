/*
 * An image
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "image.h"

#include <cerrno>

#include "recorder.h"

namespace kvm_reset {

std::string describe(const Entry &entry)
{
    const Row &row = *entry.row;
    std::string text = row.name;

    if (row.value_is_key) {
        text += format(" %#llx", (unsigned long long)entry.arg.value());
    }
    for (Field field : row.key) {
        if (field.width) {
            field.offset += row.each_element ? fixed_size(row) : 0;
            text += format(" %#llx",
                           (unsigned long long)entry.arg.read(field));
        }
    }
    return text;
}

/* The argument with the fds of @image in place of userspace's. */
static LiveArgument live_in(const Entry &entry, const Argument &arg,
                            const Image *image)
{
    LiveArgument live = arg.live();

    for (size_t i = 0; i < entry.row->fds.size(); i++) {
        const FdField &fd = entry.row->fds[i];
        Field field = arg.in_live(
            {.offset = fd.offset, .width = 4, .inside = fd.inside});
        if (image && entry.objects[i]) {
            write_field(live.bytes, field,
                        uint32_t(image->fd(entry.objects[i])));
        } else if (fd.role == FdRole::Held && entry.held) {
            write_field(live.bytes, field, uint32_t(entry.held->get()));
        }
    }
    return live;
}

Result<void> issue(Kernel &kernel, const Entry &entry, const Argument &arg,
                   int fd, const Image *objects)
{
    LiveArgument live = live_in(entry, arg, objects);
    int ret;

    do {
        ret = kernel.ioctl(fd, entry.row->request, live.pass());
    } while (ret == -EINTR);

    if (ret < 0) {
        return fail(-ret, "%s", describe(entry).c_str());
    }
    if (entry.row->each_element && ret != 1) {
        return fail(EINVAL, "%s was not taken", describe(entry).c_str());
    }
    return {};
}

int Image::fd(ObjectId object) const
{
    auto found = fds_.find(object);

    return found == fds_.end() ? -1 : found->second.get();
}

int Image::issue_create(const Entry &entry, LiveArgument &arg, int taken)
{
    int target = fd(entry.target);
    bool is_vm = entry.row->creates == FdClass::Vm;
    Fd placeholder;

    if (is_vm) {
        placeholder = Fd(*kernel_, kernel_->dup(target));
        if (placeholder.get() != taken) {
            placeholder.reset();
        }
    }
    int ret;
    do {
        ret = kernel_->ioctl(target, entry.row->request, arg.pass());
    } while (ret == -EINTR);

    if (ret >= 0 && entry.row->created_in_arg) {
        ret = int(read_field(arg.bytes, entry.row->created));
    }
    if (is_vm) {
        vm_number_ = ret;
    }
    return ret;
}

Result<void> Image::create(const Entry &entry, int taken)
{
    LiveArgument live = live_in(entry, entry.arg, this);
    int made = issue_create(entry, live, taken);

    if (made < 0) {
        return fail(-made, "%s", describe(entry).c_str());
    }
    fds_.emplace(entry.order, Fd(*kernel_, made));
    return {};
}

Result<void> Image::replay(const Entry &entry)
{
    for (ObjectId object : entry.objects) {
        if (object && fd(object) < 0) {
            return fail(EBADF, "%s names an fd that was closed",
                        describe(entry).c_str());
        }
    }
    return issue(*kernel_, entry, entry.arg, fd(entry.target), this);
}

Result<Image> Image::build(Kernel &kernel, const Snapshot &snapshot,
                           int taken)
{
    Image image(kernel);

    image.version_ = snapshot.version;
    for (const Object &object : snapshot.objects) {
        if (object.kind == FdClass::System) {
            int fd = kernel.open_kvm();
            if (fd < 0) {
                return fail(-fd, "cannot open the KVM device anew");
            }
            image.fds_.emplace(object.id, Fd(kernel, fd));
        }
    }
    for (const EntryPtr &entry : snapshot.entries) {
        Result<void> done;
        if (entry->row->effect == Effect::Create) {
            done = image.create(*entry, taken);
        } else if (!entry->row->exclusive) {
            done = image.replay(*entry);
        }
        if (!done) {
            return std::unexpected(done.error());
        }
    }
    return image;
}

} /* namespace kvm_reset */
