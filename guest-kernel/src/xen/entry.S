/* Ways between the hypervisor and the kernel's own entry code (docs/adr/007). */
#include "entry.h"
#include "xen_interface.h"

#if GUEST_XEN
#define HYPERCALL_STUB(number) hypercall_page + HYPERCALL_STUB_BYTES * number

/* The frame begins with rcx and r11; below them is what the CPU would have pushed. */
FUNCTION(xen_adjust_exception_frame)
	movq 8(%rsp), %rcx
	movq 16(%rsp), %r11
	ret $16
END(xen_adjust_exception_frame)

FUNCTION(xen_iret)
	pushq $0
	jmp HYPERCALL_STUB(HYPERCALL_IRET)
END(xen_iret)

/* The user's rsp is live when the op is called: the frame goes to the kernel's stack. */
#define FRAME_OF_SYSTEM_CALL 0x100
FUNCTION(xen_sysret64)
	movq %rsp, %gs:CPU_USER_RSP
	movq %gs:CPU_KERNEL_STACK, %rsp
	pushq $USER_DS
	pushq %gs:CPU_USER_RSP
	pushq %r11
	pushq $USER_CS
	pushq %rcx
	pushq $FRAME_OF_SYSTEM_CALL
	jmp HYPERCALL_STUB(HYPERCALL_IRET)
END(xen_sysret64)

/* Undoes the frame, so that the registers are as after the instruction. */
FUNCTION(xen_syscall_target)
	movq 0(%rsp), %rcx
	movq 8(%rsp), %r11
	movq 40(%rsp), %rsp
	jmp system_call_after_swapgs
END(xen_syscall_target)

FUNCTION(xen_upcall)
	ADJUST_EXCEPTION_FRAME
	pushq $-1
	subq $ORIG_RAX, %rsp
	call save_args
	call xen_do_upcall
	jmp ret_from_intr
END(xen_upcall)

/* A frame given to iret could not be loaded: the process that it belongs to ends. */
FUNCTION(xen_failsafe)
	movq %gs:CPU_KERNEL_STACK, %rsp
	movl $11, %edi
	call do_exit
END(xen_failsafe)
#endif
