/* Assembly call sites of 32-bit kernels. The slot is reached by its address with a cs: prefix, whatever ds may be. */
#ifndef PV_ASM_32_H
#define PV_ASM_32_H

/* Slot numbers of the ops that assembly reaches (domain.md §1.2): byte offset in the template / 4. */
#define PV_TYPE32_IRQ_ENABLE_SYSEXIT 42
#define PV_TYPE32_IRET 45
#define PV_TYPE32_IRQ_DISABLE 52
#define PV_TYPE32_IRQ_ENABLE 53

/* Clobber masks (domain.md §2.2). */
#define CLBR_NONE 0
#define CLBR_EAX (1 << 0)
#define CLBR_ECX (1 << 1)
#define CLBR_EDX (1 << 2)
#if PV_CLOBBER_AWARE
#define CLBR_EDI (1 << 3)
#define CLBR_ANY 0xf
#else
#define CLBR_ANY 7
#endif
/* What a callee-save function keeps: from P6 on edx may be half of its result. */
#if PV_CALLEE_SAVE_PTE
#define CLBR_CALLEE_SAVE CLBR_ECX
#elif PV_CALLEE_SAVE_IRQ
#define CLBR_CALLEE_SAVE (CLBR_ECX | CLBR_EDX)
#else
#define CLBR_CALLEE_SAVE 0
#endif

#if CONFIG_PARAVIRT

#if PV_CLOBBER_AWARE
#define PUSH_KEPT(set, bit, reg) .if ~(set) & (bit); push %reg; .endif
#define POP_KEPT(set, bit, reg) .if ~(set) & (bit); pop %reg; .endif
#define PV_SAVE(set) \
	PUSH_KEPT(set, CLBR_EAX, eax); PUSH_KEPT(set, CLBR_EDI, edi); PUSH_KEPT(set, CLBR_ECX, ecx); PUSH_KEPT(set, CLBR_EDX, edx)
#define PV_RESTORE(set) \
	POP_KEPT(set, CLBR_EDX, edx); POP_KEPT(set, CLBR_ECX, ecx); POP_KEPT(set, CLBR_EDI, edi); POP_KEPT(set, CLBR_EAX, eax)
#else
#define PV_SAVE(set) push %eax; push %edi; push %ecx; push %edx
#define PV_RESTORE(set) pop %edx; pop %ecx; pop %edi; pop %eax
#endif

#define PV_INDIRECT(type) *%cs:pv_ops+4*type
#define PV_ASM_SITE(type, clobbers, ...)      \
	771: __VA_ARGS__;                         \
	772: .pushsection .parainstructions, "a"; \
	.balign 4;                                \
	.long 771b;                               \
	.byte type;                               \
	.byte 772b - 771b;                        \
	.short (clobbers);                        \
	.popsection
#define PV_IRQ_SITE(type, clobbers)                                                                      \
	PV_ASM_SITE(type, clobbers, PV_SAVE((clobbers) | CLBR_CALLEE_SAVE); call PV_INDIRECT(type);           \
	            PV_RESTORE((clobbers) | CLBR_CALLEE_SAVE))

#define DISABLE_INTERRUPTS(clobbers) PV_IRQ_SITE(PV_TYPE32_IRQ_DISABLE, clobbers)
#define ENABLE_INTERRUPTS(clobbers) PV_IRQ_SITE(PV_TYPE32_IRQ_ENABLE, clobbers)
#define INTERRUPT_RETURN PV_ASM_SITE(PV_TYPE32_IRET, CLBR_NONE, jmp PV_INDIRECT(PV_TYPE32_IRET))
#define ENABLE_INTERRUPTS_SYSEXIT \
	PV_ASM_SITE(PV_TYPE32_IRQ_ENABLE_SYSEXIT, CLBR_NONE, jmp PV_INDIRECT(PV_TYPE32_IRQ_ENABLE_SYSEXIT))

#else

#define DISABLE_INTERRUPTS(clobbers) cli
#define ENABLE_INTERRUPTS(clobbers) sti
#define INTERRUPT_RETURN iret
#define ENABLE_INTERRUPTS_SYSEXIT sti; sysexit

#endif

#endif
