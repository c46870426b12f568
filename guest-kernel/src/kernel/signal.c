/* Signals: pending bits, and the default action at the return to user mode. */
#include "sched.h"

asmlinkage long sys_kill(long number, int signal);

#define FATAL_BY_DEFAULT (1ul << SIGKILL | 1ul << SIGSEGV | 1ul << SIGPIPE)

static noinline void signal_wake_up(struct task *task)
{
	set_task_flag(task, TIF_SIGPENDING);
	try_to_wake_up(task, TASK_INTERRUPTIBLE);
}

static noinline bool signal_is_ignored(struct task *task, int signal)
{
	return !((1ul << signal) & FATAL_BY_DEFAULT) || (task->sighand->ignored & (1ul << signal));
}

noinline int send_signal(struct task *task, int signal)
{
	ulong flags;

	if (!task->sighand)
		return -ESRCH;
	spin_lock_irqsave(&task->sighand->lock, flags);
	if (!signal_is_ignored(task, signal) && !(task->pending & (1ul << signal))) {
		task->pending |= 1ul << signal;
		signal_wake_up(task);
	}
	spin_unlock_irqrestore(&task->sighand->lock, flags);
	return 0;
}

static noinline int dequeue_signal(struct task *task)
{
	int signal = 0;

	spin_lock_irq(&task->sighand->lock);
	if (task->pending) {
		signal = lowest_bit(task->pending);
		task->pending &= ~(1ul << signal);
	}
	if (!task->pending)
		clear_task_flag(task, TIF_SIGPENDING);
	spin_unlock_irq(&task->sighand->lock);
	return signal;
}

noinline void do_signal(struct regs *regs)
{
	int signal;

	if (!user_mode(regs))
		return;
	signal = dequeue_signal(current);
	if (signal)
		do_exit(signal);
}

noinline void do_notify_resume(struct regs *regs, ulong flags)
{
	if (flags & _TIF_SIGPENDING)
		do_signal(regs);
	if (flags & _TIF_SYSCALL_AUDIT)
		audit_syscall_exit(regs);
}

noinline void user_fault_signal(struct regs *regs, int signal)
{
	(void)regs;
	send_signal(current, signal);
}

noinline asmlinkage long sys_kill(long number, int signal)
{
	struct task *task;
	long error = -ESRCH;

	read_lock(&tasklist_lock);
	task = find_task((u32)number);
	if (task) {
		error = cred_permits(current->cred, task->cred);
		if (!error)
			error = send_signal(task, signal);
	}
	read_unlock(&tasklist_lock);
	return error;
}
