/* Start, and the page tables that the loader installs (docs/adr/001). */
#include "pv_asm.h"

FUNCTION(_start)
	cld
#if GUEST_XEN
	movq %rdi, %rbx
	movq %rsi, %rdi
	call xen_start
	movq %rbx, %rdi
#endif
	call start_kernel
	ud2
END(_start)

#define TABLE_FLAGS 0x067
/* present, write, accessed, dirty, 2 MiB, global */
#define LARGE_FLAGS 0x1e3
#define NO_EXECUTE 0x8000000000000000

	.section .data.boot_tables, "aw", @progbits
	.balign PAGE_SIZE
	.globl boot_pgd
	.type boot_pgd, @object
boot_pgd:
#if GUEST_XEN
	/* The loader fills it, with tables of its own below (docs/adr/007). */
	.fill 512, 8, 0
	.size boot_pgd, . - boot_pgd
#else
	.fill 272, 8, 0
	.quad boot_pud_direct - KERNEL_WINDOW + TABLE_FLAGS
	.fill 238, 8, 0
	.quad boot_pud_kernel - KERNEL_WINDOW + TABLE_FLAGS
	.size boot_pgd, . - boot_pgd
	.type boot_pud_direct, @object
boot_pud_direct:
	.quad boot_pmd_direct - KERNEL_WINDOW + TABLE_FLAGS
	.fill 511, 8, 0
	.size boot_pud_direct, . - boot_pud_direct
	.type boot_pud_kernel, @object
boot_pud_kernel:
	.fill 510, 8, 0
	.quad boot_pmd_kernel - KERNEL_WINDOW + TABLE_FLAGS
	.quad 0
	.size boot_pud_kernel, . - boot_pud_kernel
	.type boot_pmd_direct, @object
boot_pmd_direct:
	.set frame, 0
	.rept 512
	.quad frame + LARGE_FLAGS + NO_EXECUTE
	.set frame, frame + 0x200000
	.endr
	.size boot_pmd_direct, . - boot_pmd_direct
	.type boot_pmd_kernel, @object
boot_pmd_kernel:
	.set frame, 0
	.rept 32
	.quad frame + LARGE_FLAGS
	.set frame, frame + 0x200000
	.endr
	.fill 480, 8, 0
	.size boot_pmd_kernel, . - boot_pmd_kernel
#endif

#include "boot_objects.h"
