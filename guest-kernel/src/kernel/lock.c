/* Spin locks out of line, read-write locks, sleeping locks. */
#include "sched.h"
#include "spinlock.h"

noinline void spin_lock(spinlock_t *lock)
{
	raw_spin_lock(lock);
}

noinline void spin_lock_irq(spinlock_t *lock)
{
	local_irq_disable();
	raw_spin_lock(lock);
}

noinline ulong spin_lock_save(spinlock_t *lock)
{
	ulong flags;

	local_irq_save(flags);
	raw_spin_lock_flags(lock, flags);
	return flags;
}

noinline void spin_unlock_irqrestore(spinlock_t *lock, ulong flags)
{
	raw_spin_unlock(lock);
	local_irq_restore(flags);
}

noinline void read_lock(rwlock_t *lock)
{
	for (;;) {
		bool negative;

		asm volatile("lock decl %0\n\tsets %1" : "+m"(lock->count), "=qm"(negative) : : "memory", "cc");
		if (!negative)
			return;
		asm volatile("lock incl %0" : "+m"(lock->count) : : "memory", "cc");
		while (lock->count <= 0)
			cpu_relax();
	}
}

noinline void read_unlock(rwlock_t *lock)
{
	asm volatile("lock incl %0" : "+m"(lock->count) : : "memory", "cc");
}

noinline void write_lock_irq(rwlock_t *lock)
{
	local_irq_disable();
	for (;;) {
		bool zero;

		asm volatile("lock subl $0x01000000, %0\n\tsete %1" : "+m"(lock->count), "=qm"(zero) : : "memory", "cc");
		if (zero)
			return;
		asm volatile("lock addl $0x01000000, %0" : "+m"(lock->count) : : "memory", "cc");
		while (lock->count != 0x01000000)
			cpu_relax();
	}
}

noinline void write_unlock_irq(rwlock_t *lock)
{
	asm volatile("lock addl $0x01000000, %0" : "+m"(lock->count) : : "memory", "cc");
	local_irq_enable();
}

noinline void mutex_init(struct mutex *mutex)
{
	atomic_set(&mutex->count, 1);
	spin_lock_init(&mutex->wait_lock);
	mutex->owner = NULL;
}

noinline void mutex_lock(struct mutex *mutex)
{
	BUG_ON(atomic_add_negative(-1, &mutex->count));
	mutex->owner = current_thread_info();
}

noinline void mutex_unlock(struct mutex *mutex)
{
	mutex->owner = NULL;
	atomic_inc(&mutex->count);
}

noinline void init_rwsem(struct rw_semaphore *sem)
{
	sem->activity = 0;
	spin_lock_init(&sem->wait_lock);
	list_init(&sem->wait_list);
}

noinline void down_read(struct rw_semaphore *sem)
{
	ulong flags;

	spin_lock_irqsave(&sem->wait_lock, flags);
	BUG_ON(sem->activity < 0 || !list_empty(&sem->wait_list));
	sem->activity++;
	spin_unlock_irqrestore(&sem->wait_lock, flags);
}

noinline void up_read(struct rw_semaphore *sem)
{
	ulong flags;

	spin_lock_irqsave(&sem->wait_lock, flags);
	BUG_ON(--sem->activity < 0);
	spin_unlock_irqrestore(&sem->wait_lock, flags);
}

noinline void down_write(struct rw_semaphore *sem)
{
	ulong flags;

	spin_lock_irqsave(&sem->wait_lock, flags);
	BUG_ON(sem->activity != 0 || !list_empty(&sem->wait_list));
	sem->activity = -1;
	spin_unlock_irqrestore(&sem->wait_lock, flags);
}

noinline void up_write(struct rw_semaphore *sem)
{
	ulong flags;

	spin_lock_irqsave(&sem->wait_lock, flags);
	BUG_ON(sem->activity != -1);
	sem->activity = 0;
	spin_unlock_irqrestore(&sem->wait_lock, flags);
}
