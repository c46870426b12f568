/* Two levels of 1024 entries of 32 bits: the middle levels fold into the directory. */
#ifndef PGTABLE_2LEVEL_H
#define PGTABLE_2LEVEL_H

typedef ulong pteval_t;
typedef struct { pteval_t pte; } pte_t;
typedef struct { pteval_t pgd; } pgd_t;
typedef struct { pgd_t pgd; } pud_t;
typedef struct { pud_t pud; } pmd_t;

#define PAGETABLE_LEVELS 2
#define _PAGE_NX 0ul
#define PTE_PFN_MASK 0xfffff000ul

#define PMD_SHIFT 22
#define PUD_SHIFT 22
#define PGDIR_SHIFT 22
#define PTRS_PER_TABLE 1024
#define PTRS_PER_PGD 1024
#define KERNEL_PGD_FIRST 768

#if !CONFIG_PARAVIRT
static always_inline pteval_t pte_val(pte_t e) { return e.pte; }
static always_inline pteval_t pgd_val(pgd_t e) { return e.pgd; }
static always_inline pte_t make_pte(pteval_t v) { return (pte_t){ v }; }
static always_inline pgd_t make_pgd(pteval_t v) { return (pgd_t){ v }; }
#else
#if PV_CALLEE_SAVE_PTE
#define PV_PTE_CALL(op, v) PV_CALLEE1(op.func, CLBR_RET, v)
#else
#define PV_PTE_CALL(op, v) PV_CALL1(op, v)
#endif
static always_inline pteval_t pte_val(pte_t e) { return PV_PTE_CALL(pv_mmu_ops.pte_val, e.pte); }
static always_inline pteval_t pgd_val(pgd_t e) { return PV_PTE_CALL(pv_mmu_ops.pgd_val, e.pgd); }
static always_inline pte_t make_pte(pteval_t v) { return (pte_t){ PV_PTE_CALL(pv_mmu_ops.make_pte, v) }; }
static always_inline pgd_t make_pgd(pteval_t v) { return (pgd_t){ PV_PTE_CALL(pv_mmu_ops.make_pgd, v) }; }
#endif
static always_inline pteval_t pmd_val(pmd_t e) { return pgd_val(e.pud.pgd); }
static always_inline pmd_t make_pmd(pteval_t v) { return (pmd_t){ { make_pgd(v) } }; }

static always_inline void store_pte(pte_t *ptep, pte_t e) { *ptep = e; }
static always_inline void store_pmd(pmd_t *pmdp, pmd_t e) { *pmdp = e; }
static always_inline pte_t native_get_and_clear(pte_t *ptep) { return (pte_t){ exchange(&ptep->pte, 0) }; }

#if CONFIG_PARAVIRT
#define set_pte(ptep, e) ((void)PV_CALL2(pv_mmu_ops.set_pte, ptep, (e).pte))
#define set_pte_at(mm, a, ptep, e) ((void)PV_CALL4(pv_mmu_ops.set_pte_at, mm, a, ptep, (e).pte))
#define set_pmd(pmdp, e) ((void)PV_CALL2(pv_mmu_ops.set_pmd, pmdp, (e).pud.pgd.pgd))
#define ptep_modify_prot_start(mm, a, ptep) ((pte_t){ PV_CALL3(pv_mmu_ops.ptep_modify_prot_start, mm, a, ptep) })
#define ptep_modify_prot_commit(mm, a, ptep, e) ((void)PV_CALL4(pv_mmu_ops.ptep_modify_prot_commit, mm, a, ptep, (e).pte))
#endif
#define clear_pte_at(mm, a, ptep) set_pte_at(mm, a, ptep, ((pte_t){ 0 }))
#define clear_pmd(pmdp) set_pmd(pmdp, make_pmd(0))

static always_inline bool pmd_none(pmd_t e) { return !e.pud.pgd.pgd; }
static always_inline bool pud_none(pud_t e) { return false; }
static always_inline bool pgd_none(pgd_t e) { return false; }
static always_inline bool pmd_bad(pmd_t e) { return TABLE_BITS_BAD(e.pud.pgd.pgd); }
static always_inline bool pud_bad(pud_t e) { return false; }
static always_inline bool pgd_bad(pgd_t e) { return false; }

static always_inline pud_t *pud_offset(pgd_t *pgd, ulong address)
{
	(void)address;
	return (pud_t *)pgd;
}

static always_inline pmd_t *pmd_offset(pud_t *pud, ulong address)
{
	(void)address;
	return (pmd_t *)pud;
}

#endif
