/* Virtual layout, selectors and offsets of 32-bit kernels (docs/adr/006). */
#ifndef LAYOUT_32_H
#define LAYOUT_32_H

/* Virtual layout. */
#define DIRECT_MAP 0xc0000000
/* Where the loader puts the image. */
#define IMAGE_PHYSICAL 0x100000
#define USER_LIMIT 0xc0000000

/* Segment selectors. */
#define KERNEL_CS 0x60
#define KERNEL_DS 0x68
#define USER_CS 0x73
#define USER_DS 0x7b
#define TSS_SELECTOR 0x80
#define PERCPU_SELECTOR 0xd8
#define TLS_FIRST 6
#define GS_TLS_SELECTOR 0x33
#define GDT_ENTRIES 32

/* struct regs: the frame of a system call, interrupt or exception. A system call's arguments are its first six words. */
#define EBX 0
#define ECX 4
#define EDX 8
#define ESI 12
#define EDI 16
#define EBP 20
#define EAX 24
#define DS 28
#define ES 32
#define FS 36
#define GS 40
#define ORIG_EAX 44
#define EIP 48
#define CS 52
#define EFLAGS 56
#define ESP 60
#define SS 64
#define REGS_SIZE 68

/* struct cpu_area, reached through %fs in the kernel. */
#define CPU_CURRENT 0
#define CPU_SELF 4

/* struct thread_info lies at the low end of a kernel stack. */
#define TI_FLAGS 4
/* struct task offset of the saved kernel stack pointer. */
#define TASK_SP 4
/* struct tss offset of the stack pointer of ring 0, which is also what sysenter's entry finds through esp. */
#define TSS_SP0 4

/* The user's stub goes on here after sysexit. */
#define SYSENTER_RETURN 0x08048020
#define SYSCALL_VECTOR 0x80

#endif
