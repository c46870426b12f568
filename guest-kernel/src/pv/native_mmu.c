/* Native functions behind the mmu ops. */
#include "mm.h"
#include "processor.h"

#if CONFIG_PARAVIRT

noinline ulong native_read_cr2(void) { return do_read_cr2(); }
noinline void native_write_cr2(ulong value) { do_write_cr2(value); }
noinline ulong native_read_cr3(void) { return do_read_cr3(); }
noinline void native_write_cr3(ulong value) { do_write_cr3(value); }

noinline void native_set_pte(pte_t *ptep, pte_t pte) { *ptep = pte; }

noinline void native_set_pte_at(struct mm *mm, ulong address, pte_t *ptep, pte_t pte)
{
	(void)mm;
	(void)address;
	*ptep = pte;
}

noinline void native_set_pmd(pmd_t *pmdp, pmd_t pmd) { *pmdp = pmd; }
noinline void native_set_pud(pud_t *pudp, pud_t pud) { *pudp = pud; }
noinline void native_set_pgd(pgd_t *pgdp, pgd_t pgd) { *pgdp = pgd; }

noinline pte_t native_ptep_modify_prot_start(struct mm *mm, ulong address, pte_t *ptep)
{
	(void)mm;
	(void)address;
	return native_get_and_clear(ptep);
}

noinline void native_ptep_modify_prot_commit(struct mm *mm, ulong address, pte_t *ptep, pte_t pte)
{
	native_set_pte_at(mm, address, ptep, pte);
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
noinline ulong native_pte_val(pte_t e) { return e.pte; }
noinline ulong native_pmd_val(pmd_t e) { return e.pmd; }
noinline ulong native_pud_val(pud_t e) { return e.pud; }
noinline ulong native_pgd_val(pgd_t e) { return e.pgd; }
noinline pte_t native_make_pte(ulong v) { return (pte_t){ v }; }
noinline pmd_t native_make_pmd(ulong v) { return (pmd_t){ v }; }
noinline pud_t native_make_pud(ulong v) { return (pud_t){ v }; }
noinline pgd_t native_make_pgd(ulong v) { return (pgd_t){ v }; }
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
