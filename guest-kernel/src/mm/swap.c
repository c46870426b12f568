/* Lists of recently used pages, filled in batches. */
#include "mm.h"

static noinline void pagevec_lru_add(struct pagevec *vec)
{
	spin_lock_irq(&zone.lru_lock);
	for (u32 i = 0; i < vec->count; i++) {
		struct page *page = vec->pages[i];

		if (test_and_set_bit(PG_lru, &page->flags))
			continue;
		list_add(&page->lru, &zone.inactive);
		inc_zone_stat(NR_INACTIVE);
	}
	spin_unlock_irq(&zone.lru_lock);
	for (u32 i = 0; i < vec->count; i++)
		put_page(vec->pages[i]);
	vec->count = 0;
}

noinline void lru_cache_add(struct page *page)
{
	struct pagevec *vec = &this_cpu()->lru_add;

	get_page(page);
	vec->pages[vec->count++] = page;
	if (vec->count == PAGEVEC_SIZE)
		pagevec_lru_add(vec);
}

noinline void lru_add_drain(void)
{
	struct pagevec *vec = &this_cpu()->lru_add;

	if (vec->count)
		pagevec_lru_add(vec);
}

static noinline void activate_page(struct page *page)
{
	spin_lock_irq(&zone.lru_lock);
	if (test_bit(PG_lru, &page->flags) && !test_bit(PG_active, &page->flags)) {
		list_del(&page->lru);
		dec_zone_stat(NR_INACTIVE);
		set_bit(PG_active, &page->flags);
		list_add(&page->lru, &zone.active);
		inc_zone_stat(NR_ACTIVE);
		count_event(PGACTIVATE);
	}
	spin_unlock_irq(&zone.lru_lock);
}

/* inactive, unreferenced -> inactive, referenced -> active. */
noinline void mark_page_accessed(struct page *page)
{
	if (!test_bit(PG_active, &page->flags) && test_bit(PG_referenced, &page->flags) && test_bit(PG_lru, &page->flags)) {
		activate_page(page);
		clear_bit(PG_referenced, &page->flags);
	} else if (!test_bit(PG_referenced, &page->flags)) {
		set_bit(PG_referenced, &page->flags);
	}
}

static noinline void page_cache_release(struct page *page)
{
	if (test_bit(PG_lru, &page->flags)) {
		ulong flags;

		spin_lock_irqsave(&zone.lru_lock, flags);
		clear_bit(PG_lru, &page->flags);
		list_del(&page->lru);
		if (test_and_clear_bit(PG_active, &page->flags))
			dec_zone_stat(NR_ACTIVE);
		else
			dec_zone_stat(NR_INACTIVE);
		spin_unlock_irqrestore(&zone.lru_lock, flags);
	}
	page->mapping = NULL;
	free_hot_page(page);
}

noinline void put_page(struct page *page)
{
	if (put_page_testzero(page))
		page_cache_release(page);
}
