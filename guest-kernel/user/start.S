/* Head of the program's image, read by the kernel's loader, and its entry. */
	.section .text.start, "ax", @progbits
	.globl program_head
	.type program_head, @object
program_head:
	.ascii "PVTPROG1"
	.quad _start
	.quad _etext
	.quad _edata
	.quad _end
	.size program_head, . - program_head

	.globl _start
	.type _start, @function
_start:
	call main
	ud2
	.size _start, . - _start

/* long syscall6(a, b, c, d, e, f, number): arguments are shifted to where the kernel wants them. */
	.section .text.syscall6, "ax", @progbits
	.globl syscall6
	.type syscall6, @function
syscall6:
	movq %rcx, %r10
	movq 8(%rsp), %rax
	syscall
	ret
	.size syscall6, . - syscall6
