/* pv_types.h against the slot numbers of domain.md §1.2 and layout.h. */
#include "pv_types.h"

#if CONFIG_PARAVIRT

#if BITS64
_Static_assert(sizeof(struct paravirt_patch_template) == 111 * 8, "111 slots on 64 bit");
_Static_assert(PV_TYPE(pv_cpu_ops.usergs_sysret64) == PV_TYPE_USERGS_SYSRET64, "sysret64");
_Static_assert(PV_TYPE(pv_cpu_ops.iret) == PV_TYPE_IRET, "iret");
_Static_assert(PV_TYPE(pv_cpu_ops.swapgs) == PV_TYPE_SWAPGS, "swapgs");
_Static_assert(PV_TYPE(pv_irq_ops.irq_disable) == PV_TYPE_IRQ_DISABLE, "irq_disable");
_Static_assert(PV_TYPE(pv_irq_ops.irq_enable) == PV_TYPE_IRQ_ENABLE, "irq_enable");
_Static_assert(PV_TYPE(pv_irq_ops.adjust_exception_frame) == PV_TYPE_ADJUST_EXCEPTION_FRAME, "adjust_exception_frame");
_Static_assert(PV_TYPE(pv_lock_ops.spin_unlock) == 110, "spin_unlock");
#else
_Static_assert(sizeof(struct paravirt_patch_template) == (PAE ? 107 : 101) * 4, "slots on 32 bit");
_Static_assert(PV_TYPE(pv_cpu_ops.irq_enable_sysexit) == 42, "irq_enable_sysexit");
_Static_assert(PV_TYPE(pv_cpu_ops.iret) == 45, "iret");
_Static_assert(PV_TYPE(pv_irq_ops.irq_disable) == 52, "irq_disable");
_Static_assert(PV_TYPE(pv_irq_ops.irq_enable) == 53, "irq_enable");
_Static_assert(PV_TYPE(pv_lock_ops.spin_unlock) == (PAE ? 106 : 100), "spin_unlock");
#endif

#endif
