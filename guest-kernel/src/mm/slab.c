/* Object caches: an array of free objects for the CPU in front of slabs with a chain of free indices. */
#include "mm.h"

struct slab {
	struct list_head list;
	struct kmem_cache *cache;
	char *objects;
	u32 in_use, free;
	u16 next[];
};

#define SLAB_END 0xffff

static struct list_head cache_list = LIST_HEAD_INIT(cache_list);
static struct kmem_cache size_caches[6];
static const u16 sizes[6] = { 32, 64, 128, 256, 512, 1024 };

noinline void kmem_cache_init(struct kmem_cache *cache, const char *name, u32 size, u32 order, void (*constructor)(void *))
{
	u32 bytes = PAGE_SIZE << order;

	cache->name = name;
	cache->size = (size + 15) & ~15u;
	cache->order = order;
	cache->constructor = constructor;
	cache->per_slab = (u32)((bytes - sizeof(struct slab)) / (cache->size + sizeof(u16)));
	cache->colour = ((bytes - (u32)sizeof(struct slab) - cache->per_slab * (cache->size + (u32)sizeof(u16))) / 64);
	cache->array.limit = SLAB_ARRAY;
	cache->array.batch = SLAB_ARRAY / 2;
	spin_lock_init(&cache->lock);
	list_init(&cache->full);
	list_init(&cache->partial);
	list_init(&cache->empty);
	list_add_tail(&cache->caches, &cache_list);
}

/* A new slab: its descriptor, the chain and then the objects in the same pages, shifted by the colour. */
static noinline struct slab *cache_grow(struct kmem_cache *cache, u32 gfp)
{
	struct page *page = alloc_pages(gfp & GFP_ATOMIC, cache->order);
	struct slab *slab;
	u32 head;

	if (!page)
		return NULL;
	mod_zone_stat(NR_SLAB, 1 << cache->order);
	slab = page_address(page);
	for (u32 i = 0; i < 1u << cache->order; i++) {
		set_bit(PG_slab, &page[i].flags);
		page[i].private = (ulong)slab;
	}
	head = (u32)(sizeof(struct slab) + cache->per_slab * sizeof(u16) + 15) & ~15u;
	if (head + cache->per_slab * cache->size + cache->colour_next * 64 > (u32)PAGE_SIZE << cache->order)
		cache->colour_next = 0;
	slab->cache = cache;
	slab->objects = (char *)slab + head + cache->colour_next * 64;
	if (slab->objects + cache->per_slab * cache->size > (char *)slab + ((ulong)PAGE_SIZE << cache->order))
		slab->objects = (char *)slab + head;
	cache->colour_next = cache->colour_next < cache->colour ? cache->colour_next + 1 : 0;
	slab->in_use = 0;
	slab->free = 0;
	for (u32 i = 0; i < cache->per_slab; i++)
		slab->next[i] = (u16)(i + 1);
	slab->next[cache->per_slab - 1] = SLAB_END;
	cache->slabs++;
	cache->free_objects += cache->per_slab;
	list_add_tail(&slab->list, &cache->empty);
	return slab;
}

static noinline void slab_destroy(struct kmem_cache *cache, struct slab *slab)
{
	struct page *page = virt_to_page(slab);

	cache->slabs--;
	for (u32 i = 0; i < 1u << cache->order; i++)
		clear_bit(PG_slab, &page[i].flags);
	mod_zone_stat(NR_SLAB, -(1 << cache->order));
	free_pages(page, cache->order);
}

static always_inline void *slab_take(struct kmem_cache *cache, struct slab *slab)
{
	void *object = slab->objects + slab->free * cache->size;

	slab->in_use++;
	slab->free = slab->next[slab->free];
	cache->free_objects--;
	return object;
}

static noinline void *cache_refill(struct kmem_cache *cache, u32 gfp)
{
	struct array_cache *array = &cache->array;
	u32 wanted = array->batch;

	spin_lock(&cache->lock);
	while (wanted) {
		struct slab *slab;

		if (!list_empty(&cache->partial)) {
			slab = list_entry(cache->partial.next, struct slab, list);
		} else if (!list_empty(&cache->empty)) {
			slab = list_entry(cache->empty.next, struct slab, list);
		} else {
			slab = cache_grow(cache, gfp);
			if (!slab)
				break;
		}
		while (wanted && slab->free != SLAB_END) {
			array->entry[array->avail++] = slab_take(cache, slab);
			wanted--;
		}
		list_del(&slab->list);
		list_add(&slab->list, slab->free == SLAB_END ? &cache->full : &cache->partial);
	}
	spin_unlock(&cache->lock);
	if (!array->avail)
		return NULL;
	array->touched = 1;
	return array->entry[--array->avail];
}

noinline void *kmem_cache_alloc(struct kmem_cache *cache, u32 gfp)
{
	struct array_cache *array = &cache->array;
	void *object;
	ulong flags;

	local_irq_save(flags);
	cache->allocations++;
	if (likely(array->avail)) {
		array->touched = 1;
		object = array->entry[--array->avail];
	} else {
		object = cache_refill(cache, gfp);
	}
	cache->active_objects += object != NULL;
	local_irq_restore(flags);
	if (object && cache->constructor)
		cache->constructor(object);
	return object;
}

/* Returns the older half of the array to the slabs; irqs are off. */
static noinline void cache_flush(struct kmem_cache *cache)
{
	struct array_cache *array = &cache->array;

	spin_lock(&cache->lock);
	for (u32 i = 0; i < array->batch; i++) {
		char *object = array->entry[i];
		struct slab *slab = (struct slab *)virt_to_page(object)->private;
		u32 index = (u32)(object - slab->objects) / cache->size;

		slab->next[index] = (u16)slab->free;
		slab->free = index;
		slab->in_use--;
		cache->free_objects++;
		list_del(&slab->list);
		if (slab->in_use)
			list_add_tail(&slab->list, &cache->partial);
		else if (cache->free_objects > 2 * cache->per_slab) {
			cache->free_objects -= cache->per_slab;
			slab_destroy(cache, slab);
		} else
			list_add(&slab->list, &cache->empty);
	}
	spin_unlock(&cache->lock);
	array->avail -= array->batch;
	for (u32 i = 0; i < array->avail; i++)
		array->entry[i] = array->entry[i + array->batch];
}

noinline void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	struct array_cache *array = &cache->array;
	ulong flags;

	local_irq_save(flags);
	BUG_ON(((struct slab *)virt_to_page(object)->private)->cache != cache);
	cache->frees++;
	cache->active_objects--;
	if (unlikely(array->avail == array->limit))
		cache_flush(cache);
	array->entry[array->avail++] = object;
	local_irq_restore(flags);
}

static noinline struct kmem_cache *find_size_cache(size_t size)
{
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		if (size <= sizes[i])
			return &size_caches[i];
	return NULL;
}

noinline void *kmalloc(size_t size, u32 gfp)
{
	struct kmem_cache *cache = find_size_cache(size);

	BUG_ON(!cache);
	return kmem_cache_alloc(cache, gfp);
}

noinline void kfree(const void *object)
{
	if (object)
		kmem_cache_free(((struct slab *)virt_to_page(object)->private)->cache, (void *)object);
}

noinline void kmem_init(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		kmem_cache_init(&size_caches[i], "size", sizes[i], 0, NULL);
}
