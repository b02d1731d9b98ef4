/*
 * A reset that forgets something, for the tests of the audit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Preloaded before the recorder, this keeps one kind of ioctl from every VM
 * but the first: the caller is told that it was done, and it never reaches
 * the recorder or the kernel.  KVM_RESET_FORGET says which:
 *
 *     NAME                 the first call of that name on each VM, and what
 *                          is said of the same thing later
 *     NAME key=N           … whose first key field is N
 *     NAME nth=N           … the Nth that does not take away, from 0
 *     NAME element=N       the call goes through, without the elements of
 *                          its array whose first 32 bits are N
 */

/* Or fcntl() is another name of fcntl64(), and both are meant. */
#undef _FILE_OFFSET_BITS

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "argument.h"
#include "error.h"
#include "classified_call.h"
#include "objects.h"
#include "removal.h"

#define AUDIT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using audit::ObjectPtr;
using kvm_reset::Argument;
using kvm_reset::FdClass;
using kvm_reset::format;
using kvm_reset::Row;

template <class F> F next(const char *name)
{
    return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

using Ioctl = int (*)(int, unsigned long, ...);

audit::Objects &objects()
{
    static auto *all = new audit::Objects;
    return *all;
}

struct Wish {
    std::string name;
    std::optional<uint64_t> key;
    std::optional<uint64_t> nth;
    std::optional<uint64_t> element;
};

Wish read_wish()
{
    Wish wish;
    std::string text = getenv("KVM_RESET_FORGET") ? getenv("KVM_RESET_FORGET")
                                                  : "";
    size_t space = text.find(' ');

    wish.name = text.substr(0, space);
    if (space != std::string::npos) {
        std::string rest = text.substr(space + 1);
        size_t equals = rest.find('=');
        uint64_t number = strtoull(rest.c_str() + equals + 1, nullptr, 0);
        std::string what = rest.substr(0, equals);
        (what == "key"   ? wish.key
         : what == "nth" ? wish.nth
                         : wish.element) = number;
    }
    return wish;
}

const Wish &wish()
{
    static const Wish *all = new Wish(read_wish());
    return *all;
}

/* Whether this very call is the one to be forgotten. */
bool is_wished(const Row &row, const Argument &argument,
               const audit::Object &object)
{
    static std::mutex lock;
    static std::map<unsigned, unsigned> seen;
    static std::vector<std::pair<std::string, kvm_reset::Key>> forgotten;
    std::scoped_lock guard(lock);

    if (wish().key) {
        uint64_t key = row.value_is_key ? argument.value()
                                        : argument.read(row.key[0]);
        return key == *wish().key;
    }
    std::pair about(format("%u %s", object.vm, object.label.c_str()),
                    key_of(row, 0, argument));
    bool known = std::ranges::find(forgotten, about) != forgotten.end();
    if (!known && !is_removal(row, argument) &&
        seen[object.vm]++ == wish().nth.value_or(0)) {
        forgotten.push_back(about);
        return true;
    }
    return known;
}

int without_element(int fd, unsigned long request, const Row &row,
                    Argument argument)
{
    kvm_reset::LiveArgument live = argument.live();
    size_t at = fixed_size(row);
    unsigned count = argument.elements(row);
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        uint8_t *from = &live.bytes[at + i * row.tail.element];
        uint32_t first;
        memcpy(&first, from, sizeof(first));
        if (first != *wish().element) {
            memmove(&live.bytes[at + kept++ * row.tail.element], from,
                    row.tail.element);
        }
    }
    write_field(live.bytes, row.tail.count, kept);
    int result = kept || !row.each_element
                   ? next<Ioctl>("ioctl")(fd, request, live.pass())
                   : 0;
    /* Those calls that count their elements count them all. */
    return row.each_element && result == int(kept) ? int(count) : result;
}

} /* namespace */

AUDIT_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);

    auto real = next<Ioctl>("ioctl");
    ObjectPtr object;
    if ((request >> 8 & 0xff) == 0xae) {
        object = objects().find(fd);
    }
    const Row *row = object
                       ? kvm_reset::find_row(object->kind, uint32_t(request))
                       : nullptr;
    if (row && object->vm > 1 && row->name == wish().name) {
        Argument argument = Argument::copy(*row, arg);
        if (wish().element) {
            return without_element(fd, request, *row, argument);
        }
        if (is_wished(*row, argument, *object)) {
            return 0;
        }
    }
    int result = real(fd, request, arg);
    if (row && result >= 0 && !row->created_in_arg &&
        row->creates != FdClass::None) {
        int error = errno;
        std::string which = row->value_is_key ? std::to_string(uint64_t(arg))
                                              : "";
        objects().created(*object, row->creates, which, result);
        errno = error;
    }
    return result;
}

AUDIT_EXPORT int close(int fd)
{
    objects().closed(fd);
    return next<int (*)(int)>("close")(fd);
}

AUDIT_EXPORT int dup3(int from, int to, int flags)
{
    int result = next<int (*)(int, int, int)>("dup3")(from, to, flags);
    if (result >= 0) {
        objects().duplicated(from, to);
    }
    return result;
}

static int any_fcntl(const char *name, int fd, int command, uintptr_t arg)
{
    int result = next<int (*)(int, int, ...)>(name)(fd, command, arg);
    if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) {
        objects().duplicated(fd, result);
    }
    return result;
}

AUDIT_EXPORT int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    return any_fcntl("fcntl", fd, command, arg);
}

AUDIT_EXPORT int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    uintptr_t arg = va_arg(list, uintptr_t);
    va_end(list);
    return any_fcntl("fcntl64", fd, command, arg);
}
