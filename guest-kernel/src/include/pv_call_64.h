/* C call sites of 64-bit kernels. */
#ifndef PV_CALL_64_H
#define PV_CALL_64_H

/* Clobber masks that C sites write (domain.md §2.2). */
#define CLBR_RAX 1
#define CLBR_RET 1
#define CLBR_ANY 0x1ff

/*
 * Before F4 the operand was a memory reference, which the compiler may also reach through a register (domain.md §2.1); here it
 * is always the 6-byte rip-relative form. F4 makes it the 7-byte absolute form.
 */
#if PV_F4
#define PV_CALL_INSN "call *%c[target]"
#else
#define PV_CALL_INSN "call *%c[target](%%rip)"
#endif
/* Standard convention: value or not, nine registers are lost. */
#define PV_STD(op, ...)                                                                          \
	({                                                                                           \
		ulong rax_, rdi_, rsi_, rdx_, rcx_;                                                      \
		asm volatile(PV_SITE(PV_CALL_INSN)                                                       \
		             : "=a"(rax_), "=D"(rdi_), "=S"(rsi_), "=d"(rdx_), "=c"(rcx_)                \
		             : PV_OPERANDS(op, CLBR_ANY) __VA_ARGS__                                     \
		             : "memory", "cc", "r8", "r9", "r10", "r11");                                \
		(void)rdi_, (void)rsi_, (void)rdx_, (void)rcx_;                                          \
		rax_;                                                                                    \
	})
#define PV_CALL0(op) PV_STD(op)
#define PV_CALL0_U64 PV_CALL0
#define PV_CALL2_U64 PV_CALL2
#define PV_CALL1(op, a) PV_STD(op, , "D"((ulong)(a)))
#define PV_CALL2(op, a, b) PV_STD(op, , "D"((ulong)(a)), "S"((ulong)(b)))
#define PV_CALL3(op, a, b, c) PV_STD(op, , "D"((ulong)(a)), "S"((ulong)(b)), "d"((ulong)(c)))
#define PV_CALL4(op, a, b, c, e) PV_STD(op, , "D"((ulong)(a)), "S"((ulong)(b)), "d"((ulong)(c)), "c"((ulong)(e)))

/* Callee-save convention: only rax is lost, arguments included among what survives. */
#define PV_CALLEE(op, mask, ...)                                                                 \
	({                                                                                           \
		ulong rax_;                                                                              \
		asm volatile(PV_SITE(PV_CALL_INSN) : "=a"(rax_) : PV_OPERANDS(op, mask) __VA_ARGS__ : "memory", "cc"); \
		rax_;                                                                                    \
	})
#define PV_CALLEE0(op, mask) PV_CALLEE(op, mask)
#define PV_CALLEE1(op, mask, a) PV_CALLEE(op, mask, , "D"((ulong)(a)))

/*
 * Thunk that gives an ordinary C function the callee-save convention (domain.md §4.2): 30 bytes, rax is not preserved.
 * Natively every op of that convention conforms by itself, so this back end instantiates none.
 */
#define PV_CALLEE_SAVE_REGS_THUNK(func)                                                          \
	extern char __raw_callee_save_##func[];                                                      \
	asm(".pushsection .text.__raw_callee_save_" #func ",\"ax\"\n\t"                              \
	    ".globl __raw_callee_save_" #func "\n\t"                                                 \
	    ".type __raw_callee_save_" #func ", @function\n"                                         \
	    "__raw_callee_save_" #func ":\n\t"                                                       \
	    "push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push %r11\n\t" \
	    "call " #func "\n\t"                                                                     \
	    "pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx\n\t"       \
	    "ret\n\t"                                                                                \
	    ".size __raw_callee_save_" #func ", . - __raw_callee_save_" #func "\n\t"                 \
	    ".popsection")

#endif
