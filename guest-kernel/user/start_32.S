/* Head of the program's image, read by the kernel's loader, and its entry: 32 bit. */
#include "syscalls.h"

	.section .text.start, "ax", @progbits
	.globl program_head
	.type program_head, @object
program_head:
	.ascii "PVTPROG1"
	.long _start
	.long _etext
	.long _edata
	.long _end
	.size program_head, . - program_head

	/* sysexit goes on at 0x08048020 (docs/adr/006). */
	.org 0x20
	.type sysenter_return, @function
sysenter_return:
	popl %ebp
	popl %edx
	popl %ecx
	ret
	.size sysenter_return, . - sysenter_return

	.globl _start
	.type _start, @function
_start:
	pushl %eax
	call main
	ud2
	.size _start, . - _start

/* The fast way in: esp travels in ebp, with the sixth argument at its top. */
	.section .text.sysenter_call, "ax", @progbits
	.type sysenter_call, @function
sysenter_call:
	pushl %ecx
	pushl %edx
	pushl %ebp
	movl %esp, %ebp
	sysenter
	.size sysenter_call, . - sysenter_call

/* long syscall6(a, b, c, d, e, f, number): calls for memory go by int 0x80, all others by sysenter. */
	.section .text.syscall6, "ax", @progbits
	.globl syscall6
	.type syscall6, @function
syscall6:
	pushl %ebx
	pushl %esi
	pushl %edi
	pushl %ebp
	movl 20(%esp), %ebx
	movl 24(%esp), %ecx
	movl 28(%esp), %edx
	movl 32(%esp), %esi
	movl 36(%esp), %edi
	movl 40(%esp), %ebp
	movl 44(%esp), %eax
	cmpl $SYS_MMAP, %eax
	jb 1f
	cmpl $SYS_MUNMAP, %eax
	ja 1f
	int $0x80
	jmp 2f
1:	call sysenter_call
2:	popl %ebp
	popl %edi
	popl %esi
	popl %ebx
	ret
	.size syscall6, . - syscall6
