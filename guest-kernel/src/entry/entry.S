/*
 * System call entry and its returns.
 *
 * A frame is a struct regs. The fast path fills in only what a called C function may lose; SAVE_REST adds the registers
 * that C preserves, COMPLETE_FRAME what the CPU would have pushed for an interrupt.
 */
#include "entry.h"

FUNCTION(system_call)
	SWAPGS_UNSAFE_STACK
#if GUEST_XEN
	.globl system_call_after_swapgs
system_call_after_swapgs:
#endif
	movq %rsp, %gs:CPU_USER_RSP
	movq %gs:CPU_KERNEL_STACK, %rsp
	ENABLE_INTERRUPTS(CLBR_NONE)
	subq $REGS_SIZE, %rsp
	SAVE_SCRATCH 0
	movq %rax, ORIG_RAX(%rsp)
	movq %rcx, RIP(%rsp)
	movq %r11, EFLAGS(%rsp)
	THREAD_FLAGS_TEST _TIF_SYSCALL_WORK
	jnz system_call_audited
	cmpq $SYSCALL_COUNT - 1, %rax
	ja system_call_unknown
	movq %r10, %rcx
	call *sys_call_table(,%rax,8)
	movq %rax, RAX(%rsp)
	.globl sysret_check
sysret_check:
	DISABLE_INTERRUPTS(CLBR_NONE)
	THREAD_FLAGS %rdx
	testl $_TIF_ALL_WORK, %edx
	jnz sysret_careful
	RESTORE_SCRATCH
	movq RIP(%rsp), %rcx
	movq EFLAGS(%rsp), %r11
	movq %gs:CPU_USER_RSP, %rsp
	USERGS_SYSRET64

	/* Work before the return: rescheduling keeps the fast return, anything else takes iret. */
sysret_careful:
	testl $_TIF_NEED_RESCHED, %edx
	jz sysret_signal
	ENABLE_INTERRUPTS(CLBR_NONE)
	call schedule
	jmp sysret_check
sysret_signal:
	ENABLE_INTERRUPTS(CLBR_NONE)
	SAVE_REST 0
	COMPLETE_FRAME 0
	movq %rsp, %rdi
	movq %rdx, %rsi
	call do_notify_resume
	DISABLE_INTERRUPTS(CLBR_NONE)
	jmp int_with_check

system_call_unknown:
	movq $-38, RAX(%rsp)
	jmp sysret_check
END(system_call)

FUNCTION(system_call_audited)
	SAVE_REST 0
	COMPLETE_FRAME 0
	movq %rsp, %rdi
	call audit_syscall_entry
	RESTORE_ARGUMENTS
	cmpq $SYSCALL_COUNT - 1, %rax
	ja 1f
	movq %r10, %rcx
	call *sys_call_table(,%rax,8)
	movq %rax, RAX(%rsp)
1:	movq %rsp, %rdi
	call audit_syscall_exit
	/* Falls into the slow return by a jump: each function has a slot of its own. */
	jmp int_ret_from_sys_call
END(system_call_audited)

/* Return by iret with a whole frame. */
FUNCTION(int_ret_from_sys_call)
	DISABLE_INTERRUPTS(CLBR_NONE)
	.globl int_with_check
int_with_check:
	THREAD_FLAGS %rdx
	testl $_TIF_RETURN_WORK, %edx
	jnz int_careful
	RESTORE_REST
	jmp retint_swapgs
int_careful:
	testl $_TIF_NEED_RESCHED, %edx
	jz int_very_careful
	ENABLE_INTERRUPTS(CLBR_NONE)
	call schedule
	DISABLE_INTERRUPTS(CLBR_NONE)
	jmp int_with_check
int_very_careful:
	ENABLE_INTERRUPTS(CLBR_NONE)
	movq %rsp, %rdi
	movq %rdx, %rsi
	call do_notify_resume
	DISABLE_INTERRUPTS(CLBR_NONE)
	jmp int_with_check
END(int_ret_from_sys_call)

/* fork reads the whole frame of its caller. */
FUNCTION(stub_fork)
	SAVE_REST 8
	COMPLETE_FRAME 8
	leaq 8(%rsp), %rdi
	jmp do_fork
END(stub_fork)

/* A new task comes here from its first switch with the previous one in rax. */
FUNCTION(ret_from_fork)
	movq %rax, %rdi
	call schedule_tail
	RESTORE_REST
	jmp sysret_check
END(ret_from_fork)

/* The first user process: its frame was made by hand. */
FUNCTION(ret_from_kernel_start)
	movq %rax, %rdi
	call schedule_tail
	movq %rsp, %rdi
	call start_user
	jmp int_ret_from_sys_call
END(ret_from_kernel_start)

/* struct task *switch_stacks(prev, next): returns prev on the stack of next. */
FUNCTION(switch_stacks)
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, TASK_SP(%rdi)
	movq TASK_SP(%rsi), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	jmp switch_to_task
END(switch_stacks)
