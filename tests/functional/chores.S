/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firmware that never ends and needs no other: checkable work for both CPUs,
 * up in no time after a reset. The first fills memory and compares it, and
 * counts the ticks of its APIC's timer and, if there is a PIC, of the PIT; the
 * second, which it starts, counts. Whenever all went on, and the memory held
 * what it should, it says "busy" on QEMU's debug port, else "FAIL".
 *
 * It runs from ROM at the top of memory, or from RAM where that was copied to
 * (tests/coco-platform/firmware); it moves no memory about itself.
 */
    .code16
    .globl start

    .set TICKS, 0x600
    .set COUNTED, 0x604
    .set BEATS, 0x608           /* of the APIC */
    .set VECTOR, 0x40

/* At the beginning of 64 KiB, which is where SIPI's vector 0xf0 points. */
second:
    xor %ax, %ax
    mov %ax, %ds
1:  lock incl COUNTED
    pause
    jmp 1b

    .balign 16
gdt:
    .quad 0
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt + 0xf0000

start:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    movl $0, TICKS
    movl $0, COUNTED
    movl $0, BEATS
    movw $tick, 0x20
    mov %cs, 0x22
    movw $beat, 4 * VECTOR
    mov %cs, 4 * VECTOR + 2

    /* The PIC: vectors from 8 on, none but the timer's. */
    mov $0x11, %al
    out %al, $0x20
    mov $8, %al
    out %al, $0x21
    mov $4, %al
    out %al, $0x21
    mov $1, %al
    out %al, $0x21
    mov $0xfe, %al
    out %al, $0x21
    mov $0xff, %al
    out %al, $0xa1

    /* The PIT: 100 times a second. */
    mov $0x34, %al
    out %al, $0x43
    mov $(11932 & 0xff), %al
    out %al, $0x40
    mov $(11932 >> 8), %al
    out %al, $0x40

    /* %fs reaches all of memory from here on, for the APIC's registers. */
    lgdtl %cs:gdt_pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    mov $8, %bx
    mov %bx, %fs
    and $0xfe, %al
    mov %eax, %cr0
    mov $0xfee00000, %ebx
    movl $0x1ff, %fs:0xf0(%ebx)
    movl $0x700, %fs:0x350(%ebx)
    movl $0xb, %fs:0x3e0(%ebx)
    movl $(0x20000 + VECTOR), %fs:0x320(%ebx)
    movl $5000000, %fs:0x380(%ebx)
    movl $0xc4500, %fs:0x300(%ebx)
    mov $1000, %cx
1:  in $0x80, %al
    loop 1b
    movl $0xc46f0, %fs:0x300(%ebx)
    sti

    xor %bp, %bp
life:
    mov TICKS, %edx
    mov COUNTED, %ebx
    mov BEATS, %esi
round:
    inc %bp
    mov $0x2000, %ax
    mov %ax, %es
    mov %bp, %ax
    xor %di, %di
    mov $0x400, %cx
    rep stosw
    xor %di, %di
    mov $0x400, %cx
    repe scasw
    jne bad
    mov BEATS, %eax
    sub %esi, %eax
    cmp $2, %eax
    jb round
    cmp COUNTED, %ebx
    je round
    in $0x21, %al
    cmp $0xfe, %al
    jne 1f
    cmp TICKS, %edx
    je round
1:
    mov $good, %si
    call say
    jmp life

bad:
    mov $failed, %si
    call say
1:  cli
    hlt
    jmp 1b

tick:
    incl TICKS
    push %ax
    mov $0x20, %al
    out %al, $0x20
    pop %ax
    iret

beat:
    incl BEATS
    push %ebx
    mov $0xfee00000, %ebx
    movl $0, %fs:0xb0(%ebx)
    pop %ebx
    iret

say:
    mov $0x402, %dx
1:  lodsb %cs:(%si), %al
    test %al, %al
    jz 1f
    out %al, %dx
    jmp 1b
1:  ret

good:
    .asciz "busy\n"
failed:
    .asciz "FAIL\n"

    .org 0xfff0
    ljmp $0xf000, $start
    .org 0x10000
