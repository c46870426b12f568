/* Native functions behind the mmu ops. */
#include "mm.h"
#include "processor.h"

#if CONFIG_PARAVIRT

noinline ulong native_read_cr2(void) { return do_read_cr2(); }
noinline void native_write_cr2(ulong value) { do_write_cr2(value); }
noinline ulong native_read_cr3(void) { return do_read_cr3(); }
noinline void native_write_cr3(ulong value) { do_write_cr3(value); }

/* Entries pass as values: a structure would be returned in memory on 32 bit. */
noinline void native_set_pte(pte_t *ptep, pteval_t value) { store_pte(ptep, (pte_t){ value }); }

noinline void native_set_pte_at(struct mm *mm, ulong address, pte_t *ptep, pteval_t value)
{
	(void)mm;
	(void)address;
	store_pte(ptep, (pte_t){ value });
}

#if PAGETABLE_LEVELS == 4
noinline void native_set_pmd(pmd_t *pmdp, pmd_t pmd) { *pmdp = pmd; }
noinline void native_set_pud(pud_t *pudp, pud_t pud) { *pudp = pud; }
noinline void native_set_pgd(pgd_t *pgdp, pgd_t pgd) { *pgdp = pgd; }
#elif PAGETABLE_LEVELS == 3
noinline void native_set_pmd(pmd_t *pmdp, pteval_t value) { store_entry(&pmdp->pmd, value); }
noinline void native_set_pud(pud_t *pudp, pteval_t value) { store_entry(&pudp->pgd.pgd, value); }
noinline void native_pmd_clear(pmd_t *pmdp) { clear_entry(&pmdp->pmd); }

noinline void native_pte_clear(struct mm *mm, ulong address, pte_t *ptep)
{
	(void)mm;
	(void)address;
	clear_entry(&ptep->pte);
}

noinline void native_set_pte_atomic(pte_t *ptep, pteval_t value)
{
	pteval_t old = ptep->pte;

	while (!__sync_bool_compare_and_swap(&ptep->pte, old, value))
		old = ptep->pte;
}
#else
noinline void native_set_pmd(pmd_t *pmdp, pteval_t value) { pmdp->pud.pgd.pgd = value; }
#endif

noinline pteval_t native_ptep_modify_prot_start(struct mm *mm, ulong address, pte_t *ptep)
{
	(void)mm;
	(void)address;
	return native_get_and_clear(ptep).pte;
}

noinline void native_ptep_modify_prot_commit(struct mm *mm, ulong address, pte_t *ptep, pteval_t value)
{
	native_set_pte_at(mm, address, ptep, value);
}

noinline void native_flush_tlb_single(ulong address) { native_flush_tlb_one(address); }

noinline void native_flush_tlb_others(const ulong *mask, struct mm *mm, ulong address)
{
	(void)mm;
	(void)address;
	BUG_ON(*mask & ~1ul);
}

noinline int native_pgd_alloc(struct mm *mm)
{
	(void)mm;
	return 0;
}

#if !PV_IDENTITY
/* Before P1 each of these conversions is a function of its own. */
#define CONVERSION(name) noinline pteval_t native_##name(pteval_t value) { return value; }
CONVERSION(pte_val)
#if PAGETABLE_LEVELS > 2
CONVERSION(pmd_val)
#endif
#if PAGETABLE_LEVELS > 3
CONVERSION(pud_val)
#endif
CONVERSION(pgd_val)
CONVERSION(make_pte)
#if PAGETABLE_LEVELS > 2
CONVERSION(make_pmd)
#endif
#if PAGETABLE_LEVELS > 3
CONVERSION(make_pud)
#endif
CONVERSION(make_pgd)
#endif

#endif

noinline void native_flush_tlb(void)
{
	do_write_cr3(do_read_cr3());
}

/* Global entries go only when CR4.PGE changes (Intel SDM vol. 3, 4.10.4.1). */
noinline void native_flush_tlb_global(void)
{
	ulong cr4 = do_read_cr4();

	do_write_cr4(cr4 & ~0x80ul);
	do_write_cr4(cr4);
}
