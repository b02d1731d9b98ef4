/*
 * kvm-reset-catalogue: the catalogue as JSON, one object a line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For what cannot link the table: the check against a C compiler, the test
 * that watches a running QEMU's system calls, the documentation.
 *
 * {"kind": "row", …} is one ioctl on one class of fd; its "facts" are the
 * numbers in it that a kernel header knows, fields as [offset, width].
 * {"kind": "rule", …} is one value that a classifier knows.
 * {"kind": "launch", …} is one command of KVM_MEMORY_ENCRYPT_OP, or, with the
 * name of a family of them, what its commands have in common.
 */

#include <cstdio>
#include <string>

#include "catalogue.h"
#include "error.h"
#include "classify.h"

#if defined(__x86_64__) || defined(__i386__)
#include "launch_commands.h"
#define HAVE_LAUNCH_COMMANDS
#endif

using namespace kvm_reset;

namespace {

/* The members of one JSON object, in the order in which they are added. */
class Object {
public:
    void add(const std::string &name, const std::string &json)
    {
        text_ += (text_.empty() ? "\"" : ", \"") + name + "\": " + json;
    }

    void text(const char *name, const char *value)
    {
        std::string quoted;
        for (const char *c = value ? value : ""; *c; c++) {
            quoted += *c == '"' || *c == '\\' ? std::string("\\") + *c
                                              : std::string(1, *c);
        }
        add(name, value ? "\"" + quoted + "\"" : "null");
    }

    void number(const std::string &name, uint64_t value)
    {
        add(name, std::to_string(value));
    }

    void truth(const char *name, bool value)
    {
        add(name, value ? "true" : "false");
    }

    void field(const std::string &name, Field field)
    {
        if (field.width) {
            add(name, format("[%u, %u]", field.offset, field.width));
        }
    }

    std::string json() const { return "{" + text_ + "}"; }

private:
    std::string text_;
};

void add_pointer_facts(Object &facts, const Pointer &pointer)
{
    if (!pointer.bits) {
        return;
    }
    facts.field("pointer", {pointer.offset, 8});
    facts.field("pointer.count", pointer.count);
    if (!pointer.count.width) {
        facts.number("pointer.bits", pointer.bits);
    }
    if (pointer.repeat > 1) {
        facts.number("pointer.repeat", pointer.repeat);
        facts.number("pointer.stride", pointer.stride);
    }
    if (pointer.when.width) {
        facts.field("pointer.when", pointer.when);
        facts.number("pointer.is", pointer.is);
    }
}

void add_removal_facts(Object &facts, const Removal &removal)
{
    facts.field("removal", removal.field);
    if (removal.when == Removal::When::FlagIsSet) {
        facts.number("removal.mask", removal.mask);
    }
    if (removal.when == Removal::When::FieldIs) {
        facts.number("removal.value", removal.value);
    }
}

void add_fd_facts(Object &facts, const std::string &name, const FdField &fd)
{
    if (fd.role == FdRole::None) {
        return;
    }
    facts.number(name + ".offset", fd.offset);
    facts.field(name + ".flags", fd.flags);
    if (fd.mask && fd.mask != ~0u) {
        facts.number(name + ".mask", fd.mask);
    }
    if (fd.want) {
        facts.number(name + ".want", fd.want);
    }
}

Object facts_of(const Row &row)
{
    Object facts;

    if (row.size) {
        facts.number("size", row.size);
    }
    for (size_t i = 0; i < row.key.size(); i++) {
        facts.field("key" + std::to_string(i), row.key[i]);
        if (row.key[i].ignore) {
            facts.number("key" + std::to_string(i) + ".ignore",
                         row.key[i].ignore);
        }
    }
    if (row.tail.element) {
        facts.field("tail.count", row.tail.count);
        facts.number("tail.element", row.tail.element);
        facts.number("tail.offset", fixed_size(row));
    }
    add_pointer_facts(facts, row.pointer);
    add_removal_facts(facts, row.removal);
    add_fd_facts(facts, "fd0", row.fds[0]);
    add_fd_facts(facts, "fd1", row.fds[1]);
    facts.field("created", row.created);
    return facts;
}

void print_row(const Row &row)
{
    Object object;

    object.text("kind", "row");
    object.text("name", row.name);
    object.text("class", to_string(row.on));
    object.number("request", row.request);
    object.text("effect", to_string(row.effect));
    object.truth("classified", row.classify);
    object.truth("recorded", row.effect != Effect::Foreign &&
                                 !effect_passes_through(row.effect));
    object.truth("passthrough",
                 kvm_reset_passthrough[ioc_number(row.request)] == row.request);
    object.text("argument", to_string(row.arg));
    object.truth("exclusive", row.exclusive);
    object.text("note", row.note);
    object.add("facts", facts_of(row).json());
    puts(object.json().c_str());
}

void print_rules(const char *classifier, std::span<const ArgumentRule> rules)
{
    for (const ArgumentRule &rule : rules) {
        Object object;
        object.text("kind", "rule");
        object.text("classifier", classifier);
        object.text("name", rule.name);
        object.number("value", rule.value);
        object.text("effect", to_string(rule.effect));
        object.text("note", rule.note);
        puts(object.json().c_str());
    }
}

#ifdef HAVE_LAUNCH_COMMANDS

void print_launch(const char *name, const Object &facts)
{
    Object object;
    object.text("kind", "launch");
    object.text("name", name);
    object.text("class", "launch");
    object.add("facts", facts.json());
    puts(object.json().c_str());
}

void print_header(const char *family, Field error)
{
    Object facts;
    facts.number("size", launch_header_size);
    facts.field("id", launch_id);
    facts.field("data", launch_data);
    facts.field("error", error);
    print_launch(family, facts);
}

void add_launch_pointer(Object *facts, const std::string &name,
                        const LaunchPointer &pointer)
{
    if (!pointer.unit) {
        return;
    }
    facts->field(name, {pointer.offset, 8});
    facts->field(name + ".length", pointer.length);
    if (pointer.unit > 1) {
        facts->number(name + ".unit", pointer.unit);
    }
    if (pointer.when.width) {
        facts->field(name + ".when", pointer.when);
        facts->number(name + ".is", pointer.is);
    }
}

void print_launches(const char *family, std::span<const LaunchCommand> commands)
{
    print_header(family, commands.front().error);
    for (const LaunchCommand &command : commands) {
        Object facts;
        facts.number("id", command.id);
        if (command.size) {
            facts.number("size", command.size);
        }
        if (command.tail.element) {
            facts.field("tail.count", command.tail.count);
            facts.number("tail.element", command.tail.element);
        }
        for (size_t i = 0; i < command.pointers.size(); i++) {
            add_launch_pointer(&facts, "pointer" + std::to_string(i),
                               command.pointers[i]);
        }
        facts.field("left", command.left);
        print_launch(command.name, facts);
    }
}

#endif

} /* namespace */

int main(int argc, char **argv)
{
    if (argc > 1) {
        fprintf(stderr,
                "%s: error: takes no arguments; prints the catalogue "
                "as JSON lines\n",
                argv[0]);
        return 1;
    }
    for (const Row &row : catalogue()) {
        print_row(row);
    }
    print_rules("KVM_ENABLE_CAP on a VM", vm_cap_rules());
    print_rules("KVM_ENABLE_CAP on a vCPU", vcpu_cap_rules());
    print_rules("KVM_XEN_HVM_SET_ATTR", xen_hvm_rules());
    print_rules("KVM_XEN_VCPU_SET_ATTR", xen_vcpu_rules());
#ifdef HAVE_LAUNCH_COMMANDS
    print_launches("KVM_SEV", sev_commands());
    print_launches("KVM_TDX", tdx_commands());
#endif
    return 0;
}
