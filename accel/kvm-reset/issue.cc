/*
 * Issuing an entry's ioctl again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "issue.h"

#include <cerrno>

#include "removal.h"

namespace kvm_reset {

std::string describe(const Entry &entry)
{
    const Row &row = *entry.row;
    std::string text = entry.sub_command ? entry.sub_command->name() : row.name;

    if (row.value_is_key) {
        text += format(" %#llx", (unsigned long long)entry.arg.value());
    }
    for (Field field : row.key) {
        if (field.width) {
            field.offset += row.each_element ? fixed_size(row) : 0;
            text += format(" %#llx", (unsigned long long)entry.arg.read(field));
        }
    }
    return text;
}

LiveArgument live_in(const Entry &entry, const Argument &arg,
                     const FdOf &objects)
{
    LiveArgument live = arg.live(entry.row->room);

    for (size_t i = 0; i < entry.row->fds.size(); i++) {
        const FdField &fd = entry.row->fds[i];
        Field field = arg.in_live(
            {.offset = fd.offset, .width = 4, .inside = fd.inside});
        if (objects && entry.objects[i]) {
            write_field(live.bytes, field, uint32_t(objects(entry.objects[i])));
        } else if (fd.role == FdRole::Held && entry.held) {
            write_field(live.bytes, field, uint32_t(entry.held->get()));
        }
    }
    return live;
}

int issue_uninterrupted(Kernel &kernel, int fd, uint32_t request,
                        LiveArgument &arg)
{
    int ret;

    do {
        ret = kernel.ioctl(fd, request, arg.pass());
    } while (ret == -EINTR);
    return ret;
}

Result<void> issue(Kernel &kernel, const Entry &entry, int fd,
                   const FdOf &objects)
{
    LiveArgument live = live_in(entry, entry.arg, objects);
    int ret = issue_uninterrupted(kernel, fd, entry.row->request, live);

    if (ret < 0) {
        return fail(-ret, "%s", describe(entry).c_str());
    }
    if (entry.row->each_element && ret != 1) {
        return fail(EINVAL, "%s was not taken", describe(entry).c_str());
    }
    return {};
}

Result<void> issue_removal(Kernel &kernel, const Entry &entry, int fd,
                           const FdOf &objects)
{
    std::optional<RemovalCall> removal = removal_of(entry);

    if (!removal) {
        return fail(ESTALE, "%s cannot be taken back", describe(entry).c_str());
    }
    LiveArgument live = live_in(entry, removal->arg, objects);
    int ret = issue_uninterrupted(kernel, fd, removal->request, live);
    if (ret < 0) {
        return fail(-ret, "taking away %s", describe(entry).c_str());
    }
    return {};
}

} /* namespace kvm_reset */
