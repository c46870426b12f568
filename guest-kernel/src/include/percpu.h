/* The area of the one CPU, reached through %gs on 64 bit and %fs on 32 bit. */
#ifndef PERCPU_H
#define PERCPU_H

#include "list.h"
#if GUEST_XEN
#include "xen_interface.h"
#endif

struct task;
struct page;

#define PCP_HIGH 48
#define PCP_BATCH 8
#define PAGEVEC_SIZE 14

enum vm_stat {
	NR_FREE_PAGES, NR_ANON_PAGES, NR_FILE_MAPPED, NR_FILE_PAGES, NR_SLAB, NR_PAGE_TABLE, NR_KERNEL_STACK, NR_PIPE, NR_DIRTY,
	NR_INACTIVE, NR_ACTIVE, VM_STATS
};

enum vm_event {
	PGALLOC, PGFREE, PGFAULT, PGACTIVATE, COW_FAULTS, FILE_FAULTS, FORKS, CONTEXT_SWITCHES, INTERRUPTS, TIMER_TICKS,
	SOFTIRQS, SYSCALLS_AUDITED, TLB_FLUSHES, PIPE_BYTES, DEVICE_COMPLETIONS, VM_EVENTS
};

struct per_cpu_pages {
	int count;
	int high;
	int batch;
	struct list_head list;
};

struct pagevec {
	u32 count;
	struct page *pages[PAGEVEC_SIZE];
};

struct cpu_usage {
	u64 user, system, idle, softirq, irq;
};

struct cpu_area {
	struct task *task;
#if BITS64
	ulong kernel_stack;
	ulong user_rsp;
	int irq_count;
	int cpu;
	void *irq_stack;
#endif
	struct cpu_area *self;
#if GUEST_XEN
	struct vcpu_info *vcpu;
	ulong cr3, current_cr3;
	struct vcpu_info vcpu_info __attribute__((aligned(64)));
#endif

	u32 softirq_pending;
	u32 preempt_depth;
	struct mm *active_mm;
	int tlb_state;
	struct per_cpu_pages pcp;
	struct pagevec lru_add;
	signed char stat_diff[VM_STATS];
	ulong events[VM_EVENTS];
	struct cpu_usage usage;
	u64 clock_last;
};

extern struct cpu_area cpu0;

#if BITS64
#define PER_CPU(offset) "%%gs:%c" offset
#else
#define PER_CPU(offset) "%%fs:%c" offset
#endif
#define EVENT_COUNTER(event) "i"(offsetof(struct cpu_area, events) + sizeof(ulong) * event)

static always_inline struct cpu_area *this_cpu(void)
{
	struct cpu_area *cpu;

	asm("mov " PER_CPU("1") ", %0" : "=r"(cpu) : "i"(CPU_SELF));
	return cpu;
}

static always_inline struct task *get_current(void)
{
	struct task *task;

	asm("mov " PER_CPU("1") ", %0" : "=r"(task) : "i"(CPU_CURRENT));
	return task;
}

#define current get_current()

static always_inline void count_event(enum vm_event event)
{
	asm volatile("inc" LONG_SUFFIX " " PER_CPU("0") : : EVENT_COUNTER(event) : "cc");
}

static always_inline void count_events(enum vm_event event, ulong n)
{
	asm volatile("add %1, " PER_CPU("0") : : EVENT_COUNTER(event), "r"(n) : "cc");
}

#endif
