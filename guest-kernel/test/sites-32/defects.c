/*
 * Runs call sites of a 32-bit PAE kernel as a program and exits with what they lost: 1 the upper half of a value that an identity
 * returned, 2 that of a value that a thunked function returned, 4 a register that the irq site promised.
 */
#include "irqflags.h"

#define HIGH 0x12345678u
#define FLIPPED 0x40000000u

/* Bodies as a compiler makes them: an ordinary function may lose edx. */
noinline u64 flip(u64 value) { return value ^ (u64)FLIPPED << 32; }
noinline void lose(void) { asm volatile("movl $0, %%edx" ::: "edx"); }
extern char identity[];
asm("identity: ret");

#if PV_CALLEE_SAVE_IRQ
PV_CALLEE_SAVE_REGS_THUNK(lose);
#define LOSE __raw_callee_save_lose
#else
#define LOSE lose
#endif
#if PV_CALLEE_SAVE_PTE
PV_CALLEE_SAVE_REGS_THUNK(flip);
#define FLIP __raw_callee_save_flip
#define VALUE(op, v) PV_CALLEE_VALUE64(op.func, CLBR_RET, v)
#else
#define FLIP flip
#define VALUE(op, v) PV_CALL_VALUE64(op, v)
#endif

struct pv_irq_ops pv_irq_ops = { .irq_disable = PV_IRQ_SLOT(LOSE) };
struct pv_mmu_ops pv_mmu_ops = { .pte_val = PV_PTE_SLOT(identity), .make_pte = PV_PTE_SLOT(FLIP) };

static noinline u32 upper_of_identity(u64 value) { return (u32)(VALUE(pv_mmu_ops.pte_val, value) >> 32); }
static noinline u32 upper_of_flipped(u64 value) { return (u32)(VALUE(pv_mmu_ops.make_pte, value) >> 32); }

/* Keeps its value in edx over the site. */
static noinline u32 kept_over_irq_site(u32 value)
{
	register u32 kept asm("edx") = value;

	asm volatile("" : "+r"(kept));
	raw_local_irq_disable();
	asm volatile("" : "+r"(kept));
	return kept;
}

void _start(void)
{
	u64 value = (u64)HIGH << 32 | 5;
	int lost = (upper_of_identity(value) != HIGH) | (upper_of_flipped(value) != (HIGH ^ FLIPPED)) << 1 |
	           (kept_over_irq_site(HIGH) != HIGH) << 2;

	asm volatile("int $0x80" : : "a"(1), "b"(lost));
}
