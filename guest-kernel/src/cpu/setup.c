/* Descriptor tables, system call registers, feature bits. */
#include "sched.h"

extern const ulong exception_vectors[20], interrupt_vectors[1 + DEVICE_LINES];
extern char irq_stack_top[], system_call[];

struct cpu_area cpu0;
struct tss cpu_tss;
static struct gate idt_table[256];

/* Flat segments; the entries from TLS_FIRST on belong to the running task. */
u64 gdt_table[GDT_SPACE] __attribute__((aligned(GUEST_XEN ? PAGE_SIZE : 32))) = {
	[2] = 0x00af9b000000ffff,
	[3] = 0x00cf93000000ffff,
	[4] = 0x00cffb000000ffff,
	[5] = 0x00cff3000000ffff,
	[6] = 0x00affb000000ffff,
};

static noinline void set_tss_descriptor(void)
{
	ulong base = (ulong)&cpu_tss;
	u64 low = (sizeof(cpu_tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base & 0xff000000) << 32;
	u64 high = base >> 32;

	cpu_tss.io_bitmap_base = sizeof(cpu_tss);
	write_gdt_entry(gdt_table, TSS_SELECTOR / 8, &low);
	write_gdt_entry(gdt_table, TSS_SELECTOR / 8 + 1, &high);
}

static noinline void set_gate(u32 vector, ulong handler, u32 privilege)
{
	struct gate gate = {
		.offset_low = (u16)handler,
		.selector = KERNEL_CS,
		.flags = (u16)(0x8e00 | privilege << 13),
		.offset_mid = (u16)(handler >> 16),
		.offset_high = (u32)(handler >> 32),
	};

	write_idt_entry(idt_table, vector, &gate);
}

noinline void traps_init(void)
{
	struct desc_ptr idt = { sizeof(idt_table) - 1, (u64)idt_table };

	for (u32 vector = 0; vector < ARRAY_SIZE(exception_vectors); vector++)
		if (exception_vectors[vector])
			set_gate(vector, exception_vectors[vector], vector == 3 || vector == 4 ? 3 : 0);
	for (u32 i = 0; i < ARRAY_SIZE(interrupt_vectors); i++)
		set_gate(TIMER_VECTOR + i, interrupt_vectors[i], 0);
	load_idt(&idt);
}

static noinline void syscall_init(void)
{
	wrmsrl(MSR_STAR, (u64)USER32_CS << 48 | (u64)KERNEL_CS << 32);
	wrmsrl(MSR_LSTAR, (ulong)system_call);
	/* Trap, interrupt, direction, nesting and alignment-check flags are off in the kernel. */
	wrmsrl(MSR_SYSCALL_MASK, 0x47700);
}

static noinline void check_features(void)
{
	u32 eax = 1, ebx = 0, ecx = 0, edx = 0;

	pv_cpuid(&eax, &ebx, &ecx, &edx);
	/* PSE, MSR, PAE, PGE, CMOV. */
	if ((edx & 0xa068) != 0xa068)
		panic("processor features are missing", edx);
	write_cr4(read_cr4() | 0x80);
}

/* %gs must work before the first function that asks for the CPU's area. */
noinline void cpu_init(void)
{
	struct desc_ptr gdt = { sizeof(gdt_table) - 1, (u64)gdt_table };
	int error;

	cpu0.task = &init_task;
	cpu0.kernel_stack = init_task.thread.sp0;
	cpu0.irq_count = -1;
	cpu0.irq_stack = irq_stack_top;
	cpu0.self = &cpu0;
	cpu0.active_mm = &init_mm;
	load_gdt(&gdt);
#if !GUEST_XEN
	asm volatile("pushq %0\n\tleaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tlretq\n1:"
	             : : "i"(KERNEL_CS) : "rax", "memory");
	asm volatile("movl %0, %%ds\n\tmovl %0, %%es\n\tmovl %0, %%ss\n\tmovl %1, %%fs\n\tmovl %1, %%gs"
	             : : "r"(KERNEL_DS), "r"(0) : "memory");
#endif
	wrmsrl(MSR_GS_BASE, (ulong)&cpu0);
	wrmsrl(MSR_KERNEL_GS_BASE, 0);
	if (!(read_msr(MSR_EFER, &error) & 1) || error)
		panic("system calls are off", 0);
	set_tss_descriptor();
	load_sp0(&cpu_tss, &init_task.thread);
	load_tr_desc();
	set_ldt(NULL, 0);
	check_features();
	clts();
	stts();
	syscall_init();
}
