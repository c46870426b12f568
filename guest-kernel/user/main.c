/* The first program: runs the workload that the boot parameters name. */
#include "program.h"

struct boot_params params;
bool mixed;

#define SINGLE_WORKLOADS 7
#define MIX 7

static const struct workload *const workloads[SINGLE_WORKLOADS] = {
	&nullsyscall, &pagefault, &fork_exit, &mmap_sweep, &context_switch, &timer_load, &spinlock_device,
};

void fail(unsigned status)
{
	call1(SYS_SHUTDOWN, status);
}

void expect(bool condition, unsigned status)
{
	if (!condition)
		fail(status);
}

char *map(unsigned long address, unsigned long bytes, int protection, int flags, long fd, unsigned long offset)
{
	long result = syscall6((long)address, (long)bytes, protection, flags, fd, (long)offset, SYS_MMAP);

	expect(result > 0, 2);
	return (char *)result;
}

void unmap(void *address, unsigned long bytes)
{
	expect(call2(SYS_MUNMAP, address, bytes) == 0, 3);
}

static bool in_use(unsigned number)
{
	return params.workload == number || (params.workload == MIX && params.mix[number] > 0);
}

static void iterate(void)
{
	for (unsigned number = 0; number < SINGLE_WORKLOADS; number++) {
		unsigned count = params.workload == MIX ? params.mix[number] : 1;

		if (in_use(number))
			while (count--)
				workloads[number]->iteration();
	}
}

/* Segment registers are in use, so that a switch has to reload them. */
static always_inline void use_segments(void)
{
	static unsigned long thread_area[2];

#if BITS64
	call2(SYS_ARCH_PRCTL, 0x1002, &thread_area[0]);
	call2(SYS_ARCH_PRCTL, 0x1001, &thread_area[1]);
#else
	asm volatile("movl %0, %%gs" : : "r"(call1(SYS_SET_THREAD_AREA, thread_area)));
#endif
}

int main(const struct boot_params *given)
{

	params = *given;
	mixed = params.footprint == 1;
	expect(params.workload <= MIX, 1);
	use_segments();
	for (unsigned number = 0; number < SINGLE_WORKLOADS; number++)
		if (in_use(number))
			workloads[number]->setup();
	call1(SYS_MARKER, 4);
	iterate();
	call1(SYS_MARKER, 2);
	for (unsigned i = 0; i < params.iterations; i++)
		iterate();
	call1(SYS_MARKER, 3);
	for (unsigned number = SINGLE_WORKLOADS; number-- > 0;)
		if (in_use(number))
			workloads[number]->teardown();
	call1(SYS_SHUTDOWN, 0);
	return 0;
}
