/* Descriptor tables, segment bases, stacks and the other cpu ops. */
#include "xen.h"

#if GUEST_XEN

void xen_load_gdt(const struct desc_ptr *desc);
void xen_load_idt(const struct desc_ptr *desc);
void xen_write_gdt_entry(void *table, int index, const u64 *desc);
void xen_write_idt_entry(struct gate *table, int index, const struct gate *gate);
void xen_load_tls(struct thread *thread, u32 cpu);
void xen_load_gs_index(u32 selector);
void xen_load_sp0(struct tss *tss, struct thread *thread);
void xen_set_ldt(const void *ldt, u32 entries);
void xen_clts(void);
void xen_write_cr0(ulong value);
int xen_write_msr(u32 msr, u32 low, u32 high);
void xen_cpuid(u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void xen_safe_halt(void);

#define VECTORS 256
#define GATE_PRIVILEGE(flags) ((flags) >> 13 & 3)
#define TRAP_MASKS_EVENTS 4

static const struct gate *loaded_idt;
static struct trap_info trap_table[VECTORS + 1];

/* The table fills its page, which the hypervisor wants read-only. */
noinline void xen_load_gdt(const struct desc_ptr *desc)
{
	void *table = (void *)desc->address;
	ulong frame = virt_to_machine(table) >> PAGE_SHIFT;

	BUG_ON(((ulong)table & ~PAGE_MASK) || desc->size >= PAGE_SIZE);
	xen_make_readonly(table);
	if (HYPERCALL(HYPERCALL_SET_GDT, &frame, (desc->size + 1u) / 8, 0, 0))
		panic("the descriptor table was refused", frame);
}

noinline void xen_write_gdt_entry(void *table, int index, const u64 *desc)
{
	if (HYPERCALL(HYPERCALL_UPDATE_DESCRIPTOR, virt_to_machine((u64 *)table + index), *desc, 0, 0))
		panic("a descriptor was refused", *desc);
}

static noinline bool trap_of_gate(u32 vector, const struct gate *gate, struct trap_info *trap)
{
	if (!(gate->flags & 0x8000))
		return false;
	trap->vector = (u8)vector;
	trap->flags = (u8)(GATE_PRIVILEGE(gate->flags) | TRAP_MASKS_EVENTS);
	trap->cs = gate->selector;
	trap->address = gate->offset_low | (ulong)gate->offset_mid << 16 | (ulong)gate->offset_high << 32;
	return true;
}

/* An entry without an address ends the list. */
noinline void xen_load_idt(const struct desc_ptr *desc)
{
	u32 used = 0;

	loaded_idt = (const struct gate *)desc->address;
	for (u32 vector = 0; vector < (desc->size + 1u) / sizeof(struct gate); vector++)
		used += trap_of_gate(vector, loaded_idt + vector, trap_table + used);
	trap_table[used].address = 0;
	if (HYPERCALL(HYPERCALL_SET_TRAP_TABLE, trap_table, 0, 0, 0))
		panic("the trap table was refused", used);
}

noinline void xen_write_idt_entry(struct gate *table, int index, const struct gate *gate)
{
	struct trap_info change[2] = { { 0, 0, 0, 0 }, { 0, 0, 0, 0 } };

	table[index] = *gate;
	if (table == loaded_idt && trap_of_gate((u32)index, gate, change))
		HYPERCALL(HYPERCALL_SET_TRAP_TABLE, change, 0, 0, 0);
}

static noinline void queue_descriptor(const u64 *entry, u64 value)
{
	xen_mc_call(xen_mc_entry(0).call, HYPERCALL_UPDATE_DESCRIPTOR, virt_to_machine(entry), value, 0, 0);
}

/* At a context switch the selector is reloaded afterwards; until then it must not name a descriptor that changes. */
noinline void xen_load_tls(struct thread *thread, u32 cpu)
{
	(void)cpu;
	if (xen_lazy_mode() == LAZY_CPU)
		asm volatile("movl %0, %%fs" : : "r"(0));
	xen_mc_batch();
	for (u32 i = 0; i < ARRAY_SIZE(thread->tls); i++)
		queue_descriptor(&gdt_table[TLS_FIRST + i], thread->tls[i]);
	xen_mc_issue(LAZY_CPU);
}

noinline void xen_load_gs_index(u32 selector)
{
	if (HYPERCALL(HYPERCALL_SET_SEGMENT_BASE, SEGBASE_GS_USER_SEL, selector, 0, 0))
		panic("a selector was refused", selector);
}

noinline void xen_load_sp0(struct tss *tss, struct thread *thread)
{
	(void)tss;
	xen_mc_batch();
	xen_mc_call(xen_mc_entry(0).call, HYPERCALL_STACK_SWITCH, KERNEL_DS, thread->sp0, 0, 0);
	xen_mc_issue(LAZY_CPU);
}

noinline void xen_set_ldt(const void *ldt, u32 entries)
{
	BUG_ON(ldt || entries);
	xen_mc_batch();
	xen_queue_mmuext(MMUEXT_SET_LDT, 0);
	xen_mc_issue(LAZY_CPU);
}

static noinline void queue_taskswitch(ulong set)
{
	xen_mc_batch();
	xen_mc_call(xen_mc_entry(0).call, HYPERCALL_FPU_TASKSWITCH, set, 0, 0, 0);
	xen_mc_issue(LAZY_CPU);
}

noinline void xen_clts(void) { queue_taskswitch(0); }

/* Only the task-switched bit is the guest's. */
noinline void xen_write_cr0(ulong value) { queue_taskswitch((value & CR0_TS) != 0); }

static noinline int set_segment_base(u32 which, ulong base)
{
	return HYPERCALL(HYPERCALL_SET_SEGMENT_BASE, which, base, 0, 0) ? -EFAULT : 0;
}

/* The system call registers are the hypervisor's: what they say is registered as a callback. */
noinline int xen_write_msr(u32 msr, u32 low, u32 high)
{
	switch (msr) {
	case MSR_FS_BASE:
		return set_segment_base(SEGBASE_FS, low | (ulong)high << 32);
	case MSR_KERNEL_GS_BASE:
		return set_segment_base(SEGBASE_GS_USER, low | (ulong)high << 32);
	case MSR_GS_BASE:
		return set_segment_base(SEGBASE_GS_KERNEL, low | (ulong)high << 32);
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_SYSCALL_MASK:
		return 0;
	}
	return do_write_msr(msr, low, high);
}

#define FEATURES 1
#define EDX_HIDDEN (1u << 7 | 1u << 9 | 1u << 12 | 1u << 14 | 1u << 22)

/* The prefix makes the hypervisor answer instead of the CPU. */
noinline void xen_cpuid(u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 leaf = *eax;

	asm volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e\n\tcpuid"
	             : "+a"(*eax), "=b"(*ebx), "+c"(*ecx), "=d"(*edx) : : "memory");
	if (leaf == FEATURES)
		*edx &= ~EDX_HIDDEN;
}

noinline void xen_safe_halt(void)
{
	if (HYPERCALL(HYPERCALL_SCHED_OP, SCHEDOP_BLOCK, 0, 0, 0))
		panic("the block was refused", 0);
}

#endif
