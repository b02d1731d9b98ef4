/*
 * kvm-reset in QEMU: where in a PC's memory a guest may be launched
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
#include "hw/boards.h"
#include "hw/i386/x86.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "accel/kvm-reset/qemu/launches.h"

/* That of -bios; flash has a file, which would be written with it. */
static KvmResetRange firmware(void)
{
    MemoryRegionSection found = memory_region_find(get_system_memory(),
                                                   4 * GiB - 1, 1);
    KvmResetRange rom = {0, 0};

    if (found.mr && memory_region_is_rom(found.mr)) {
        rom.size = found.offset_within_region + 1;
        rom.begin = 4 * GiB - rom.size;
    }
    if (found.mr) {
        memory_region_unref(found.mr);
    }
    return rom;
}

static size_t ram_of_machine(KvmResetRange ram[2], KvmResetRange *rom)
{
    X86MachineState *machine = X86_MACHINE(current_machine);

    *rom = firmware();

    ram[0] = (KvmResetRange){0, machine->below_4g_mem_size};
    ram[1] = (KvmResetRange){machine->above_4g_mem_start,
                             machine->above_4g_mem_size};
    return machine->above_4g_mem_size ? 2 : 1;
}

static void tell_where(void)
{
    kvm_reset_launch_ram = ram_of_machine;
}

type_init(tell_where)
