/* layout.h against the structures that it mirrors. */
#include "sched.h"

#define SAME(type, member, value) _Static_assert(offsetof(type, member) == (value), #member)

#if BITS64
SAME(struct regs, r15, R15);
SAME(struct regs, bx, RBX);
SAME(struct regs, r11, R11);
SAME(struct regs, ax, RAX);
SAME(struct regs, di, RDI);
SAME(struct regs, orig_ax, ORIG_RAX);
SAME(struct regs, ip, RIP);
SAME(struct regs, flags, EFLAGS);
SAME(struct regs, ss, SS);
_Static_assert(sizeof(struct regs) == REGS_SIZE, "regs");
SAME(struct cpu_area, task, CPU_CURRENT);
SAME(struct cpu_area, kernel_stack, CPU_KERNEL_STACK);
SAME(struct cpu_area, user_rsp, CPU_USER_RSP);
SAME(struct cpu_area, irq_count, CPU_IRQ_COUNT);
SAME(struct cpu_area, irq_stack, CPU_IRQ_STACK);
SAME(struct cpu_area, self, CPU_SELF);
#if GUEST_XEN
SAME(struct cpu_area, vcpu, CPU_VCPU);
SAME(struct cpu_area, vcpu_info.upcall_pending, CPU_UPCALL_PENDING);
SAME(struct cpu_area, vcpu_info.upcall_mask, CPU_UPCALL_MASK);
_Static_assert(sizeof(struct vcpu_info) == 64, "vcpu_info");
#endif
#else
SAME(struct regs, bx, EBX);
SAME(struct regs, bp, EBP);
SAME(struct regs, ax, EAX);
SAME(struct regs, fs, FS);
SAME(struct regs, gs, GS);
SAME(struct regs, orig_ax, ORIG_EAX);
SAME(struct regs, ip, EIP);
SAME(struct regs, flags, EFLAGS);
SAME(struct regs, ss, SS);
_Static_assert(sizeof(struct regs) == REGS_SIZE, "regs");
SAME(struct cpu_area, task, CPU_CURRENT);
SAME(struct cpu_area, self, CPU_SELF);
SAME(struct tss, sp0, TSS_SP0);
_Static_assert(sizeof(struct tss) == 104, "tss");
#endif
SAME(struct thread_info, flags, TI_FLAGS);
SAME(struct task, sp, TASK_SP);
