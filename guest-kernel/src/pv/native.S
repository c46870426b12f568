/* Native bodies of the ops that assembly reaches or that conform to the callee-save convention (domain.md §1.3, §4.2). */
#include "pv_asm.h"

#if CONFIG_PARAVIRT
FUNCTION(native_save_fl)
	pushfq
	popq %rax
	ret
END(native_save_fl)

FUNCTION(native_restore_fl)
	pushq %rdi
	popfq
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
	iretq
END(native_iret)

FUNCTION(native_usergs_sysret64)
	swapgs
	sysretq
END(native_usergs_sysret64)

FUNCTION(native_swapgs)
	swapgs
	ret
END(native_swapgs)

/* The empty function; the patcher knows it by its address. */
FUNCTION(paravirt_nop)
	ret
END(paravirt_nop)

#if PV_IDENTITY
FUNCTION(ident_32)
	movl %edi, %eax
	ret
END(ident_32)

FUNCTION(ident_64)
	movq %rdi, %rax
	ret
END(ident_64)
#endif
#endif
