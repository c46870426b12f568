/* Pinned page tables: read-only to the kernel and validated by the hypervisor from pin to unpin. */
#include "xen.h"

#if GUEST_XEN

int xen_pgd_alloc(struct mm *mm);
void xen_pgd_free(struct mm *mm, pgd_t *pgd);
void xen_alloc_table(struct mm *mm, ulong pfn);
void xen_release_table(ulong pfn);
void xen_activate_mm(struct mm *prev, struct mm *next);
void xen_dup_mmap(struct mm *old, struct mm *mm);
void xen_exit_mmap(struct mm *mm);

noinline bool page_pinned(const void *address)
{
	return test_bit(PG_pinned, &virt_to_page(address)->flags);
}

/* The entry of the user table that mirrors `entry`, or null: for entries of the kernel's half and of the boot table. */
noinline pgd_t *xen_user_pgd(pgd_t *entry)
{
	ulong index = ((ulong)entry & ~PAGE_MASK) / sizeof(pgd_t);
	pgd_t *user = (pgd_t *)virt_to_page(entry)->index;

	return user && index < KERNEL_PGD_FIRST ? user + index : NULL;
}

noinline int xen_pgd_alloc(struct mm *mm)
{
	struct page *user = alloc_pages(GFP_ZERO, 0);

	if (!user)
		return -ENOMEM;
	inc_zone_stat(NR_PAGE_TABLE);
	virt_to_page(mm->pgd)->index = (ulong)page_address(user);
	return 0;
}

noinline void xen_pgd_free(struct mm *mm, pgd_t *pgd)
{
	struct page *page = virt_to_page(pgd);

	(void)mm;
	if (!page->index)
		return;
	dec_zone_stat(NR_PAGE_TABLE);
	free_page_at(page->index);
	page->index = 0;
}

static noinline void queue_protection(struct page *page, ulong writable)
{
	pte_t pte = pfn_pte(page_to_pfn(page), _PAGE_PRESENT | writable | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_NX);

	xen_mc_call(xen_mc_entry(0).call, HYPERCALL_UPDATE_VA_MAPPING, (ulong)page_address(page), pte.pte, UVMF_INVLPG, 0);
}

static noinline void pin_page(struct page *page)
{
	if (test_and_set_bit(PG_pinned, &page->flags))
		return;
	queue_protection(page, 0);
}

static noinline void unpin_page(struct page *page)
{
	if (!test_and_clear_bit(PG_pinned, &page->flags))
		return;
	queue_protection(page, _PAGE_RW);
}

typedef void (*visitor)(struct page *page);

static noinline void visit_pmds(pud_t pud, visitor visit)
{
	pmd_t *pmd = va(pud_val(pud) & PTE_PFN_MASK);

	for (u32 i = 0; i < PTRS_PER_TABLE; i++)
		if (!pmd_none(pmd[i]))
			visit(pfn_to_page(pmd_pfn(pmd[i])));
	visit(virt_to_page(pmd));
}

static noinline void visit_puds(pgd_t pgd, visitor visit)
{
	pud_t *pud = va(pgd_val(pgd) & PTE_PFN_MASK);

	for (u32 i = 0; i < PTRS_PER_TABLE; i++)
		if (!pud_none(pud[i]))
			visit_pmds(pud[i], visit);
	visit(virt_to_page(pud));
}

/* Every table of the user half, the two roots last. */
static noinline void visit_tables(struct mm *mm, visitor visit)
{
	for (u32 i = 0; i < KERNEL_PGD_FIRST; i++)
		if (!pgd_none(mm->pgd[i]))
			visit_puds(mm->pgd[i], visit);
	visit(virt_to_page(xen_user_pgd(mm->pgd)));
	visit(virt_to_page(mm->pgd));
}

static noinline void queue_for_roots(u32 command, struct mm *mm)
{
	xen_queue_mmuext(command, pfn_to_mfn(pa(mm->pgd) >> PAGE_SHIFT));
	xen_queue_mmuext(command, pfn_to_mfn(pa(xen_user_pgd(mm->pgd)) >> PAGE_SHIFT));
}

static noinline void pin_mm(struct mm *mm)
{
	xen_mc_batch();
	visit_tables(mm, pin_page);
	queue_for_roots(MMUEXT_PIN_L4, mm);
	xen_mc_issue(LAZY_NONE);
}

static noinline void unpin_mm(struct mm *mm)
{
	xen_mc_batch();
	queue_for_roots(MMUEXT_UNPIN, mm);
	visit_tables(mm, unpin_page);
	xen_mc_issue(LAZY_NONE);
}

/* A new table below a pinned root is read-only before the entry that leads to it. */
noinline void xen_alloc_table(struct mm *mm, ulong pfn)
{
	if (!page_pinned(mm->pgd))
		return;
	xen_mc_batch();
	pin_page(pfn_to_page(pfn));
	xen_mc_issue(LAZY_MMU);
}

noinline void xen_release_table(ulong pfn)
{
	xen_mc_batch();
	unpin_page(pfn_to_page(pfn));
	xen_mc_issue(LAZY_MMU);
}

noinline void xen_activate_mm(struct mm *prev, struct mm *next)
{
	(void)prev;
	if (!page_pinned(next->pgd))
		pin_mm(next);
}

noinline void xen_dup_mmap(struct mm *old, struct mm *mm)
{
	(void)old;
	pin_mm(mm);
}

/* A root that is loaded cannot be unpinned: the CPU goes to the kernel's tables first. */
static noinline void leave_mm(struct mm *mm)
{
	if (this_cpu()->cr3 != pa(mm->pgd))
		return;
	clear_bit(0, &mm->cpu_mask);
	write_cr3(pa(boot_pgd));
}

noinline void xen_exit_mmap(struct mm *mm)
{
	if (!page_pinned(mm->pgd))
		return;
	leave_mm(mm);
	unpin_mm(mm);
}

#endif
