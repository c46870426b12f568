/* Audit of system calls for tasks that ask for it. */
#include "sched.h"

#define AUDIT_RECORDS 64

struct audit_record {
	ulong serial, number, arguments_hash;
	long result;
	u64 duration;
	u32 pid, uid;
};

static struct audit_record records[AUDIT_RECORDS];
static ulong audit_serial, audit_lost;
static spinlock_t audit_lock;

static noinline ulong hash_arguments(const ulong *arguments)
{
	ulong hash = 0;

	for (u32 i = 0; i < 4; i++)
		hash = (hash ^ arguments[i]) * 0x100000001b3ul;
	return hash;
}

static noinline bool audit_filter(struct task *task, ulong number)
{
	return task->cred->euid == 0 || number != 0;
}

noinline ulong audit_syscall_entry(struct regs *regs)
{
	struct audit_context *context = &current->audit;

	context->in_syscall = true;
	context->number = regs->orig_ax;
	context->arguments[0] = syscall_argument0(regs);
	context->arguments[1] = syscall_argument1(regs);
	context->arguments[2] = syscall_argument2(regs);
	context->arguments[3] = syscall_argument3(regs);
	context->start = sched_clock();
	context->count++;
	regs->ax = (ulong)-ENOSYS;
	return regs->orig_ax;
}

noinline void audit_syscall_exit(struct regs *regs)
{
	struct audit_context *context = &current->audit;
	struct audit_record *record;
	ulong flags;

	if (!context->in_syscall)
		return;
	context->in_syscall = false;
	context->result = (long)regs->ax;
	if (!audit_filter(current, context->number))
		return;
	count_event(SYSCALLS_AUDITED);
	spin_lock_irqsave(&audit_lock, flags);
	context->serial = ++audit_serial;
	record = &records[audit_serial % AUDIT_RECORDS];
	if (record->serial)
		audit_lost++;
	record->serial = audit_serial;
	record->number = context->number;
	record->arguments_hash = hash_arguments(context->arguments);
	record->result = context->result;
	record->duration = sched_clock() - context->start;
	record->pid = current->pid->number;
	record->uid = current->cred->uid;
	spin_unlock_irqrestore(&audit_lock, flags);
}
