/* Exceptions that are not page faults, and the table of places that may fault. */
#include "sched.h"

struct exception_entry {
	ulong from, to;
};

extern const struct exception_entry exception_table[], exception_table_end[];
void do_trap(struct regs *regs, ulong code, u32 vector);

noinline ulong search_exception_table(ulong ip)
{
	for (const struct exception_entry *entry = exception_table; entry < exception_table_end; entry++)
		if (entry->from == ip)
			return entry->to;
	return 0;
}

noinline void do_trap(struct regs *regs, ulong code, u32 vector)
{
	ulong fixup;

	(void)code;
	if (user_mode(regs)) {
		local_irq_enable();
		user_fault_signal(regs, vector == 7 ? SIGKILL : SIGSEGV);
		return;
	}
	fixup = search_exception_table(regs->ip);
	if (!fixup)
		panic("exception in the kernel", (ulong)vector << (BITS_PER_LONG - 8) | (regs->ip & (BITS64 ? 0xffffffff : 0xffffff)));
	regs->ip = fixup;
}
