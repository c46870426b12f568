/* Start, and the page tables that the loader installs (docs/adr/006). */
#include "pv_asm.h"

FUNCTION(_start)
	cld
	call start_kernel
	ud2
END(_start)

/* present, write, accessed, dirty, large, global */
#define LARGE_FLAGS 0x1e3
#define DIRECT_MAP_BYTES 0x38000000

	.section .data.boot_tables, "aw", @progbits
	.balign PAGE_SIZE
	.globl boot_pgd
#if PAE
	.globl boot_pmd
	.type boot_pmd, @object
boot_pmd:
	.set frame, 0
	.rept DIRECT_MAP_BYTES >> 21
	.long frame + LARGE_FLAGS, 0
	.set frame, frame + (1 << 21)
	.endr
	.fill 512 - (DIRECT_MAP_BYTES >> 21), 8, 0
	.size boot_pmd, . - boot_pmd
	/* Directory pointers have no permission bits. That there is a directory behind them tells the loader that this is PAE. */
	.type boot_pgd, @object
boot_pgd:
	.fill 3, 8, 0
	.long boot_pmd - DIRECT_MAP + 1, 0
	.size boot_pgd, . - boot_pgd
#else
	.type boot_pgd, @object
boot_pgd:
	.fill DIRECT_MAP >> 22, 4, 0
	.set frame, 0
	.rept DIRECT_MAP_BYTES >> 22
	.long frame + LARGE_FLAGS
	.set frame, frame + (1 << 22)
	.endr
	.fill 1024 - ((DIRECT_MAP + DIRECT_MAP_BYTES) >> 22), 4, 0
	.size boot_pgd, . - boot_pgd
#endif

#include "boot_objects.h"
