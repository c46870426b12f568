/* The system call table and the calls that belong to no other file. */
#include "boot_params.h"
#include "sched.h"
#include "syscalls.h"

asmlinkage long sys_open(const char *path, u32 mode);
asmlinkage long sys_close(u32 fd);
asmlinkage long sys_read(u32 fd, char *buffer, size_t count);
asmlinkage long sys_write(u32 fd, const char *buffer, size_t count);
asmlinkage long sys_lseek(u32 fd, long offset, u32 whence);
asmlinkage long sys_fstat(u32 fd, struct file_status *status);
asmlinkage long sys_pipe(int *fds);
asmlinkage long sys_exit(int status);
asmlinkage long sys_wait4(long number, int *status, ulong options);
asmlinkage long sys_kill(long number, int signal);
asmlinkage long sys_mprotect(ulong start, ulong length, ulong prot);
void stub_fork(void);

static noinline asmlinkage long sys_mmap(ulong address, ulong length, ulong prot, ulong flags, ulong fd, ulong offset)
{
	struct mm *mm = current->mm;
	struct file *file = NULL;
	ulong result;

	if ((offset & ~PAGE_MASK) || !prot)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		file = fget((u32)fd);
		if (!file)
			return -EBADF;
	}
	down_write(&mm->mmap_sem);
	result = do_mmap(file, address, length, prot, flags, offset >> PAGE_SHIFT);
	up_write(&mm->mmap_sem);
	if (file)
		fput(file);
	return (long)result;
}

static noinline asmlinkage long sys_munmap(ulong address, ulong length)
{
	struct mm *mm = current->mm;
	int result;

	down_write(&mm->mmap_sem);
	result = do_munmap(mm, address, length);
	up_write(&mm->mmap_sem);
	return result;
}

static noinline asmlinkage long sys_getpid(void)
{
	return current->pid->number;
}

static noinline asmlinkage long sys_getppid(void)
{
	long number;

	read_lock(&tasklist_lock);
	number = current->parent->pid->number;
	read_unlock(&tasklist_lock);
	return number;
}

static noinline asmlinkage long sys_sleep(ulong ticks)
{
	if (ticks > 1ul << 16)
		return -EINVAL;
	current->state = TASK_INTERRUPTIBLE;
	return schedule_timeout((long)ticks);
}

static noinline asmlinkage long sys_setuid(u32 uid)
{
	struct cred *old = current->cred;
	struct cred *cred;

	if (uid != old->uid && !capable(7))
		return -EPERM;
	cred = cred_duplicate(old);
	if (!cred)
		return -ENOMEM;
	cred->uid = uid;
	cred->euid = uid;
	cred->fsuid = uid;
	if (uid)
		cred->capabilities = 0;
	current->cred = cred;
	cred_put(old);
	return 0;
}

static noinline asmlinkage long sys_audit(ulong on)
{
	if (on)
		set_task_flag(current, TIF_SYSCALL_AUDIT);
	else
		clear_task_flag(current, TIF_SYSCALL_AUDIT);
	return (long)current->audit.count;
}

static noinline asmlinkage long sys_times(struct process_times *user)
{
	struct task *task = current;
	struct process_times times;

	read_lock(&tasklist_lock);
	times = (struct process_times){
		.user = task->time.utime,
		.system = task->time.stime,
		.child_user = task->child_time.utime,
		.child_system = task->child_time.stime,
		.faults = task->time.minor_faults,
		.switches = task->time.voluntary + task->time.involuntary,
	};
	read_unlock(&tasklist_lock);
	return copy_to_user(user, &times, sizeof(times)) ? -EFAULT : (long)jiffies;
}

static noinline asmlinkage long sys_gettime(ulong *user)
{
	ulong time[2] = { xtime_seconds, xtime_nanoseconds };

	return copy_to_user(user, time, sizeof(time)) ? -EFAULT : 0;
}

/* ---- the platform ---- */

static noinline asmlinkage long sys_marker(u32 code)
{
	outl(PORT_MARKER, code);
	return 0;
}

static noinline asmlinkage long sys_timer(u32 period)
{
	outl(PORT_TIMER, period);
	return 0;
}

static noinline u32 count_tasks(void)
{
	struct task *task;
	u32 count = 0;

	read_lock(&tasklist_lock);
	list_for_each_entry(task, &task_list, tasks)
		count++;
	read_unlock(&tasklist_lock);
	return count;
}

/* What must hold when only the first process is left; 0 or the number of the broken rule. */
static noinline u32 self_check(void)
{
	long accounted;

	lru_add_drain();
	refresh_zone_stats();
	accounted = this_cpu()->pcp.count + zone_stat(NR_FREE_PAGES) + zone_stat(NR_ANON_PAGES) + zone_stat(NR_FILE_PAGES) +
	            zone_stat(NR_SLAB) + zone_stat(NR_PAGE_TABLE) + zone_stat(NR_KERNEL_STACK) + zone_stat(NR_PIPE);
	if (count_tasks() != 1 || !list_empty(&current->children))
		return 1;
	if (accounted != (long)zone.present)
		return 2;
	if (zone_stat(NR_PIPE) != 0 || zone_stat(NR_KERNEL_STACK) != 2)
		return 3;
	if (zone_stat(NR_ANON_PAGES) != current->mm->rss[MM_ANON])
		return 4;
	if (zone_stat(NR_ACTIVE) + zone_stat(NR_INACTIVE) != zone_stat(NR_ANON_PAGES) + zone_stat(NR_FILE_PAGES))
		return 5;
	if (atomic_read(&committed_space) != (int)current->mm->committed)
		return 6;
	return 0;
}

static noinline asmlinkage long sys_shutdown(u32 status)
{
	if (!status) {
		u32 broken = self_check();

		status = broken ? 0x40 + broken : 0;
	}
	outl(PORT_EXIT, status);
	panic("the machine goes on after its end", status);
}

static noinline asmlinkage long sys_missing(void)
{
	return -ENOSYS;
}

void *const sys_call_table[SYSCALL_COUNT] = {
	[SYS_READ] = sys_read,
	[SYS_WRITE] = sys_write,
	[SYS_OPEN] = sys_open,
	[SYS_CLOSE] = sys_close,
	[SYS_MMAP] = sys_mmap,
	[SYS_MPROTECT] = sys_mprotect,
	[SYS_MUNMAP] = sys_munmap,
	[SYS_PIPE] = sys_pipe,
	[SYS_SCHED_YIELD] = sys_sched_yield,
	[SYS_GETPID] = sys_getpid,
	[SYS_GETPPID] = sys_getppid,
	[SYS_FORK] = stub_fork,
	[SYS_EXIT] = sys_exit,
	[SYS_WAIT4] = sys_wait4,
	[SYS_KILL] = sys_kill,
#if BITS64
	[SYS_ARCH_PRCTL] = sys_arch_prctl,
#else
	[SYS_SET_THREAD_AREA] = sys_set_thread_area,
#endif
	[SYS_SLEEP] = sys_sleep,
	[SYS_DEVICE] = sys_device,
	[SYS_MARKER] = sys_marker,
	[SYS_TIMER] = sys_timer,
	[SYS_SHUTDOWN] = sys_shutdown,
	[SYS_AUDIT] = sys_audit,
	[SYS_SETUID] = sys_setuid,
	[SYS_LSEEK] = sys_lseek,
	[SYS_FSTAT] = sys_fstat,
	[SYS_TIMES] = sys_times,
	[SYS_GETTIME] = sys_gettime,
	[SYS_GETTIME + 1 ... SYSCALL_COUNT - 1] = sys_missing,
};
