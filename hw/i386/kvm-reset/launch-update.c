/*
 * kvm-reset in QEMU: a guest that brings its own firmware (vm-launch-update)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest writes into a file of fw_cfg where in its memory an IGVM file is.
 * That is copied and tried at once, without the big lock, and what the guest
 * then reads says how it went.  The next reset takes the launch.
 */

#include "qemu/osdep.h"
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#include "system/memory.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#endif
#include "hw/boards.h"
#include "hw/i386/x86.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/qdev-core.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qapi/qapi-events-kvm-reset.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/kvm.h"
#include "accel/kvm-reset/qemu/launches.h"
#include "accel/kvm-reset/trace.h"

#define TYPE_VM_LAUNCH_UPDATE "vm-launch-update"
OBJECT_DECLARE_SIMPLE_TYPE(LaunchUpdate, VM_LAUNCH_UPDATE)

#define FILE_NAME "etc/vmlaunchupdate"

/* What fw_cfg has; little endian. */
typedef struct QEMU_PACKED {
    uint16_t version;
    uint16_t status;
    uint32_t padding;
    uint64_t capabilities;
    /* The guest writes from here on. */
    uint64_t control;
    uint64_t image_address;
    uint64_t image_size;
    uint64_t opaque_address;
    uint64_t opaque_size;
} LaunchUpdateFile;

QEMU_BUILD_BUG_ON(sizeof(LaunchUpdateFile) != 56);

enum {
    VERSION = 1,
    STATUS_SUCCESS = 0,
    STATUS_FAILED = 1,
};

/* In control; the last one in capabilities, too. */
#define DISABLE BIT_ULL(0)
#define HOSTS_FILE BIT_ULL(1)
#define IS_IGVM BIT_ULL(32)

/* Between two events: a guest may write without end. */
#define EVENT_INTERVAL 1000

struct LaunchUpdate {
    DeviceState parent_obj;
    LaunchUpdateFile file;
    uint16_t status;
    bool disabled;
    int64_t last_event;
};

/* --- What the guest is told ------------------------------------------------ */

static void show(LaunchUpdate *update)
{
    update->file.version = cpu_to_le16(VERSION);
    update->file.status = cpu_to_le16(update->status);
    update->file.padding = 0;
    update->file.capabilities = cpu_to_le64(IS_IGVM);
}

static void tell(LaunchUpdate *update, bool accepted, const char *digest,
                 const char *reason)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    trace_kvm_reset_launch_update(accepted, reason ?: digest ?: "");
    if (!update->last_event || now - update->last_event >= EVENT_INTERVAL) {
        update->last_event = now;
        qapi_event_send_kvm_launch_update(accepted, digest, reason);
    }
}

/* --- An image --------------------------------------------------------------- */

/*
 * Without the big lock.  A reset waits for the vCPU that is here.  The guest
 * may write to its memory meanwhile, so what is tried is a copy, and what is
 * no memory is not read.
 */
static KvmResetLaunch *copy_and_try(uint64_t address, uint64_t size,
                                    Error **errp)
{
    const MemTxAttrs attributes = {.memory = 1};
    g_autofree uint8_t *bytes = g_try_malloc(size);

    if (!bytes) {
        error_setg(errp, "no memory for the 0x%" PRIx64 " bytes of its image",
                   size);
        return NULL;
    }
    if (address_space_read(&address_space_memory, address, attributes, bytes,
                           size) != MEMTX_OK) {
        error_setg(errp,
                   "its image, 0x%" PRIx64 " bytes at the address 0x%" PRIx64
                   ", is not in its memory",
                   size, address);
        return NULL;
    }
    return kvm_reset_try_launch(bytes, size, errp);
}

/* Without the big lock: the launch before is wiped, which may take a while. */
static void choose(KvmResetLaunch *launch, bool once)
{
    bql_unlock();
    kvm_reset_choose_launch(KVM_RESET_LAUNCH_GUEST, launch, once);
    bql_lock();
}

static bool take_image(uint64_t control, uint64_t address, uint64_t size,
                       char **digest, Error **errp)
{
    KvmResetLaunch *launch;

    if (!(control & IS_IGVM)) {
        error_setg(errp, "its image is not said to be an IGVM file (control "
                         "bit 32), and nothing else is understood");
        return false;
    }
    if (size > kvm_reset_launch_memory || address + size < address) {
        error_setg(errp,
                   "its image is said to have 0x%" PRIx64 " bytes at the "
                   "address 0x%" PRIx64 ", and it may have 0x%" PRIx64
                   " (-machine kvm-reset-launch-memory)",
                   size, address, kvm_reset_launch_memory);
        return false;
    }

    bql_unlock();
    launch = copy_and_try(address, size, errp);
    bql_lock();

    if (!launch) {
        return false;
    }
    if (!kvm_reset_begin_choice(errp)) {
        kvm_reset_launch_free(launch);
        return false;
    }
    *digest = g_strdup(kvm_reset_launch_digest(launch));
    choose(launch, control & HOSTS_FILE);
    kvm_reset_end_choice();
    return true;
}

/* --- A write ---------------------------------------------------------------- */

static bool obey(LaunchUpdate *update, const LaunchUpdateFile *asked,
                 char **digest, Error **errp)
{
    uint64_t control = le64_to_cpu(asked->control);
    uint64_t address = le64_to_cpu(asked->image_address);
    uint64_t size = le64_to_cpu(asked->image_size);

    if (control & ~(DISABLE | HOSTS_FILE | IS_IGVM)) {
        error_setg(errp,
                   "its control word, 0x%" PRIx64 ", has bits that are "
                   "not known",
                   control);
        return false;
    }
    if (update->disabled && (size || control & HOSTS_FILE)) {
        error_setg(errp, "it has disabled updates before");
        return false;
    }
    if (size) {
        if (!take_image(control, address, size, digest, errp)) {
            return false;
        }
    } else if (control & HOSTS_FILE) {
        choose(NULL, false);
        kvm_reset_allow_migration_if_possible();
    }
    if (control & DISABLE) {
        update->disabled = true;
    }
    return true;
}

/*
 * The big lock may be dropped in here: fw_cfg takes no other access, of any
 * vCPU, before this one is done (QEMU's guard against reentrancy).
 */
static void on_write(void *opaque, off_t start, size_t length)
{
    LaunchUpdate *update = opaque;
    const size_t first = offsetof(LaunchUpdateFile, control);
    const size_t last = offsetof(LaunchUpdateFile, opaque_address);
    LaunchUpdateFile asked = update->file;
    g_autofree char *digest = NULL;
    Error *err = NULL;
    bool accepted = false;

    show(update);
    kvm_reset_keeps_shared |= asked.opaque_size != 0;
    if (start + length <= first || start >= last) {
        return;
    }
    if (start > first || start + length < last) {
        error_setg(&err, "it wrote a part of what belongs together: control "
                         "word, address and size of an image");
    } else {
        accepted = obey(update, &asked, &digest, &err);
    }

    update->file = asked;
    update->status = accepted ? STATUS_SUCCESS : STATUS_FAILED;
    if (accepted) {
        update->file.image_address = update->file.image_size = 0;
        kvm_reset_keeps_shared |= digest != NULL;
    }
    show(update);
    tell(update, accepted, digest, err ? error_get_pretty(err) : NULL);
    error_free(err);
}

/* --- The device -------------------------------------------------------------- */

static bool is_supported(Error **errp)
{
    ConfidentialGuestSupport *guest = current_machine->cgs;

    if (!kvm_reset_may_bring(errp)) {
        error_prepend(errp, TYPE_VM_LAUNCH_UPDATE " is of no use: ");
        return false;
    }
    if (guest && !object_dynamic_cast(OBJECT(guest), "sev-guest") &&
        !object_dynamic_cast(OBJECT(guest), "sev-snp-guest") &&
        !object_dynamic_cast(OBJECT(guest), "tdx-guest")) {
        error_setg(errp, TYPE_VM_LAUNCH_UPDATE " is not for guests with %s",
                   object_get_typename(OBJECT(guest)));
        return false;
    }
    if (!object_dynamic_cast(OBJECT(current_machine), TYPE_X86_MACHINE)) {
        error_setg(errp, TYPE_VM_LAUNCH_UPDATE " is for x86 machines alone");
        return false;
    }
    return true;
}

static void launch_update_realize(DeviceState *dev, Error **errp)
{
    LaunchUpdate *update = VM_LAUNCH_UPDATE(dev);
    FWCfgState *fw_cfg = fw_cfg_find();
    bool ambiguous = false;

    object_resolve_path_type("", TYPE_VM_LAUNCH_UPDATE, &ambiguous);
    if (ambiguous) {
        error_setg(errp, "there can be one " TYPE_VM_LAUNCH_UPDATE);
        return;
    }
    if (!fw_cfg || !fw_cfg_dma_enabled(fw_cfg)) {
        error_setg(errp, TYPE_VM_LAUNCH_UPDATE " needs a machine that has "
                                               "fw_cfg with DMA");
        return;
    }
    if (!is_supported(errp)) {
        return;
    }
    show(update);
    fw_cfg_add_file_callback(fw_cfg, FILE_NAME, NULL, on_write, update,
                             &update->file, sizeof(update->file), false);
}

static int launch_update_post_load(void *opaque, int version)
{
    LaunchUpdate *update = opaque;

    kvm_reset_keeps_shared |= update->file.opaque_size != 0;
    show(update);
    return 0;
}

static const VMStateDescription launch_update_state = {
    .name = TYPE_VM_LAUNCH_UPDATE,
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = launch_update_post_load,
    .fields =
        (const VMStateField[]){
            VMSTATE_UINT64(file.control, LaunchUpdate),
            VMSTATE_UINT64(file.opaque_address, LaunchUpdate),
            VMSTATE_UINT64(file.opaque_size, LaunchUpdate),
            VMSTATE_UINT16(status, LaunchUpdate),
            VMSTATE_BOOL(disabled, LaunchUpdate),
            VMSTATE_END_OF_LIST(),
        },
};

static void launch_update_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = launch_update_realize;
    dc->vmsd = &launch_update_state;
    dc->hotpluggable = false;
    dc->desc = "a guest brings the firmware that its next reset launches";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void launch_update_register_types(void)
{
    static const TypeInfo type = {
        .name = TYPE_VM_LAUNCH_UPDATE,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(LaunchUpdate),
        /* Newer QEMU have a const in its type. */
        .class_init = (void *)launch_update_class_init,
    };

    type_register_static(&type);
}

type_init(launch_update_register_types)
