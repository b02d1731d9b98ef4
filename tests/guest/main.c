/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guest-tool COMMAND [ARG]...: what the guest's shell cannot do. */
#include <stdio.h>
#include <string.h>

#include "commands.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"work", command_work},
        {"out", command_out},
        {"acpi-reset", command_acpi_reset},
        {"watchdog", command_watchdog},
        {"msr", command_msr},
        {"vsock", command_vsock},
        {"nested", command_nested},
        {"ivshmem", command_ivshmem},
        {"syndbg", command_syndbg},
    };
    size_t i;

    for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (!strcmp(argv[1], commands[i].name)) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    printf("kvm-reset-guest: error: guest-tool has no command '%s'\n",
           argc > 1 ? argv[1] : "");
    return 2;
}
