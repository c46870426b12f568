/* Native bodies of the ops that assembly reaches or that conform to the callee-save convention (domain.md §1.3, §4.2). */
#include "pv_asm.h"

#if CONFIG_PARAVIRT
FUNCTION(native_save_fl)
	pushfl
	popl %eax
	ret
END(native_save_fl)

FUNCTION(native_restore_fl)
	pushl %eax
	popfl
	ret
END(native_restore_fl)

FUNCTION(native_irq_disable)
	cli
	ret
END(native_irq_disable)

FUNCTION(native_irq_enable)
	sti
	ret
END(native_irq_enable)

FUNCTION(native_iret)
	iret
END(native_iret)

FUNCTION(native_irq_enable_sysexit)
	sti
	sysexit
END(native_irq_enable_sysexit)

/* The empty function; the patcher knows it by its address. */
FUNCTION(paravirt_nop)
	ret
END(paravirt_nop)

#if PV_IDENTITY
/* Argument and result are in the same registers. */
FUNCTION(ident_32)
	ret
END(ident_32)

FUNCTION(ident_64)
	ret
END(ident_64)
#endif
#endif
