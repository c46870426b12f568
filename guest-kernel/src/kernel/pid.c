/* Process numbers: a bitmap of those in use, a hash from number to task. */
#include "sched.h"

#define PID_MAX 4096
#define PID_BUCKETS 64

static ulong pid_map[PID_MAX / BITS_PER_LONG];
static u32 last_pid;
static struct list_head pid_hash[PID_BUCKETS];
static spinlock_t pid_lock;
static struct kmem_cache pid_cache;

static always_inline struct list_head *pid_bucket(u32 number)
{
	return &pid_hash[(number * 0x9e370001u) >> 26];
}

noinline void pid_init(void)
{
	for (u32 i = 0; i < PID_BUCKETS; i++)
		list_init(&pid_hash[i]);
	pid_map[0] = 1;
	kmem_cache_init(&pid_cache, "pid", sizeof(struct pid), 0, NULL);
}

static noinline u32 alloc_pid_number(void)
{
	u32 number = last_pid + 1;

	for (u32 tried = 0; tried < PID_MAX; tried++, number++) {
		if (number >= PID_MAX)
			number = 1;
		if (!test_and_set_bit(number % BITS_PER_LONG, &pid_map[number / BITS_PER_LONG])) {
			last_pid = number;
			return number;
		}
	}
	return 0;
}

noinline struct pid *pid_alloc(struct task *task)
{
	struct pid *pid = kmem_cache_alloc(&pid_cache, GFP_KERNEL);
	u32 number;

	if (!pid)
		return NULL;
	number = alloc_pid_number();
	if (!number) {
		kmem_cache_free(&pid_cache, pid);
		return NULL;
	}
	atomic_set(&pid->count, 1);
	pid->number = number;
	pid->task = task;
	spin_lock_irq(&pid_lock);
	list_add(&pid->bucket, pid_bucket(number));
	spin_unlock_irq(&pid_lock);
	return pid;
}

noinline void pid_free(struct pid *pid)
{
	ulong flags;

	spin_lock_irqsave(&pid_lock, flags);
	list_del(&pid->bucket);
	spin_unlock_irqrestore(&pid_lock, flags);
	clear_bit(pid->number % BITS_PER_LONG, &pid_map[pid->number / BITS_PER_LONG]);
	if (atomic_dec_and_test(&pid->count))
		kmem_cache_free(&pid_cache, pid);
}

noinline struct task *find_task(u32 number)
{
	struct pid *pid;

	list_for_each_entry(pid, pid_bucket(number), bucket)
		if (pid->number == number)
			return pid->task;
	return NULL;
}
