/* The end of a task, and waiting for it. */
#include "sched.h"

void put_sighand(struct sighand *sighand);
asmlinkage long sys_exit(int status);
asmlinkage long sys_wait4(long number, int *status, ulong options);

static noinline void exit_mm(struct task *task)
{
	struct mm *mm = task->mm;

	if (!mm)
		return;
	down_read(&mm->mmap_sem);
	atomic_inc(&mm->count);
	BUG_ON(mm != task->active_mm);
	spin_lock(&task->alloc_lock);
	task->mm = NULL;
	up_read(&mm->mmap_sem);
	/* The tables stay loaded until the next switch: active_mm keeps its reference. */
	spin_unlock(&task->alloc_lock);
	mmput(mm);
}

static noinline void exit_files(struct task *task)
{
	struct files *files = task->files;

	spin_lock(&task->alloc_lock);
	task->files = NULL;
	spin_unlock(&task->alloc_lock);
	put_files(files);
}

/* Children of a dying task go to the first process. */
static noinline void forget_children(struct task *task)
{
	struct task *reaper = find_task(1);
	struct task *child, *next;

	list_for_each_entry_safe(child, next, &task->children, sibling) {
		child->parent = reaper;
		list_del(&child->sibling);
		list_add_tail(&child->sibling, &reaper->children);
	}
}

static noinline void exit_notify(struct task *task)
{
	write_lock_irq(&tasklist_lock);
	forget_children(task);
	task->state = TASK_ZOMBIE;
	write_unlock_irq(&tasklist_lock);
	read_lock(&tasklist_lock);
	send_signal(task->parent, task->exit_signal);
	wake_up(&task->parent->child_wait, 1);
	read_unlock(&tasklist_lock);
}

noinline void do_exit(int code)
{
	struct task *task = current;

	BUG_ON(task->flags & PF_EXITING);
	if (task->pid->number == 1)
		panic("the first process ended", (ulong)code);
	task->flags |= PF_EXITING;
	task->exit_code = code;
	exit_mm(task);
	exit_files(task);
	exit_notify(task);
	task->state = TASK_DEAD;
	schedule();
	panic("a dead task runs", (ulong)task);
}

noinline asmlinkage long sys_exit(int status)
{
	do_exit((status & 0xff) << 8);
}

static noinline void release_task(struct task *task)
{
	struct task *parent = current;

	write_lock_irq(&tasklist_lock);
	list_del(&task->sibling);
	list_del(&task->tasks);
	parent->child_time.utime += task->time.utime + task->child_time.utime;
	parent->child_time.stime += task->time.stime + task->child_time.stime;
	parent->child_time.minor_faults += task->time.minor_faults + task->child_time.minor_faults;
	parent->child_time.voluntary += task->time.voluntary + task->child_time.voluntary;
	write_unlock_irq(&tasklist_lock);
	put_sighand(task->sighand);
	pid_free(task->pid);
	put_task(task);
}

static noinline bool eligible_child(struct task *child, long number)
{
	return number < 0 || child->pid->number == (u32)number;
}

/* One dead child, or null; `found` says whether there is any to wait for. */
static noinline struct task *find_dead_child(struct task *task, long number, bool *found)
{
	struct task *child, *dead = NULL;

	*found = false;
	read_lock(&tasklist_lock);
	list_for_each_entry(child, &task->children, sibling) {
		if (!eligible_child(child, number))
			continue;
		*found = true;
		if (child->state == TASK_DEAD) {
			dead = child;
			break;
		}
	}
	read_unlock(&tasklist_lock);
	return dead;
}

noinline asmlinkage long sys_wait4(long number, int *status, ulong options)
{
	struct task *task = current, *dead;
	struct wait_queue wait = { .task = task };
	long result;
	bool found;

	list_init(&wait.node);
	for (;;) {
		prepare_to_wait(&task->child_wait, &wait, TASK_INTERRUPTIBLE);
		dead = find_dead_child(task, number, &found);
		if (dead || !found || (options & 1))
			break;
		if (signal_pending(task)) {
			finish_wait(&task->child_wait, &wait);
			return -EINTR;
		}
		schedule();
	}
	finish_wait(&task->child_wait, &wait);
	if (!dead)
		return found ? 0 : -ECHILD;
	result = dead->pid->number;
	if (status) {
		int code = dead->exit_code;

		if (copy_to_user(status, &code, sizeof(code)))
			return -EFAULT;
	}
	release_task(dead);
	return result;
}
