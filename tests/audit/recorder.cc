/*
 * What an audit records of each KVM-related system call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "recorder.h"

#include <execinfo.h>
#include <string>

#include "error.h"
#include "field_of.h"
#include "interest.h"
#include "json.h"
#include "classify.h"
#include "classified_call.h"
#include "kvm_abi.h"
#include "removal.h"

namespace audit {

using kvm_reset::ArgKind;
using kvm_reset::Argument;
using kvm_reset::Effect;
using kvm_reset::FdClass;
using kvm_reset::FdRole;
using kvm_reset::Field;
using kvm_reset::field_of;
using kvm_reset::format;
using kvm_reset::Row;
using namespace kvm_reset::abi;

namespace {

constexpr int frames_kept = 24;

std::string name_of(const Call &call)
{
    return call.row ? call.row->name : "";
}

/* The fd that @field speaks of, if the argument has one. */
int fd_in(const Argument &argument, const kvm_reset::FdField &field)
{
    if (!fd_field_present(field, argument)) {
        return -1;
    }
    return int(argument.read({field.offset, 4, field.inside}));
}

/* Nobody knows what it is: take it for what its number says. */
Argument unknown_argument(uint32_t request, uintptr_t arg)
{
    Row row;
    row.request = request;
    bool reads = request >> 30 & 1;
    row.arg = reads && kvm_reset::ioc_size(request) ? ArgKind::Struct
                                                    : ArgKind::Value;
    return Argument::copy(row, arg);
}

/* Which file lies at @offset, for a key that is a file. */
std::string file_at(const Call &call, Field field)
{
    for (size_t i = 0; i < call.files.size(); i++) {
        const auto &known = call.row->fds[i];
        if (known.role != FdRole::None && known.offset == field.offset &&
            known.inside == field.inside) {
            return call.files[i];
        }
    }
    return {};
}

std::string key_field(const Call &call, Field field)
{
    std::string file = file_at(call, field);
    return file.empty()
             ? std::to_string(call.argument.read(field) & ~field.ignore)
             : Json::quote(file);
}

std::string json_key(const Call &call)
{
    std::string key;

    if (call.row && call.row->value_is_key) {
        return "[" + std::to_string(call.argument.value()) + "]";
    }
    for (size_t i = 0; call.row && i < call.row->key.size(); i++) {
        if (!call.row->key[i].width || call.row->each_element) {
            break;
        }
        key += (i ? ", " : "") + key_field(call, call.row->key[i]);
    }
    return "[" + key + "]";
}

/* [key, bytes] of each element that is an entry of its own. */
std::string json_elements(const Call &call, int taken)
{
    const Row &row = *call.row;
    unsigned count = call.argument.elements(row);
    std::string text;

    if (row.name != std::string("KVM_SET_SIGNAL_MASK")) {
        for (unsigned i = 0; i < count; i++) {
            if (row.each_element && int(i) >= taken) {
                break;
            }
            auto bytes = call.argument.bytes().subspan(
                fixed_size(row) + i * row.tail.element, row.tail.element);
            text += (i ? ", \"" : "\"") + Json::hex(bytes) + "\"";
        }
    }
    return "[" + text + "]";
}

/* What the first key field means, if it is a number with a name. */
std::string word_for_key(const Call &call)
{
    std::span<const kvm_reset::ArgumentRule> rules;
    std::string name = name_of(call);

    if (name == "KVM_ENABLE_CAP") {
        rules = call.object->kind == FdClass::Vm ? kvm_reset::vm_cap_rules()
                                                 : kvm_reset::vcpu_cap_rules();
    } else if (name == "KVM_XEN_HVM_SET_ATTR") {
        rules = kvm_reset::xen_hvm_rules();
    } else if (name == "KVM_XEN_VCPU_SET_ATTR") {
        rules = kvm_reset::xen_vcpu_rules();
    }
    for (const auto &rule : rules) {
        if (rule.value == call.argument.read(call.row->key[0])) {
            return rule.name;
        }
    }
    return {};
}

const char *what_it_takes(const Call &call)
{
    if (!call.row) {
        return "";
    }
    if (call.row->effect == Effect::Remove) {
        return call.row->removes_containing ? "containing" : "key";
    }
    return is_removal(*call.row, call.argument) ? "key" : "";
}

std::string json_files(const Call &call)
{
    std::string text;

    for (size_t i = 0; i < call.files.size(); i++) {
        if (!call.files[i].empty()) {
            const auto &field = call.row->fds[i];
            text += text.empty() ? "" : ", ";
            text += format("[%u, %d, %s]", field.offset, field.inside,
                           Json::quote(call.files[i]).c_str());
        }
    }
    return "[" + text + "]";
}

std::string json_pointed(const Call &call)
{
    std::string text;

    for (unsigned i = 0; call.row && i < call.row->pointer.repeat; i++) {
        auto bytes = call.argument.pointed(i);
        if (!bytes.empty()) {
            text += (text.empty() ? "\"" : ", \"") + Json::hex(bytes) + "\"";
        }
    }
    return "[" + text + "]";
}

} /* namespace */

Call Recorder::begin(ObjectPtr object, uint32_t request, uintptr_t arg)
{
    Call call;
    bool asks = kvm_reset::ioc_number(request) ==
                    kvm_reset::ioc_number(KVM_MEMORY_ENCRYPT_OP) &&
                !arg;

    call.object = std::move(object);
    call.request = request;
    call.pointer = arg;
    call.row = kvm_reset::find_row(call.object->kind, request);
    std::string name = name_of(call);
    call.recorded = !asks && interest(name) == Interest::Record;
    if (shows_use(name) && objects_.used(call.object->vm)) {
        Json line("use");
        line.number("vm", call.object->vm);
        write_record(line);
    }
    if (!call.recorded) {
        return call;
    }
    call.argument = call.row ? Argument::copy(*call.row, arg)
                             : unknown_argument(request, arg);
    for (size_t i = 0; call.row && i < call.row->fds.size(); i++) {
        int fd = fd_in(call.argument, call.row->fds[i]);
        call.files.push_back(fd < 0 ? "" : file_identity(objects_, fd));
    }
    return call;
}

/* Remembers what a call has made. */
void Recorder::learn(const Call &call, int result)
{
    if (!call.row || call.row->creates == FdClass::None || result < 0) {
        return;
    }
    const Row &row = *call.row;
    int fd = result;
    std::string which;
    if (row.created_in_arg) {
        auto arg = reinterpret_cast<const uint8_t *>(call.pointer);
        fd = int(read_field({arg, fixed_size(row)}, row.created));
        which = std::to_string(
            call.argument.read(field_of(&kvm_create_device::type)));
        /* A test makes none. */
        if (call.argument.read(field_of(&kvm_create_device::flags)) &
            KVM_CREATE_DEVICE_TEST) {
            return;
        }
    } else if (row.creates == FdClass::Vcpu) {
        which = std::to_string(call.argument.value());
    }
    ObjectPtr made = objects_.created(*call.object, row.creates, which, fd);
    Json line("object");
    line.number("vm", made->vm).text("object", made->label);
    line.number("fd", fd);
    write_record(line);
}

unsigned Recorder::stack()
{
    void *frames[frames_kept];
    int count = backtrace(frames, frames_kept);
    std::vector<void *> key(frames, frames + count);
    auto [found, is_new] = stacks_.try_emplace(key, stacks_.size());

    if (is_new) {
        std::string text;
        for (void *frame : key) {
            text += text.empty() ? "" : ", ";
            text += std::to_string(uintptr_t(frame));
        }
        Json line("stack");
        line.number("id", found->second).add("frames", "[" + text + "]");
        write_record(line);
    }
    return found->second;
}

void Recorder::end(const Call &call, int result, int error)
{
    std::scoped_lock guard(lock_);

    learn(call, result);
    if (!call.recorded) {
        counts_[{call.object->vm, call.request}]++;
        return;
    }
    Json line("call");
    line.number("vm", call.object->vm).text("object", call.object->label);
    line.number("request", call.request).text("name", name_of(call));
    line.number("family",
                call.row && call.row->family ? call.row->family : call.request);
    line.add("key", json_key(call)).text("word", word_for_key(call));
    line.text("takes", what_it_takes(call));
    line.number("value", int64_t(call.argument.value()));
    line.bytes("bytes", call.argument.bytes());
    line.add("pointed", json_pointed(call)).add("files", json_files(call));
    if (call.row && call.row->tail.element) {
        line.number("fixed", fixed_size(*call.row));
        line.add("elements", json_elements(call, result));
    }
    line.number("result", result).number("error", result < 0 ? error : 0);
    line.number("stack", stack());
    write_record(line);
}

void Recorder::mapped(const Object &object, size_t length, int64_t offset)
{
    std::scoped_lock guard(lock_);
    Json line("map");

    line.number("vm", object.vm).text("object", object.label);
    line.number("length", int64_t(length)).number("offset", offset);
    line.number("stack", stack());
    write_record(line);
}

void Recorder::write_counts()
{
    std::scoped_lock guard(lock_);

    for (const auto &[what, count] : counts_) {
        const Row *row = nullptr;
        for (FdClass on : {FdClass::System, FdClass::Vm, FdClass::Vcpu,
                           FdClass::Device, FdClass::GuestMemfd}) {
            row = row ? row : kvm_reset::find_row(on, what.second);
        }
        Json line("count");
        line.number("vm", what.first);
        line.text("name", row ? row->name : format("%#x", what.second));
        line.number("count", int64_t(count));
        write_record(line);
    }
}

} /* namespace audit */
