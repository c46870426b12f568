/* Boot: from the loader's state to the first process and the idle loop. */
#include "boot_params.h"
#include "sched.h"

extern char boot_stack[], boot_stack_top[];
void start_kernel(const struct boot_params *params);
void start_user(struct regs *regs);
void first_process(void);

struct boot_params boot_params;
static struct sighand init_sighand;
static struct pid idle_pid;

struct task init_task = {
	.thread_info = (struct thread_info *)boot_stack,
	.thread = { .sp0 = (ulong)boot_stack_top },
	.active_mm = &init_mm,
	.usage = { 2 },
	.cred = &init_cred,
	.sighand = &init_sighand,
	.pid = &idle_pid,
	.parent = &init_task,
	.children = LIST_HEAD_INIT(init_task.children),
	.sibling = LIST_HEAD_INIT(init_task.sibling),
	.tasks = LIST_HEAD_INIT(init_task.tasks),
	.comm = "idle",
};

static noinline void memory_setup(void)
{
#if CONFIG_PARAVIRT
	pv_mmu_ops.pagetable_setup_start(boot_pgd);
#endif
	mem_init(boot_params.ram_bytes);
#if CONFIG_PARAVIRT
	pv_mmu_ops.pagetable_setup_done(boot_pgd);
#endif
	flush_tlb_all();
	kmem_init();
	radix_tree_init();
}

static noinline void interrupt_setup(void)
{
	traps_init();
	timers_init();
#if CONFIG_PARAVIRT
	pv_irq_ops.init_IRQ();
#else
	irq_init();
#endif
}

static noinline void filesystem_setup(void)
{
	files_init();
	dcache_init();
	rootfs_init();
}

static noinline void cpu_idle(void)
{
	for (;;) {
		while (!need_resched()) {
			local_irq_disable();
			if (need_resched())
				local_irq_enable();
			else
				raw_safe_halt();
		}
		schedule();
	}
}

noinline void start_kernel(const struct boot_params *params)
{
	boot_params = *params;
	init_task.thread_info->task = &init_task;
	init_task.thread_info->address_limit = USER_LIMIT;
	cpu_init();
	if (boot_params.magic != BOOT_MAGIC || boot_params.version != 1)
		panic("boot parameters", boot_params.magic);
	memory_setup();
	interrupt_setup();
	fork_init();
	pid_init();
	sched_init();
	filesystem_setup();
	device_init();
	outl(PORT_MARKER, 1);
	first_process();
	cpu_idle();
}

/* Runs in the first process: the program replaces the kernel part that brought it up. */
noinline void start_user(struct regs *regs)
{
	ulong error = exec_load("/sbin/init", regs, &boot_params, sizeof(boot_params));

	if (error)
		panic("no first program", error);
}
