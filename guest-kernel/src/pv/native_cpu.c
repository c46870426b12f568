/* Native functions behind the cpu, time, irq and lock ops. */
#include "processor.h"
#include "sched.h"
#include "spinlock.h"

#if CONFIG_PARAVIRT

noinline ulong native_read_cr0(void) { return do_read_cr0(); }
noinline void native_write_cr0(ulong value) { do_write_cr0(value); }
noinline ulong native_read_cr4(void) { return do_read_cr4(); }
noinline void native_write_cr4(ulong value) { do_write_cr4(value); }
noinline void native_clts(void) { do_clts(); }
noinline u64 native_read_tsc(void) { return do_read_tsc(); }

noinline u64 native_read_msr(u32 msr, int *error)
{
	*error = 0;
	return do_read_msr(msr);
}

noinline int native_write_msr(u32 msr, u32 low, u32 high) { return do_write_msr(msr, low, high); }
noinline void native_cpuid(u32 *eax, u32 *ebx, u32 *ecx, u32 *edx) { do_cpuid(eax, ebx, ecx, edx); }
noinline void native_load_gdt(const struct desc_ptr *desc) { do_load_gdt(desc); }
noinline void native_load_idt(const struct desc_ptr *desc) { do_load_idt(desc); }
noinline void native_load_tr_desc(void) { do_load_tr(); }
noinline void native_load_sp0(struct tss *tss, struct thread *thread) { do_load_sp0(tss, thread); }
noinline void native_write_gdt_entry(void *table, int index, const u64 *desc) { do_copy_entry(table, index, desc); }

noinline void native_write_idt_entry(struct gate *table, int index, const struct gate *gate)
{
	do_write_idt_entry(table, index, gate);
}

noinline void native_safe_halt(void)
{
	asm volatile("sti\n\thlt" ::: "memory");
}

noinline void native_halt(void)
{
	asm volatile("hlt" ::: "memory");
}

noinline void native_wbinvd(void)
{
	asm volatile("wbinvd" ::: "memory");
}

#if PV_LOCKS
noinline int ticket_spin_is_locked(spinlock_t *lock) { return ticket_is_locked(lock); }

noinline int ticket_spin_is_contended(spinlock_t *lock)
{
	u32 word = lock->slock;

	return (u8)((word >> 8) - word) > 1;
}

noinline void ticket_spin_lock(spinlock_t *lock) { ticket_lock(lock); }

noinline void ticket_spin_lock_flags(spinlock_t *lock, ulong flags)
{
	(void)flags;
	ticket_lock(lock);
}

noinline int ticket_spin_trylock(spinlock_t *lock) { return ticket_trylock(lock); }
noinline void ticket_spin_unlock(spinlock_t *lock) { ticket_unlock(lock); }
#endif

#endif

noinline void native_set_ldt(const void *ldt, u32 entries)
{
	(void)ldt;
	BUG_ON(entries != 0);
	asm volatile("lldt %w0" : : "q"(0));
}

noinline void native_load_tls(struct thread *thread, u32 cpu)
{
	(void)cpu;
	for (u32 i = 0; i < ARRAY_SIZE(thread->tls); i++)
		gdt_table[TLS_FIRST + i] = thread->tls[i];
}

/* Nanoseconds of a statistical clock: the counter scaled by 2^-10 * 400, that is 2.56 GHz. */
noinline u64 native_sched_clock(void)
{
	return (do_read_tsc() * 400) >> 10;
}
