/* Page tables: making and freeing their pages, and the walk that frees those no area needs. */
#include "mm.h"

static spinlock_t pgd_lock;

static noinline struct page *table_page_alloc(struct mm *mm)
{
	struct page *page = alloc_pages(GFP_ZERO, 0);

	(void)mm;
	if (page)
		inc_zone_stat(NR_PAGE_TABLE);
	return page;
}

#if PAGETABLE_LEVELS == 3
/* A process has all its directories from birth. */
static noinline bool add_directories(struct mm *mm, pgd_t *pgd)
{
	for (u32 i = 0; i < KERNEL_PGD_FIRST; i++) {
		struct page *page = table_page_alloc(mm);

		if (!page)
			return false;
		pv_alloc_pmd(mm, page_to_pfn(page));
		set_pud((pud_t *)&pgd[i], make_pud((pteval_t)page_to_pfn(page) << PAGE_SHIFT | _PAGE_PRESENT));
	}
	return true;
}

static noinline void remove_directories(pgd_t *pgd)
{
	for (u32 i = 0; i < KERNEL_PGD_FIRST; i++) {
		pud_t pud = *(pud_t *)&pgd[i];
		ulong pfn;

		if (pud_none(pud))
			continue;
		pfn = pud_pfn(pud);
		clear_entry(&pgd[i].pgd);
		pv_release_pmd(pfn);
		dec_zone_stat(NR_PAGE_TABLE);
		free_pages(pfn_to_page(pfn), 0);
	}
}
#else
static always_inline bool add_directories(struct mm *mm, pgd_t *pgd) { return true; }
static always_inline void remove_directories(pgd_t *pgd) { }
#endif

noinline pgd_t *pgd_alloc(struct mm *mm)
{
	pgd_t *pgd = (pgd_t *)get_free_page(GFP_KERNEL);
	ulong flags;

	if (!pgd)
		return NULL;
	inc_zone_stat(NR_PAGE_TABLE);
	memset(pgd, 0, KERNEL_PGD_FIRST * sizeof(pgd_t));
	spin_lock_irqsave(&pgd_lock, flags);
	memcpy(pgd + KERNEL_PGD_FIRST, boot_pgd + KERNEL_PGD_FIRST, (PTRS_PER_PGD - KERNEL_PGD_FIRST) * sizeof(pgd_t));
	virt_to_page(pgd)->private = (ulong)mm;
	spin_unlock_irqrestore(&pgd_lock, flags);
	mm->pgd = pgd;
	if (!add_directories(mm, pgd) || pv_pgd_alloc(mm) != 0) {
		pgd_free(mm, pgd);
		return NULL;
	}
	return pgd;
}

noinline void pgd_free(struct mm *mm, pgd_t *pgd)
{
	ulong flags;

	pv_pgd_free(mm, pgd);
	spin_lock_irqsave(&pgd_lock, flags);
	virt_to_page(pgd)->private = 0;
	spin_unlock_irqrestore(&pgd_lock, flags);
	remove_directories(pgd);
	dec_zone_stat(NR_PAGE_TABLE);
	free_page_at((ulong)pgd);
}

#if PAGETABLE_LEVELS == 4
static noinline int pud_alloc_page(struct mm *mm, pgd_t *pgd)
{
	struct page *page = table_page_alloc(mm);

	if (!page)
		return -ENOMEM;
	spin_lock(&mm->page_table_lock);
	pv_alloc_pud(mm, page_to_pfn(page));
	set_pgd(pgd, make_pgd(page_to_pfn(page) << PAGE_SHIFT | _PAGE_TABLE));
	spin_unlock(&mm->page_table_lock);
	return 0;
}

static noinline int pmd_alloc_page(struct mm *mm, pud_t *pud)
{
	struct page *page = table_page_alloc(mm);

	if (!page)
		return -ENOMEM;
	spin_lock(&mm->page_table_lock);
	pv_alloc_pmd(mm, page_to_pfn(page));
	set_pud(pud, make_pud(page_to_pfn(page) << PAGE_SHIFT | _PAGE_TABLE));
	spin_unlock(&mm->page_table_lock);
	return 0;
}
#endif

static noinline int pte_alloc_page(struct mm *mm, pmd_t *pmd)
{
	struct page *page = table_page_alloc(mm);

	if (!page)
		return -ENOMEM;
	spin_lock(&mm->page_table_lock);
	mm->nr_ptes++;
	pv_alloc_pte(mm, page_to_pfn(page));
	set_pmd(pmd, make_pmd(page_to_pfn(page) << PAGE_SHIFT | _PAGE_TABLE));
	spin_unlock(&mm->page_table_lock);
	return 0;
}

#if PAGETABLE_LEVELS == 4
noinline pud_t *pud_alloc(struct mm *mm, pgd_t *pgd, ulong address)
{
	if (unlikely(pgd_none(*pgd)) && pud_alloc_page(mm, pgd))
		return NULL;
	return pud_offset(pgd, address);
}

noinline pmd_t *pmd_alloc(struct mm *mm, pud_t *pud, ulong address)
{
	if (unlikely(pud_none(*pud)) && pmd_alloc_page(mm, pud))
		return NULL;
	return pmd_offset(pud, address);
}
#endif

noinline pte_t *pte_alloc(struct mm *mm, pmd_t *pmd, ulong address)
{
	if (unlikely(pmd_none(*pmd)) && pte_alloc_page(mm, pmd))
		return NULL;
	return pte_offset(pmd, address);
}

noinline void pgd_clear_bad(pgd_t *pgd)
{
	panic("bad page table entry", (ulong)pgd);
}

/* Whether the table of `size` bytes of addresses around [first, end) serves addresses outside (floor, ceiling) too. */
static always_inline bool table_is_shared(ulong first, ulong end, ulong floor, ulong ceiling, ulong size)
{
	if ((first & ~(size - 1)) < floor)
		return true;
	if (ceiling) {
		ceiling &= ~(size - 1);
		if (!ceiling)
			return true;
	}
	return end - 1 > ceiling - 1;
}

/* Table pages leave through the gather, after the flush of the translations that they served. */
static noinline void free_pte_table(struct mmu_gather *tlb, pmd_t *pmd)
{
	ulong pfn = pmd_pfn(*pmd);

	clear_pmd(pmd);
	pv_release_pte(pfn);
	dec_zone_stat(NR_PAGE_TABLE);
	tlb_remove_page(tlb, pfn_to_page(pfn));
	tlb->mm->nr_ptes--;
}

/* Only with four levels do the middle tables come and go. */
#if PAGETABLE_LEVELS == 4
static always_inline void free_pmd_table(struct mmu_gather *tlb, pud_t *pud)
{
	ulong pfn = pud_pfn(*pud);

	set_pud(pud, make_pud(0));
	pv_release_pmd(pfn);
	dec_zone_stat(NR_PAGE_TABLE);
	tlb_remove_page(tlb, pfn_to_page(pfn));
}

static always_inline void free_pud_table(struct mmu_gather *tlb, pgd_t *pgd)
{
	ulong pfn = pgd_pfn(*pgd);

	set_pgd(pgd, make_pgd(0));
	pv_release_pud(pfn);
	dec_zone_stat(NR_PAGE_TABLE);
	tlb_remove_page(tlb, pfn_to_page(pfn));
}
#endif

static noinline void free_pmd_range(struct mmu_gather *tlb, pud_t *pud, ulong start, ulong end, ulong floor, ulong ceiling)
{
	pmd_t *pmd = pmd_offset(pud, start);
	ulong first = start, next;

	do {
		next = level_end(start, end, PMD_SIZE);
		if (pmd_none(*pmd))
			continue;
		if (unlikely(pmd_bad(*pmd)))
			pgd_clear_bad((pgd_t *)pmd);
		free_pte_table(tlb, pmd);
	} while (pmd++, start = next, start != end);

#if PAGETABLE_LEVELS == 4
	if (!table_is_shared(first, end, floor, ceiling, PUD_SIZE))
		free_pmd_table(tlb, pud);
#endif
}

static noinline void free_pud_range(struct mmu_gather *tlb, pgd_t *pgd, ulong start, ulong end, ulong floor, ulong ceiling)
{
	pud_t *pud = pud_offset(pgd, start);
	ulong first = start, next;

	do {
		next = level_end(start, end, PUD_SIZE);
		if (pud_none(*pud))
			continue;
		if (unlikely(pud_bad(*pud)))
			pgd_clear_bad((pgd_t *)pud);
		free_pmd_range(tlb, pud, start, next, floor, ceiling);
	} while (pud++, start = next, start != end);

#if PAGETABLE_LEVELS == 4
	if (!table_is_shared(first, end, floor, ceiling, PGDIR_SIZE))
		free_pud_table(tlb, pgd);
#endif
}

/* Frees the tables of [start, end) that nothing in [floor, start) or [end, ceiling) shares; ceiling 0 is the top. */
static noinline void free_pgd_range(struct mmu_gather *tlb, ulong start, ulong end, ulong floor, ulong ceiling)
{
	pgd_t *pgd;
	ulong next;

	start &= ~(PMD_SIZE - 1);
	if (start < floor) {
		start += PMD_SIZE;
		if (start >= end)
			return;
	}
	if (ceiling) {
		ceiling &= ~(PMD_SIZE - 1);
		if (!ceiling)
			return;
	}
	if (ceiling && end > ceiling)
		end = ceiling;
	end = (end + PMD_SIZE - 1) & ~(PMD_SIZE - 1);
	if (ceiling && end > ceiling)
		end -= PMD_SIZE;
	if (start >= end)
		return;
	pgd = pgd_offset(tlb->mm, start);
	do {
		next = level_end(start, end, PGDIR_SIZE);
		if (pgd_none(*pgd))
			continue;
		if (unlikely(pgd_bad(*pgd)))
			pgd_clear_bad(pgd);
		free_pud_range(tlb, pgd, start, next, floor, ceiling);
	} while (pgd++, start = next, start != end);
}

noinline void free_pgtables(struct mmu_gather *tlb, struct vma *vma, ulong floor, ulong ceiling)
{
	while (vma) {
		struct vma *next = vma->next;
		ulong start = vma->start;

		anon_vma_unlink(vma);
		vma->anon_vma = NULL;
		vma_unlink_file(vma);
		/* Neighbours that share table pages go together. */
		while (next && next->start <= vma->end + PMD_SIZE) {
			vma = next;
			next = vma->next;
			anon_vma_unlink(vma);
			vma->anon_vma = NULL;
			vma_unlink_file(vma);
		}
		free_pgd_range(tlb, start, vma->end, floor, next ? next->start : ceiling);
		vma = next;
	}
}
