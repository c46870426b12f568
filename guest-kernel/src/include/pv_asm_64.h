/* Assembly call sites of 64-bit kernels. */
#ifndef PV_ASM_64_H
#define PV_ASM_64_H

/* Clobber masks; rsi and rdi changed places with P3 (domain.md §2.2). */
#define CLBR_NONE 0
#define CLBR_RAX (1 << 0)
#define CLBR_RCX (1 << 1)
#define CLBR_RDX (1 << 2)
#if PV_CLOBBER_AWARE
#define CLBR_RDI (1 << 3)
#define CLBR_RSI (1 << 4)
#else
#define CLBR_RSI (1 << 3)
#define CLBR_RDI (1 << 4)
#endif
#define CLBR_R8 (1 << 5)
#define CLBR_R9 (1 << 6)
#define CLBR_R10 (1 << 7)
#define CLBR_R11 (1 << 8)
#define CLBR_ANY 0x1ff
#define CLBR_CALLEE_SAVE 0x1fe

/* The combination at native_load_gs_index was OR, hence all ones, until P2 (defect B2). */
#if PV_CLOBBER_AWARE
#define CLBR_ANY_BUT_RDI CLBR_ANY & ~CLBR_RDI
#else
#define CLBR_ANY_BUT_RDI CLBR_ANY | ~CLBR_RDI
#endif

#if CONFIG_PARAVIRT

#if !PV_CLOBBER_AWARE
#define PV_SAVE(set) \
	push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11
#define PV_RESTORE(set) \
	pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax
#define PV_IRQ_SET(clobbers) 0
#else
#if PV_CALLEE_SAVE_IRQ
#define KEPT(set, bit) (~(set) & (bit))
#define PV_IRQ_SET(clobbers) (clobbers) | CLBR_CALLEE_SAVE
#else
/* Without parentheses around `set` a compound argument saves nothing: defect B1 (domain.md §4.3). */
#define KEPT(set, bit) ((~set) & (bit))
#define PV_IRQ_SET(clobbers) clobbers
#endif
#define PUSH_KEPT(set, bit, reg) .if KEPT(set, bit); push %reg; .endif
#define POP_KEPT(set, bit, reg) .if KEPT(set, bit); pop %reg; .endif
#define PV_SAVE(set)                                                             \
	PUSH_KEPT(set, CLBR_RAX, rax); PUSH_KEPT(set, CLBR_RCX, rcx); PUSH_KEPT(set, CLBR_RDX, rdx); \
	PUSH_KEPT(set, CLBR_RSI, rsi); PUSH_KEPT(set, CLBR_RDI, rdi); PUSH_KEPT(set, CLBR_R8, r8);   \
	PUSH_KEPT(set, CLBR_R9, r9); PUSH_KEPT(set, CLBR_R10, r10); PUSH_KEPT(set, CLBR_R11, r11)
#define PV_RESTORE(set)                                                          \
	POP_KEPT(set, CLBR_R11, r11); POP_KEPT(set, CLBR_R10, r10); POP_KEPT(set, CLBR_R9, r9);      \
	POP_KEPT(set, CLBR_R8, r8); POP_KEPT(set, CLBR_RDI, rdi); POP_KEPT(set, CLBR_RSI, rsi);      \
	POP_KEPT(set, CLBR_RDX, rdx); POP_KEPT(set, CLBR_RCX, rcx); POP_KEPT(set, CLBR_RAX, rax)
#endif

#define PV_INDIRECT(type) *pv_ops+8*type(%rip)
#define PV_ASM_SITE(type, clobbers, ...)      \
	771: __VA_ARGS__;                         \
	772: .pushsection .parainstructions, "a"; \
	.balign 8;                                \
	.quad 771b;                               \
	.byte type;                               \
	.byte 772b - 771b;                        \
	.short (clobbers) & 0xffff;               \
	.popsection

#define DISABLE_INTERRUPTS(clobbers)                                                              \
	PV_ASM_SITE(PV_TYPE_IRQ_DISABLE, clobbers, PV_SAVE(PV_IRQ_SET(clobbers));                     \
	            call PV_INDIRECT(PV_TYPE_IRQ_DISABLE); PV_RESTORE(PV_IRQ_SET(clobbers)))
#define ENABLE_INTERRUPTS(clobbers)                                                               \
	PV_ASM_SITE(PV_TYPE_IRQ_ENABLE, clobbers, PV_SAVE(PV_IRQ_SET(clobbers));                      \
	            call PV_INDIRECT(PV_TYPE_IRQ_ENABLE); PV_RESTORE(PV_IRQ_SET(clobbers)))

/* swapgs keeps everything from P3 on; on an unsafe stack it has to be the instruction itself. */
#if PV_CLOBBER_AWARE
#define SWAPGS PV_ASM_SITE(PV_TYPE_SWAPGS, CLBR_NONE, call PV_INDIRECT(PV_TYPE_SWAPGS))
#else
#define SWAPGS                                    \
	PV_ASM_SITE(PV_TYPE_SWAPGS, CLBR_NONE, PV_SAVE(CLBR_NONE); \
	            call PV_INDIRECT(PV_TYPE_SWAPGS); PV_RESTORE(CLBR_NONE))
#endif
#define SWAPGS_UNSAFE_STACK PV_ASM_SITE(PV_TYPE_SWAPGS, CLBR_NONE, swapgs)
#define INTERRUPT_RETURN PV_ASM_SITE(PV_TYPE_IRET, CLBR_NONE, jmp PV_INDIRECT(PV_TYPE_IRET))
#define USERGS_SYSRET64 PV_ASM_SITE(PV_TYPE_USERGS_SYSRET64, CLBR_NONE, jmp PV_INDIRECT(PV_TYPE_USERGS_SYSRET64))
#define ADJUST_EXCEPTION_FRAME \
	PV_ASM_SITE(PV_TYPE_ADJUST_EXCEPTION_FRAME, CLBR_NONE, call PV_INDIRECT(PV_TYPE_ADJUST_EXCEPTION_FRAME))

#else

#define DISABLE_INTERRUPTS(clobbers) cli
#define ENABLE_INTERRUPTS(clobbers) sti
#define SWAPGS swapgs
#define SWAPGS_UNSAFE_STACK swapgs
#define INTERRUPT_RETURN iretq
#define USERGS_SYSRET64 swapgs; sysretq
#define ADJUST_EXCEPTION_FRAME

#endif

#endif
