/* fork: a new task from the current one. */
#include "sched.h"

static struct kmem_cache task_cache, sighand_cache;
rwlock_t tasklist_lock = RW_LOCK_UNLOCKED;
struct list_head task_list = LIST_HEAD_INIT(task_list);

noinline void fork_init(void)
{
	kmem_cache_init(&task_cache, "task", sizeof(struct task), 1, NULL);
	kmem_cache_init(&sighand_cache, "sighand", sizeof(struct sighand), 0, NULL);
	kmem_cache_init(&mm_cache, "mm", sizeof(struct mm), 0, NULL);
	kmem_cache_init(&vma_cache, "vma", sizeof(struct vma), 0, NULL);
	kmem_cache_init(&anon_vma_cache, "anon_vma", sizeof(struct anon_vma), 0, NULL);
}

static noinline struct task *dup_task(struct task *parent)
{
	struct task *task = kmem_cache_alloc(&task_cache, GFP_KERNEL);
	struct page *stack;

	if (!task)
		return NULL;
	stack = alloc_pages(GFP_KERNEL, 1);
	if (!stack) {
		kmem_cache_free(&task_cache, task);
		return NULL;
	}
	mod_zone_stat(NR_KERNEL_STACK, 2);
	*task = *parent;
	task->thread_info = page_address(stack);
	task->thread_info->task = task;
	task->thread_info->flags = parent->thread_info->flags & _TIF_SYSCALL_AUDIT;
	task->thread_info->address_limit = parent->thread_info->address_limit;
	task->thread_info->preempt_count = 0;
	/* One reference for whoever waits for it, one for the scheduler. */
	atomic_set(&task->usage, 2);
	return task;
}

static noinline void free_task(struct task *task)
{
	mod_zone_stat(NR_KERNEL_STACK, -2);
	free_pages(virt_to_page(task->thread_info), 1);
	kmem_cache_free(&task_cache, task);
}

noinline void put_task(struct task *task)
{
	if (atomic_dec_and_test(&task->usage)) {
		BUG_ON(task->state != TASK_DEAD || task == current);
		cred_put(task->cred);
		free_task(task);
	}
}

static noinline int copy_cred(struct task *task)
{
	task->cred = cred_get(current->cred);
	return 0;
}

static noinline int copy_files(struct task *task)
{
	task->files = files_duplicate(current->files);
	return task->files ? 0 : -ENOMEM;
}

static noinline int copy_sighand(struct task *task)
{
	struct sighand *sighand = kmem_cache_alloc(&sighand_cache, GFP_KERNEL);

	if (!sighand)
		return -ENOMEM;
	atomic_set(&sighand->count, 1);
	spin_lock_init(&sighand->lock);
	sighand->ignored = current->sighand->ignored;
	task->sighand = sighand;
	task->pending = 0;
	return 0;
}

static noinline int copy_mm(struct task *task)
{
	task->time = (struct task_usage){ 0 };
	task->child_time = (struct task_usage){ 0 };
	task->mm = mm_duplicate(current->mm);
	task->active_mm = task->mm;
	return task->mm ? 0 : -ENOMEM;
}

static noinline void link_task(struct task *task)
{
	write_lock_irq(&tasklist_lock);
	task->parent = current;
	list_add_tail(&task->sibling, &current->children);
	list_add_tail(&task->tasks, &task_list);
	write_unlock_irq(&tasklist_lock);
}

static noinline struct task *copy_process(struct regs *regs)
{
	struct task *task = dup_task(current);

	if (!task)
		return NULL;
	list_init(&task->children);
	list_init(&task->sibling);
	spin_lock_init(&task->alloc_lock);
	init_wait_head(&task->child_wait);
	task->flags = (task->flags & ~PF_EXITING) | PF_FORKNOEXEC;
	task->exit_signal = SIGCHLD;
	sched_fork(task);
	if (copy_cred(task) || copy_files(task) || copy_sighand(task) || copy_mm(task))
		panic("fork: out of memory", task->se.weight);
	copy_thread(task, regs);
	task->pid = pid_alloc(task);
	if (!task->pid)
		return NULL;
	link_task(task);
	return task;
}

/* Returns the child's number to the parent; the child starts in ret_from_fork with 0. */
noinline long do_fork(struct regs *regs)
{
	struct task *task = copy_process(regs);
	long number;

	if (!task)
		return -EAGAIN;
	count_event(FORKS);
	number = task->pid->number;
	wake_up_new_task(task);
	return number;
}

void put_sighand(struct sighand *sighand);

noinline void put_sighand(struct sighand *sighand)
{
	if (atomic_dec_and_test(&sighand->count))
		kmem_cache_free(&sighand_cache, sighand);
}

void first_process(void);

/* Process 1: an address space without areas, a stack that leads to ret_from_kernel_start. */
noinline void first_process(void)
{
	struct task *task = dup_task(current);
	ulong top = (ulong)task->thread_info + THREAD_SIZE;
	ulong *stack;

	list_init(&task->children);
	list_init(&task->sibling);
	init_wait_head(&task->child_wait);
	task->exit_signal = SIGCHLD;
	sched_fork(task);
	copy_cred(task);
	task->files = files_alloc();
	copy_sighand(task);
	task->mm = mm_alloc();
	task->active_mm = task->mm;
	task->pid = pid_alloc(task);
	BUG_ON(!task->files || !task->mm || !task->pid);
	task->thread.sp0 = top;
	stack = (ulong *)((struct regs *)top - 1);
	memset(stack, 0, sizeof(struct regs));
	*--stack = (ulong)ret_from_kernel_start;
	for (u32 i = 0; i < SWITCH_WORDS; i++)
		*--stack = 0;
	task->sp = (ulong)stack;
	link_task(task);
	wake_up_new_task(task);
}
