/* Page-table writes, address spaces and flushes (the table of traps in domain.md §5.2). */
#include "xen.h"

#if GUEST_XEN

void xen_set_pte(pte_t *ptep, pte_t pte);
void xen_set_pte_at(struct mm *mm, ulong address, pte_t *ptep, pte_t pte);
void xen_set_pmd(pmd_t *pmdp, pmd_t pmd);
void xen_set_pud(pud_t *pudp, pud_t pud);
void xen_set_pgd(pgd_t *pgdp, pgd_t pgd);
pte_t xen_modify_prot_start(struct mm *mm, ulong address, pte_t *ptep);
void xen_modify_prot_commit(struct mm *mm, ulong address, pte_t *ptep, pte_t pte);
ulong xen_read_cr2(void);
void xen_write_cr2(ulong value);
ulong xen_read_cr3(void);
void xen_write_cr3(ulong cr3);
void xen_flush_tlb(void);
void xen_flush_tlb_single(ulong address);

/* Consecutive updates share one call. */
static noinline void queue_update(const void *entry, u32 kind, u64 value)
{
	struct multicall_space space = xen_mc_extend(HYPERCALL_MMU_UPDATE, sizeof(struct mmu_update));

	if (space.call) {
		space.call->args[1]++;
	} else {
		space = xen_mc_entry(sizeof(struct mmu_update));
		xen_mc_call(space.call, HYPERCALL_MMU_UPDATE, (ulong)space.args, 1, 0, DOMID_SELF);
	}
	*(struct mmu_update *)space.args = (struct mmu_update){ virt_to_machine(entry) | kind, value };
}

noinline void xen_queue_mmuext(u32 command, ulong arg)
{
	struct multicall_space space = xen_mc_entry(sizeof(struct mmuext_op));

	*(struct mmuext_op *)space.args = (struct mmuext_op){ command, arg, 0 };
	xen_mc_call(space.call, HYPERCALL_MMUEXT_OP, (ulong)space.args, 1, 0, DOMID_SELF);
}

/* A pinned table is mapped read-only: the store traps and the hypervisor makes it. */
noinline void xen_set_pte(pte_t *ptep, pte_t pte) { *ptep = pte; }

noinline void xen_set_pte_at(struct mm *mm, ulong address, pte_t *ptep, pte_t pte)
{
	if (mm != current->mm && mm != &init_mm) {
		xen_set_pte(ptep, pte);
		return;
	}
	if (xen_lazy_mode() == LAZY_MMU) {
		xen_mc_batch();
		xen_mc_call(xen_mc_entry(0).call, HYPERCALL_UPDATE_VA_MAPPING, address, pte.pte, UVMF_NONE, 0);
		xen_mc_issue(LAZY_MMU);
	} else if (HYPERCALL(HYPERCALL_UPDATE_VA_MAPPING, address, pte.pte, UVMF_NONE, 0)) {
		xen_set_pte(ptep, pte);
	}
}

static always_inline void set_table_entry(ulong *entry, ulong value)
{
	if (!page_pinned(entry)) {
		*entry = value;
		return;
	}
	xen_mc_batch();
	queue_update(entry, MMU_NORMAL_PT_UPDATE, value);
	xen_mc_issue(LAZY_MMU);
}

noinline void xen_set_pmd(pmd_t *pmdp, pmd_t pmd) { set_table_entry(&pmdp->pmd, pmd.pmd); }
noinline void xen_set_pud(pud_t *pudp, pud_t pud) { set_table_entry(&pudp->pud, pud.pud); }

/* User mode runs on a table of its own that has the lower half only. */
noinline void xen_set_pgd(pgd_t *pgdp, pgd_t pgd)
{
	pgd_t *user = xen_user_pgd(pgdp);

	if (!page_pinned(pgdp)) {
		*pgdp = pgd;
		if (user)
			*user = pgd;
		return;
	}
	xen_mc_batch();
	queue_update(pgdp, MMU_NORMAL_PT_UPDATE, pgd.pgd);
	if (user)
		queue_update(user, MMU_NORMAL_PT_UPDATE, pgd.pgd);
	xen_mc_issue(LAZY_MMU);
}

/* The hypervisor keeps the accessed and dirty bits that come meanwhile. */
noinline pte_t xen_modify_prot_start(struct mm *mm, ulong address, pte_t *ptep)
{
	(void)mm;
	(void)address;
	return *ptep;
}

noinline void xen_modify_prot_commit(struct mm *mm, ulong address, pte_t *ptep, pte_t pte)
{
	(void)mm;
	(void)address;
	xen_mc_batch();
	queue_update(ptep, MMU_PT_UPDATE_PRESERVE_AD, pte.pte);
	xen_mc_issue(LAZY_MMU);
}

noinline ulong xen_read_cr2(void) { return this_cpu()->vcpu->cr2; }
noinline void xen_write_cr2(ulong value) { this_cpu()->vcpu->cr2 = value; }
noinline ulong xen_read_cr3(void) { return this_cpu()->cr3; }

static void cr3_is_loaded(void *cr3)
{
	this_cpu()->current_cr3 = (ulong)cr3;
}

noinline void xen_write_cr3(ulong cr3)
{
	pgd_t *user = xen_user_pgd(va(cr3));

	xen_mc_batch();
	this_cpu()->cr3 = cr3;
	xen_queue_mmuext(MMUEXT_NEW_BASEPTR, pfn_to_mfn(cr3 >> PAGE_SHIFT));
	xen_mc_callback(cr3_is_loaded, (void *)cr3);
	xen_queue_mmuext(MMUEXT_NEW_USER_BASEPTR, user ? pfn_to_mfn(pa(user) >> PAGE_SHIFT) : 0);
	xen_mc_issue(LAZY_CPU);
}

noinline void xen_flush_tlb(void)
{
	xen_mc_batch();
	xen_queue_mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
	xen_mc_issue(LAZY_MMU);
}

noinline void xen_flush_tlb_single(ulong address)
{
	xen_mc_batch();
	xen_queue_mmuext(MMUEXT_INVLPG_LOCAL, address & PAGE_MASK);
	xen_mc_issue(LAZY_MMU);
}

#endif
