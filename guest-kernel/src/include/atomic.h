/* Lock-prefixed operations; the build is SMP, so the prefixes stay (definitions.md §1). */
#ifndef ATOMIC_H
#define ATOMIC_H

#include "types.h"

typedef struct {
	volatile int counter;
} atomic_t;

static always_inline int atomic_read(const atomic_t *v)
{
	return v->counter;
}

static always_inline void atomic_set(atomic_t *v, int value)
{
	v->counter = value;
}

static always_inline void atomic_inc(atomic_t *v)
{
	asm volatile("lock incl %0" : "+m"(v->counter));
}

static always_inline void atomic_dec(atomic_t *v)
{
	asm volatile("lock decl %0" : "+m"(v->counter));
}

static always_inline void atomic_add(int n, atomic_t *v)
{
	asm volatile("lock addl %1, %0" : "+m"(v->counter) : "ir"(n));
}

static always_inline bool atomic_dec_and_test(atomic_t *v)
{
	bool zero;

	asm volatile("lock decl %0\n\tsete %1" : "+m"(v->counter), "=qm"(zero) : : "memory", "cc");
	return zero;
}

static always_inline bool atomic_inc_and_test(atomic_t *v)
{
	bool zero;

	asm volatile("lock incl %0\n\tsete %1" : "+m"(v->counter), "=qm"(zero) : : "memory", "cc");
	return zero;
}

static always_inline bool atomic_add_negative(int n, atomic_t *v)
{
	bool negative;

	asm volatile("lock addl %2, %0\n\tsets %1" : "+m"(v->counter), "=qm"(negative) : "ir"(n) : "memory", "cc");
	return negative;
}

static always_inline void set_bit(long bit, volatile ulong *word)
{
	asm volatile("lock bts" LONG_SUFFIX " %1, %0" : "+m"(*word) : "Ir"(bit) : "memory", "cc");
}

static always_inline void clear_bit(long bit, volatile ulong *word)
{
	asm volatile("lock btr" LONG_SUFFIX " %1, %0" : "+m"(*word) : "Ir"(bit) : "memory", "cc");
}

static always_inline bool test_and_set_bit(long bit, volatile ulong *word)
{
	bool was;

	asm volatile("lock bts" LONG_SUFFIX " %2, %0\n\tsetc %1" : "+m"(*word), "=qm"(was) : "Ir"(bit) : "memory", "cc");
	return was;
}

static always_inline bool test_and_clear_bit(long bit, volatile ulong *word)
{
	bool was;

	asm volatile("lock btr" LONG_SUFFIX " %2, %0\n\tsetc %1" : "+m"(*word), "=qm"(was) : "Ir"(bit) : "memory", "cc");
	return was;
}

static always_inline bool test_bit(long bit, const volatile ulong *word)
{
	return (*word >> bit) & 1;
}

static always_inline ulong exchange(volatile ulong *word, ulong value)
{
	asm volatile("xchg %0, %1" : "+r"(value), "+m"(*word) : : "memory");
	return value;
}

/* Number of the lowest bit set; the word is not 0. */
static always_inline int lowest_bit(ulong word)
{
	int bit;

#if BITS64
	asm("bsfq %1, %q0" : "=r"(bit) : "r"(word) : "cc");
#else
	asm("bsfl %1, %0" : "=r"(bit) : "r"(word) : "cc");
#endif
	return bit;
}

static always_inline void cpu_relax(void)
{
	asm volatile("pause" ::: "memory");
}

#endif
