/*
 * Which of KVM's objects a file descriptor is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "objects.h"

#include <cstring>
#include <utility>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

namespace audit {

using kvm_reset::FdClass;
using kvm_reset::format;

std::string link_of(int fd)
{
    char target[256];
    ssize_t n = readlink(format("/proc/self/fd/%d", fd).c_str(), target,
                         sizeof(target));
    return n < 0 ? std::string() : std::string(target, n);
}

ObjectPtr Objects::find(int fd)
{
    std::scoped_lock guard(lock_);

    auto found = by_fd_.find(fd);
    if (found != by_fd_.end()) {
        return found->second;
    }
    /* It was opened by a way that nobody here saw. */
    if (link_of(fd) != "/dev/kvm") {
        return nullptr;
    }
    auto object = std::make_shared<const Object>(
        Object{0, FdClass::System, "kvm"});
    by_fd_[fd] = object;
    return object;
}

ObjectPtr Objects::created(const Object &parent, FdClass kind,
                           const std::string &which, int fd)
{
    std::scoped_lock guard(lock_);
    Object object{parent.vm, kind, to_string(kind)};

    if (kind == FdClass::Vm) {
        object.vm = ++vms_;
    } else {
        object.label += which.empty() ? "" : " " + which;
        if (kind != FdClass::Vcpu) {
            unsigned &count =
                made_[format("%u %s", parent.vm, object.label.c_str())];
            object.label += format(" %u", count++);
        }
    }
    return by_fd_[fd] = std::make_shared<const Object>(std::move(object));
}

void Objects::duplicated(int from, int to)
{
    std::scoped_lock guard(lock_);

    auto found = by_fd_.find(from);
    if (found != by_fd_.end()) {
        by_fd_[to] = found->second;
    } else {
        by_fd_.erase(to);
    }
}

void Objects::closed(int fd)
{
    std::scoped_lock guard(lock_);
    by_fd_.erase(fd);
}

bool Objects::used(unsigned vm)
{
    std::scoped_lock guard(lock_);
    return std::exchange(in_use_, vm) != vm;
}

unsigned Objects::in_use()
{
    std::scoped_lock guard(lock_);
    return in_use_;
}

std::vector<Objects::Open> Objects::of(unsigned vm)
{
    std::scoped_lock guard(lock_);
    std::vector<Open> open;

    for (const auto &[fd, object] : by_fd_) {
        bool known = false;
        for (const Open &other : open) {
            known = known || other.object == object;
        }
        if (object->vm == vm && !known) {
            open.push_back({fd, object});
        }
    }
    return open;
}

static std::string eventfd_id(int fd)
{
    char text[512];
    int info = open(format("/proc/self/fdinfo/%d", fd).c_str(),
                    O_RDONLY | O_CLOEXEC);
    if (info < 0) {
        return {};
    }
    ssize_t n = read(info, text, sizeof(text) - 1);
    syscall(SYS_close, info);
    text[n > 0 ? n : 0] = 0;
    const char *id = strstr(text, "eventfd-id:");
    return id ? format("eventfd %ld", strtol(id + 11, nullptr, 10)) : "";
}

std::string file_identity(Objects &objects, int fd)
{
    if (ObjectPtr object = objects.find(fd)) {
        return object->label;
    }
    std::string link = link_of(fd);
    if (link.empty()) {
        return "closed";
    }
    if (link.find("[eventfd]") != std::string::npos) {
        std::string id = eventfd_id(fd);
        return id.empty() ? link : id;
    }
    struct stat status = {};
    fstat(fd, &status);
    return format("file %llx:%llu", (unsigned long long)status.st_dev,
                  (unsigned long long)status.st_ino);
}

} /* namespace audit */
