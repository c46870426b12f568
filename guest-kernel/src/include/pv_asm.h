/*
 * Assembly call sites (domain.md §2.1, §2.4). A site's argument names the registers that may be lost there; what is
 * pushed around the call depends on the stage.
 */
#ifndef PV_ASM_H
#define PV_ASM_H

#include "config.h"
#include "layout.h"

#define FUNCTION(name)                    \
	.section .text.name, "ax", @progbits; \
	.globl name;                          \
	.type name, @function;                \
	name:
#define END(name) .size name, . - name

#if BITS64
#include "pv_asm_64.h"
#else
#include "pv_asm_32.h"
#endif

#endif
