/* Four levels of 512 entries. */
#ifndef PGTABLE_64_H
#define PGTABLE_64_H

typedef ulong pteval_t;
typedef struct { pteval_t pte; } pte_t;
typedef struct { pteval_t pmd; } pmd_t;
typedef struct { pteval_t pud; } pud_t;
typedef struct { pteval_t pgd; } pgd_t;

#define PAGETABLE_LEVELS 4
#define _PAGE_NX (1ul << 63)
#define PTE_PFN_MASK 0x00003ffffffff000ul

#define PMD_SHIFT 21
#define PUD_SHIFT 30
#define PGDIR_SHIFT 39
#define PTRS_PER_TABLE 512
#define PTRS_PER_PGD 512
#define KERNEL_PGD_FIRST 256

/* Values of entries. The flags of a pte need no op, its frame number does (domain.md §0.1). */
#if !CONFIG_PARAVIRT
static always_inline ulong pte_val(pte_t e) { return e.pte; }
static always_inline ulong pmd_val(pmd_t e) { return e.pmd; }
static always_inline ulong pud_val(pud_t e) { return e.pud; }
static always_inline ulong pgd_val(pgd_t e) { return e.pgd; }
static always_inline pte_t make_pte(ulong v) { return (pte_t){ v }; }
static always_inline pmd_t make_pmd(ulong v) { return (pmd_t){ v }; }
static always_inline pud_t make_pud(ulong v) { return (pud_t){ v }; }
static always_inline pgd_t make_pgd(ulong v) { return (pgd_t){ v }; }
#else
#if PV_CALLEE_SAVE_PTE
#define PV_PTE_CALL(op, v) PV_CALLEE1(op.func, CLBR_RET, v)
#else
#define PV_PTE_CALL(op, v) PV_CALL1(op, v)
#endif
static always_inline ulong pte_val(pte_t e) { return PV_PTE_CALL(pv_mmu_ops.pte_val, e.pte); }
static always_inline ulong pmd_val(pmd_t e) { return PV_PTE_CALL(pv_mmu_ops.pmd_val, e.pmd); }
/* The conversion to callee-save missed this one until F1. */
#if PV_CALLEE_SAVE_PTE && !PV_F1
static always_inline ulong pud_val(pud_t e) { return PV_CALL1(pv_mmu_ops.pud_val.func, e.pud); }
#else
static always_inline ulong pud_val(pud_t e) { return PV_PTE_CALL(pv_mmu_ops.pud_val, e.pud); }
#endif
static always_inline ulong pgd_val(pgd_t e) { return PV_PTE_CALL(pv_mmu_ops.pgd_val, e.pgd); }
static always_inline pte_t make_pte(ulong v) { return (pte_t){ PV_PTE_CALL(pv_mmu_ops.make_pte, v) }; }
static always_inline pmd_t make_pmd(ulong v) { return (pmd_t){ PV_PTE_CALL(pv_mmu_ops.make_pmd, v) }; }
static always_inline pud_t make_pud(ulong v) { return (pud_t){ PV_PTE_CALL(pv_mmu_ops.make_pud, v) }; }
static always_inline pgd_t make_pgd(ulong v) { return (pgd_t){ PV_PTE_CALL(pv_mmu_ops.make_pgd, v) }; }
#endif

static always_inline void store_pte(pte_t *ptep, pte_t e) { *ptep = e; }
static always_inline void store_pmd(pmd_t *pmdp, pmd_t e) { *pmdp = e; }
static always_inline void store_pud(pud_t *pudp, pud_t e) { *pudp = e; }
static always_inline pte_t native_get_and_clear(pte_t *ptep) { return (pte_t){ exchange(&ptep->pte, 0) }; }

#if CONFIG_PARAVIRT
#define set_pte(ptep, e) ((void)PV_CALL2(pv_mmu_ops.set_pte, ptep, (e).pte))
#define set_pte_at(mm, a, ptep, e) ((void)PV_CALL4(pv_mmu_ops.set_pte_at, mm, a, ptep, (e).pte))
#define set_pmd(pmdp, e) ((void)PV_CALL2(pv_mmu_ops.set_pmd, pmdp, (e).pmd))
#define set_pud(pudp, e) ((void)PV_CALL2(pv_mmu_ops.set_pud, pudp, (e).pud))
#define set_pgd(pgdp, e) ((void)PV_CALL2(pv_mmu_ops.set_pgd, pgdp, (e).pgd))
#define ptep_modify_prot_start(mm, a, ptep) ((pte_t){ PV_CALL3(pv_mmu_ops.ptep_modify_prot_start, mm, a, ptep) })
#define ptep_modify_prot_commit(mm, a, ptep, e) ((void)PV_CALL4(pv_mmu_ops.ptep_modify_prot_commit, mm, a, ptep, (e).pte))
#else
#define set_pgd(pgdp, e) ((void)(*(pgdp) = (e)))
#endif
#define clear_pte_at(mm, a, ptep) set_pte_at(mm, a, ptep, ((pte_t){ 0 }))
#define clear_pmd(pmdp) set_pmd(pmdp, make_pmd(0))

static always_inline bool pmd_none(pmd_t e) { return !e.pmd; }
static always_inline bool pud_none(pud_t e) { return !e.pud; }
static always_inline bool pgd_none(pgd_t e) { return !e.pgd; }
static always_inline bool pmd_bad(pmd_t e) { return TABLE_BITS_BAD(e.pmd); }
static always_inline bool pud_bad(pud_t e) { return TABLE_BITS_BAD(e.pud); }
static always_inline bool pgd_bad(pgd_t e) { return TABLE_BITS_BAD(e.pgd); }

static always_inline ulong pud_pfn(pud_t e) { return (pud_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }
static always_inline ulong pgd_pfn(pgd_t e) { return (pgd_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }

static always_inline pud_t *pud_offset(pgd_t *pgd, ulong address)
{
	return (pud_t *)va(pgd_val(*pgd) & PTE_PFN_MASK) + table_index(address, PUD_SHIFT);
}

static always_inline pmd_t *pmd_offset(pud_t *pud, ulong address)
{
	return (pmd_t *)va(pud_val(*pud) & PTE_PFN_MASK) + table_index(address, PMD_SHIFT);
}

#endif
