/*
 * The secure processor as a PCI device: mailbox, interrupt, and QEMU around it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *     -device sev-psp,log=FILE,seed=HEX,faults=RULES,delays=RULES
 *
 * Rules: see rules.h. The registers are those of AMD's 1022:14CA that Linux'
 * ccp driver uses.
 */

#include "qemu/osdep.h"

#include "cpu.h"
#include "hw/i386/sev-lab.h"
#include "hw/pci/msi.h"
#include "hw/pci/pci_device.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"

#include "psp.h"

#define TYPE_SEV_PSP "sev-psp"
OBJECT_DECLARE_SIMPLE_TYPE(SevPspState, SEV_PSP)

enum {
    REG_INTERRUPT_ENABLE = 0x10690,
    REG_INTERRUPT_STATUS = 0x10694,
    REG_COMMAND = 0x10980,
    REG_ADDRESS_LOW = 0x109e0,
    REG_ADDRESS_HIGH = 0x109e4,
    REG_FEATURES = 0x109fc,
    REGISTERS_SIZE = 0x20000,
};

#define FEATURE_SEV 1u
#define COMMAND_INTERRUPT 1u
#define COMMAND_DONE (1u << 31)
#define INTERRUPT_DONE (1u << 1)

/* The secret of a chip that was not given one. */
#define DEFAULT_SEED                                                           \
    "6b766d2d7265736574206c61622c20666f7220746573747320616c6f6e652021"

struct SevPspState {
    PCIDevice parent_obj;
    MemoryRegion registers;
    QEMUTimer *done;
    Psp *psp;
    FILE *log;

    char *seed, *log_file, *faults, *delays;

    uint32_t command, address_low, address_high;
    uint32_t interrupt_enable, interrupt_status;
    uint16_t status; /* of the command that is not done yet */
    bool busy;
    uint32_t generation; /* counts resets: a command of before is dropped */
};

/* --- the machine, as host.h has it ---------------------------------------- */

static bool machine_read(void *opaque, uint64_t spa, void *data, size_t len)
{
    return sev_lab_dram_read(spa, data, len);
}

static bool machine_write(void *opaque, uint64_t spa, const void *data,
                          size_t len)
{
    return sev_lab_dram_write(spa, data, len);
}

static bool machine_decrypt(void *opaque, const uint8_t *vek, uint64_t spa,
                            void *data, size_t len)
{
    return sev_lab_decrypt(vek, spa, data, len);
}

static bool machine_encrypt(void *opaque, const uint8_t *vek, uint64_t spa,
                            const void *data, size_t len)
{
    return sev_lab_encrypt(vek, spa, data, len);
}

static bool machine_seal_vmsa(void *opaque, const uint8_t *vek, uint64_t spa,
                              const void *vmsa)
{
    return sev_lab_vmsa_seal(vek, spa, vmsa);
}

static void machine_key_install(void *opaque, uint32_t asid, const uint8_t *vek)
{
    sev_lab_key_install(asid, vek);
}

static void machine_key_remove(void *opaque, uint32_t asid)
{
    sev_lab_key_remove(asid);
}

static bool machine_written_back(void *opaque)
{
    return sev_lab_caches_written_back();
}

static void machine_df_flush(void *opaque)
{
    sev_lab_df_flush();
}

static bool machine_asid_needs_flush(void *opaque, uint32_t asid)
{
    return sev_lab_asid_needs_flush(asid);
}

static bool machine_snp_enabled(void *opaque)
{
    return sev_lab_snp_enabled();
}

static bool machine_rmp_range(void *opaque, uint64_t *base, uint64_t *end)
{
    return sev_lab_rmp_range(base, end);
}

/* The entries come after the processor's own 16 KiB. */
static void machine_rmp_clear(void *opaque)
{
    static const uint8_t zeros[16 * KiB];
    hwaddr base, end;

    if (!sev_lab_rmp_range(&base, &end)) {
        return;
    }
    for (hwaddr at = base; at < end; at += sizeof(zeros)) {
        size_t size = MIN(sizeof(zeros), end + 1 - at);
        sev_lab_dram_write(at, zeros, QEMU_ALIGN_DOWN(size, 16));
    }
}

static void machine_rmp_enforce(void *opaque, bool on)
{
    sev_lab_rmp_enforce(on);
}

static bool machine_rmp_get(void *opaque, uint64_t spa, PspRmp *entry)
{
    SevLabRmp from;
    if (!sev_lab_rmp_get(spa, &from)) {
        return false;
    }
    *entry = (PspRmp){from.gpa,       from.asid, from.assigned, from.size_2m,
                      from.immutable, from.vmsa, from.validated};
    memcpy(entry->perms, from.perms, sizeof(entry->perms));
    return true;
}

static bool machine_rmp_set(void *opaque, uint64_t spa, const PspRmp *entry)
{
    SevLabRmp to = {
        .gpa = entry->gpa,
        .asid = entry->asid,
        .assigned = entry->assigned,
        .size_2m = entry->size_2m,
        .immutable = entry->immutable,
        .vmsa = entry->vmsa,
        .validated = entry->validated,
    };
    memcpy(to.perms, entry->perms, sizeof(to.perms));
    return sev_lab_rmp_set(spa, &to);
}

static void machine_cpuid(void *opaque, uint32_t leaf, uint32_t index,
                          uint32_t out[4])
{
    cpu_x86_cpuid(cpu_env(first_cpu), leaf, index, &out[0], &out[1], &out[2],
                  &out[3]);
}

static void machine_random(void *opaque, void *data, size_t len)
{
    qemu_guest_getrandom_nofail(data, len);
}

static void machine_log(void *opaque, const char *fields)
{
    SevPspState *s = opaque;
    if (s->log) {
        int64_t now = g_get_monotonic_time();
        fprintf(s->log, "{\"time\": %" PRId64 ".%06" PRId64 ", %s}\n",
                now / G_USEC_PER_SEC, now % G_USEC_PER_SEC, fields);
        fflush(s->log);
    }
}

static PspHost host_of(SevPspState *s)
{
    return (PspHost){
        .opaque = s,
        .read = machine_read,
        .write = machine_write,
        .decrypt = machine_decrypt,
        .encrypt = machine_encrypt,
        .seal_vmsa = machine_seal_vmsa,
        .key_install = machine_key_install,
        .key_remove = machine_key_remove,
        .written_back = machine_written_back,
        .df_flush = machine_df_flush,
        .asid_needs_flush = machine_asid_needs_flush,
        .snp_enabled = machine_snp_enabled,
        .rmp_range = machine_rmp_range,
        .rmp_clear = machine_rmp_clear,
        .rmp_enforce = machine_rmp_enforce,
        .rmp_get = machine_rmp_get,
        .rmp_set = machine_rmp_set,
        .cpuid = machine_cpuid,
        .random = machine_random,
        .log = machine_log,
    };
}

/* --- mailbox and interrupt ------------------------------------------------ */

static void update_interrupt(SevPspState *s)
{
    if (s->interrupt_status & s->interrupt_enable &&
        msi_enabled(PCI_DEVICE(s))) {
        msi_notify(PCI_DEVICE(s), 0);
    }
}

static void command_done(void *opaque)
{
    SevPspState *s = opaque;
    bool interrupt = s->command & COMMAND_INTERRUPT;

    s->busy = false;
    s->command = COMMAND_DONE | s->status;
    if (interrupt) {
        s->interrupt_status |= INTERRUPT_DONE;
        update_interrupt(s);
    }
}

typedef struct Work {
    SevPspState *s;
    uint32_t generation;
} Work;

static void execute(void *opaque)
{
    g_autofree Work *work = opaque;
    SevPspState *s = work->s;
    uint64_t address = (uint64_t)s->address_high << 32 | s->address_low;
    uint64_t microseconds;

    if (work->generation != s->generation) {
        return;
    }
    s->status = psp_command(s->psp, extract32(s->command, 16, 11), address,
                            &microseconds);
    if (microseconds) {
        timer_mod(s->done,
                  qemu_clock_get_us(QEMU_CLOCK_VIRTUAL) + microseconds);
    } else {
        command_done(s);
    }
}

static void write_command(SevPspState *s, uint32_t value)
{
    if (s->busy) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "sev-psp: command 0x%x while another "
                      "is being executed\n",
                      value);
        return;
    }
    s->command = value & ~COMMAND_DONE;
    s->busy = true;
    Work *work = g_new(Work, 1);
    *work = (Work){s, s->generation};
    sev_lab_run(execute, work);
}

static uint64_t registers_read(void *opaque, hwaddr at, unsigned size)
{
    SevPspState *s = opaque;

    switch (at) {
    case REG_INTERRUPT_ENABLE:
        return s->interrupt_enable;
    case REG_INTERRUPT_STATUS:
        return s->interrupt_status;
    case REG_COMMAND:
        return s->command;
    case REG_ADDRESS_LOW:
        return s->address_low;
    case REG_ADDRESS_HIGH:
        return s->address_high;
    case REG_FEATURES:
        return FEATURE_SEV;
    default:
        return 0;
    }
}

static void registers_write(void *opaque, hwaddr at, uint64_t value,
                            unsigned size)
{
    SevPspState *s = opaque;

    switch (at) {
    case REG_INTERRUPT_ENABLE:
        s->interrupt_enable = value;
        update_interrupt(s);
        break;
    case REG_INTERRUPT_STATUS:
        s->interrupt_status &= ~value;
        break;
    case REG_COMMAND:
        write_command(s, value);
        break;
    case REG_ADDRESS_LOW:
        s->address_low = value;
        break;
    case REG_ADDRESS_HIGH:
        s->address_high = value;
        break;
    }
}

static const MemoryRegionOps registers_ops = {
    .read = registers_read,
    .write = registers_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {.min_access_size = 4, .max_access_size = 4},
    .impl = {.min_access_size = 4, .max_access_size = 4},
};

/* --- the device ----------------------------------------------------------- */

static bool read_seed(const char *hex, uint8_t seed[32])
{
    if (strlen(hex) != 64) {
        return false;
    }
    for (int i = 0; i < 32; i++) {
        int high = g_ascii_xdigit_value(hex[2 * i]);
        int low = g_ascii_xdigit_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        seed[i] = high << 4 | low;
    }
    return true;
}

static bool make_psp(SevPspState *s, Error **errp)
{
    PspHost host = host_of(s);
    PspConfig config = {
        .asids = sev_lab_asids(),
        .es_asids = sev_lab_es_asids(),
        .snp = sev_lab_kind() == SEV_LAB_SNP,
        .faults = s->faults,
        .delays = s->delays,
    };
    g_autofree char *why = NULL;

    if (sev_lab_kind() == SEV_LAB_NONE) {
        error_setg(errp, "the CPUs have no SEV: use -cpu MODEL,sev-lab=1 (SEV),"
                         " 2 (SEV-ES) or 3 (SEV-SNP)");
        return false;
    }
    if (!read_seed(s->seed ? s->seed : DEFAULT_SEED, config.seed)) {
        error_setg(errp, "seed wants 64 hexadecimal digits");
        return false;
    }
    s->psp = psp_new(&host, &config, &why);
    if (!s->psp) {
        error_setg(errp, "%s", why);
    }
    return s->psp;
}

static void sev_psp_realize(PCIDevice *dev, Error **errp)
{
    SevPspState *s = SEV_PSP(dev);

    if (s->log_file) {
        s->log = fopen(s->log_file, "a");
        if (!s->log) {
            error_setg_file_open(errp, errno, s->log_file);
            return;
        }
    }
    if (!make_psp(s, errp)) {
        return;
    }
    if (msi_init(dev, 0, 1, true, false, errp) < 0) {
        return;
    }
    s->done = timer_new_us(QEMU_CLOCK_VIRTUAL, command_done, s);
    memory_region_init_io(&s->registers, OBJECT(s), &registers_ops, s,
                          TYPE_SEV_PSP, REGISTERS_SIZE);
    pci_register_bar(dev, 2, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->registers);
}

static void sev_psp_exit(PCIDevice *dev)
{
    SevPspState *s = SEV_PSP(dev);

    msi_uninit(dev);
    timer_free(s->done);
    psp_free(s->psp);
    if (s->log) {
        fclose(s->log);
    }
}

static void sev_psp_reset(DeviceState *dev)
{
    SevPspState *s = SEV_PSP(dev);

    timer_del(s->done);
    s->generation++;
    s->busy = false;
    s->command = COMMAND_DONE;
    s->address_low = s->address_high = 0;
    s->interrupt_enable = s->interrupt_status = 0;
    psp_reset(s->psp);
}

static const Property sev_psp_properties[] = {
    DEFINE_PROP_STRING("seed", SevPspState, seed),
    DEFINE_PROP_STRING("log", SevPspState, log_file),
    DEFINE_PROP_STRING("faults", SevPspState, faults),
    DEFINE_PROP_STRING("delays", SevPspState, delays),
};

static const VMStateDescription sev_psp_vmstate = {
    .name = TYPE_SEV_PSP,
    .unmigratable = 1,
};

static void sev_psp_class_init(ObjectClass *class, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(class);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(class);

    pc->realize = sev_psp_realize;
    pc->exit = sev_psp_exit;
    pc->vendor_id = PCI_VENDOR_ID_AMD;
    pc->device_id = 0x14ca;
    pc->class_id = PCI_CLASS_CRYPT_OTHER;
    device_class_set_legacy_reset(dc, sev_psp_reset);
    device_class_set_props(dc, sev_psp_properties);
    dc->vmsd = &sev_psp_vmstate;
    dc->desc = "AMD secure processor (protects nothing)";
    dc->hotpluggable = false;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo sev_psp_type = {
    .name = TYPE_SEV_PSP,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(SevPspState),
    .class_init = sev_psp_class_init,
    .interfaces =
        (InterfaceInfo[]){
            {INTERFACE_CONVENTIONAL_PCI_DEVICE},
            {},
        },
};

static void sev_psp_register(void)
{
    type_register_static(&sev_psp_type);
}

type_init(sev_psp_register)
