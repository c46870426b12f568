/*
 * System call entries, their returns, and the end of every way back by iret (docs/adr/006).
 *
 * A frame is a struct regs. From the frame on, ebp holds the task's thread_info; its flags are read into ecx.
 */
#include "entry_32.h"

/* sysenter: esp is the address of the TSS, eax the number, ebp the user's stack pointer with the sixth argument at its top. */
FUNCTION(sysenter_entry)
	movl TSS_SP0(%esp), %esp
	pushl $USER_DS
	pushl %ebp
	pushfl
	orl $0x200, (%esp)
	pushl $USER_CS
	pushl $SYSENTER_RETURN
	pushl %eax
	SAVE_ALL
	ENABLE_INTERRUPTS(CLBR_NONE)
	cmpl $USER_LIMIT - 3, %ebp
	jae sysenter_fault
	.globl sysenter_load, sysenter_fault, sysexit_fs, sysexit_gs, bad_sysexit_fs, bad_sysexit_gs
sysenter_load:
	movl (%ebp), %ebp
	movl %ebp, EBP(%esp)
	THREAD_INFO %ebp
	testl $_TIF_SYSCALL_WORK, TI_FLAGS(%ebp)
	jnz sysenter_audited
sysenter_call:
	cmpl $SYSCALL_COUNT - 1, %eax
	ja sysenter_unknown
	call *sys_call_table(,%eax,4)
	movl %eax, EAX(%esp)
	DISABLE_INTERRUPTS(CLBR_ANY)
	movl TI_FLAGS(%ebp), %ecx
	testl $_TIF_ALL_WORK, %ecx
	jnz sysexit_work
sysenter_exit:
	movl EAX(%esp), %eax
	movl EIP(%esp), %edx
	movl ESP(%esp), %ecx
	xorl %ebp, %ebp
sysexit_fs:
	mov FS(%esp), %fs
sysexit_gs:
	mov GS(%esp), %gs
	ENABLE_INTERRUPTS_SYSEXIT

sysenter_audited:
	movl %esp, %eax
	call audit_syscall_entry
	jmp sysenter_call
	/* Audit alone keeps the fast return. */
sysexit_work:
	testl $_TIF_RETURN_WORK, %ecx
	jnz syscall_exit_work
	ENABLE_INTERRUPTS(CLBR_ANY)
	movl %esp, %eax
	call audit_syscall_exit
	DISABLE_INTERRUPTS(CLBR_ANY)
	movl TI_FLAGS(%ebp), %ecx
	testl $_TIF_RETURN_WORK, %ecx
	jz sysenter_exit
	jmp syscall_exit_work
sysenter_unknown:
	movl $-38, EAX(%esp)
	jmp resume_userspace
sysenter_fault:
	THREAD_INFO %ebp
	movl $-14, EAX(%esp)
	jmp resume_userspace
	/* A selector that has gone bad becomes null. */
bad_sysexit_fs:
	movl $0, FS(%esp)
	jmp sysexit_fs
bad_sysexit_gs:
	movl $0, GS(%esp)
	jmp sysexit_gs
END(sysenter_entry)

/* int 0x80: a trap gate, so that interrupts stay as they are. */
FUNCTION(system_call)
	pushl %eax
	SAVE_ALL
	THREAD_INFO %ebp
	testl $_TIF_SYSCALL_WORK, TI_FLAGS(%ebp)
	jnz system_call_audited
system_call_call:
	cmpl $SYSCALL_COUNT - 1, %eax
	ja system_call_unknown
	call *sys_call_table(,%eax,4)
	movl %eax, EAX(%esp)
	.globl syscall_exit, syscall_exit_work, resume_userspace
syscall_exit:
	DISABLE_INTERRUPTS(CLBR_ANY)
	movl TI_FLAGS(%ebp), %ecx
	testl $_TIF_ALL_WORK, %ecx
	jz restore_all
syscall_exit_work:
	testl $_TIF_SYSCALL_WORK, %ecx
	jz work_pending
	ENABLE_INTERRUPTS(CLBR_ANY)
	movl %esp, %eax
	call audit_syscall_exit
resume_userspace:
	DISABLE_INTERRUPTS(CLBR_ANY)
	movl TI_FLAGS(%ebp), %ecx
	testl $_TIF_RETURN_WORK, %ecx
	jz restore_all
work_pending:
	testl $_TIF_NEED_RESCHED, %ecx
	jz work_signal
work_resched:
	call schedule
	jmp resume_userspace
work_signal:
	movl %esp, %eax
	movl %ecx, %edx
	call do_notify_resume
	jmp resume_userspace

system_call_audited:
	movl %esp, %eax
	call audit_syscall_entry
	jmp system_call_call
system_call_unknown:
	movl $-38, EAX(%esp)
	jmp syscall_exit
END(system_call)

/* The frame's end, for every return by iret. */
FUNCTION(restore_all)
	popl %ebx
	popl %ecx
	popl %edx
	popl %esi
	popl %edi
	popl %ebp
	popl %eax
	.globl restore_ds, restore_es, restore_fs, restore_gs, irq_return
restore_ds:
	popl %ds
restore_es:
	popl %es
restore_fs:
	popl %fs
restore_gs:
	popl %gs
	addl $4, %esp
irq_return:
	INTERRUPT_RETURN
	/* A selector that has gone bad becomes null. */
	.globl bad_restore_ds, bad_restore_es, bad_restore_fs, bad_restore_gs
bad_restore_ds:
	movl $0, (%esp)
	jmp restore_ds
bad_restore_es:
	movl $0, (%esp)
	jmp restore_es
bad_restore_fs:
	movl $0, (%esp)
	jmp restore_fs
bad_restore_gs:
	movl $0, (%esp)
	jmp restore_gs
END(restore_all)

/* iret faulted on a user frame: the user's segments are loaded. */
FUNCTION(bad_iret)
	KERNEL_SEGMENTS
	movl $11, %eax
	call do_exit
END(bad_iret)

/* fork reads the whole frame of its caller. */
FUNCTION(stub_fork)
	leal 4(%esp), %eax
	jmp do_fork
END(stub_fork)

/* A new task comes here from its first switch with the previous one in eax. */
FUNCTION(ret_from_fork)
	call schedule_tail
	THREAD_INFO %ebp
	jmp syscall_exit
END(ret_from_fork)

/* The first user process: its frame was made by hand. */
FUNCTION(ret_from_kernel_start)
	call schedule_tail
	movl %esp, %eax
	call start_user
	THREAD_INFO %ebp
	jmp syscall_exit
END(ret_from_kernel_start)

/* struct task *switch_stacks(prev, next): returns prev on the stack of next. */
FUNCTION(switch_stacks)
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl %esp, TASK_SP(%eax)
	movl TASK_SP(%edx), %esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	jmp switch_to_task
END(switch_stacks)
