/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that writes to 112 pages from 0x10000 on and says "written" on
 * QEMU's debug port. When a key is pressed, it writes to the last 96 of them
 * once more; when another one is, to the first 16.
 */
    .code16
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    cld
    mov $0x1111, %bx
    mov $0x1000, %cx
    mov $0x8000, %bp
    call fill
    mov $word, %si
    mov $0x402, %dx
1:  lodsb
    outb %al, %dx
    test %al, %al
    jnz 1b
    /* What the firmware has left there is no key of ours. */
    inb $0x60, %al
    call key
    mov $0x2222, %bx
    mov $0x2000, %cx
    call fill
    call key
    mov $0x3333, %bx
    mov $0x1000, %cx
    mov $0x2000, %bp
    call fill
2:  jmp 2b

/* Pressed, that is: its release is one too, and is passed over. */
key:
3:  inb $0x64, %al
    test $1, %al
    jz 3b
    inb $0x60, %al
    test $0x80, %al
    jnz 3b
    ret

/* The pages of the segments from %cx to %bp. */
fill:
4:  mov %cx, %es
    mov %bx, %es:0
    add $0x100, %cx
    cmp %bp, %cx
    jne 4b
    ret

word:
    .asciz "written\n"

    .org 510
    .word 0xaa55
