/* layout.h against the structures that it mirrors. */
#include "sched.h"

#define SAME(type, member, value) _Static_assert(offsetof(type, member) == (value), #member)

SAME(struct regs, r15, R15);
SAME(struct regs, rbx, RBX);
SAME(struct regs, r11, R11);
SAME(struct regs, rax, RAX);
SAME(struct regs, rdi, RDI);
SAME(struct regs, orig_rax, ORIG_RAX);
SAME(struct regs, rip, RIP);
SAME(struct regs, eflags, EFLAGS);
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
SAME(struct thread_info, flags, TI_FLAGS);
SAME(struct task, sp, TASK_SP);
