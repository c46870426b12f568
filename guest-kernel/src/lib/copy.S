/* Copying and clearing of pages, user memory and small objects. */
#include "pv_asm.h"

/* clear_page(page): 64 lines of 64 bytes. */
FUNCTION(clear_page)
	xorl %eax, %eax
	movl $PAGE_SIZE / 64, %ecx
1:	movq %rax, (%rdi)
	movq %rax, 8(%rdi)
	movq %rax, 16(%rdi)
	movq %rax, 24(%rdi)
	movq %rax, 32(%rdi)
	movq %rax, 40(%rdi)
	movq %rax, 48(%rdi)
	movq %rax, 56(%rdi)
	addq $64, %rdi
	decl %ecx
	jnz 1b
	ret
END(clear_page)

/* copy_page(to, from). */
FUNCTION(copy_page)
	movl $PAGE_SIZE / 64, %ecx
1:	movq (%rsi), %rax
	movq 8(%rsi), %rdx
	movq 16(%rsi), %r8
	movq 24(%rsi), %r9
	movq %rax, (%rdi)
	movq %rdx, 8(%rdi)
	movq %r8, 16(%rdi)
	movq %r9, 24(%rdi)
	movq 32(%rsi), %rax
	movq 40(%rsi), %rdx
	movq 48(%rsi), %r8
	movq 56(%rsi), %r9
	movq %rax, 32(%rdi)
	movq %rdx, 40(%rdi)
	movq %r8, 48(%rdi)
	movq %r9, 56(%rdi)
	addq $64, %rsi
	addq $64, %rdi
	decl %ecx
	jnz 1b
	ret
END(copy_page)

/* copy_user(to, from, count) -> bytes not copied; a fault ends the copy. */
FUNCTION(copy_user)
	movq %rdx, %rcx
	shrq $3, %rcx
	jz 2f
	.globl copy_user_load8, copy_user_store8, copy_user_load1, copy_user_store1, copy_user_fixup
copy_user_load8:
	movq (%rsi), %rax
copy_user_store8:
	movq %rax, (%rdi)
	addq $8, %rsi
	addq $8, %rdi
	subq $8, %rdx
	decq %rcx
	jnz copy_user_load8
2:	testq %rdx, %rdx
	jz copy_user_fixup
copy_user_load1:
	movb (%rsi), %al
copy_user_store1:
	movb %al, (%rdi)
	incq %rsi
	incq %rdi
	decq %rdx
	jnz copy_user_load1
copy_user_fixup:
	movq %rdx, %rax
	ret
END(copy_user)

/* memcpy(to, from, count) -> to. */
FUNCTION(memcpy)
	movq %rdi, %rax
	movl %edx, %ecx
	shrl $3, %ecx
	andl $7, %edx
	rep movsq
	movl %edx, %ecx
	rep movsb
	ret
END(memcpy)

/* memset(to, byte, count) -> to. */
FUNCTION(memset)
	movq %rdi, %r9
	movzbl %sil, %esi
	movabsq $0x0101010101010101, %rax
	imulq %rsi, %rax
	movl %edx, %ecx
	shrl $3, %ecx
	andl $7, %edx
	rep stosq
	movl %edx, %ecx
	rep stosb
	movq %r9, %rax
	ret
END(memset)
