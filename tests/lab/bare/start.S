/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From where QEMU's -kernel leaves a multiboot image to test() in 64-bit mode,
 * with the first 4 GiB mapped at their own addresses in pages of 2 MiB.
 */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        .long multiboot, image_start, image_data_end, image_end, start

        .set multiboot, image_start

        .bss
        .align 4096
        .globl pml4, pds
pml4:   .skip 4096
pdpt:   .skip 4096
pds:    .skip 4 * 4096
        .align 16
        .skip 65536
stack:

        .data
        .align 8
gdt:    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
        .globl tss_descriptor
tss_descriptor:
        .quad 0, 0
gdtr:   .word . - gdt - 1
        .long gdt, 0

        .text
        .code32
        .globl start
start:
        cli
        movl $stack, %esp
        movl $pdpt + 7, pml4
        movl $pds + 7, %eax
        movl $pdpt, %edi
        movl $4, %ecx
1:      movl %eax, (%edi)
        addl $4096, %eax
        addl $8, %edi
        loop 1b
        movl $0x87, %eax
        movl $pds, %edi
        movl $2048, %ecx
2:      movl %eax, (%edi)
        addl $0x200000, %eax
        addl $8, %edi
        loop 2b

        movl %cr4, %eax
        orl $0x620, %eax                /* PAE, OSFXSR, OSXMMEXCPT */
        movl %eax, %cr4
        movl $pml4, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x1900, %eax               /* LME, NXE, SVME */
        wrmsr
        movl $0x80010033, %eax          /* PG, WP, NE, ET, MP, PE */
        movl %eax, %cr0
        lgdt gdtr
        ljmp $8, $long_mode

        .code64
long_mode:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        xorl %eax, %eax
        movw %ax, %fs
        movw %ax, %gs
        call bare_main
3:      cli
        hlt
        jmp 3b

        .section .note.GNU-stack, "", @progbits
