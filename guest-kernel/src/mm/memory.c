/* Walking page tables: copying them at fork, clearing them at unmap, filling them at a fault. */
#include "fs.h"
#include "mm.h"
#include "sched.h"

static always_inline void add_mm_rss(struct mm *mm, const int rss[2])
{
	mm->rss[MM_FILE] += rss[MM_FILE];
	mm->rss[MM_ANON] += rss[MM_ANON];
}

static noinline void update_hiwater_rss(struct mm *mm)
{
	ulong rss = (ulong)(mm->rss[MM_FILE] + mm->rss[MM_ANON]);

	if (mm->hiwater_rss < rss)
		mm->hiwater_rss = rss;
}

/* The page behind a user translation; every translation made here has one. */
static noinline struct page *vm_normal_page(struct vma *vma, ulong address, pte_t pte)
{
	ulong pfn = pte_pfn(pte);

	(void)vma;
	(void)address;
	BUG_ON(pfn >= max_pfn);
	return pfn_to_page(pfn);
}

static always_inline void ptep_set_wrprotect(struct mm *mm, ulong address, pte_t *ptep)
{
	clear_bit(_PAGE_BIT_RW, (ulong *)&ptep->pte);
	pte_update(mm, address, ptep);
}

/* ---- fork ---- */

static noinline void copy_one_pte(struct mm *dst_mm, struct mm *src_mm, pte_t *dst, pte_t *src, struct vma *vma, ulong address,
                                  int rss[2])
{
	pte_t pte = *src;
	struct page *page;

	/* Both sides of a private writable mapping lose write permission until one of them writes. */
	if ((vma->flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE) {
		ptep_set_wrprotect(src_mm, address, src);
		pte = pte_without(pte, _PAGE_RW);
	}
	if (vma->flags & VM_SHARED)
		pte = pte_without(pte, _PAGE_DIRTY);
	pte = pte_without(pte, _PAGE_ACCESSED);
	page = vm_normal_page(vma, address, pte);
	get_page(page);
	page_dup_rmap(page);
	rss[page_anon(page)]++;
	set_pte_at(dst_mm, address, dst, pte);
}

static noinline int copy_pte_range(struct mm *dst_mm, struct mm *src_mm, pmd_t *dst_pmd, pmd_t *src_pmd, struct vma *vma,
                                   ulong address, ulong end)
{
	int rss[2] = { 0, 0 };
	pte_t *src, *dst;

	dst = pte_alloc(dst_mm, dst_pmd, address);
	if (!dst)
		return -ENOMEM;
	spin_lock(&dst_mm->page_table_lock);
	src = pte_offset(src_pmd, address);
	spin_lock(&src_mm->page_table_lock);
	enter_lazy_mmu_mode();
	do {
		if (pte_none(*src))
			continue;
		copy_one_pte(dst_mm, src_mm, dst, src, vma, address, rss);
	} while (dst++, src++, address += PAGE_SIZE, address != end);
	leave_lazy_mmu_mode();
	spin_unlock(&src_mm->page_table_lock);
	add_mm_rss(dst_mm, rss);
	spin_unlock(&dst_mm->page_table_lock);
	return 0;
}

static noinline int copy_pmd_range(struct mm *dst_mm, struct mm *src_mm, pud_t *dst_pud, pud_t *src_pud, struct vma *vma,
                                   ulong address, ulong end)
{
	pmd_t *dst = pmd_alloc(dst_mm, dst_pud, address);
	pmd_t *src;
	ulong next;

	if (!dst)
		return -ENOMEM;
	src = pmd_offset(src_pud, address);
	do {
		next = level_end(address, end, PMD_SIZE);
		if (pmd_none(*src))
			continue;
		if (unlikely(pmd_bad(*src)))
			pgd_clear_bad((pgd_t *)src);
		if (copy_pte_range(dst_mm, src_mm, dst, src, vma, address, next))
			return -ENOMEM;
	} while (dst++, src++, address = next, address != end);
	return 0;
}

static noinline int copy_pud_range(struct mm *dst_mm, struct mm *src_mm, pgd_t *dst_pgd, pgd_t *src_pgd, struct vma *vma,
                                   ulong address, ulong end)
{
	pud_t *dst = pud_alloc(dst_mm, dst_pgd, address);
	pud_t *src;
	ulong next;

	if (!dst)
		return -ENOMEM;
	src = pud_offset(src_pgd, address);
	do {
		next = level_end(address, end, PUD_SIZE);
		if (pud_none(*src))
			continue;
		if (unlikely(pud_bad(*src)))
			pgd_clear_bad((pgd_t *)src);
		if (copy_pmd_range(dst_mm, src_mm, dst, src, vma, address, next))
			return -ENOMEM;
	} while (dst++, src++, address = next, address != end);
	return 0;
}

/* Copies an area's translations; one that a fault can fill again without loss is left out. */
noinline int copy_page_range(struct mm *dst_mm, struct mm *src_mm, struct vma *vma)
{
	ulong address = vma->start, next;
	pgd_t *dst, *src;

	if (!vma->anon_vma && !(vma->flags & VM_SHARED))
		return 0;
	dst = pgd_offset(dst_mm, address);
	src = pgd_offset(src_mm, address);
	do {
		next = level_end(address, vma->end, PGDIR_SIZE);
		if (pgd_none(*src))
			continue;
		if (unlikely(pgd_bad(*src)))
			pgd_clear_bad(src);
		if (copy_pud_range(dst_mm, src_mm, dst, src, vma, address, next))
			return -ENOMEM;
	} while (dst++, src++, address = next, address != vma->end);
	return 0;
}

/* ---- unmap ---- */

static noinline ulong zap_pte_range(struct mmu_gather *tlb, struct vma *vma, pmd_t *pmd, ulong address, ulong end)
{
	struct mm *mm = tlb->mm;
	int rss[2] = { 0, 0 };
	pte_t *pte = pte_offset(pmd, address);

	spin_lock(&mm->page_table_lock);
	enter_lazy_mmu_mode();
	do {
		pte_t old = *pte;
		struct page *page;

		if (pte_none(old))
			continue;
		page = vm_normal_page(vma, address, old);
		if (tlb->full_mm) {
			/* Nobody runs on these tables again. */
			old = *pte;
			clear_pte_at(mm, address, pte);
		} else {
			old = native_get_and_clear(pte);
			pte_update(mm, address, pte);
		}
		if (page_anon(page)) {
			rss[MM_ANON]--;
		} else {
			if (pte_dirty(old))
				set_page_dirty(page);
			if (pte_young(old))
				mark_page_accessed(page);
			rss[MM_FILE]--;
		}
		page_remove_rmap(page);
		tlb_remove_page(tlb, page);
	} while (pte++, address += PAGE_SIZE, address != end);
	add_mm_rss(mm, rss);
	leave_lazy_mmu_mode();
	spin_unlock(&mm->page_table_lock);
	return address;
}

static noinline ulong zap_pmd_range(struct mmu_gather *tlb, struct vma *vma, pud_t *pud, ulong address, ulong end)
{
	pmd_t *pmd = pmd_offset(pud, address);
	ulong next;

	do {
		next = level_end(address, end, PMD_SIZE);
		if (pmd_none(*pmd))
			continue;
		if (unlikely(pmd_bad(*pmd)))
			pgd_clear_bad((pgd_t *)pmd);
		zap_pte_range(tlb, vma, pmd, address, next);
	} while (pmd++, address = next, address != end);
	return address;
}

static noinline ulong zap_pud_range(struct mmu_gather *tlb, struct vma *vma, pgd_t *pgd, ulong address, ulong end)
{
	pud_t *pud = pud_offset(pgd, address);
	ulong next;

	do {
		next = level_end(address, end, PUD_SIZE);
		if (pud_none(*pud))
			continue;
		if (unlikely(pud_bad(*pud)))
			pgd_clear_bad((pgd_t *)pud);
		zap_pmd_range(tlb, vma, pud, address, next);
	} while (pud++, address = next, address != end);
	return address;
}

static noinline void unmap_page_range(struct mmu_gather *tlb, struct vma *vma, ulong address, ulong end)
{
	pgd_t *pgd = pgd_offset(vma->mm, address);
	ulong next;

	do {
		next = level_end(address, end, PGDIR_SIZE);
		if (pgd_none(*pgd))
			continue;
		if (unlikely(pgd_bad(*pgd)))
			pgd_clear_bad(pgd);
		zap_pud_range(tlb, vma, pgd, address, next);
	} while (pgd++, address = next, address != end);
}

/* Clears the translations of all areas in [start, end), beginning with `vma`. */
noinline void unmap_vmas(struct mmu_gather *tlb, struct vma *vma, ulong start, ulong end)
{
	for (; vma && vma->start < end; vma = vma->next) {
		ulong from = max(vma->start, start);
		ulong to = min(vma->end, end);

		if (from < to)
			unmap_page_range(tlb, vma, from, to);
	}
}

noinline void unmap_region(struct mm *mm, struct vma *vma, struct vma *prev, ulong start, ulong end)
{
	struct vma *next = prev ? prev->next : mm->mmap;
	struct mmu_gather *tlb;

	lru_add_drain();
	tlb = tlb_gather_mmu(mm, false);
	update_hiwater_rss(mm);
	unmap_vmas(tlb, vma, start, end);
	free_pgtables(tlb, vma, prev ? prev->end : 0, next ? next->start : 0);
	tlb_finish_mmu(tlb);
}

/* ---- faults ---- */

static always_inline pte_t maybe_mkwrite(pte_t pte, struct vma *vma)
{
	return vma->flags & VM_WRITE ? pte_set(pte, _PAGE_RW) : pte;
}

/* Relaxes a translation; nothing but permission and the accessed and dirty bits may change. */
static noinline bool ptep_set_access_flags(struct vma *vma, ulong address, pte_t *ptep, pte_t entry, bool dirty)
{
	bool changed = ptep->pte != entry.pte;

	if (changed && dirty) {
		store_pte(ptep, entry);
		pte_update_defer(vma->mm, address, ptep);
		flush_tlb_page(vma, address);
	}
	return changed;
}

static noinline int do_anonymous_page(struct mm *mm, struct vma *vma, ulong address, pte_t *pte)
{
	struct page *page;
	pte_t entry;

	if (unlikely(anon_vma_prepare(vma)))
		return VM_FAULT_OOM;
	page = alloc_pages(GFP_ZERO, 0);
	if (!page)
		return VM_FAULT_OOM;
	set_bit(PG_uptodate, &page->flags);
	entry = pfn_pte(page_to_pfn(page), vma->page_prot);
	entry = maybe_mkwrite(pte_set(entry, _PAGE_DIRTY | _PAGE_ACCESSED), vma);
	spin_lock(&mm->page_table_lock);
	if (!pte_none(*pte)) {
		spin_unlock(&mm->page_table_lock);
		put_page(page);
		return VM_FAULT_MINOR;
	}
	mm->rss[MM_ANON]++;
	page_add_new_anon_rmap(page, vma, address);
	lru_cache_add(page);
	set_pte_at(mm, address, pte, entry);
	spin_unlock(&mm->page_table_lock);
	return VM_FAULT_MINOR;
}

/* A fault on a file mapping: the cached page itself, or a copy of it for a private write. */
static noinline int do_file_fault(struct mm *mm, struct vma *vma, ulong address, pte_t *pte, bool write)
{
	struct page *page = filemap_fault(vma, linear_index(vma, address));
	bool anon = false;
	pte_t entry;

	if (!page)
		return VM_FAULT_SIGBUS;
	count_event(FILE_FAULTS);
	if (write && !(vma->flags & VM_SHARED)) {
		struct page *copy;

		if (unlikely(anon_vma_prepare(vma)) || !(copy = alloc_pages(GFP_KERNEL, 0))) {
			put_page(page);
			return VM_FAULT_OOM;
		}
		copy_page(page_address(copy), page_address(page));
		set_bit(PG_uptodate, &copy->flags);
		put_page(page);
		page = copy;
		anon = true;
		count_event(COW_FAULTS);
	}
	entry = pte_set(pfn_pte(page_to_pfn(page), vma->page_prot), _PAGE_ACCESSED);
	if (write)
		entry = maybe_mkwrite(pte_set(entry, _PAGE_DIRTY), vma);
	spin_lock(&mm->page_table_lock);
	if (pte_none(*pte)) {
		if (anon) {
			mm->rss[MM_ANON]++;
			page_add_new_anon_rmap(page, vma, address);
			lru_cache_add(page);
		} else {
			mm->rss[MM_FILE]++;
			page_add_file_rmap(page);
		}
		set_pte_at(mm, address, pte, entry);
		page = NULL;
	}
	spin_unlock(&mm->page_table_lock);
	if (page)
		put_page(page);
	else if (write && !anon)
		set_page_dirty(pte_page(entry));
	return VM_FAULT_MINOR;
}

/* A write to a present translation without write permission; the page table lock is held and released. */
static noinline int do_wp_page(struct mm *mm, struct vma *vma, ulong address, pte_t *pte, pte_t old)
{
	struct page *page = vm_normal_page(vma, address, old);
	struct page *copy;
	pte_t entry;

	if (vma->flags & VM_SHARED) {
		entry = maybe_mkwrite(pte_set(old, _PAGE_DIRTY | _PAGE_ACCESSED), vma);
		ptep_set_access_flags(vma, address, pte, entry, true);
		spin_unlock(&mm->page_table_lock);
		set_page_dirty(page);
		return VM_FAULT_MINOR;
	}
	if (page_anon(page) && page_mapcount(page) == 1) {
		entry = maybe_mkwrite(pte_set(old, _PAGE_DIRTY | _PAGE_ACCESSED), vma);
		ptep_set_access_flags(vma, address, pte, entry, true);
		spin_unlock(&mm->page_table_lock);
		return VM_FAULT_MINOR;
	}
	get_page(page);
	spin_unlock(&mm->page_table_lock);
	if (unlikely(anon_vma_prepare(vma)) || !(copy = alloc_pages(GFP_KERNEL, 0))) {
		put_page(page);
		return VM_FAULT_OOM;
	}
	copy_page(page_address(copy), page_address(page));
	set_bit(PG_uptodate, &copy->flags);
	count_event(COW_FAULTS);
	spin_lock(&mm->page_table_lock);
	if (likely(pte->pte == old.pte)) {
		if (!page_anon(page)) {
			mm->rss[MM_FILE]--;
			mm->rss[MM_ANON]++;
		}
		entry = pfn_pte(page_to_pfn(copy), vma->page_prot);
		entry = maybe_mkwrite(pte_set(entry, _PAGE_DIRTY | _PAGE_ACCESSED), vma);
		/* The old translation must be gone before the new one stands. */
		native_get_and_clear(pte);
		pte_update(mm, address, pte);
		flush_tlb_page(vma, address);
		page_add_new_anon_rmap(copy, vma, address);
		set_pte_at(mm, address, pte, entry);
		lru_cache_add(copy);
		page_remove_rmap(page);
		copy = page;
	}
	spin_unlock(&mm->page_table_lock);
	put_page(copy);
	put_page(page);
	return VM_FAULT_MINOR;
}

static noinline int handle_pte_fault(struct mm *mm, struct vma *vma, ulong address, pte_t *pte, bool write)
{
	pte_t entry = *pte;

	if (!pte_present(entry)) {
		if (vma->file)
			return do_file_fault(mm, vma, address, pte, write);
		return do_anonymous_page(mm, vma, address, pte);
	}
	spin_lock(&mm->page_table_lock);
	if (write) {
		if (!pte_write(entry))
			return do_wp_page(mm, vma, address, pte, entry);
		entry = pte_set(entry, _PAGE_DIRTY);
	}
	entry = pte_set(entry, _PAGE_ACCESSED);
	if (!ptep_set_access_flags(vma, address, pte, entry, write) && write)
		flush_tlb_page(vma, address);
	spin_unlock(&mm->page_table_lock);
	return VM_FAULT_MINOR;
}

noinline int handle_mm_fault(struct mm *mm, struct vma *vma, ulong address, bool write)
{
	pud_t *pud;
	pmd_t *pmd;
	pte_t *pte;

	count_event(PGFAULT);
	pud = pud_alloc(mm, pgd_offset(mm, address), address);
	if (!pud)
		return VM_FAULT_OOM;
	pmd = pmd_alloc(mm, pud, address);
	if (!pmd)
		return VM_FAULT_OOM;
	pte = pte_alloc(mm, pmd, address);
	if (!pte)
		return VM_FAULT_OOM;
	return handle_pte_fault(mm, vma, address & PAGE_MASK, pte, write);
}
