/*
 * One step of a confidential launch
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "launch_step.h"

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "argument.h"
#include "kvm_abi.h"

namespace kvm_reset {

/* The kernel asks to be called again, but not without end. */
constexpr unsigned most_idle_calls = 1000;

const char *to_string(LaunchEffect effect)
{
    switch (effect) {
    case LaunchEffect::Query:
        return "query";
    case LaunchEffect::Define:
        return "define";
    case LaunchEffect::Step:
        return "step";
    case LaunchEffect::Finish:
        return "finish";
    case LaunchEffect::Secret:
        return "secret";
    case LaunchEffect::Foreign:
        return "foreign";
    }
    return "?";
}

static bool is_present(const LaunchPointer &pointer,
                       std::span<const uint8_t> argument)
{
    return pointer.unit &&
           (!pointer.when.width || (read_field(argument, pointer.when) ==
                                    pointer.is) == pointer.equal);
}

static size_t length_of(const LaunchPointer &pointer,
                        std::span<const uint8_t> argument)
{
    size_t count = pointer.length.width ? read_field(argument, pointer.length)
                                        : 1;
    return count * pointer.unit;
}

static bool is_written_over(const LaunchPointer &pointer,
                            std::span<const uint8_t> argument)
{
    return pointer.copy_when.width &&
           read_field(argument, pointer.copy_when) == pointer.copy_is;
}

/*
 * The last byte first: a length that is wrong, which the kernel refuses, too,
 * costs no memory.
 */
static Result<SecretMemory> read_from(Kernel &kernel, uint64_t address,
                                      size_t size)
{
    uint8_t last;
    int ret = size ? kernel.read_memory(address + size - 1, {&last, 1}) : 0;

    if (ret >= 0) {
        SecretMemory memory = SecretMemory::make(size);
        ret = memory.ok() ? kernel.read_memory(address, memory.bytes())
                          : -ENOMEM;
        if (ret >= 0) {
            return memory;
        }
    }
    return fail(-ret, "reading %zu bytes", size);
}

static Result<SecretMemory>
read_argument(Kernel &kernel, const LaunchCommand &command, uint64_t data)
{
    Result<SecretMemory> fixed = read_from(kernel, data, command.size);

    if (!fixed || !command.tail.element) {
        return fixed;
    }
    size_t tail = command.tail.element *
                  read_field(fixed->bytes(), command.tail.count);
    return read_from(kernel, data, command.size + tail);
}

LaunchStep LaunchStep::mark(const LaunchCommand &command)
{
    return LaunchStep(command);
}

Result<LaunchStep> LaunchStep::copy(Kernel &kernel,
                                    const LaunchCommand &command, uintptr_t arg)
{
    LaunchStep step(command);

    int ret = kernel.read_memory(arg, step.header_);
    if (ret < 0) {
        return fail(-ret, "%s", command.name);
    }
    write_field(step.header_, command.error, 0);
    uint64_t data = read_field(step.header_, launch_data);
    if (!command.size || command.data_is_value || !data) {
        return step;
    }

    Result<SecretMemory> argument = read_argument(kernel, command, data);
    if (argument) {
        step.argument_ = std::move(*argument);
        argument = step.read_pointed(kernel);
    }
    if (!argument) {
        return std::unexpected(Error{
            argument.error().code, format("%s cannot be kept: %s", command.name,
                                          argument.error().what.c_str())});
    }
    return step;
}

/* Returns nothing but an error. */
Result<SecretMemory> LaunchStep::read_pointed(Kernel &kernel)
{
    for (size_t i = 0; i < pointed_.size(); i++) {
        const LaunchPointer &pointer = command_->pointers[i];
        Field field{pointer.offset, 8};
        if (!is_present(pointer, argument())) {
            continue;
        }
        size_t length = length_of(pointer, argument());
        uint64_t address = read(field);
        if (!address || !length) {
            continue;
        }
        Result<SecretMemory> memory = pointer.pointing == LaunchPointing::From
                                        ? SecretMemory::make(length)
                                        : read_from(kernel, address, length);
        if (!memory) {
            return memory;
        }
        if (!memory->ok()) {
            return fail(ENOMEM, "reading %zu bytes", length);
        }
        addresses_[i] = address;
        write_field(argument_.bytes(), field, 0);
        pointed_[i] = std::move(*memory);
    }
    return SecretMemory();
}

bool LaunchStep::keep_done(Kernel &kernel, uintptr_t arg)
{
    Field left = command_->left;

    if (!left.width || !argument_) {
        return true;
    }
    Header header{};
    uint64_t asked = read(left), rest = 0;
    uint64_t data;
    if (kernel.read_memory(arg, header) < 0 ||
        !(data = read_field(header, launch_data)) ||
        kernel.read_memory(data + left.offset,
                           {reinterpret_cast<uint8_t *>(&rest), left.width}) <
            0) {
        return false;
    }
    if (rest >= asked) {
        return asked == 0;
    }
    write_field(argument_.bytes(), left, asked - rest);
    for (size_t i = 0; i < pointed_.size(); i++) {
        const LaunchPointer &pointer = command_->pointers[i];
        if (pointer.length.offset == left.offset && pointer.length.width) {
            pointed_[i].shorten(length_of(pointer, argument()));
        }
    }
    return true;
}

uint64_t LaunchStep::read(Field field) const
{
    return read_field(argument(), field);
}

uint64_t LaunchStep::read_header(Field field) const
{
    return read_field(header_, field);
}

Result<void> LaunchStep::restore(Kernel &kernel) const
{
    for (size_t i = 0; i < pointed_.size(); i++) {
        if (command_->pointers[i].pointing != LaunchPointing::InPlace ||
            !pointed_[i]) {
            continue;
        }
        int ret = kernel.write_memory(addresses_[i], pointed_[i].bytes());
        if (ret < 0) {
            return fail(-ret, "%s: putting %zu bytes back into guest memory",
                        name(), pointed_[i].size());
        }
    }
    return {};
}

/* A moment; nobody can end it sooner. */
static void pause(Kernel &kernel, uint64_t ns)
{
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);

    kernel.wait_until(
        never, lock, [] { return false; }, kernel.now() + ns);
}

/* Again and again, until the kernel has done all of it, or fails. */
Result<void> LaunchStep::issue(Kernel &kernel, int fd, Header &header,
                               SecretMemory &argument) const
{
    const NotReady &not_ready = command_->not_ready;
    Field left = command_->left;
    unsigned idle = 0;

    while (true) {
        uint64_t before = read_field(argument.bytes(), left);
        /* What it said the last time it must not be told. */
        write_field(header, command_->error, 0);
        int ret = kernel.ioctl(fd, abi::KVM_MEMORY_ENCRYPT_OP,
                               uintptr_t(header.data()));
        uint64_t rest = read_field(argument.bytes(), left);
        uint64_t firmware = read_field(header, command_->error);
        bool in_part = ret == -EINTR ||
                       (left.width && (ret == -EAGAIN || (ret >= 0 && rest)));
        bool refused = not_ready.error && ret == -not_ready.error &&
                       !(not_ready.firmware_silent && firmware);
        if (ret >= 0 && !in_part) {
            return {};
        }
        idle = rest < before ? 0 : idle + 1;
        if (refused && idle >= not_ready.most) {
            return fail(-ret, "%s: %u times in a row: %s", name(), idle,
                        not_ready.why);
        }
        if (!refused && (!in_part || idle > most_idle_calls)) {
            int code = ret >= 0 ? EAGAIN : -ret;
            return firmware ? fail(code, "%s: firmware error %#llx", name(),
                                   (unsigned long long)firmware)
                            : fail(code, "%s", name());
        }
        if (refused && not_ready.pause) {
            pause(kernel, not_ready.pause);
        }
    }
}

Result<void> LaunchStep::take(Kernel &kernel, int fd, Answer *answer) const
{
    Header header = header_;
    SecretMemory argument = SecretMemory::copy(argument_.bytes().data(),
                                               argument_.size());
    std::array<SecretMemory, 2> written;
    bool enough = argument.ok();

    /* Without memory there is nothing to write to. */
    for (size_t i = 0; enough && i < pointed_.size(); i++) {
        const LaunchPointer &pointer = command_->pointers[i];
        if (!pointed_[i]) {
            continue;
        }
        uint64_t address = uint64_t(pointed_[i].bytes().data());
        if (pointer.pointing == LaunchPointing::InPlace) {
            address = addresses_[i];
        } else if (pointer.pointing == LaunchPointing::From ||
                   is_written_over(pointer, argument_.bytes())) {
            written[i] = SecretMemory::copy(pointed_[i].bytes().data(),
                                            pointed_[i].size());
            enough = written[i].ok();
            address = uint64_t(written[i].data());
        }
        write_field(argument.bytes(), {pointer.offset, 8}, address);
    }
    if (!enough) {
        return fail(ENOMEM, "no memory to take %s again", name());
    }
    if (Result<void> done = restore(kernel); !done) {
        return done;
    }
    if (command_->no_ioctl) {
        return {};
    }
    if (argument) {
        write_field(header, launch_data, uint64_t(argument.data()));
    }

    if (Result<void> done = issue(kernel, fd, header, argument); !done) {
        return done;
    }
    if (answer) {
        *answer = {name(), std::move(argument), std::move(written)};
    }
    return {};
}

size_t LaunchStep::footprint() const
{
    size_t bytes = sizeof(*this) + argument_.size();

    for (const SecretMemory &memory : pointed_) {
        bytes += memory.size();
    }
    return bytes;
}

} /* namespace kvm_reset */
