/* Ticket spin locks: low byte of the word = ticket served, second byte = next ticket. */
#ifndef SPINLOCK_H
#define SPINLOCK_H

#include "atomic.h"
#include "irqflags.h"
#include "list.h"

typedef struct {
	volatile u32 slock;
} spinlock_t;

#define SPIN_LOCK_UNLOCKED { 0 }

static always_inline void spin_lock_init(spinlock_t *lock)
{
	lock->slock = 0;
}

static always_inline void ticket_lock(spinlock_t *lock)
{
	u16 ticket = 0x0100;

	asm volatile("lock xaddw %w0, %1" : "+Q"(ticket), "+m"(lock->slock) : : "memory", "cc");
	while ((u8)ticket != (u8)(ticket >> 8)) {
		cpu_relax();
		ticket = (ticket & 0xff00) | (u8)lock->slock;
	}
}

static always_inline int ticket_trylock(spinlock_t *lock)
{
	u32 old = lock->slock & 0xffff;
	u32 next = (old + 0x0100) & 0xffff;
	bool taken;

	if ((u8)old != (u8)(old >> 8))
		return 0;
	asm volatile("lock cmpxchgw %w2, %1\n\tsete %0"
	             : "=qm"(taken), "+m"(lock->slock), "+r"(next), "+a"(old)
	             :
	             : "memory", "cc");
	return taken;
}

static always_inline void ticket_unlock(spinlock_t *lock)
{
	asm volatile("incb %0" : "+m"(lock->slock) : : "memory", "cc");
}

static always_inline int ticket_is_locked(spinlock_t *lock)
{
	u32 word = lock->slock;

	return (u8)word != (u8)(word >> 8);
}

#if CONFIG_PARAVIRT && PV_LOCKS

static always_inline void raw_spin_lock(spinlock_t *lock)
{
	PV_CALL1(pv_lock_ops.spin_lock, lock);
}

static always_inline void raw_spin_lock_flags(spinlock_t *lock, ulong flags)
{
	PV_CALL2(pv_lock_ops.spin_lock_flags, lock, flags);
}

static always_inline void raw_spin_unlock(spinlock_t *lock)
{
	PV_CALL1(pv_lock_ops.spin_unlock, lock);
}

#else

static always_inline void raw_spin_lock(spinlock_t *lock)
{
	ticket_lock(lock);
}

static always_inline void raw_spin_lock_flags(spinlock_t *lock, ulong flags)
{
	(void)flags;
	ticket_lock(lock);
}

static always_inline void raw_spin_unlock(spinlock_t *lock)
{
	ticket_unlock(lock);
}

#endif

void spin_lock(spinlock_t *lock);
void spin_lock_irq(spinlock_t *lock);
ulong spin_lock_save(spinlock_t *lock);
void spin_unlock_irqrestore(spinlock_t *lock, ulong flags);

#define spin_lock_irqsave(lock, flags) ((flags) = spin_lock_save(lock))

static always_inline void spin_unlock(spinlock_t *lock)
{
	raw_spin_unlock(lock);
}

static always_inline void spin_unlock_irq(spinlock_t *lock)
{
	raw_spin_unlock(lock);
	local_irq_enable();
}

/* Readers and writers: 0x01000000 when free, minus 1 per reader, minus 0x01000000 for the writer. */
typedef struct {
	volatile int count;
} rwlock_t;

#define RW_LOCK_UNLOCKED { 0x01000000 }

void read_lock(rwlock_t *lock);
void read_unlock(rwlock_t *lock);
void write_lock_irq(rwlock_t *lock);
void write_unlock_irq(rwlock_t *lock);

/* Sleeping locks. Their owner never sleeps while holding one on this kernel's paths, so contention is a bug. */
struct mutex {
	atomic_t count;
	spinlock_t wait_lock;
	void *owner;
};

struct rw_semaphore {
	int activity;
	spinlock_t wait_lock;
	struct list_head wait_list;
};

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);
void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);

#endif
