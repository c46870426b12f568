/* Frame handling of 32-bit entry code. */
#ifndef ENTRY_32_H
#define ENTRY_32_H

#include "pv_asm.h"

/* Data segments that the kernel uses, and its per-CPU data; loses edx. */
.macro KERNEL_SEGMENTS
	movl $USER_DS, %edx
	movl %edx, %ds
	movl %edx, %es
	movl $PERCPU_SELECTOR, %edx
	movl %edx, %fs
.endm

/* Makes a struct regs below what the CPU pushed and a word for orig_ax; loses edx. */
.macro SAVE_ALL
	cld
	pushl %gs
	pushl %fs
	pushl %es
	pushl %ds
	pushl %eax
	pushl %ebp
	pushl %edi
	pushl %esi
	pushl %edx
	pushl %ecx
	pushl %ebx
	KERNEL_SEGMENTS
.endm

.macro THREAD_INFO reg
	movl $-THREAD_SIZE, \reg
	andl %esp, \reg
.endm

#endif
