/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that writes to the planes of a VGA, which KVM collects without
 * telling QEMU, and then does nothing more that QEMU would be asked for. It says
 * "written" on QEMU's debug port shortly before, since that is an exit.
 */
    .code16
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    cld
    /* 640 by 480, four planes, all of them written. */
    mov $0x12, %ax
    int $0x10
    cli
    mov $word, %si
1:  lodsb
    mov $0x402, %dx
    outb %al, %dx
    test %al, %al
    jnz 1b
    mov $0xa000, %ax
    mov %ax, %es
    xor %di, %di
    mov $0xa5, %al
    mov $64, %cx
    rep stosb
2:  jmp 2b

word:
    .asciz "written\n"

    .org 510
    .word 0xaa55
