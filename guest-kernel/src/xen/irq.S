/* The direct irq ops on the vcpu_info in per-CPU memory (domain.md §5.2 ii): they touch ah and flags only. */
#include "pv_asm.h"

#if GUEST_XEN
FUNCTION(xen_irq_enable_direct)
	movb $0, %gs:CPU_UPCALL_MASK
	testb $0xff, %gs:CPU_UPCALL_PENDING
	jz 1f
	call xen_check_events
1:	ret
END(xen_irq_enable_direct)

FUNCTION(xen_irq_disable_direct)
	movb $1, %gs:CPU_UPCALL_MASK
	ret
END(xen_irq_disable_direct)

FUNCTION(xen_save_fl_direct)
	testb $0xff, %gs:CPU_UPCALL_MASK
	setz %ah
	addb %ah, %ah
	ret
END(xen_save_fl_direct)

/* Events are due when the word of both bytes is 1: pending and not masked. */
FUNCTION(xen_restore_fl_direct)
	testw $0x200, %di
	setz %gs:CPU_UPCALL_MASK
	cmpw $1, %gs:CPU_UPCALL_PENDING
	jnz 1f
	call xen_check_events
1:	ret
END(xen_restore_fl_direct)

/* Lets the hypervisor deliver what is pending and keeps every register for the op that called. */
FUNCTION(xen_check_events)
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	call xen_force_upcall
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	ret
END(xen_check_events)
#endif
