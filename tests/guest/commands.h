/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_COMMANDS_H
#define GUEST_COMMANDS_H

/* Each is one command of guest-tool, with argv[0] its name. */
int command_work(int argc, char **argv);
int command_out(int argc, char **argv);
int command_acpi_reset(int argc, char **argv);
int command_watchdog(int argc, char **argv);
int command_msr(int argc, char **argv);
int command_vsock(int argc, char **argv);
int command_nested(int argc, char **argv);
int command_ivshmem(int argc, char **argv);
int command_syndbg(int argc, char **argv);

#endif
