/*
 * kvm-reset in QEMU: where in a PC's RAM a guest may be launched
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/boards.h"
#include "hw/i386/x86.h"
#include "qemu/module.h"
#include "accel/kvm-reset/qemu/launches.h"

static size_t ram_of_machine(KvmResetRange ram[2])
{
    X86MachineState *machine = X86_MACHINE(current_machine);

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
