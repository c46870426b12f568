/* Frame handling of the entry code. `off` is what lies on the stack below the frame. */
#ifndef ENTRY_H
#define ENTRY_H

#include "pv_asm.h"

.macro SAVE_SCRATCH off
	movq %rdi, RDI+\off(%rsp)
	movq %rsi, RSI+\off(%rsp)
	movq %rdx, RDX+\off(%rsp)
	movq %rcx, RCX+\off(%rsp)
	movq %rax, RAX+\off(%rsp)
	movq %r8, R8+\off(%rsp)
	movq %r9, R9+\off(%rsp)
	movq %r10, R10+\off(%rsp)
	movq %r11, R11+\off(%rsp)
.endm

.macro SAVE_REST off
	movq %rbx, RBX+\off(%rsp)
	movq %rbp, RBP+\off(%rsp)
	movq %r12, R12+\off(%rsp)
	movq %r13, R13+\off(%rsp)
	movq %r14, R14+\off(%rsp)
	movq %r15, R15+\off(%rsp)
.endm

.macro RESTORE_ARGUMENTS
	movq RDI(%rsp), %rdi
	movq RSI(%rsp), %rsi
	movq RDX(%rsp), %rdx
	movq R8(%rsp), %r8
	movq R9(%rsp), %r9
	movq R10(%rsp), %r10
	movq ORIG_RAX(%rsp), %rax
.endm

.macro RESTORE_SCRATCH
	movq R11(%rsp), %r11
	movq R10(%rsp), %r10
	movq R9(%rsp), %r9
	movq R8(%rsp), %r8
	movq RAX(%rsp), %rax
	movq RCX(%rsp), %rcx
	movq RDX(%rsp), %rdx
	movq RSI(%rsp), %rsi
	movq RDI(%rsp), %rdi
.endm

.macro RESTORE_REST
	movq R15(%rsp), %r15
	movq R14(%rsp), %r14
	movq R13(%rsp), %r13
	movq R12(%rsp), %r12
	movq RBP(%rsp), %rbp
	movq RBX(%rsp), %rbx
.endm

/* What an interrupt would have pushed; a system call leaves the user's rsp in the CPU's area. */
.macro COMPLETE_FRAME off
	movq %gs:CPU_USER_RSP, %rcx
	movq %rcx, RSP+\off(%rsp)
	movq $USER_DS, SS+\off(%rsp)
	movq $USER_CS, CS+\off(%rsp)
.endm

.macro THREAD_FLAGS reg
	movq %gs:CPU_KERNEL_STACK, \reg
	movq TI_FLAGS-THREAD_SIZE(\reg), \reg
.endm

.macro THREAD_FLAGS_TEST mask
	movq %gs:CPU_KERNEL_STACK, %rcx
	testl $\mask, TI_FLAGS-THREAD_SIZE(%rcx)
.endm

#endif
