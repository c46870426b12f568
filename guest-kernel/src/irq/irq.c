/* Interrupts: descriptors with their handlers, and the work deferred behind them. */
#include "sched.h"

struct irq_action {
	int (*handler)(u32 vector, void *device);
	void *device;
	const char *name;
	struct irq_action *next;
};

struct irq_desc {
	spinlock_t lock;
	u32 status, depth;
	ulong count, unhandled;
	struct irq_action *action;
};

#define IRQ_INPROGRESS 1u
#define IRQ_PENDING 2u
#define IRQ_VECTORS (1 + DEVICE_LINES)
#define HARDIRQ_OFFSET 0x10000u

static struct irq_desc descriptors[IRQ_VECTORS];
static struct irq_action actions[IRQ_VECTORS];
static void (*const softirq_actions[SOFTIRQS_MAX])(void) = { [TIMER_SOFTIRQ] = timer_softirq };
static struct regs *irq_regs;

static noinline int timer_interrupt(u32 vector, void *device)
{
	(void)vector;
	(void)device;
	do_timer_tick(irq_regs);
	return 1;
}

noinline int request_irq(u32 vector, int (*handler)(u32 vector, void *device), void *device, const char *name)
{
	struct irq_desc *desc = &descriptors[vector - TIMER_VECTOR];
	struct irq_action *action = &actions[vector - TIMER_VECTOR];
	ulong flags;

	action->handler = handler;
	action->device = device;
	action->name = name;
	spin_lock_irqsave(&desc->lock, flags);
	action->next = desc->action;
	desc->action = action;
	spin_unlock_irqrestore(&desc->lock, flags);
	return 0;
}

noinline void irq_init(void)
{
	for (u32 i = 0; i < IRQ_VECTORS; i++)
		spin_lock_init(&descriptors[i].lock);
	request_irq(TIMER_VECTOR, timer_interrupt, NULL, "timer");
}

noinline void raise_softirq(u32 number)
{
	ulong flags;

	local_irq_save(flags);
	this_cpu()->softirq_pending |= 1u << number;
	local_irq_restore(flags);
}

static noinline void run_softirqs(void)
{
	u32 pending = this_cpu()->softirq_pending;
	u32 restarts = 4;

	this_cpu()->preempt_depth++;
	do {
		this_cpu()->softirq_pending = 0;
		local_irq_enable();
		for (u32 number = 0; pending; number++, pending >>= 1) {
			if (pending & 1 && softirq_actions[number]) {
				count_event(SOFTIRQS);
				softirq_actions[number]();
			}
		}
		local_irq_disable();
		pending = this_cpu()->softirq_pending;
	} while (pending && --restarts);
	this_cpu()->preempt_depth--;
}

noinline void irq_enter(void)
{
	current_thread_info()->preempt_count += HARDIRQ_OFFSET;
	count_event(INTERRUPTS);
}

noinline void irq_exit(void)
{
	struct thread_info *info = current_thread_info();

	this_cpu()->usage.irq++;
	info->preempt_count -= HARDIRQ_OFFSET;
	if (!info->preempt_count && !this_cpu()->preempt_depth && this_cpu()->softirq_pending) {
		ulong flags;

		local_irq_save(flags);
		run_softirqs();
		local_irq_restore(flags);
	}
}

static noinline int handle_irq_event(u32 vector, struct irq_action *action)
{
	int handled = 0;

	for (; action; action = action->next)
		handled |= action->handler(vector, action->device);
	return handled;
}

static noinline void note_interrupt(struct irq_desc *desc, int handled)
{
	if (unlikely(!handled) && ++desc->unhandled > 100)
		panic("nobody handles an interrupt", desc->count);
}

/* Edge flow: one that comes while its handler runs is handled again. */
static noinline void handle_edge_irq(u32 vector, struct irq_desc *desc)
{
	spin_lock(&desc->lock);
	desc->count++;
	if (desc->status & IRQ_INPROGRESS) {
		desc->status |= IRQ_PENDING;
		spin_unlock(&desc->lock);
		return;
	}
	desc->status |= IRQ_INPROGRESS;
	do {
		int handled;

		desc->status &= ~IRQ_PENDING;
		spin_unlock(&desc->lock);
		handled = handle_irq_event(vector, desc->action);
		spin_lock(&desc->lock);
		note_interrupt(desc, handled);
	} while (desc->status & IRQ_PENDING);
	desc->status &= ~IRQ_INPROGRESS;
	spin_unlock(&desc->lock);
}

noinline void do_irq(struct regs *regs)
{
	struct regs *outer = irq_regs;
	u32 vector = ~(u32)regs->orig_ax;

	irq_regs = regs;
	irq_enter();
	BUG_ON(vector < TIMER_VECTOR || vector >= TIMER_VECTOR + IRQ_VECTORS);
	handle_edge_irq(vector, &descriptors[vector - TIMER_VECTOR]);
	irq_exit();
	irq_regs = outer;
}
