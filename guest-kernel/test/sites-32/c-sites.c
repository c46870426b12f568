/* One call of each form, in the order of the table of site bytes. */
#include "irqflags.h"

ulong std_word(ulong a, ulong b) { return PV_CALL2(pv_mmu_ops.set_pmd, a, b); }
ulong std_four_words(ulong a, ulong b, ulong c, ulong e) { return PV_CALL4(pv_cpu_ops.write_gdt_entry, a, b, c, e); }
u64 std_value(u64 value) { return PV_CALL_VALUE64(pv_time_ops.sched_clock, value); }
ulong save_flags(void) { return raw_local_save_flags(); }
void restore_flags(ulong flags) { raw_local_irq_restore(flags); }
void disable(void) { raw_local_irq_disable(); }
void enable(void) { raw_local_irq_enable(); }
#if PAE && PV_CALLEE_SAVE_PTE
u64 entry_value(u64 value) { return PV_CALLEE_VALUE64(pv_mmu_ops.pte_val.func, CLBR_RET, value); }
#elif PAE
u64 entry_value(u64 value) { return PV_CALL_VALUE64(pv_mmu_ops.pte_val, value); }
#elif PV_CALLEE_SAVE_PTE
ulong entry_value(ulong value) { return PV_CALLEE1(pv_mmu_ops.pte_val.func, CLBR_RET, value); }
#else
ulong entry_value(ulong value) { return PV_CALL1(pv_mmu_ops.pte_val, value); }
#endif

_Static_assert(sizeof(struct paravirt_patch_template) == (PAE ? 107 : 101) * 4, "slots");
_Static_assert(PV_TYPE(pv_lock_ops.spin_unlock) == (PAE ? 106 : 100), "spin_unlock");
