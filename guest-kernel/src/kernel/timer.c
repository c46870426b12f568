/* The tick: time, accounting, and the timer wheel. */
#include "sched.h"

#define WHEEL_BITS 6
#define WHEEL_SIZE (1u << WHEEL_BITS)
#define WHEEL_MASK (WHEEL_SIZE - 1)
#define WHEEL_LEVELS 3
#define TICK_NANOSECONDS 4000000ul

struct timer_wheel {
	spinlock_t lock;
	struct timer *running;
	ulong next_tick;
	struct list_head slots[WHEEL_LEVELS][WHEEL_SIZE];
};

static struct timer_wheel wheel;
static spinlock_t xtime_lock;
volatile ulong jiffies;
volatile ulong xtime_seconds, xtime_nanoseconds;
static ulong xtime_sequence;

noinline void timers_init(void)
{
	for (u32 level = 0; level < WHEEL_LEVELS; level++)
		for (u32 slot = 0; slot < WHEEL_SIZE; slot++)
			list_init(&wheel.slots[level][slot]);
}

/* A level holds what expires within 64 of its units; farther timers wait in the last slot they can reach. */
static noinline void internal_add_timer(struct timer *timer)
{
	ulong expires = timer->expires;
	ulong distance = expires - wheel.next_tick;
	u32 level = 0;

	if ((long)distance < 0)
		expires = wheel.next_tick;
	else
		while (level < WHEEL_LEVELS - 1 && distance >> (WHEEL_BITS * (level + 1)))
			level++;
	list_add_tail(&timer->entry, &wheel.slots[level][(expires >> (WHEEL_BITS * level)) & WHEEL_MASK]);
}

noinline void add_timer(struct timer *timer)
{
	ulong flags;

	spin_lock_irqsave(&wheel.lock, flags);
	internal_add_timer(timer);
	spin_unlock_irqrestore(&wheel.lock, flags);
}

noinline bool del_timer(struct timer *timer)
{
	ulong flags;
	bool pending;

	spin_lock_irqsave(&wheel.lock, flags);
	pending = timer->entry.next != NULL;
	if (pending) {
		list_del(&timer->entry);
		timer->entry.next = NULL;
	}
	spin_unlock_irqrestore(&wheel.lock, flags);
	return pending;
}

/* Moves a slot of a higher level down; returns the slot's index. */
static noinline u32 cascade(u32 level)
{
	u32 index = (wheel.next_tick >> (WHEEL_BITS * level)) & WHEEL_MASK;
	struct list_head list;
	struct timer *timer, *next;

	list_init(&list);
	list_splice_tail_init(&wheel.slots[level][index], &list);
	list_for_each_entry_safe(timer, next, &list, entry)
		internal_add_timer(timer);
	return index;
}

static noinline void run_timers(void)
{
	spin_lock_irq(&wheel.lock);
	while ((long)(jiffies - wheel.next_tick) >= 0) {
		u32 index = wheel.next_tick & WHEEL_MASK;
		struct list_head *slot = &wheel.slots[0][index];

		if (!index && !cascade(1))
			cascade(2);
		wheel.next_tick++;
		while (!list_empty(slot)) {
			struct timer *timer = list_entry(slot->next, struct timer, entry);

			wheel.running = timer;
			list_del(&timer->entry);
			timer->entry.next = NULL;
			spin_unlock_irq(&wheel.lock);
			timer->function(timer->data);
			spin_lock_irq(&wheel.lock);
		}
	}
	wheel.running = NULL;
	spin_unlock_irq(&wheel.lock);
}

noinline void timer_softirq(void)
{
	if ((long)(jiffies - wheel.next_tick) >= 0)
		run_timers();
}

static noinline void process_timeout(ulong data)
{
	try_to_wake_up((struct task *)data, TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE);
}

/* Sleeps in the state already set; returns the ticks left. */
noinline long schedule_timeout(long ticks)
{
	struct timer timer = { .expires = jiffies + (ulong)ticks, .function = process_timeout, .data = (ulong)current };
	long left;

	add_timer(&timer);
	schedule();
	del_timer(&timer);
	left = (long)(timer.expires - jiffies);
	return left < 0 ? 0 : left;
}

static noinline void update_wall_time(void)
{
	spin_lock(&xtime_lock);
	xtime_sequence++;
	xtime_nanoseconds += TICK_NANOSECONDS;
	if (xtime_nanoseconds >= 1000000000ul) {
		xtime_nanoseconds -= 1000000000ul;
		xtime_seconds++;
	}
	xtime_sequence++;
	spin_unlock(&xtime_lock);
}

static noinline void account_user_time(struct task *task)
{
	task->time.utime++;
	task->time.utime_scaled += task->se.weight;
	this_cpu()->usage.user++;
}

static noinline void account_system_time(struct task *task)
{
	struct cpu_usage *usage = &this_cpu()->usage;

	task->time.stime++;
	if (task == &init_task)
		usage->idle++;
	else if (this_cpu()->preempt_depth)
		usage->softirq++;
	else
		usage->system++;
}

static noinline void update_memory_accounting(struct task *task)
{
	struct mm *mm = task->mm;

	if (mm) {
		ulong rss = (ulong)(mm->rss[MM_FILE] + mm->rss[MM_ANON]);

		if (mm->hiwater_rss < rss)
			mm->hiwater_rss = rss;
		if (mm->hiwater_vm < mm->total_vm)
			mm->hiwater_vm = mm->total_vm;
	}
}

noinline void account_tick(struct task *task, bool user)
{
	if (user)
		account_user_time(task);
	else
		account_system_time(task);
	update_memory_accounting(task);
}

noinline void do_timer_tick(struct regs *regs)
{
	count_event(TIMER_TICKS);
	jiffies++;
	update_wall_time();
	account_tick(current, user_mode(regs));
	raise_softirq(TIMER_SOFTIRQ);
	scheduler_tick();
}
