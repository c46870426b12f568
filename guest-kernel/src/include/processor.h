/* Control registers, MSRs, descriptor tables and the other cpu ops. */
#ifndef PROCESSOR_H
#define PROCESSOR_H

#include "pv_call.h"

#define CR0_TS 8ul

#if BITS64
#include "processor_64.h"
#else
#include "processor_32.h"
#endif

static always_inline bool user_mode(const struct regs *regs)
{
	return regs->cs & 3;
}

static always_inline void outl(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "d"(port) : "memory");
}

static always_inline void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "d"(port) : "memory");
}

static always_inline u32 inl(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "d"(port) : "memory");
	return value;
}

/* The native bodies; inline in nopv, and made into functions by pv/native_cpu.c otherwise. */
static always_inline ulong do_read_cr0(void)
{
	ulong value;

	asm volatile("mov %%cr0, %0" : "=r"(value) : : "memory");
	return value;
}

static always_inline void do_write_cr0(ulong value)
{
	asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static always_inline ulong do_read_cr2(void)
{
	ulong value;

	asm volatile("mov %%cr2, %0" : "=r"(value) : : "memory");
	return value;
}

static always_inline void do_write_cr2(ulong value)
{
	asm volatile("mov %0, %%cr2" : : "r"(value) : "memory");
}

static always_inline ulong do_read_cr3(void)
{
	ulong value;

	asm volatile("mov %%cr3, %0" : "=r"(value) : : "memory");
	return value;
}

static always_inline void do_write_cr3(ulong value)
{
	asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static always_inline ulong do_read_cr4(void)
{
	ulong value;

	asm volatile("mov %%cr4, %0" : "=r"(value) : : "memory");
	return value;
}

static always_inline void do_write_cr4(ulong value)
{
	asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static always_inline void do_clts(void)
{
	asm volatile("clts" ::: "memory");
}

static always_inline u64 do_read_msr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return low | (u64)high << 32;
}

static always_inline int do_write_msr(u32 msr, u32 low, u32 high)
{
	asm volatile("wrmsr" : : "c"(msr), "a"(low), "d"(high) : "memory");
	return 0;
}

static always_inline u64 do_read_tsc(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

static always_inline void do_cpuid(u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	asm volatile("cpuid" : "+a"(*eax), "=b"(*ebx), "+c"(*ecx), "=d"(*edx) : : "memory");
}

static always_inline void do_load_gdt(const struct desc_ptr *desc)
{
	asm volatile("lgdt %0" : : "m"(*desc));
}

static always_inline void do_load_idt(const struct desc_ptr *desc)
{
	asm volatile("lidt %0" : : "m"(*desc));
}

static always_inline void do_load_tr(void)
{
	asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

static always_inline void do_load_sp0(struct tss *tss, struct thread *thread)
{
	tss->sp0 = thread->sp0;
}

static always_inline void do_copy_entry(void *table, int index, const u64 *desc)
{
	((u64 *)table)[index] = *desc;
}

static always_inline void do_write_idt_entry(struct gate *table, int index, const struct gate *gate)
{
	table[index] = *gate;
}

/* Clears or installs the descriptor of a local table; with no entries there is only the null selector to load. */
void native_set_ldt(const void *ldt, u32 entries);
void native_load_tls(struct thread *thread, u32 cpu);

#if CONFIG_PARAVIRT
#define read_cr0() PV_CALL0(pv_cpu_ops.read_cr0)
#define write_cr0(v) ((void)PV_CALL1(pv_cpu_ops.write_cr0, v))
#define read_cr4() PV_CALL0(pv_cpu_ops.read_cr4)
#define write_cr4(v) ((void)PV_CALL1(pv_cpu_ops.write_cr4, v))
#define clts() ((void)PV_CALL0(pv_cpu_ops.clts))
#define read_cr2() PV_CALL0(pv_mmu_ops.read_cr2)
#define read_cr3() PV_CALL0(pv_mmu_ops.read_cr3)
#define write_cr3(v) ((void)PV_CALL1(pv_mmu_ops.write_cr3, v))
#define read_msr(msr, error) PV_CALL2_U64(pv_cpu_ops.read_msr, msr, error)
#define write_msr(msr, low, high) ((int)PV_CALL3(pv_cpu_ops.write_msr, msr, low, high))
#define read_tsc() PV_CALL0_U64(pv_cpu_ops.read_tsc)
#define load_gdt(d) ((void)PV_CALL1(pv_cpu_ops.load_gdt, d))
#define load_idt(d) ((void)PV_CALL1(pv_cpu_ops.load_idt, d))
#define load_tr_desc() ((void)PV_CALL0(pv_cpu_ops.load_tr_desc))
#define set_ldt(l, n) ((void)PV_CALL2(pv_cpu_ops.set_ldt, l, n))
#define load_tls(t, cpu) ((void)PV_CALL2(pv_cpu_ops.load_tls, t, cpu))
#define write_gdt_entry(t, i, d) ((void)PV_CALL4(pv_cpu_ops.write_gdt_entry, t, i, d, 0))
#define write_idt_entry(t, i, g) ((void)PV_CALL3(pv_cpu_ops.write_idt_entry, t, i, g))
#define load_sp0(tss, thread) ((void)PV_CALL2(pv_cpu_ops.load_sp0, tss, thread))
#define pv_cpuid(a, b, c, d) ((void)PV_CALL4(pv_cpu_ops.cpuid, a, b, c, d))
#define enter_lazy_cpu_mode() ((void)PV_CALL0(pv_cpu_ops.lazy_mode.enter))
#define leave_lazy_cpu_mode() ((void)PV_CALL0(pv_cpu_ops.lazy_mode.leave))
#define pv_sched_clock() PV_CALL0_U64(pv_time_ops.sched_clock)
#else
#define read_cr0() do_read_cr0()
#define write_cr0(v) do_write_cr0(v)
#define read_cr4() do_read_cr4()
#define write_cr4(v) do_write_cr4(v)
#define clts() do_clts()
#define read_cr2() do_read_cr2()
#define read_cr3() do_read_cr3()
#define write_cr3(v) do_write_cr3(v)
#define read_msr(msr, error) (*(error) = 0, do_read_msr(msr))
#define write_msr(msr, low, high) do_write_msr(msr, low, high)
#define read_tsc() do_read_tsc()
#define load_gdt(d) do_load_gdt(d)
#define load_idt(d) do_load_idt(d)
#define load_tr_desc() do_load_tr()
#define set_ldt(l, n) native_set_ldt(l, n)
#define load_tls(t, cpu) native_load_tls(t, cpu)
#define write_gdt_entry(t, i, d) do_copy_entry(t, i, d)
#define write_idt_entry(t, i, g) do_write_idt_entry(t, i, g)
#define load_sp0(tss, thread) do_load_sp0(tss, thread)
#define pv_cpuid(a, b, c, d) do_cpuid(a, b, c, d)
#define enter_lazy_cpu_mode() ((void)0)
#define leave_lazy_cpu_mode() ((void)0)
#define pv_sched_clock() native_sched_clock()
#endif

u64 native_sched_clock(void);

static always_inline int wrmsrl(u32 msr, u64 value)
{
	return write_msr(msr, (u32)value, (u32)(value >> 32));
}

static always_inline void stts(void)
{
	write_cr0(read_cr0() | CR0_TS);
}

#endif
