/*
 * PAE: four directory pointers, two levels of 512 entries of 64 bits. The top level folds into the pointers, which have no
 * permission bits (Intel SDM vol. 3, 4.4.1) and stand as long as their process lives.
 */
#ifndef PGTABLE_PAE_H
#define PGTABLE_PAE_H

typedef u64 pteval_t;
typedef struct { pteval_t pte; } pte_t;
typedef struct { pteval_t pmd; } pmd_t;
typedef struct { pteval_t pgd; } pgd_t;
typedef struct { pgd_t pgd; } pud_t;

#define PAGETABLE_LEVELS 3
#define _PAGE_NX (1ull << 63)
#define PTE_PFN_MASK 0x00000ffffffff000ull

#define PMD_SHIFT 21
#define PUD_SHIFT 30
#define PGDIR_SHIFT 30
#define PTRS_PER_TABLE 512
#define PTRS_PER_PGD 4
#define KERNEL_PGD_FIRST 3

#if !CONFIG_PARAVIRT
static always_inline pteval_t pte_val(pte_t e) { return e.pte; }
static always_inline pteval_t pmd_val(pmd_t e) { return e.pmd; }
static always_inline pteval_t pgd_val(pgd_t e) { return e.pgd; }
static always_inline pte_t make_pte(pteval_t v) { return (pte_t){ v }; }
static always_inline pmd_t make_pmd(pteval_t v) { return (pmd_t){ v }; }
static always_inline pgd_t make_pgd(pteval_t v) { return (pgd_t){ v }; }
#else
#if PV_CALLEE_SAVE_PTE
#define PV_PTE_CALL(op, v) PV_CALLEE_VALUE64(op.func, CLBR_RET, v)
#else
#define PV_PTE_CALL(op, v) PV_CALL_VALUE64(op, v)
#endif
static always_inline pteval_t pte_val(pte_t e) { return PV_PTE_CALL(pv_mmu_ops.pte_val, e.pte); }
static always_inline pteval_t pmd_val(pmd_t e) { return PV_PTE_CALL(pv_mmu_ops.pmd_val, e.pmd); }
static always_inline pteval_t pgd_val(pgd_t e) { return PV_PTE_CALL(pv_mmu_ops.pgd_val, e.pgd); }
static always_inline pte_t make_pte(pteval_t v) { return (pte_t){ PV_PTE_CALL(pv_mmu_ops.make_pte, v) }; }
static always_inline pmd_t make_pmd(pteval_t v) { return (pmd_t){ PV_PTE_CALL(pv_mmu_ops.make_pmd, v) }; }
static always_inline pgd_t make_pgd(pteval_t v) { return (pgd_t){ PV_PTE_CALL(pv_mmu_ops.make_pgd, v) }; }
#endif
static always_inline pteval_t pud_val(pud_t e) { return pgd_val(e.pgd); }
static always_inline pud_t make_pud(pteval_t v) { return (pud_t){ make_pgd(v) }; }

/* The present bit is in the low half: it is written last when it appears, and first when it goes. */
static always_inline void store_entry(pteval_t *entry, pteval_t value)
{
	volatile u32 *half = (volatile u32 *)entry;

	half[1] = (u32)(value >> 32);
	barrier();
	half[0] = (u32)value;
}

static always_inline void clear_entry(pteval_t *entry)
{
	volatile u32 *half = (volatile u32 *)entry;

	half[0] = 0;
	barrier();
	half[1] = 0;
}

static always_inline void store_pte(pte_t *ptep, pte_t e) { store_entry(&ptep->pte, e.pte); }
static always_inline void store_pmd(pmd_t *pmdp, pmd_t e) { store_entry(&pmdp->pmd, e.pmd); }
static always_inline void store_pud(pud_t *pudp, pud_t e) { store_entry(&pudp->pgd.pgd, e.pgd.pgd); }

static always_inline pte_t native_get_and_clear(pte_t *ptep)
{
	volatile ulong *half = (volatile ulong *)ptep;
	ulong low = exchange(half, 0), high = half[1];

	half[1] = 0;
	return (pte_t){ (u64)high << 32 | low };
}

#if CONFIG_PARAVIRT
#define PV_CALL_ENTRY(op, p, value) ((void)PV_CALL3(op, p, (ulong)(value), (ulong)((value) >> 32)))
#define set_pte(ptep, e) PV_CALL_ENTRY(pv_mmu_ops.set_pte, ptep, (e).pte)
#define set_pmd(pmdp, e) PV_CALL_ENTRY(pv_mmu_ops.set_pmd, pmdp, (e).pmd)
#define set_pud(pudp, e) PV_CALL_ENTRY(pv_mmu_ops.set_pud, pudp, (e).pgd.pgd)
/* Five argument words do not fit the call macro: these go through the plain pointer and are no sites (domain.md §1.2). */
typedef void pv_set_pte_at(struct mm *mm, ulong address, pte_t *ptep, pteval_t value);
#define set_pte_at(mm, a, ptep, e) (((pv_set_pte_at *)pv_mmu_ops.set_pte_at)(mm, a, ptep, (e).pte))
#define ptep_modify_prot_commit(mm, a, ptep, e) (((pv_set_pte_at *)pv_mmu_ops.ptep_modify_prot_commit)(mm, a, ptep, (e).pte))
#define ptep_modify_prot_start(mm, a, ptep) ((pte_t){ PV_CALL3_U64(pv_mmu_ops.ptep_modify_prot_start, mm, a, ptep) })
#define clear_pte_at(mm, a, ptep) ((void)PV_CALL3(pv_mmu_ops.pte_clear, mm, a, ptep))
#define clear_pmd(pmdp) ((void)PV_CALL1(pv_mmu_ops.pmd_clear, pmdp))
#else
#define clear_pte_at(mm, a, ptep) ((void)(mm), (void)(a), clear_entry(&(ptep)->pte))
#define clear_pmd(pmdp) clear_entry(&(pmdp)->pmd)
#endif

static always_inline bool pmd_none(pmd_t e) { return !e.pmd; }
static always_inline bool pud_none(pud_t e) { return !e.pgd.pgd; }
static always_inline bool pgd_none(pgd_t e) { return false; }
static always_inline bool pmd_bad(pmd_t e) { return TABLE_BITS_BAD(e.pmd); }
/* Processors may leave their own marks in a pointer. */
static always_inline bool pud_bad(pud_t e) { return e.pgd.pgd & PTE_FLAGS_MASK & ~_PAGE_TABLE; }
static always_inline bool pgd_bad(pgd_t e) { return false; }

static always_inline ulong pud_pfn(pud_t e) { return (pud_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }

static always_inline pud_t *pud_offset(pgd_t *pgd, ulong address)
{
	(void)address;
	return (pud_t *)pgd;
}

static always_inline pmd_t *pmd_offset(pud_t *pud, ulong address)
{
	return (pmd_t *)va(pud_val(*pud) & PTE_PFN_MASK) + table_index(address, PMD_SHIFT);
}

#endif
