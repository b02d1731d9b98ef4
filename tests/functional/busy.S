/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A boot sector that is busy with checkable work, for a KVM that boots no
 * Linux: it reads sectors and compares them, writes them back, fills memory and
 * compares that, and says on QEMU's debug port "busy" every few rounds, or
 * "FAIL". Now and then it resets the machine by itself.
 *
 * Sector n of the disk, from 1 to 63, is full of bytes n; 64 rounds are a life.
 */
    .code16
    .globl start
start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    sti
    cld
    mov %dl, drive
round:
    /* The next sector, there and back. */
    mov lba, %al
    inc %al
    and $63, %al
    jnz 1f
    inc %al
1:  mov %al, lba
    mov $0x4200, %ax
    call disk
    xor %ax, %ax
    mov %ax, %es
    mov lba, %al
    mov $0x8000, %di
    mov $512, %cx
    repe scasb
    jne bad
    mov $0x4300, %ax
    call disk

    /* Some memory. */
    mov $0x2000, %ax
    mov %ax, %es
    mov count, %ax
    xor %di, %di
    mov $0x200, %cx
    rep stosw
    xor %di, %di
    mov $0x200, %cx
    repe scasw
    jne bad

    incw count
    testw $7, count
    jnz round
    mov $good, %si
    call say
    testw $63, count
    jnz round

    /* By one of four ways. */
    rdtsc
    test $0x10, %al
    jz 2f
    test $0x20, %al
    jz 1f
    mov $0xcf9, %dx
    mov $2, %al
    out %al, %dx
    mov $6, %al
    out %al, %dx
1:  mov $0xfe, %al
    out %al, $0x64
    jmp round
2:  test $0x20, %al
    jz 1f
    in $0x92, %al
    or $1, %al
    out %al, $0x92
1:  lidt nothing
    int3
    jmp round

disk:
    mov drive, %dl
    mov $packet, %si
    int $0x13
    jc bad
    ret

bad:
    mov $failed, %si
    call say
1:  hlt
    jmp 1b

say:
    mov $0x402, %dx
1:  lodsb
    test %al, %al
    jz 1f
    out %al, %dx
    jmp 1b
1:  ret

packet:
    .byte 16, 0
    .word 1, 0x8000, 0
lba:
    .long 0, 0
count:
    .word 1
drive:
    .byte 0
nothing:
    .word 0, 0, 0
good:
    .asciz "busy\n"
failed:
    .asciz "FAIL\n"

    .org start + 510 - 0
    .word 0xaa55
