/*
 * Errors of the core
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "error.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace kvm_reset {

static std::string vformat(const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(nullptr, 0, fmt, again);
    va_end(again);

    std::string text(n > 0 ? n : 0, '\0');
    vsnprintf(text.data(), text.size() + 1, fmt, ap);
    return text;
}

std::string format(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    std::string text = vformat(fmt, ap);
    va_end(ap);
    return text;
}

std::unexpected<Error> fail(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    std::string text = vformat(fmt, ap);
    va_end(ap);

    const char *name = strerrorname_np(code);
    if (name) {
        text += format(": %s (%s)", strerrordesc_np(code), name);
    }
    return std::unexpected(Error{code, std::move(text)});
}

std::unexpected<Error> refuse(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    std::string text = vformat(fmt, ap);
    va_end(ap);
    return std::unexpected(Error{code, std::move(text)});
}

std::unexpected<Error> wait_for(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    std::string text = vformat(fmt, ap);
    va_end(ap);
    return std::unexpected(
        Error{.code = EINPROGRESS, .what = std::move(text), .waits = true});
}

std::unexpected<Error> with_hint(std::unexpected<Error> error, std::string hint)
{
    error.error().hint = std::move(hint);
    return error;
}

} /* namespace kvm_reset */
