/* Who maps a page: counters in the page, lists of areas behind it. */
#include "mm.h"

struct kmem_cache anon_vma_cache;

/* Gives the area a list for its anonymous pages; a neighbour's is used when there is one. */
noinline int anon_vma_prepare(struct vma *vma)
{
	struct anon_vma *anon = vma->anon_vma;

	if (likely(anon))
		return 0;
	if (vma->next && vma->next->anon_vma && vma->next->start == vma->end && vma->next->flags == vma->flags) {
		anon = vma->next->anon_vma;
	} else {
		anon = kmem_cache_alloc(&anon_vma_cache, GFP_KERNEL);
		if (!anon)
			return -ENOMEM;
		spin_lock_init(&anon->lock);
		list_init(&anon->head);
	}
	spin_lock(&anon->lock);
	spin_lock(&vma->mm->page_table_lock);
	vma->anon_vma = anon;
	list_add_tail(&vma->anon_node, &anon->head);
	spin_unlock(&vma->mm->page_table_lock);
	spin_unlock(&anon->lock);
	return 0;
}

noinline void anon_vma_link(struct vma *vma)
{
	struct anon_vma *anon = vma->anon_vma;

	if (anon) {
		spin_lock(&anon->lock);
		list_add_tail(&vma->anon_node, &anon->head);
		spin_unlock(&anon->lock);
	}
}

noinline void anon_vma_unlink(struct vma *vma)
{
	struct anon_vma *anon = vma->anon_vma;
	bool empty;

	if (!anon)
		return;
	spin_lock(&anon->lock);
	list_del(&vma->anon_node);
	empty = list_empty(&anon->head);
	spin_unlock(&anon->lock);
	if (empty)
		kmem_cache_free(&anon_vma_cache, anon);
}

noinline void page_add_new_anon_rmap(struct page *page, struct vma *vma, ulong address)
{
	BUG_ON(address < vma->start || address >= vma->end);
	atomic_set(&page->mapcount, 0);
	set_bit(PG_anon, &page->flags);
	page->mapping = vma->anon_vma;
	page->index = linear_index(vma, address);
	inc_zone_stat(NR_ANON_PAGES);
}

noinline void page_add_file_rmap(struct page *page)
{
	if (atomic_inc_and_test(&page->mapcount))
		inc_zone_stat(NR_FILE_MAPPED);
}

noinline void page_dup_rmap(struct page *page)
{
	BUG_ON(page_mapcount(page) == 0);
	atomic_inc(&page->mapcount);
}

noinline void page_remove_rmap(struct page *page)
{
	if (atomic_add_negative(-1, &page->mapcount)) {
		if (page_anon(page))
			dec_zone_stat(NR_ANON_PAGES);
		else
			dec_zone_stat(NR_FILE_MAPPED);
	}
}
