/* Descriptor tables, system call registers, feature bits. */
#include "sched.h"

extern const ulong exception_vectors[20], interrupt_vectors[1 + DEVICE_LINES];
extern char sysenter_entry[], system_call[];

struct cpu_area cpu0;
struct tss cpu_tss = { .ss0 = KERNEL_DS, .io_bitmap_base = sizeof(struct tss) };
static struct gate idt_table[256] __attribute__((aligned(8)));

/* Flat segments (docs/adr/006); the entries from TLS_FIRST on belong to the running task. */
u64 gdt_table[GDT_ENTRIES] __attribute__((aligned(32))) = {
	[KERNEL_CS / 8] = 0x00cf9b000000ffff,
	[KERNEL_DS / 8] = 0x00cf93000000ffff,
	[USER_CS / 8] = 0x00cffb000000ffff,
	[USER_DS / 8] = 0x00cff3000000ffff,
};

#define INTERRUPT_GATE 0x8e00
#define TRAP_GATE 0x8f00
#define USER_GATE (3 << 13)

/* `kind`: the descriptor's upper half without base and upper limit (Intel SDM vol. 3, 3.4.5). */
static noinline void set_descriptor(u32 selector, const void *address, u32 limit, u32 kind)
{
	u32 base = (u32)address;
	u32 high = kind | (base & 0xff000000) | (base >> 16 & 0xff) | (limit & 0xf0000);
	u64 descriptor = (u64)high << 32 | (base << 16 | (limit & 0xffff));

	write_gdt_entry(gdt_table, selector / 8, &descriptor);
}

static noinline void set_gate(u32 vector, ulong handler, u32 kind)
{
	struct gate gate = {
		.offset_low = (u16)handler,
		.selector = KERNEL_CS,
		.flags = (u16)kind,
		.offset_high = (u16)(handler >> 16),
	};

	write_idt_entry(idt_table, vector, &gate);
}

noinline void traps_init(void)
{
	struct desc_ptr idt = { sizeof(idt_table) - 1, (u32)idt_table };

	for (u32 vector = 0; vector < ARRAY_SIZE(exception_vectors); vector++)
		if (exception_vectors[vector])
			set_gate(vector, exception_vectors[vector], INTERRUPT_GATE | (vector == 3 || vector == 4 ? USER_GATE : 0));
	for (u32 i = 0; i < ARRAY_SIZE(interrupt_vectors); i++)
		set_gate(TIMER_VECTOR + i, interrupt_vectors[i], INTERRUPT_GATE);
	set_gate(SYSCALL_VECTOR, (ulong)system_call, TRAP_GATE | USER_GATE);
	load_idt(&idt);
}

/* The entry finds the kernel stack through the address of the TSS. */
static noinline void syscall_init(void)
{
	wrmsrl(MSR_SYSENTER_CS, KERNEL_CS);
	wrmsrl(MSR_SYSENTER_ESP, (ulong)&cpu_tss);
	wrmsrl(MSR_SYSENTER_EIP, (ulong)sysenter_entry);
}

static noinline void check_features(void)
{
	u32 eax = 1, ebx = 0, ecx = 0, edx = 0;

	pv_cpuid(&eax, &ebx, &ecx, &edx);
	/* PSE, MSR, PAE, CX8, SEP, PGE, CMOV. */
	if ((edx & 0xa968) != 0xa968)
		panic("processor features are missing", edx);
	write_cr4(read_cr4() | 0x80);
}

/* %fs must work before the first function that asks for the CPU's area. The loader's code and stack segments stay: they are ours. */
noinline void cpu_init(void)
{
	struct desc_ptr gdt = { sizeof(gdt_table) - 1, (u32)gdt_table };

	cpu0.task = &init_task;
	cpu0.self = &cpu0;
	cpu0.active_mm = &init_mm;
	set_descriptor(PERCPU_SELECTOR, &cpu0, 0xfffff, 0x00c09300);
	set_descriptor(TSS_SELECTOR, &cpu_tss, sizeof(cpu_tss) - 1, 0x8900);
	load_gdt(&gdt);
	asm volatile("movl %0, %%ds\n\tmovl %0, %%es\n\tmovl %1, %%fs\n\tmovl %2, %%gs"
	             : : "r"(USER_DS), "r"(PERCPU_SELECTOR), "r"(0) : "memory");
	load_sp0(&cpu_tss, &init_task.thread);
	load_tr_desc();
	set_ldt(NULL, 0);
	check_features();
	clts();
	stts();
	syscall_init();
}
