/* Tasks and everything that hangs on them. */
#ifndef SCHED_H
#define SCHED_H

#include "fs.h"
#include "mm.h"
#include "percpu.h"
#include "processor.h"

struct thread_info {
	struct task *task;
	volatile ulong flags;
	ulong address_limit;
	int preempt_count;
};

#define TASK_RUNNING 0
#define TASK_INTERRUPTIBLE 1
#define TASK_UNINTERRUPTIBLE 2
#define TASK_ZOMBIE 16
#define TASK_DEAD 64

#define SIGKILL 9
#define SIGSEGV 11
#define SIGPIPE 13
#define SIGCHLD 17

struct cred {
	atomic_t usage;
	u32 uid, gid, euid, egid, fsuid, fsgid;
	u64 capabilities;
};

struct sighand {
	atomic_t count;
	spinlock_t lock;
	ulong ignored;
};

/* Fair scheduling: the entity that ran least, in weighted ticks, runs next. */
struct sched_entity {
	ulong weight;
	struct rb_node node;
	bool queued;
	u64 vruntime;
	u64 charged; /* ticks and switches charged so far, in TICK_COST units */
	u64 exec_start, sum_exec, previous_sum; /* clock readings, statistics only */
	u64 wait_start, wait_sum, wait_count, sleep_start, sleep_sum;
};

struct pid {
	struct list_head bucket;
	u32 number;
	struct task *task;
	atomic_t count;
};

struct task_usage {
	u64 utime, stime, utime_scaled;
	ulong voluntary, involuntary, minor_faults, rchar, wchar, syscr, syscw;
};

struct audit_context {
	bool in_syscall;
	ulong number, arguments[4], serial, count;
	long result;
	u64 start;
};

struct task {
	volatile long state;
	ulong sp;
	struct thread_info *thread_info;
	struct thread thread;
	struct mm *mm, *active_mm;
	atomic_t usage;
	u32 flags;
	int exit_code, exit_signal;
	struct sched_entity se;
	struct pid *pid;
	struct task *parent;
	struct list_head children, sibling, tasks;
	struct cred *cred;
	struct files *files;
	struct sighand *sighand;
	spinlock_t alloc_lock;
	volatile ulong pending;
	struct wait_head child_wait;
	struct task_usage time, child_time;
	struct audit_context audit;
	ulong min_vruntime_seen;
	char comm[16];
};

#define PF_EXITING 4u
#define PF_FORKNOEXEC 0x40u

extern struct task init_task;
extern rwlock_t tasklist_lock;
extern struct list_head task_list;
extern volatile ulong jiffies;
extern volatile ulong xtime_seconds, xtime_nanoseconds;
extern struct tss cpu_tss;
extern u64 gdt_table[];

static always_inline struct thread_info *current_thread_info(void)
{
#if BITS64
	ulong top;

	asm("movq %%gs:%c1, %0" : "=r"(top) : "i"(CPU_KERNEL_STACK));
	return (struct thread_info *)(top - THREAD_SIZE);
#else
	struct thread_info *info;

	asm("andl %%esp, %0" : "=r"(info) : "0"(-THREAD_SIZE) : "cc");
	return info;
#endif
}

static always_inline void set_task_flag(struct task *task, int bit) { set_bit(bit, &task->thread_info->flags); }
static always_inline void clear_task_flag(struct task *task, int bit) { clear_bit(bit, &task->thread_info->flags); }
static always_inline bool test_task_flag(struct task *task, int bit) { return test_bit(bit, &task->thread_info->flags); }
static always_inline bool need_resched(void) { return test_bit(TIF_NEED_RESCHED, &current_thread_info()->flags); }
static always_inline bool signal_pending(struct task *task) { return unlikely(test_task_flag(task, TIF_SIGPENDING)); }
static always_inline void get_task(struct task *task) { atomic_inc(&task->usage); }

/* sched.c */
void sched_init(void);
void schedule(void);
int try_to_wake_up(struct task *task, long states);
void wake_up_new_task(struct task *task);
void sched_fork(struct task *task);
void scheduler_tick(void);
asmlinkage long sys_sched_yield(void);
u64 sched_clock(void);
struct task *switch_stacks(struct task *prev, struct task *next);
struct task *switch_to_task(struct task *prev, struct task *next);
void schedule_tail(struct task *prev);
void ret_from_fork(void);
void ret_from_kernel_start(void);

/* fork.c, exit.c, pid.c, signal.c, cred.c */
void fork_init(void);
long do_fork(struct regs *regs);
void put_task(struct task *task);
noreturn void do_exit(int code);
struct pid *pid_alloc(struct task *task);
void pid_free(struct pid *pid);
struct task *find_task(u32 number);
void pid_init(void);
int send_signal(struct task *task, int signal);
void do_signal(struct regs *regs);
void do_notify_resume(struct regs *regs, ulong flags);
struct cred *cred_get(struct cred *cred);
struct cred *cred_duplicate(const struct cred *old);
void cred_put(struct cred *cred);
int cred_permits(const struct cred *subject, const struct cred *object);
bool capable(int capability);
extern struct cred init_cred;

/* timer.c */
struct timer {
	struct list_head entry;
	ulong expires;
	void (*function)(ulong data);
	ulong data;
};

void timers_init(void);
void add_timer(struct timer *timer);
bool del_timer(struct timer *timer);
void timer_softirq(void);
long schedule_timeout(long ticks);
void account_tick(struct task *task, bool user);
void do_timer_tick(struct regs *regs);

/* softirq.c, irq.c, device.c */
#define TIMER_SOFTIRQ 0
#define BLOCK_SOFTIRQ 1
#define SOFTIRQS_MAX 4
void raise_softirq(u32 number);
void irq_enter(void);
void irq_exit(void);
void do_irq(struct regs *regs);
void irq_init(void);
int request_irq(u32 vector, int (*handler)(u32 vector, void *device), void *device, const char *name);
void device_init(void);
asmlinkage long sys_device(ulong rounds, ulong locks);

/* audit.c */
ulong audit_syscall_entry(struct regs *regs);
void audit_syscall_exit(struct regs *regs);

/* cpu */
void cpu_init(void);
void traps_init(void);
ulong search_exception_table(ulong rip);
void user_fault_signal(struct regs *regs, int signal);
#if BITS64
asmlinkage long sys_arch_prctl(ulong code, ulong address);
#else
asmlinkage long sys_set_thread_area(ulong base);
#endif
void copy_thread(struct task *task, struct regs *regs);

#endif
