/* Counters of the zone, kept per CPU until a difference reaches the threshold. */
#include "mm.h"

#define STAT_THRESHOLD 8

static noinline void fold_zone_stat(enum vm_stat stat, int delta)
{
	atomic_add(delta, &zone.stat[stat]);
}

noinline void mod_zone_stat(enum vm_stat stat, int delta)
{
	ulong flags;
	long sum;

	local_irq_save(flags);
	sum = this_cpu()->stat_diff[stat] + delta;
	if (unlikely(sum > STAT_THRESHOLD || sum < -STAT_THRESHOLD)) {
		fold_zone_stat(stat, (int)sum);
		sum = 0;
	}
	this_cpu()->stat_diff[stat] = (signed char)sum;
	local_irq_restore(flags);
}

noinline void inc_zone_stat(enum vm_stat stat)
{
	ulong flags;
	signed char *diff;

	local_irq_save(flags);
	diff = &this_cpu()->stat_diff[stat];
	if (unlikely(++*diff > STAT_THRESHOLD)) {
		fold_zone_stat(stat, *diff + STAT_THRESHOLD / 2);
		*diff = -STAT_THRESHOLD / 2;
	}
	local_irq_restore(flags);
}

noinline void dec_zone_stat(enum vm_stat stat)
{
	ulong flags;
	signed char *diff;

	local_irq_save(flags);
	diff = &this_cpu()->stat_diff[stat];
	if (unlikely(--*diff < -STAT_THRESHOLD)) {
		fold_zone_stat(stat, *diff - STAT_THRESHOLD / 2);
		*diff = STAT_THRESHOLD / 2;
	}
	local_irq_restore(flags);
}

/* Exact after refresh_zone_stats(). */
noinline long zone_stat(enum vm_stat stat)
{
	return atomic_read(&zone.stat[stat]);
}

noinline void refresh_zone_stats(void)
{
	for (int stat = 0; stat < VM_STATS; stat++) {
		ulong flags;
		int diff;

		local_irq_save(flags);
		diff = this_cpu()->stat_diff[stat];
		this_cpu()->stat_diff[stat] = 0;
		local_irq_restore(flags);
		if (diff)
			fold_zone_stat(stat, diff);
	}
}
