/* Copying and clearing of pages, user memory and small objects: arguments in eax, edx and ecx. */
#include "pv_asm.h"

/* clear_page(page): 64 lines of 64 bytes. */
FUNCTION(clear_page)
	xorl %edx, %edx
	movl $PAGE_SIZE / 64, %ecx
1:
	.irp offset, 0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60
	movl %edx, \offset(%eax)
	.endr
	addl $64, %eax
	decl %ecx
	jnz 1b
	ret
END(clear_page)

/* copy_page(to, from). */
FUNCTION(copy_page)
	pushl %ebx
	pushl %esi
	movl $PAGE_SIZE / 64, %ecx
1:
	.irp offset, 0, 8, 16, 24, 32, 40, 48, 56
	movl \offset(%edx), %ebx
	movl 4+\offset(%edx), %esi
	movl %ebx, \offset(%eax)
	movl %esi, 4+\offset(%eax)
	.endr
	addl $64, %edx
	addl $64, %eax
	decl %ecx
	jnz 1b
	popl %esi
	popl %ebx
	ret
END(copy_page)

/* copy_user(to, from, count) -> bytes not copied; a fault ends the copy. */
FUNCTION(copy_user)
	pushl %edi
	pushl %esi
	movl %eax, %edi
	movl %edx, %esi
	movl %ecx, %edx
	shrl $2, %ecx
	jz 2f
	.globl copy_user_load4, copy_user_store4, copy_user_load1, copy_user_store1, copy_user_fixup
copy_user_load4:
	movl (%esi), %eax
copy_user_store4:
	movl %eax, (%edi)
	addl $4, %esi
	addl $4, %edi
	subl $4, %edx
	decl %ecx
	jnz copy_user_load4
2:	testl %edx, %edx
	jz copy_user_fixup
copy_user_load1:
	movb (%esi), %al
copy_user_store1:
	movb %al, (%edi)
	incl %esi
	incl %edi
	decl %edx
	jnz copy_user_load1
copy_user_fixup:
	movl %edx, %eax
	popl %esi
	popl %edi
	ret
END(copy_user)

/* memcpy(to, from, count) -> to. */
FUNCTION(memcpy)
	pushl %edi
	pushl %esi
	movl %eax, %edi
	movl %edx, %esi
	movl %ecx, %edx
	shrl $2, %ecx
	andl $3, %edx
	rep movsl
	movl %edx, %ecx
	rep movsb
	popl %esi
	popl %edi
	ret
END(memcpy)

/* memset(to, byte, count) -> to. */
FUNCTION(memset)
	pushl %edi
	pushl %ebx
	movl %eax, %edi
	movl %eax, %ebx
	movzbl %dl, %eax
	imull $0x01010101, %eax, %eax
	movl %ecx, %edx
	shrl $2, %ecx
	andl $3, %edx
	rep stosl
	movl %edx, %ecx
	rep stosb
	movl %ebx, %eax
	popl %ebx
	popl %edi
	ret
END(memset)
