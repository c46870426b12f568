/* Interrupt and exception entry, and the return from both. */
#include "entry.h"

/* Fills the frame below the return address, switches to the interrupt stack, leaves the frame in rbp and rdi. */
FUNCTION(save_args)
	cld
	SAVE_SCRATCH 8
	movq %rbp, RBP+8(%rsp)
	leaq 8(%rsp), %rbp
	testl $3, CS(%rbp)
	je 1f
	SWAPGS
1:	popq %rax
	incl %gs:CPU_IRQ_COUNT
	jne 2f
	movq %gs:CPU_IRQ_STACK, %rsp
2:	movq %rbp, %rdi
	jmp *%rax
END(save_args)

FUNCTION(common_interrupt)
	subq $ORIG_RAX, %rsp
	call save_args
	call do_irq
	jmp ret_from_intr
END(common_interrupt)

FUNCTION(ret_from_intr)
	DISABLE_INTERRUPTS(CLBR_NONE)
	decl %gs:CPU_IRQ_COUNT
	movq %rbp, %rsp
	movq RBP(%rsp), %rbp
	testl $3, CS(%rsp)
	je retint_restore_args
	.globl retint_check, retint_swapgs, retint_restore_args, irq_return
retint_check:
	THREAD_FLAGS %rdx
	testl $_TIF_RETURN_WORK, %edx
	jnz retint_careful
retint_swapgs:
	DISABLE_INTERRUPTS(CLBR_ANY)
	SWAPGS
	jmp restore_args
retint_restore_args:
	DISABLE_INTERRUPTS(CLBR_ANY)
restore_args:
	RESTORE_SCRATCH
	addq $RIP, %rsp
irq_return:
	INTERRUPT_RETURN

retint_careful:
	testl $_TIF_NEED_RESCHED, %edx
	jz retint_signal
	ENABLE_INTERRUPTS(CLBR_NONE)
	call schedule
	DISABLE_INTERRUPTS(CLBR_NONE)
	jmp retint_check
retint_signal:
	ENABLE_INTERRUPTS(CLBR_NONE)
	SAVE_REST 0
	movq %rsp, %rdi
	movq %rdx, %rsi
	call do_notify_resume
	RESTORE_REST
	DISABLE_INTERRUPTS(CLBR_NONE)
	jmp retint_check
END(ret_from_intr)

/* iret faulted on a user frame: the user's gs base is live again. */
FUNCTION(bad_iret)
	SWAPGS
	movq %gs:CPU_KERNEL_STACK, %rsp
	movl $11, %edi
	call do_exit
END(bad_iret)

/* Entry points of the external interrupts: timer and device lines. */
.macro INTERRUPT vector
FUNCTION(interrupt_\vector)
	pushq $~\vector
	jmp common_interrupt
END(interrupt_\vector)
.endm

	INTERRUPT 32
	INTERRUPT 33
	INTERRUPT 34
	INTERRUPT 35
	INTERRUPT 36
	INTERRUPT 37
	INTERRUPT 38
	INTERRUPT 39
	INTERRUPT 40

/* Exceptions. ebx is 1 when no swapgs is due on the way out. */
FUNCTION(error_entry)
	cld
	SAVE_SCRATCH 8
	SAVE_REST 8
	xorl %ebx, %ebx
	testl $3, CS+8(%rsp)
	je error_kernelspace
error_swapgs:
	SWAPGS
	ret
	/* Two places in the kernel run on the user's gs base: the selector load and the return. */
error_kernelspace:
	incl %ebx
	leaq gs_change(%rip), %rcx
	cmpq %rcx, RIP+8(%rsp)
	je error_swapgs
	leaq irq_return(%rip), %rcx
	cmpq %rcx, RIP+8(%rsp)
	je error_swapgs
	ret
END(error_entry)

FUNCTION(error_exit)
	movl %ebx, %eax
	RESTORE_REST
	DISABLE_INTERRUPTS(CLBR_NONE)
	testl %eax, %eax
	jne retint_restore_args
	jmp retint_check
END(error_exit)

.macro EXCEPTION name, number, handler, has_code
FUNCTION(\name)
	ADJUST_EXCEPTION_FRAME
	.if \has_code == 0
	pushq $-1
	.endif
	subq $ORIG_RAX, %rsp
	call error_entry
	movq %rsp, %rdi
	.if \has_code
	movq ORIG_RAX(%rsp), %rsi
	movq $-1, ORIG_RAX(%rsp)
	.else
	xorl %esi, %esi
	.endif
	movl $\number, %edx
	call \handler
	jmp error_exit
END(\name)
.endm

	EXCEPTION divide_error, 0, do_trap, 0
	EXCEPTION debug, 1, do_trap, 0
	EXCEPTION breakpoint, 3, do_trap, 0
	EXCEPTION overflow, 4, do_trap, 0
	EXCEPTION bounds, 5, do_trap, 0
	EXCEPTION invalid_opcode, 6, do_trap, 0
	EXCEPTION device_not_available, 7, do_trap, 0
	EXCEPTION double_fault, 8, do_trap, 1
	EXCEPTION invalid_tss, 10, do_trap, 1
	EXCEPTION segment_not_present, 11, do_trap, 1
	EXCEPTION stack_segment, 12, do_trap, 1
	EXCEPTION general_protection, 13, do_trap, 1
	EXCEPTION page_fault, 14, do_page_fault, 1
	EXCEPTION coprocessor_error, 16, do_trap, 0
	EXCEPTION alignment_check, 17, do_trap, 1
	EXCEPTION simd_error, 19, do_trap, 0

/* void native_load_gs_index(selector): the selector goes to the user's gs, the base of the kernel's stays. */
FUNCTION(native_load_gs_index)
	pushfq
	DISABLE_INTERRUPTS(CLBR_ANY_BUT_RDI)
	SWAPGS
	.globl gs_change, gs_changed
gs_change:
	movl %edi, %gs
gs_changed:
	mfence
	SWAPGS
	popfq
	ret
	.globl gs_bad
gs_bad:
	SWAPGS
	xorl %eax, %eax
	movl %eax, %gs
	jmp gs_changed
END(native_load_gs_index)

/* Places that may fault, and where to go on. */
	.section .rodata.exception_table, "a", @progbits
	.balign 8
	.globl exception_table, exception_table_end
	.type exception_table, @object
exception_table:
	.quad gs_change, gs_bad
	.quad irq_return, bad_iret
#if GUEST_XEN
	.quad xen_m2p_load, xen_m2p_loaded
#endif
	.quad copy_user_load8, copy_user_fixup
	.quad copy_user_store8, copy_user_fixup
	.quad copy_user_load1, copy_user_fixup
	.quad copy_user_store1, copy_user_fixup
exception_table_end:
	.size exception_table, . - exception_table

/* The interrupt gates in vector order; 0 where a vector has none. */
	.section .rodata.vectors, "a", @progbits
	.balign 8
	.globl exception_vectors, interrupt_vectors
	.type exception_vectors, @object
exception_vectors:
	.quad divide_error, debug, 0, breakpoint, overflow, bounds, invalid_opcode, device_not_available
	.quad double_fault, 0, invalid_tss, segment_not_present, stack_segment, general_protection, page_fault, 0
	.quad coprocessor_error, alignment_check, 0, simd_error
	.size exception_vectors, . - exception_vectors
	.type interrupt_vectors, @object
interrupt_vectors:
	.quad interrupt_32, interrupt_33, interrupt_34, interrupt_35, interrupt_36, interrupt_37, interrupt_38
	.quad interrupt_39, interrupt_40
	.size interrupt_vectors, . - interrupt_vectors
