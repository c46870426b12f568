/* Buddy allocator over RAM with a per-CPU list of hot single pages. */
#include "mm.h"
#include "sched.h"

struct page *mem_map;
ulong max_pfn;
struct zone zone;

extern char _end[];

static noinline void zone_init(void)
{
	spin_lock_init(&zone.lock);
	spin_lock_init(&zone.lru_lock);
	list_init(&zone.active);
	list_init(&zone.inactive);
	for (int order = 0; order < MAX_ORDER; order++)
		list_init(&zone.free_area[order].list);
}

static always_inline bool is_buddy_of(struct page *page, ulong order)
{
	return test_bit(PG_buddy, &page->flags) && page->index == order;
}

static always_inline void set_buddy(struct page *page, ulong order)
{
	page->index = order;
	set_bit(PG_buddy, &page->flags);
}

/* Joins the block with its free buddies; the zone lock is held. */
static noinline void free_block(struct page *page, u32 order)
{
	ulong pfn = page_to_pfn(page);
	int freed = 1 << order;

	while (order < MAX_ORDER - 1) {
		ulong buddy_pfn = pfn ^ (1ul << order);
		struct page *buddy = pfn_to_page(buddy_pfn);

		if (buddy_pfn >= max_pfn || !is_buddy_of(buddy, order))
			break;
		list_del(&buddy->lru);
		clear_bit(PG_buddy, &buddy->flags);
		zone.free_area[order].count--;
		pfn &= buddy_pfn;
		order++;
	}
	page = pfn_to_page(pfn);
	set_buddy(page, order);
	list_add(&page->lru, &zone.free_area[order].list);
	zone.free_area[order].count++;
	mod_zone_stat(NR_FREE_PAGES, freed);
}

/* Halves a larger block until one of the wanted order is left; the zone lock is held. */
static noinline struct page *take_block(u32 order)
{
	for (u32 from = order; from < MAX_ORDER; from++) {
		struct free_area *area = &zone.free_area[from];
		struct page *page;

		if (list_empty(&area->list))
			continue;
		page = list_entry(area->list.next, struct page, lru);
		list_del(&page->lru);
		clear_bit(PG_buddy, &page->flags);
		area->count--;
		while (from > order) {
			from--;
			set_buddy(page + (1ul << from), from);
			list_add(&page[1ul << from].lru, &zone.free_area[from].list);
			zone.free_area[from].count++;
		}
		mod_zone_stat(NR_FREE_PAGES, -(1 << order));
		return page;
	}
	return NULL;
}

static noinline int refill_hot_list(struct per_cpu_pages *pcp)
{
	int taken = 0;

	spin_lock(&zone.lock);
	while (taken < pcp->batch) {
		struct page *page = take_block(0);

		if (!page)
			break;
		list_add_tail(&page->lru, &pcp->list);
		taken++;
	}
	spin_unlock(&zone.lock);
	return taken;
}

static noinline void drain_hot_list(struct per_cpu_pages *pcp, int count)
{
	spin_lock(&zone.lock);
	zone.reclaim_wanted = 0;
	while (count--) {
		struct page *page = list_entry(pcp->list.prev, struct page, lru);

		list_del(&page->lru);
		free_block(page, 0);
		pcp->count--;
	}
	spin_unlock(&zone.lock);
}

/* A page that is handed out or returned must be nobody's. */
static always_inline bool page_is_bad(struct page *page)
{
	return page_mapped(page) || page->mapping ||
	       (page->flags & (1ul << PG_lru | 1ul << PG_active | 1ul << PG_locked | 1ul << PG_slab | 1ul << PG_buddy | 1ul << PG_reserved));
}

static noinline bool zone_watermark_ok(u32 order, ulong mark)
{
	long free = zone_stat(NR_FREE_PAGES) - (1 << order) + 1;
	long need = (long)mark;

	if (free <= need)
		return false;
	for (u32 o = 0; o < order; o++) {
		free -= (long)(zone.free_area[o].count << o);
		need >>= 1;
		if (free <= need)
			return false;
	}
	return true;
}

static noinline void prepare_new_page(struct page *page, u32 order, u32 gfp)
{
	BUG_ON(page_is_bad(page) || atomic_read(&page->count) != 0);
	page->flags &= ~(1ul << PG_referenced | 1ul << PG_uptodate | 1ul << PG_dirty | 1ul << PG_anon | 1ul << PG_pagecache);
	page->private = 0;
	atomic_set(&page->count, 1);
	if (gfp & GFP_ZERO)
		for (u32 i = 0; i < 1u << order; i++)
			clear_page(page_address(page + i));
}

static noinline struct page *buffered_remove(u32 order)
{
	struct page *page;
	ulong flags;

	if (likely(order == 0)) {
		struct per_cpu_pages *pcp = &this_cpu()->pcp;

		local_irq_save(flags);
		if (!pcp->count) {
			pcp->count = refill_hot_list(pcp);
			if (unlikely(!pcp->count)) {
				local_irq_restore(flags);
				return NULL;
			}
		}
		page = list_entry(pcp->list.next, struct page, lru);
		list_del(&page->lru);
		pcp->count--;
		local_irq_restore(flags);
	} else {
		spin_lock_irqsave(&zone.lock, flags);
		page = take_block(order);
		spin_unlock_irqrestore(&zone.lock, flags);
	}
	return page;
}

noinline struct page *alloc_pages(u32 gfp, u32 order)
{
	struct page *page;

	if (!zone_watermark_ok(order, gfp & GFP_ATOMIC ? zone.pages_min : zone.pages_low)) {
		zone.reclaim_wanted++;
		if (!zone_watermark_ok(order, zone.pages_min / 2))
			return NULL;
	}
	page = buffered_remove(order);
	if (unlikely(!page))
		return NULL;
	prepare_new_page(page, order, gfp);
	count_event(PGALLOC);
	return page;
}

static always_inline void check_free_page(struct page *page)
{
	BUG_ON(page_is_bad(page) || atomic_read(&page->count) != 0);
	page->flags &= ~(1ul << PG_dirty | 1ul << PG_referenced | 1ul << PG_anon | 1ul << PG_pagecache);
}

/* The reference count is already 0. */
noinline void free_hot_page(struct page *page)
{
	struct per_cpu_pages *pcp = &this_cpu()->pcp;
	ulong flags;

	check_free_page(page);
	local_irq_save(flags);
	count_event(PGFREE);
	list_add(&page->lru, &pcp->list);
	if (++pcp->count >= pcp->high)
		drain_hot_list(pcp, pcp->batch);
	local_irq_restore(flags);
}

noinline void free_pages(struct page *page, u32 order)
{
	ulong flags;

	if (!put_page_testzero(page))
		return;
	if (order == 0) {
		free_hot_page(page);
		return;
	}
	check_free_page(page);
	spin_lock_irqsave(&zone.lock, flags);
	count_event(PGFREE);
	free_block(page, order);
	spin_unlock_irqrestore(&zone.lock, flags);
}

noinline ulong get_free_page(u32 gfp)
{
	struct page *page = alloc_pages(gfp, 0);

	return page ? (ulong)page_address(page) : 0;
}

noinline void free_page_at(ulong address)
{
	free_pages(virt_to_page((void *)address), 0);
}

static noinline void reserve_range(ulong first, ulong end)
{
	for (struct page *page = pfn_to_page(first); page < pfn_to_page(end); page++) {
		page->flags = 1ul << PG_reserved;
		atomic_set(&page->count, 1);
	}
}

/* Gives [first, end) to the allocator in the largest aligned blocks. */
static noinline void free_range(ulong first, ulong end)
{
	while (first < end) {
		u32 order = 0;

		while (order < MAX_ORDER - 1 && !(first & (1ul << order)) && first + (2ul << order) <= end)
			order++;
		spin_lock(&zone.lock);
		free_block(pfn_to_page(first), order);
		spin_unlock(&zone.lock);
		zone.present += 1ul << order;
		first += 1ul << order;
	}
}

/* The page descriptors follow the kernel image; all RAM above 1 MiB that neither occupies is free. */
noinline void mem_init(ulong ram_bytes)
{
	ulong image_start = IMAGE_PHYSICAL >> PAGE_SHIFT;
	ulong map_start = PAGE_ALIGN(pa(_end));
	ulong map_end;

	max_pfn = ram_bytes >> PAGE_SHIFT;
	mem_map = va(map_start);
	map_end = PAGE_ALIGN(map_start + max_pfn * sizeof(struct page)) >> PAGE_SHIFT;
	zone_init();
	this_cpu()->pcp.high = PCP_HIGH;
	this_cpu()->pcp.batch = PCP_BATCH;
	list_init(&this_cpu()->pcp.list);
	for (ulong pfn = 0; pfn < max_pfn; pfn++)
		atomic_set(&mem_map[pfn].mapcount, -1);
	reserve_range(0, 256);
	reserve_range(image_start, map_end);
	free_range(256, min(image_start, max_pfn));
	free_range(map_end, max_pfn);
	zone.pages_min = zone.present / 128;
	zone.pages_low = zone.pages_min + zone.pages_min / 4;
	zone.pages_high = zone.pages_min + zone.pages_min / 2;
}
