/* What every image has besides code: the stack of the boot thread, and the first program. */
	.section .bss.boot_stacks, "aw", @nobits
	.balign THREAD_SIZE
	.globl boot_stack, boot_stack_top
	.type boot_stack, @object
boot_stack:
	.skip THREAD_SIZE
boot_stack_top:
	.size boot_stack, . - boot_stack
#if BITS64
	.globl irq_stack_top
	.type irq_stack, @object
irq_stack:
	.skip 2 * PAGE_SIZE
irq_stack_top:
	.size irq_stack, . - irq_stack
#endif

	.section .rodata.user_image, "a", @progbits
	.balign 16
	.globl user_image_start, user_image_end
	.type user_image_start, @object
user_image_start:
	.incbin "user.bin"
user_image_end:
	.size user_image_start, . - user_image_start
