/* Translations: flushing them, gathering pages until they are gone, switching address spaces. */
#include "mm.h"
#include "sched.h"

static struct mmu_gather gather;

noinline struct mmu_gather *tlb_gather_mmu(struct mm *mm, bool full)
{
	struct mmu_gather *tlb = &gather;

	BUG_ON(tlb->mm);
	tlb->mm = mm;
	tlb->nr = 0;
	tlb->need_flush = false;
	tlb->full_mm = full;
	return tlb;
}

static noinline void tlb_flush_gathered(struct mmu_gather *tlb)
{
	if (!tlb->need_flush)
		return;
	tlb->need_flush = false;
	flush_tlb_mm(tlb->mm);
	for (u32 i = 0; i < tlb->nr; i++)
		put_page(tlb->pages[i]);
	tlb->nr = 0;
}

noinline void tlb_remove_page(struct mmu_gather *tlb, struct page *page)
{
	tlb->need_flush = true;
	tlb->pages[tlb->nr++] = page;
	if (tlb->nr == ARRAY_SIZE(tlb->pages))
		tlb_flush_gathered(tlb);
}

noinline void tlb_finish_mmu(struct mmu_gather *tlb)
{
	tlb_flush_gathered(tlb);
	tlb->mm = NULL;
}

noinline void flush_tlb_mm(struct mm *mm)
{
	if (this_cpu()->active_mm == mm && (mm->cpu_mask & 1)) {
		count_event(TLB_FLUSHES);
		flush_tlb();
	}
}

noinline void flush_tlb_page(struct vma *vma, ulong address)
{
	if (this_cpu()->active_mm == vma->mm && (vma->mm->cpu_mask & 1)) {
		count_event(TLB_FLUSHES);
		flush_tlb_one(address);
	}
}

noinline void flush_tlb_range(struct vma *vma, ulong start, ulong end)
{
	if (end - start <= 2 * PAGE_SIZE) {
		for (ulong address = start; address < end; address += PAGE_SIZE)
			flush_tlb_page(vma, address);
	} else {
		flush_tlb_mm(vma->mm);
	}
}

/* Loads the page tables of `next`; without address-space numbers this drops every translation that is not global. */
noinline void switch_mm(struct mm *prev, struct mm *next)
{
	if (likely(prev != next)) {
		clear_bit(0, &prev->cpu_mask);
		this_cpu()->tlb_state = 1;
		this_cpu()->active_mm = next;
		set_bit(0, &next->cpu_mask);
		write_cr3(pa(next->pgd));
	} else if (!(next->cpu_mask & 1)) {
		set_bit(0, &next->cpu_mask);
		write_cr3(pa(next->pgd));
	}
}
