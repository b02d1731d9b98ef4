/*
 * The catalogue: what each KVM ioctl means to the definition of a VM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One row per ioctl of KVM's UAPI (Documentation/virt/kvm/api.rst), kept in
 * one table (catalogue.cc).  Everything else in this directory is generic:
 * to support one more ioctl is to add one row and one test.
 *
 * The names in the rows are those of kvm_abi.h, which says why they are not
 * <linux/kvm.h>'s.  A test asks a C compiler about every number, size and
 * offset.
 */

#ifndef KVM_RESET_CATALOGUE_H
#define KVM_RESET_CATALOGUE_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace kvm_reset {

/* What a KVM file descriptor stands for. */
enum class FdClass : uint8_t {
    None,
    System, /* /dev/kvm */
    Vm,
    Vcpu,
    Device,     /* KVM_CREATE_DEVICE */
    GuestMemfd, /* KVM_CREATE_GUEST_MEMFD */
    Stats,      /* KVM_GET_STATS_FD */
};

enum class Effect : uint8_t {
    Query,    /* reads; never recorded */
    Run,      /* KVM_RUN and its kind */
    Volatile, /* sets what a reset puts back by itself */
    Define,   /* last write per key wins */
    Add,      /* adds the keyed thing, or takes it away */
    Remove,   /* takes away what another request added */
    Create,   /* returns an fd */
    Launch,   /* a step of a confidential launch, kept in order */
    Foreign,  /* another architecture's, or not understood: if it
                           is ever seen here, the VM is not restartable */
};

/* How the third argument of ioctl() is to be understood. */
enum class ArgKind : uint8_t {
    None,   /* ignored by the kernel */
    Value,  /* a number, not a pointer */
    Struct, /* a pointer to _IOC_SIZE(request) bytes and, if the
                           row says so, what follows or is pointed to */
};

/* A little-endian unsigned field of an argument; width 0: no such field. */
struct Field {
    uint16_t offset = 0;
    uint8_t width = 0;   /* bytes: 1, 2, 4 or 8 */
    bool inside = false; /* @offset is in what Pointer points to */
    uint64_t ignore = 0; /* bits that do not count, as in a key that
                                   lies beside an "unassign" flag */
};

/* A flexible array behind the fixed part: elements × count. */
struct Tail {
    Field count = {};
    uint16_t element = 0; /* bytes; 0: no tail */
};

/*
 * Pointers inside the argument, @repeat of them @stride bytes apart.  Each
 * points to bytes = round_up(count × bits, round) / 8, where count is read at
 * count.offset + i × stride (count.width 0: a fixed number of @bits).
 * A null pointer or a count of zero is nothing to copy.  What the kernel writes
 * there (KVM_CAP_HYPERV_ENLIGHTENED_VMCS) must not reach userspace's old
 * address at replay either, so that counts as a pointer too.
 */
struct Pointer {
    uint16_t offset = 0;
    Field count = {};
    uint32_t bits = 0; /* 0: no pointer */
    uint16_t round = 8;
    uint8_t repeat = 1;
    uint16_t stride = 0;
    Field when = {}; /* there only if this field equals @is; */
    uint64_t is = 0; /* width 0: always */
};

enum class FdRole : uint8_t {
    None,
    Eventfd, /* userspace's eventfd: identified, never duplicated */
    Object,  /* an fd that KVM made for us: another number in an
                           replica that is not committed yet */
    File,    /* any other file of userspace's (a VFIO group, …) */
    Held,    /* one that userspace closes right after the call and
                           the VM keeps: needs a duplicate of our own */
};

/* An fd inside an argument, there when (flags & mask) == want, or if !mask. */
struct FdField {
    uint16_t offset = 0; /* a 32-bit field unless width says 8 */
    FdRole role = FdRole::None;
    Field flags = {};
    uint32_t mask = 0;
    uint32_t want = 0;
    bool inside = false; /* @offset is in what Pointer points to */
};

/* Tells an Add that takes away from one that adds. */
struct Removal {
    enum class When : uint8_t {
        Never,
        FieldIsZero,
        FieldIs,   /* @field equals @value */
        FlagIsSet, /* @field & @mask */
    } when = When::Never;
    Field field = {};
    uint32_t mask = 0;
    uint64_t value = 0;
};

/*
 * What becomes of a call that defines nothing while the guest is detached from
 * KVM.
 */
enum class WhenDetached : uint8_t {
    Refused, /* ENODEV */
    Waits,   /* an interrupt: raised when the guest is attached again */
    Nothing, /* ENOENT: there is nothing to tell, as its caller understands */
};

/*
 * What a row's classifier may look at besides the argument.  Without
 * @defining_msr nobody can tell which MSRs define: then all are Foreign.
 */
struct ClassifyContext {
    bool launching = false; /* a confidential launch has begun … */
    bool launched = false;  /* … or is finished */
    bool (*defining_msr)(uint32_t index, void *opaque) = nullptr;
    void *opaque = nullptr;
};

/*
 * For rows whose effect depends on the argument's values: returns the effect
 * of this call.  @arg holds the fixed part and the tail; of a row with
 * each_element, the one element that is asked about.  It is empty for a null
 * pointer.  @value is the third argument itself, pointer or not.
 */
using Classifier = Effect (*)(std::span<const uint8_t> arg, uint64_t value,
                              const ClassifyContext &context);

struct Row {
    const char *name = nullptr; /* as in <linux/kvm.h> */
    uint32_t request = 0;       /* the full ioctl number */
    FdClass on = FdClass::None;
    Effect effect = Effect::Foreign;
    ArgKind arg = ArgKind::None;
    uint16_t size = 0;               /* Struct: bytes of the fixed part
                                           where _IOC_SIZE does not say; see
                                           fixed_size() */
    FdClass creates = FdClass::None; /* Create: what the new fd is */
    bool created_in_arg = false;     /* Create: the fd is written to
                                           @created, not returned */
    Field created = {};
    std::array<Field, 4> key{}; /* Value arguments: the whole value
                                           when value_is_key; where a key field
                                           is one of @fds, the file counts and
                                           not its number */
    bool value_is_key = false;
    uint32_t family = 0; /* rows that define the same things
                                           share keys; 0: request */
    Removal removal = {};
    bool removes_containing = false; /* Remove: takes away every entry whose
                                           range [key[0], key[0] + key[1])
                                           contains the one given, if the other
                                           key fields are equal */
    Tail tail = {};
    Pointer pointer = {};
    std::array<FdField, 2> fds{};
    bool each_element = false; /* every tail element is an entry of
                                           its own, keyed by key[0] within the
                                           element; the call returns how many
                                           elements it took */
    bool exclusive = false;    /* two VMs cannot hold it at once */
    bool moves_to_end = false; /* replayed in order of the last
                                           definition, not of the first */
    bool defines_until_launch =
        false; /* what is volatile otherwise defines until the
                                  launch of a confidential guest locks it */
    WhenDetached when_detached = WhenDetached::Refused;
    uint16_t room = 0; /* the kernel may read as many bytes; what is
                                  not there is zero */
    Classifier classify = nullptr;
    /* Whether a second call of this key adds to the first: both count. */
    bool (*adds_up)(std::span<const uint8_t> arg) = nullptr;
    const char *note = nullptr; /* why, where it is not obvious */
};

/*
 * Every row, in the order of the table.  Static storage, never changes;
 * any thread.
 */
std::span<const Row> catalogue();

/*
 * The row of @request issued on an fd of class @on, or nullptr.  Rows are
 * unique by (on, request).  Any thread, no allocation.
 */
const Row *find_row(FdClass on, uint32_t request);

/*
 * Whether there are rows of @request and none records it, on whatever fd and
 * with whatever argument.
 */
bool passes_through_everywhere(uint32_t request);

/* The first row of that name (for tools), or nullptr. */
const Row *find_row(const char *name);

const char *to_string(FdClass on);
const char *to_string(ArgKind arg);
const char *to_string(FdRole role);
const char *to_string(Effect effect);

/* The parts of an ioctl number; asm-generic/ioctl.h. */
constexpr uint32_t ioc_size(uint32_t request)
{
    return (request >> 16) & 0x3fff;
}

constexpr uint32_t ioc_number(uint32_t request)
{
    return request & 0xff;
}

/* Bytes of the fixed part of @row's argument; 0 if it is not a Struct. */
constexpr uint32_t fixed_size(const Row &row)
{
    if (row.arg != ArgKind::Struct) {
        return 0;
    }
    return row.size ? row.size : ioc_size(row.request);
}

/* Whether a call of this effect need not be seen.  KVM_RUN is one. */
constexpr bool effect_passes_through(Effect effect)
{
    return effect == Effect::Query || effect == Effect::Run ||
           effect == Effect::Volatile;
}

} /* namespace kvm_reset */

/*
 * For the inline fast path, indexed by the number of an ioctl (its low 8
 * bits): a request that no class of fd records whatever its argument, or 0.
 * Where several share a number the hottest is here; the others take the slow
 * path, which finds out the same.
 */
extern "C" uint32_t kvm_reset_passthrough[256];

namespace kvm_reset {

/*
 * Takes what defines until a launch out of the table, or puts it back.  The
 * table is the process's own; any thread.
 */
void see_vcpu_state(bool see);
/* … or what names a memory slot to ask for its dirty pages. */
void see_dirty_logs(bool see);

/*
 * Empties the table, or puts it back as it was at first.  Not while a launch
 * is under way.
 */
void see_everything(bool see);

} /* namespace kvm_reset */

#endif
