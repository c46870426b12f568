/* Virtual layout, selectors and offsets of 64-bit kernels. */
#ifndef LAYOUT_64_H
#define LAYOUT_64_H

/* Virtual layout. */
#define KERNEL_WINDOW 0xffffffff80000000
#define DIRECT_MAP 0xffff880000000000
/* Where the loader puts the image. */
#define IMAGE_PHYSICAL 0x1000000
#define USER_LIMIT 0x00007ffffffff000

/* Segment selectors; the order of the user entries is what sysret needs (Intel SDM vol. 2, SYSRET). */
#define KERNEL_CS 0x10
#define KERNEL_DS 0x18
#define USER32_CS 0x23
#define USER_DS 0x2b
#define USER_CS 0x33
#define TSS_SELECTOR 0x40
#define LDT_SELECTOR 0x50
#define TLS_FIRST 12
#define FS_TLS_SELECTOR 0x63
#define GS_TLS_SELECTOR 0x6b
#define GDT_ENTRIES 16
/* Xen wants the table alone in its page. */
#define GDT_SPACE (GUEST_XEN ? 512 : GDT_ENTRIES)

/* struct regs: the frame of a system call, interrupt or exception. */
#define R15 0
#define R14 8
#define R13 16
#define R12 24
#define RBP 32
#define RBX 40
#define R11 48
#define R10 56
#define R9 64
#define R8 72
#define RAX 80
#define RCX 88
#define RDX 96
#define RSI 104
#define RDI 112
#define ORIG_RAX 120
#define RIP 128
#define CS 136
#define EFLAGS 144
#define RSP 152
#define SS 160
#define REGS_SIZE 168

/* struct cpu_area, reached through %gs in the kernel. */
#define CPU_CURRENT 0
#define CPU_KERNEL_STACK 8
#define CPU_USER_RSP 16
#define CPU_IRQ_COUNT 24
#define CPU_IRQ_STACK 32
#define CPU_SELF 40
/* With Xen only: the pointer to the event word, and the structure that holds it. */
#define CPU_VCPU 48
#define CPU_UPCALL_PENDING 128
#define CPU_UPCALL_MASK 129

/* struct thread_info lies at the low end of a kernel stack. */
#define TI_FLAGS 8
/* struct task offset of the saved kernel stack pointer. */
#define TASK_SP 8

/* Slot numbers of the ops that assembly reaches (domain.md §1.2): byte offset in the template / 8. */
#define PV_TYPE_USERGS_SYSRET64 46
#define PV_TYPE_IRET 48
#define PV_TYPE_SWAPGS 49
#define PV_TYPE_IRQ_DISABLE 55
#define PV_TYPE_IRQ_ENABLE 56
#define PV_TYPE_ADJUST_EXCEPTION_FRAME 59

#endif
