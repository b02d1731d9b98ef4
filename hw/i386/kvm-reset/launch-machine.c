/*
 * kvm-reset in QEMU: what a launch that somebody brings may ask of a PC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#include "system/memory.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#endif
#include "hw/acpi/aml-build.h"
#include "hw/acpi/bios-linker-loader.h"
#include "hw/boards.h"
#include "hw/i386/acpi-common.h"
#include "hw/i386/x86.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "accel/kvm-reset/qemu/launches.h"
#include CONFIG_DEVICES

/* That of -bios; flash has a file, which would be written with it. */
static KvmResetRange firmware(X86MachineState *machine)
{
    MemoryRegionSection found = memory_region_find(get_system_memory(),
                                                   4 * GiB - 1, 1);
    KvmResetRange rom = {0, 0};

    if (found.mr == &machine->bios) {
        rom.size = found.offset_within_region + 1;
        rom.begin = 4 * GiB - rom.size;
    }
    if (found.mr) {
        memory_region_unref(found.mr);
    }
    return rom;
}

/*
 * As it is in the guest's memory: with its checksum, which firmware makes, as
 * QEMU's linker script tells it.
 */
static GArray *madt(X86MachineState *machine)
{
#ifdef CONFIG_ACPI
    /* ACPI 6.5, 5.2.6: the header that all tables have. */
    const size_t checksum_at = 9;
    BIOSLinker *linker;
    GArray *table;
    uint8_t sum = 0;

    if (!x86_machine_is_acpi_enabled(machine)) {
        return NULL;
    }
    linker = bios_linker_loader_init();
    table = g_array_new(false, true, 1);
    bios_linker_loader_alloc(linker, ACPI_BUILD_TABLE_FILE, table, 64, false);
    acpi_build_madt(table, linker, machine, machine->oem_id,
                    machine->oem_table_id);
    bios_linker_loader_cleanup(linker);
    for (guint i = 0; i < table->len; i++) {
        sum += table->data[i];
    }
    table->data[checksum_at] -= sum;
    return table;
#else
    return NULL;
#endif
}

static bool describe(KvmResetMachine *out)
{
    X86MachineState *machine = (X86MachineState *)object_dynamic_cast(
        OBJECT(current_machine), TYPE_X86_MACHINE);

    if (!machine) {
        return false;
    }
    out->ram[0] = (KvmResetRange){0, machine->below_4g_mem_size};
    out->ram[1] = (KvmResetRange){machine->above_4g_mem_start,
                                  machine->above_4g_mem_size};
    out->ranges = machine->above_4g_mem_size ? 2 : 1;
    out->rom = firmware(machine);
    out->madt = madt(machine);
    return true;
}

static void tell(void)
{
    kvm_reset_describe_machine = describe;
}

type_init(tell)
