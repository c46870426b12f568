/* C call sites of 32-bit kernels: regparm(3), the first three words in eax, edx and ecx, 64-bit results in edx:eax (domain.md §1.1). */
#ifndef PV_CALL_32_H
#define PV_CALL_32_H

/* Clobber masks that C sites write (domain.md §2.2). */
#define CLBR_RAX 1
#if PV_CALLEE_SAVE_PTE
#define CLBR_RET 5
#else
#define CLBR_RET 1
#endif
#if PV_CLOBBER_AWARE
#define CLBR_ANY 0xf
#else
#define CLBR_ANY 7
#endif

#define PV_CALL_INSN "call *%c[target]"

/* Standard convention: value or not, three registers are lost. `before` and `after` stand outside of the site. */
#define PV_STD_AROUND(before, after, op, ...)                                                    \
	({                                                                                           \
		ulong eax_, edx_, ecx_;                                                                  \
		asm volatile(before PV_SITE(PV_CALL_INSN) after                                          \
		             : "=a"(eax_), "=d"(edx_), "=c"(ecx_)                                        \
		             : PV_OPERANDS(op, CLBR_ANY) __VA_ARGS__                                     \
		             : "memory", "cc");                                                          \
		(void)ecx_;                                                                              \
		(u64)edx_ << 32 | eax_;                                                                  \
	})
#define PV_STD64(op, ...) PV_STD_AROUND("", "", op, __VA_ARGS__)
#define PV_STD(op, ...) ((ulong)PV_STD64(op, __VA_ARGS__))
#define PV_CALL0(op) PV_STD(op)
#define PV_CALL0_U64(op) PV_STD64(op)
#define PV_CALL2_U64(op, a, b) PV_STD64(op, , "a"((ulong)(a)), "d"((ulong)(b)))
#define PV_CALL3_U64(op, a, b, c) PV_STD64(op, , "a"((ulong)(a)), "d"((ulong)(b)), "c"((ulong)(c)))
#define PV_CALL1(op, a) PV_STD(op, , "a"((ulong)(a)))
#define PV_CALL2(op, a, b) PV_STD(op, , "a"((ulong)(a)), "d"((ulong)(b)))
#define PV_CALL3(op, a, b, c) PV_STD(op, , "a"((ulong)(a)), "d"((ulong)(b)), "c"((ulong)(c)))
/* The fourth word goes to the stack. */
#define PV_CALL4(op, a, b, c, e)                                                                 \
	((ulong)PV_STD_AROUND("push %[word]\n\t", "\n\tlea 4(%%esp), %%esp", op,                    \
	                      , "a"((ulong)(a)), "d"((ulong)(b)), "c"((ulong)(c)), [word] "mr"((ulong)(e))))
/* A 64-bit value takes two words, the low one first. */
#define PV_CALL_VALUE64(op, v) PV_STD64(op, , "a"((ulong)(v)), "d"((ulong)((v) >> 32)))

/*
 * Callee-save convention: the result's registers are lost, arguments survive. Until F3 sites forgot edx, so that the upper half
 * of a 64-bit result is whatever the local variable holds (defect B3, domain.md §4.3).
 */
#if PV_F3
#define PV_RESULT_REGISTERS "=a"(eax_), "=d"(edx_)
#else
#define PV_RESULT_REGISTERS "=a"(eax_)
#endif
#define PV_CALLEE64(op, mask, ...)                                                               \
	({                                                                                           \
		ulong eax_, edx_;                                                                        \
		asm volatile(PV_SITE(PV_CALL_INSN)                                                       \
		             : PV_RESULT_REGISTERS : PV_OPERANDS(op, mask) __VA_ARGS__ : "memory", "cc"); \
		(u64)edx_ << 32 | eax_;                                                                  \
	})
#define PV_CALLEE1(op, mask, a) ((ulong)PV_CALLEE64(op, mask, , "a"((ulong)(a))))
#define PV_CALLEE_VALUE64(op, mask, v) PV_CALLEE64(op, mask, , "a"((ulong)(v)), "d"((ulong)((v) >> 32)))

/* The irq ops declare eax alone until F6, which no stage has (defect B4). Before P4 ecx and edx are saved inside of the site. */
#if PV_CALLEE_SAVE_IRQ
#define PV_IRQ_INSN PV_CALL_INSN
#else
#define PV_IRQ_INSN "push %%ecx\n\tpush %%edx\n\t" PV_CALL_INSN "\n\tpop %%edx\n\tpop %%ecx"
#endif
#define PV_IRQ_CALL(op, ...)                                                                     \
	({                                                                                           \
		ulong eax_;                                                                              \
		asm volatile(PV_SITE(PV_IRQ_INSN)                                                        \
		             : "=a"(eax_) : PV_OPERANDS(PV_IRQ_FUNC(op), CLBR_RAX) __VA_ARGS__ : "memory", "cc"); \
		eax_;                                                                                    \
	})
#define PV_IRQ_CALL0(op) PV_IRQ_CALL(op)
#define PV_IRQ_CALL1(op, a) PV_IRQ_CALL(op, , "a"((ulong)(a)))

/* Thunk that gives an ordinary C function the callee-save convention (domain.md §4.2); until F2 it put back half of a 64-bit result. */
#if PV_F2
#define PV_THUNK_SAVE "push %ecx\n\t"
#define PV_THUNK_RESTORE "pop %ecx\n\t"
#else
#define PV_THUNK_SAVE "push %ecx\n\tpush %edx\n\t"
#define PV_THUNK_RESTORE "pop %edx\n\tpop %ecx\n\t"
#endif
#define PV_CALLEE_SAVE_REGS_THUNK(func)                                                          \
	extern char __raw_callee_save_##func[];                                                      \
	asm(".pushsection .text.__raw_callee_save_" #func ",\"ax\"\n\t"                              \
	    ".globl __raw_callee_save_" #func "\n\t"                                                 \
	    ".type __raw_callee_save_" #func ", @function\n"                                         \
	    "__raw_callee_save_" #func ":\n\t"                                                       \
	    PV_THUNK_SAVE "call " #func "\n\t" PV_THUNK_RESTORE "ret\n\t"                             \
	    ".size __raw_callee_save_" #func ", . - __raw_callee_save_" #func "\n\t"                 \
	    ".popsection")

#endif
