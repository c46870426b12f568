/* The CPU's side of a task: segments, bases, stacks. */
#include "sched.h"

/* A data segment of ring 3 with the given base and a limit of 4 GiB (Intel SDM vol. 3, 3.4.5). */
static noinline u64 tls_descriptor(ulong base)
{
	u32 high = 0x00cff200 | (base & 0xff000000) | (base >> 16 & 0xff);

	return (u64)high << 32 | (base << 16 | 0xffff);
}

static always_inline u16 read_gs(void)
{
	u16 selector;

	asm volatile("movw %%gs, %0" : "=r"(selector));
	return selector;
}

static always_inline void load_gs(u32 selector)
{
	asm volatile("movl %0, %%gs" : : "r"(selector));
}

/* Gives the process a segment of its own; returns the selector for its gs. */
noinline asmlinkage long sys_set_thread_area(ulong base)
{
	struct thread *thread = &current->thread;

	if (base >= USER_LIMIT)
		return -EPERM;
	thread->tls[0] = tls_descriptor(base);
	load_tls(thread, 0);
	return GS_TLS_SELECTOR;
}

/* The second half of a switch, on the stack of `next`; returns `prev`. */
noinline struct task *switch_to_task(struct task *prev_task, struct task *next_task)
{
	struct thread *prev = &prev_task->thread, *next = &next_task->thread;
	struct cpu_area *cpu = this_cpu();

	load_sp0(&cpu_tss, next);
	prev->gs = read_gs();
	load_tls(next, 0);
	leave_lazy_cpu_mode();
	if (prev->gs | next->gs)
		load_gs(next->gs);
	cpu->task = next_task;
	return prev_task;
}

/* The child's stack: the parent's frame with result 0, below it what switch_stacks pops. */
noinline void copy_thread(struct task *task, struct regs *regs)
{
	ulong top = (ulong)task->thread_info + THREAD_SIZE;
	struct regs *child = (struct regs *)top - 1;
	ulong *stack = (ulong *)child;

	*child = *regs;
	child->ax = 0;
	task->thread.sp0 = top;
	task->thread.gs = read_gs();
	*--stack = (ulong)ret_from_fork;
	for (u32 i = 0; i < SWITCH_WORDS; i++)
		*--stack = 0;
	task->sp = (ulong)stack;
}
