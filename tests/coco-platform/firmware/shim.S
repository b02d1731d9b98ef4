/*
 * What makes SeaBIOS a firmware for confidential guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The last 64 KiB of an image, at 4 GiB - 64 KiB; the 256 KiB below it are
 * SeaBIOS (make-firmware).  QEMU finds the tables of an OVMF at the end.
 * The code brings SeaBIOS to where it expects to be: in RAM below 1 MiB, as
 * private firmware is not mapped there.
 */

#define IMAGE_END   0x10000
#define SEABIOS     0xfffb0000
#define SEABIOS_RAM 0x000c0000
#define SEABIOS_SIZE 0x40000

/* Pages that the launch fills: in the memory that Linux leaves alone. */
#define ZERO_PAGES    0x80000
#define SECRETS_PAGE  0x82000
#define CPUID_PAGE    0x83000
#define HASHES_PAGE   0x84000
#define SECRET_AREA   0x85000
#define TD_HOB        0x86000
#define TD_MAILBOX    0x88000
/* With -DPAGE_ABOVE_1M, for firmware without Linux: in the RAM whose slot the
   PAM registers change, below. */
#define HIGH_PAGE     0x200000
#ifdef PAGE_ABOVE_1M
#define HIGH_PAGES    1
#else
#define HIGH_PAGES    0
#endif

    .text
    .code16
start16:
    cli
    cld
    lgdtl %cs:gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $(start32 + 0xffff0000)

    .code32
start32:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss

    /* PAM registers: at 0x59 in a 440FX, at 0x90 in a Q35. */
    movl $0x80000000, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    inl %dx, %eax
    movl $0x80000059, %ebx
    cmpl $0x12378086, %eax
    je 1f
    movl $0x80000090, %ebx
1:
    /* The first is 0xf0000 to 0x100000, then 0xc0000 on: RAM. */
    movl $7, %ecx
2:
    movl %ebx, %eax
    andl $~3, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movl %ebx, %edx
    andl $3, %edx
    addl $0xcfc, %edx
    movb $0x33, %al
    outb %al, %dx
    incl %ebx
    loop 2b

    movl $SEABIOS, %esi
    movl $SEABIOS_RAM, %edi
    movl $(SEABIOS_SIZE / 4), %ecx
    rep movsl

    /* Back to real mode and on as the processor does after reset. */
    movw $0x20, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    ljmpl $0x18, $back16

    .code16
back16:
    movl %cr0, %eax
    andl $~1, %eax
    movl %eax, %cr0
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    ljmpw $0xf000, $0xfff0

    /* Where SEV-ES puts the other processors until they are woken. */
ap_start:
    hlt
    jmp ap_start

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 0x08: code, 32 bit, flat */
    .quad 0x00cf93000000ffff    /* 0x10: data, flat */
    .quad 0xff009bff0000ffff    /* 0x18: code, 16 bit, at 4 GiB - 64 KiB */
    .quad 0x000093000000ffff    /* 0x20: data, 16 bit */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt + 0xffff0000

    /* What SNP wants to have in memory: OVMF's metadata. */
    .balign 16
sev_metadata:
    .ascii "ASEV"
    .long sev_metadata_end - sev_metadata
    .long 1
    .long 4 + HIGH_PAGES
    .long ZERO_PAGES, 0x2000, 1
    .long SECRETS_PAGE, 0x1000, 2
    .long CPUID_PAGE, 0x1000, 3
    .long HASHES_PAGE, 0x1000, 0x10
    .if HIGH_PAGES
    .long HIGH_PAGE, 0x1000, 1
    .endif
sev_metadata_end:

    /* The same for TDX: offset, size, address, size, type, attributes. */
    .balign 16
    .long 0xe9eaf9f3, 0x4ff77e30, 0x7f24cd90, 0x2e1cc5a1 /* GUID, unused */
tdx_metadata:
    .ascii "TDVF"
    .long tdx_metadata_end - tdx_metadata
    .long 1
    .long 3 + HIGH_PAGES
    .long 0, 0x50000                    /* the image: measured */
    .quad 0xfffb0000, 0x50000
    .long 0, 1
    .long 0, 0                          /* the list of hand-off blocks */
    .quad TD_HOB, 0x2000
    .long 2, 0
    .long 0, 0                          /* the mailbox */
    .quad TD_MAILBOX, 0x1000
    .long 3, 0
    .if HIGH_PAGES
    .long 0, 0
    .quad HIGH_PAGE, 0x1000
    .long 3, 0
    .endif
tdx_metadata_end:

    /* The table of GUIDed entries, each before its GUID; read backwards. */
    .org IMAGE_END - 0x30 - 0x02 - (4 + 18) * 3 - (8 + 18) * 2
table:
    .long image_end - tdx_metadata
    .word 4 + 18
    .long 0xe47a6535, 0x4798984a        /* e47a6535-984a-4798-865e-4685a7bf8ec2 */
    .byte 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2

    .long image_end - sev_metadata
    .word 4 + 18
    .long 0xdc886566, 0x4798984a        /* dc886566-984a-4798-a75e-5585a7bf67cc */
    .byte 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc

    .long SECRET_AREA, 0x1000
    .word 8 + 18
    .long 0x4c2eb361, 0x4cc37d9b        /* 4c2eb361-7d9b-4cc3-8081-127c90d3d294 */
    .byte 0x80, 0x81, 0x12, 0x7c, 0x90, 0xd3, 0xd2, 0x94

    .long HASHES_PAGE + 0x400, 0x400
    .word 8 + 18
    .long 0x7255371f, 0x4b043a3b        /* 7255371f-3a3b-4b04-927b-1da6efa8d454 */
    .byte 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54

    .long ap_start + 0xffff0000
    .word 4 + 18
    .long 0x00f771de, 0x4fcb1a7e        /* 00f771de-1a7e-4fcb-890e-68c77e2fb44e */
    .byte 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e

    .word table_end - table + 16
table_end:
    .long 0x96b582de, 0x45f71fb2        /* 96b582de-1fb2-45f7-baea-a366c55a082d */
    .byte 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d

    .org IMAGE_END - 0x10
    jmp start16
    .org IMAGE_END
image_end:
