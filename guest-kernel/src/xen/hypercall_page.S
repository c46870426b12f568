/*
 * The page of stubs through which every hypercall goes, as the hypervisor writes it (domain.md §5.2). It is part of the image, so
 * that the guest's text stays its image and its edits.
 */
#include "pv_asm.h"
#include "xen_interface.h"

#if GUEST_XEN
	.section .text.hypercall_page, "ax", @progbits
	.balign PAGE_SIZE
	.globl hypercall_page
	.type hypercall_page, @function
hypercall_page:
	.set number, 0
	.rept HYPERCALLS
	.balign HYPERCALL_STUB_BYTES, 0xcc
	.if number == HYPERCALL_IRET
	pushq %rcx
	pushq %r11
	pushq %rax
	movl $number, %eax
	syscall
	.else
	pushq %rcx
	pushq %r11
	movl $number, %eax
	syscall
	popq %r11
	popq %rcx
	ret
	.endif
	.set number, number + 1
	.endr
	.balign PAGE_SIZE, 0xcc
	.size hypercall_page, . - hypercall_page
#endif
