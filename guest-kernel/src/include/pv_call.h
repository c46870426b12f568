/*
 * C call sites: how each bitness calls is in pv_call_64.h and pv_call_32.h. A site is the call with, for the irq ops before
 * they became callee-save, the pushes and pops around it (domain.md §2.1); its record goes to .parainstructions (§2.3). The outputs
 * and clobbers say what the compiler must assume lost (§4.1).
 */
#ifndef PV_CALL_H
#define PV_CALL_H

#include "pv_types.h"

#if BITS64
#define PV_RECORD_POINTER ".balign 8\n\t.quad 771b\n\t"
#else
#define PV_RECORD_POINTER ".balign 4\n\t.long 771b\n\t"
#endif

#define PV_SITE(instructions)                                      \
	"771:\n\t" instructions "\n772:\n\t"                           \
	".pushsection .parainstructions,\"a\"\n\t"                     \
	PV_RECORD_POINTER                                              \
	".byte %c[type]\n\t"                                           \
	".byte 772b-771b\n\t"                                          \
	".short %c[clobbers]\n\t"                                      \
	".popsection"

#define PV_TARGET(op) "i"(&(op))
#define PV_OPERANDS(op, mask) [target] PV_TARGET(op), [type] "i"(PV_TYPE(op)), [clobbers] "i"(mask)

#if BITS64
#include "pv_call_64.h"
#else
#include "pv_call_32.h"
#endif

#endif
