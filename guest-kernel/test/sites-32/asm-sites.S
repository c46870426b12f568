/* One site of each form, in the order of the table of site bytes. */
#include "pv_asm.h"

	.text
	DISABLE_INTERRUPTS(CLBR_NONE)
	ENABLE_INTERRUPTS(CLBR_EAX)
	DISABLE_INTERRUPTS(CLBR_ANY)
	INTERRUPT_RETURN
	ENABLE_INTERRUPTS_SYSEXIT
