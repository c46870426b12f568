/* Interrupt flag of the CPU, through the irq ops or by the instructions themselves. */
#ifndef IRQFLAGS_H
#define IRQFLAGS_H

#include "pv_call.h"

#define EFLAGS_IF 0x200

#if !CONFIG_PARAVIRT

static always_inline ulong raw_local_save_flags(void)
{
	ulong flags;

	asm volatile("pushf\n\tpop %0" : "=r"(flags) : : "memory");
	return flags;
}

static always_inline void raw_local_irq_restore(ulong flags)
{
	asm volatile("push %0\n\tpopf" : : "r"(flags) : "memory", "cc");
}

static always_inline void raw_local_irq_disable(void)
{
	asm volatile("cli" ::: "memory");
}

static always_inline void raw_local_irq_enable(void)
{
	asm volatile("sti" ::: "memory");
}

static always_inline void raw_safe_halt(void)
{
	asm volatile("sti\n\thlt" ::: "memory");
}

#else

#if !BITS64

static always_inline ulong raw_local_save_flags(void) { return PV_IRQ_CALL0(pv_irq_ops.save_fl); }
static always_inline void raw_local_irq_restore(ulong flags) { PV_IRQ_CALL1(pv_irq_ops.restore_fl, flags); }
static always_inline void raw_local_irq_disable(void) { PV_IRQ_CALL0(pv_irq_ops.irq_disable); }
static always_inline void raw_local_irq_enable(void) { PV_IRQ_CALL0(pv_irq_ops.irq_enable); }

#elif PV_CALLEE_SAVE_IRQ

static always_inline ulong raw_local_save_flags(void)
{
	return PV_CALLEE0(PV_IRQ_FUNC(pv_irq_ops.save_fl), CLBR_RAX);
}

static always_inline void raw_local_irq_restore(ulong flags)
{
	PV_CALLEE1(PV_IRQ_FUNC(pv_irq_ops.restore_fl), CLBR_RAX, flags);
}

static always_inline void raw_local_irq_disable(void)
{
	PV_CALLEE0(PV_IRQ_FUNC(pv_irq_ops.irq_disable), CLBR_RAX);
}

static always_inline void raw_local_irq_enable(void)
{
	PV_CALLEE0(PV_IRQ_FUNC(pv_irq_ops.irq_enable), CLBR_RAX);
}

#else

#define PV_IRQ_INSN "push %%rdi\n\t" PV_CALL_INSN "\n\tpop %%rdi"

static always_inline ulong raw_local_save_flags(void)
{
	ulong flags;

	asm volatile(PV_SITE(PV_IRQ_INSN)
	             : "=a"(flags)
	             : PV_OPERANDS(pv_irq_ops.save_fl, CLBR_RAX)
	             : "memory", "cc", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
	return flags;
}

static always_inline void raw_local_irq_restore(ulong flags)
{
	asm volatile(PV_SITE(PV_IRQ_INSN)
	             :
	             : PV_OPERANDS(pv_irq_ops.restore_fl, CLBR_RAX), "D"(flags)
	             : "memory", "cc", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11");
}

static always_inline void raw_local_irq_disable(void)
{
	asm volatile(PV_SITE(PV_IRQ_INSN)
	             :
	             : PV_OPERANDS(pv_irq_ops.irq_disable, CLBR_RAX)
	             : "memory", "cc", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11");
}

static always_inline void raw_local_irq_enable(void)
{
	asm volatile(PV_SITE(PV_IRQ_INSN)
	             :
	             : PV_OPERANDS(pv_irq_ops.irq_enable, CLBR_RAX)
	             : "memory", "cc", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11");
}

#endif

static always_inline void raw_safe_halt(void)
{
	PV_CALL0(pv_irq_ops.safe_halt);
}

#endif

#define local_irq_disable() raw_local_irq_disable()
#define local_irq_enable() raw_local_irq_enable()
#define local_irq_restore(flags) raw_local_irq_restore(flags)
#define local_irq_save(flags)             \
	do {                                  \
		(flags) = raw_local_save_flags(); \
		raw_local_irq_disable();          \
	} while (0)

static always_inline bool irqs_disabled(void)
{
	return !(raw_local_save_flags() & EFLAGS_IF);
}

#endif
