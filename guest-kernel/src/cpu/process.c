/* The CPU's side of a task: segments, bases, stacks. */
#include "sched.h"

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002

/* A data segment of ring 3 with the given 32-bit base and a limit of 4 GiB (Intel SDM vol. 3, 3.4.5). */
static noinline u64 tls_descriptor(ulong base)
{
	return 0x00cff2000000fffful | (base & 0xffffff) << 16 | (base & 0xff000000) << 32;
}

static always_inline u16 read_fs(void)
{
	u16 selector;

	asm volatile("movw %%fs, %0" : "=r"(selector));
	return selector;
}

static always_inline u16 read_gs(void)
{
	u16 selector;

	asm volatile("movw %%gs, %0" : "=r"(selector));
	return selector;
}

static always_inline void load_fs(u32 selector)
{
	asm volatile("movl %0, %%fs" : : "r"(selector));
}

/* A base below 4 GiB goes to a segment of the task's own, a higher one to the base register. */
noinline asmlinkage long sys_arch_prctl(ulong code, ulong address)
{
	struct thread *thread = &current->thread;

	if (address >= USER_LIMIT)
		return -EPERM;
	switch (code) {
	case ARCH_SET_FS:
		if (address <= 0xffffffff) {
			thread->tls[0] = tls_descriptor(address);
			load_tls(thread, 0);
			load_fs(FS_TLS_SELECTOR);
			thread->fs_index = FS_TLS_SELECTOR;
			thread->fs = 0;
		} else {
			thread->fs_index = 0;
			thread->fs = address;
			load_fs(0);
			return wrmsrl(MSR_FS_BASE, address);
		}
		return 0;
	case ARCH_SET_GS:
		if (address <= 0xffffffff) {
			thread->tls[1] = tls_descriptor(address);
			load_tls(thread, 0);
			load_gs_index(GS_TLS_SELECTOR);
			thread->gs_index = GS_TLS_SELECTOR;
			thread->gs = 0;
		} else {
			thread->gs_index = 0;
			thread->gs = address;
			load_gs_index(0);
			return wrmsrl(MSR_KERNEL_GS_BASE, address);
		}
		return 0;
	}
	return -EINVAL;
}

/* The second half of a switch, on the stack of `next`; returns `prev`. */
noinline struct task *switch_to_task(struct task *prev_task, struct task *next_task)
{
	struct thread *prev = &prev_task->thread, *next = &next_task->thread;
	struct cpu_area *cpu = this_cpu();
	u16 fs_index, gs_index;

	load_sp0(&cpu_tss, next);
	fs_index = read_fs();
	gs_index = read_gs();
	load_tls(next, 0);
	leave_lazy_cpu_mode();
	if (fs_index | next->fs_index | prev->fs) {
		load_fs(next->fs_index);
		if (fs_index)
			prev->fs = 0;
	}
	if (next->fs)
		wrmsrl(MSR_FS_BASE, next->fs);
	prev->fs_index = fs_index;
	if (gs_index | next->gs_index | prev->gs) {
		load_gs_index(next->gs_index);
		if (gs_index)
			prev->gs = 0;
	}
	if (next->gs)
		wrmsrl(MSR_KERNEL_GS_BASE, next->gs);
	prev->gs_index = gs_index;
	prev->user_rsp = cpu->user_rsp;
	cpu->user_rsp = next->user_rsp;
	cpu->task = next_task;
	cpu->kernel_stack = next->sp0;
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
	task->thread.user_rsp = regs->sp;
	task->thread.fs_index = read_fs();
	task->thread.gs_index = read_gs();
	*--stack = (ulong)ret_from_fork;
	for (u32 i = 0; i < SWITCH_WORDS; i++)
		*--stack = 0;
	task->sp = (ulong)stack;
}
