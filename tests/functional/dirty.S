/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that writes to 96 pages from 0x20000 on, says "written" on
 * QEMU's debug port, and writes to them once more when a key is pressed.
 */
    .code16
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    cld
    mov $0x1111, %bx
    call fill
    mov $word, %si
    mov $0x402, %dx
1:  lodsb
    outb %al, %dx
    test %al, %al
    jnz 1b
    /* What the firmware has left there is no key of ours. */
    inb $0x60, %al
2:  inb $0x64, %al
    test $1, %al
    jz 2b
    mov $0x2222, %bx
    call fill
3:  jmp 3b

fill:
    mov $0x2000, %ax
4:  mov %ax, %es
    mov %bx, %es:0
    add $0x100, %ax
    cmp $0x8000, %ax
    jne 4b
    ret

word:
    .asciz "written\n"

    .org 510
    .word 0xaa55
