/* The event word of the CPU: the irq ops in C, what an upcall brings, and where upcalls go (domain.md §5.2 i). */
#include "xen.h"

#if GUEST_XEN

#define FIRST_PORT 1
#define PORTS (1 + DEVICE_LINES)

extern char xen_upcall[], xen_failsafe[], xen_syscall_target[];
void irq_init(void);
void do_irq(struct regs *regs);
ulong xen_save_fl(void);
void xen_restore_fl(ulong flags);
void xen_irq_disable(void);
void xen_irq_enable(void);
void xen_init_irq(void);
void xen_do_upcall(struct regs *regs);

static always_inline struct vcpu_info *this_vcpu(void)
{
	struct vcpu_info *vcpu;

	asm volatile("movq %%gs:%c1, %0" : "=r"(vcpu) : "i"(CPU_VCPU));
	return vcpu;
}

/* A call that does nothing: on the way back the hypervisor delivers what is pending. */
noinline void xen_force_upcall(void)
{
	HYPERCALL(HYPERCALL_XEN_VERSION, 0, 0, 0, 0);
}

noinline ulong xen_save_fl(void)
{
	return this_vcpu()->upcall_mask ? 0 : EFLAGS_IF;
}

noinline void xen_restore_fl(ulong flags)
{
	struct vcpu_info *vcpu = this_vcpu();
	u8 mask = !(flags & EFLAGS_IF);

	vcpu->upcall_mask = mask;
	barrier();
	if (!mask && unlikely(vcpu->upcall_pending))
		xen_force_upcall();
}

noinline void xen_irq_disable(void)
{
	this_vcpu()->upcall_mask = 1;
	barrier();
}

noinline void xen_irq_enable(void)
{
	struct vcpu_info *vcpu = this_vcpu();

	vcpu->upcall_mask = 0;
	barrier();
	if (unlikely(vcpu->upcall_pending))
		xen_force_upcall();
}

#if PV_CALLEE_SAVE_IRQ
PV_CALLEE_SAVE_REGS_THUNK(xen_save_fl);
PV_CALLEE_SAVE_REGS_THUNK(xen_restore_fl);
PV_CALLEE_SAVE_REGS_THUNK(xen_irq_disable);
PV_CALLEE_SAVE_REGS_THUNK(xen_irq_enable);
#endif

/* The ports carry the vectors from TIMER_VECTOR on, in order. */
static noinline void handle_ports(struct regs *regs, ulong word)
{
	for (; word; word &= word - 1) {
		ulong port = (ulong)__builtin_ctzl(word);

		clear_bit((long)port, &xen_shared_info.pending[0]);
		regs->orig_ax = ~(TIMER_VECTOR + port - FIRST_PORT);
		do_irq(regs);
	}
}

noinline void xen_do_upcall(struct regs *regs)
{
	struct vcpu_info *vcpu = this_vcpu();

	do {
		vcpu->upcall_pending = 0;
		if (exchange(&vcpu->pending_sel, 0) & 1)
			handle_ports(regs, xen_shared_info.pending[0] & ~xen_shared_info.mask[0]);
	} while (vcpu->upcall_pending);
}

static noinline void register_callback(u16 type, const char *entry)
{
	struct callback_register callback = { type, CALLBACK_MASKS_EVENTS, (ulong)entry };

	if (HYPERCALL(HYPERCALL_CALLBACK_OP, CALLBACKOP_REGISTER, &callback, 0, 0))
		panic("a callback was refused", type);
}

noinline void xen_init_irq(void)
{
	irq_init();
	for (u32 port = FIRST_PORT; port < FIRST_PORT + PORTS; port++)
		clear_bit(port, &xen_shared_info.mask[0]);
	register_callback(CALLBACK_EVENT, xen_upcall);
	register_callback(CALLBACK_FAILSAFE, xen_failsafe);
	register_callback(CALLBACK_SYSCALL, xen_syscall_target);
}

#endif
