/* Interrupt and exception entry, and the return from both. The kernel stays on the stack that was interrupted. */
#include "entry_32.h"

FUNCTION(common_interrupt)
	SAVE_ALL
	movl %esp, %eax
	call do_irq
	jmp ret_from_intr
END(common_interrupt)

FUNCTION(ret_from_exception)
	DISABLE_INTERRUPTS(CLBR_ANY)
	.globl ret_from_intr
ret_from_intr:
	THREAD_INFO %ebp
	testl $3, CS(%esp)
	jz restore_all
	jmp resume_userspace
END(ret_from_exception)

/* Entry points of the external interrupts: timer and device lines. */
.macro INTERRUPT vector
FUNCTION(interrupt_\vector)
	pushl $~\vector
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

/* Exceptions: the error code lies where a system call's number would. */
.macro EXCEPTION name, number, handler, has_code
FUNCTION(\name)
	.if \has_code == 0
	pushl $0
	.endif
	SAVE_ALL
	movl ORIG_EAX(%esp), %edx
	movl $-1, ORIG_EAX(%esp)
	movl %esp, %eax
	movl $\number, %ecx
	call \handler
	jmp ret_from_exception
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

/* Places that may fault, and where to go on. */
	.section .rodata.exception_table, "a", @progbits
	.balign 4
	.globl exception_table, exception_table_end
	.type exception_table, @object
exception_table:
	.long irq_return, bad_iret
	.long restore_ds, bad_restore_ds
	.long restore_es, bad_restore_es
	.long restore_fs, bad_restore_fs
	.long restore_gs, bad_restore_gs
	.long sysexit_fs, bad_sysexit_fs
	.long sysexit_gs, bad_sysexit_gs
	.long sysenter_load, sysenter_fault
	.long copy_user_load4, copy_user_fixup
	.long copy_user_store4, copy_user_fixup
	.long copy_user_load1, copy_user_fixup
	.long copy_user_store1, copy_user_fixup
exception_table_end:
	.size exception_table, . - exception_table

/* The interrupt gates in vector order; 0 where a vector has none. */
	.section .rodata.vectors, "a", @progbits
	.balign 4
	.globl exception_vectors, interrupt_vectors
	.type exception_vectors, @object
exception_vectors:
	.long divide_error, debug, 0, breakpoint, overflow, bounds, invalid_opcode, device_not_available
	.long double_fault, 0, invalid_tss, segment_not_present, stack_segment, general_protection, page_fault, 0
	.long coprocessor_error, alignment_check, 0, simd_error
	.size exception_vectors, . - exception_vectors
	.type interrupt_vectors, @object
interrupt_vectors:
	.long interrupt_32, interrupt_33, interrupt_34, interrupt_35, interrupt_36, interrupt_37, interrupt_38
	.long interrupt_39, interrupt_40
	.size interrupt_vectors, . - interrupt_vectors
