/* Pages, zones, caches, address spaces. */
#ifndef MM_H
#define MM_H

#include "pgtable.h"
#include "percpu.h"
#include "rbtree.h"
#include "spinlock.h"

#define PG_locked 0
#define PG_referenced 2
#define PG_uptodate 3
#define PG_dirty 4
#define PG_lru 5
#define PG_active 6
#define PG_slab 7
#define PG_buddy 8
#define PG_reserved 9
#define PG_anon 10
#define PG_pagecache 11
#define PG_pinned 12

struct address_space;
struct kmem_cache;
struct slab;

struct page {
	ulong flags;
	atomic_t count;
	atomic_t mapcount; /* mappings minus 1 */
	void *mapping; /* address_space, anon_vma or kmem_cache, as the flags say */
	ulong index; /* offset in the mapping in pages; order of a free block */
	struct list_head lru;
	ulong private;
#if BITS64
	ulong pad;
#endif
};

#define MAX_ORDER 11

struct free_area {
	struct list_head list;
	ulong count;
};

struct zone {
	spinlock_t lock;
	struct free_area free_area[MAX_ORDER];
	ulong pages_min, pages_low, pages_high;
	ulong present;
	atomic_t stat[VM_STATS];
	spinlock_t lru_lock;
	struct list_head active, inactive;
	ulong reclaim_wanted;
};

extern struct page *mem_map;
extern ulong max_pfn;
extern struct zone zone;

static always_inline ulong page_to_pfn(const struct page *page) { return page - mem_map; }
static always_inline struct page *pfn_to_page(ulong pfn) { return mem_map + pfn; }
static always_inline void *page_address(const struct page *page) { return va(page_to_pfn(page) << PAGE_SHIFT); }
static always_inline struct page *virt_to_page(const void *address) { return pfn_to_page(pa(address) >> PAGE_SHIFT); }
static always_inline struct page *pte_page(pte_t e) { return pfn_to_page(pte_pfn(e)); }
static always_inline void get_page(struct page *page) { atomic_inc(&page->count); }
static always_inline bool put_page_testzero(struct page *page) { return atomic_dec_and_test(&page->count); }
static always_inline int page_mapcount(struct page *page) { return atomic_read(&page->mapcount) + 1; }
static always_inline bool page_mapped(struct page *page) { return atomic_read(&page->mapcount) >= 0; }
static always_inline bool page_anon(struct page *page) { return test_bit(PG_anon, &page->flags); }

/* page_alloc.c */
#define GFP_ATOMIC 1u
#define GFP_ZERO 2u
#define GFP_KERNEL 0u
void mem_init(ulong ram_bytes);
struct page *alloc_pages(u32 gfp, u32 order);
void free_pages(struct page *page, u32 order);
void free_hot_page(struct page *page);
ulong get_free_page(u32 gfp);
void free_page_at(ulong address);
void clear_page(void *page);
void copy_page(void *dst, const void *src);

/* vmstat.c */
void mod_zone_stat(enum vm_stat stat, int delta);
void inc_zone_stat(enum vm_stat stat);
void dec_zone_stat(enum vm_stat stat);
long zone_stat(enum vm_stat stat);
void refresh_zone_stats(void);

/* swap.c */
void lru_cache_add(struct page *page);
void lru_add_drain(void);
void mark_page_accessed(struct page *page);
void put_page(struct page *page);

/* slab.c */
#define SLAB_ARRAY 16
struct array_cache {
	u32 avail, limit, batch, touched;
	void *entry[SLAB_ARRAY];
};

struct kmem_cache {
	struct array_cache array;
	spinlock_t lock;
	struct list_head full, partial, empty;
	u32 size, per_slab, order, colour, colour_next;
	ulong active_objects, free_objects, slabs, allocations, frees;
	void (*constructor)(void *object);
	const char *name;
	struct list_head caches;
};

void kmem_cache_init(struct kmem_cache *cache, const char *name, u32 size, u32 order, void (*constructor)(void *));
void *kmem_cache_alloc(struct kmem_cache *cache, u32 gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object);
void *kmalloc(size_t size, u32 gfp);
void kfree(const void *object);
void kmem_init(void);

/* Address spaces. */
#define VM_READ 0x01ul
#define VM_WRITE 0x02ul
#define VM_EXEC 0x04ul
#define VM_SHARED 0x08ul
#define VM_MAYREAD 0x10ul
#define VM_MAYWRITE 0x20ul
#define VM_MAYEXEC 0x40ul
#define VM_GROWSDOWN 0x100ul
#define VM_ACCOUNT 0x200ul

#define PROT_READ 1ul
#define PROT_WRITE 2ul
#define PROT_EXEC 4ul
#define MAP_SHARED 1ul
#define MAP_PRIVATE 2ul
#define MAP_FIXED 0x10ul
#define MAP_ANONYMOUS 0x20ul

#if BITS64
#define MMAP_BASE 0x00002aaaaaaaa000ul
#define STACK_TOP 0x00007fffffff0000ul
#else
#define MMAP_BASE 0x40000000ul
#define STACK_TOP 0xbfff0000ul
#endif
#define STACK_LIMIT (1ul << 20)

struct file;
struct anon_vma {
	spinlock_t lock;
	struct list_head head;
};

struct vma {
	struct mm *mm;
	ulong start, end;
	struct vma *next;
	pgprot_t page_prot;
	ulong flags;
	struct rb_node rb;
	struct list_head shared; /* among the mappings of the file */
	struct list_head anon_node;
	struct anon_vma *anon_vma;
	ulong pgoff;
	struct file *file;
};

#define MM_FILE 0
#define MM_ANON 1

struct mm {
	struct vma *mmap;
	struct rb_root rb;
	struct vma *mmap_cache;
	ulong free_area_cache, cached_hole;
	pgd_t *pgd;
	atomic_t users, count;
	int map_count;
	struct rw_semaphore mmap_sem;
	spinlock_t page_table_lock;
	struct list_head mmlist;
	long rss[2];
	ulong hiwater_rss, hiwater_vm;
	ulong total_vm, shared_vm, exec_vm, stack_vm, data_vm, committed, nr_ptes;
	ulong start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	ulong cpu_mask;
	ulong faults;
};

extern struct mm init_mm;
extern spinlock_t mmlist_lock;
extern atomic_t committed_space;
extern struct kmem_cache mm_cache, vma_cache, anon_vma_cache;
extern const pgprot_t protection_map[16];

/* vma.c, mmap.c, mprotect.c */
struct vma *find_vma(struct mm *mm, ulong address);
struct vma *find_vma_prev(struct mm *mm, ulong address, struct vma **prev);
struct vma *find_vma_prepare(struct mm *mm, ulong address, struct vma **prev, struct rb_node ***link, struct rb_node **parent);
void vma_link(struct mm *mm, struct vma *vma, struct vma *prev, struct rb_node **link, struct rb_node *parent);
void vma_link_list_rb(struct mm *mm, struct vma *vma, struct vma *prev, struct rb_node **link, struct rb_node *parent);
void vma_link_file(struct vma *vma);
void vma_unlink_file(struct vma *vma);
void vma_adjust(struct vma *vma, ulong start, ulong end, ulong pgoff, struct vma *insert);
struct vma *vma_merge(struct mm *mm, struct vma *prev, ulong start, ulong end, ulong flags, struct anon_vma *anon,
                      struct file *file, ulong pgoff);
int split_vma(struct mm *mm, struct vma *vma, ulong address, bool new_below);
struct vma *remove_vma(struct vma *vma);
void vm_stat_account(struct mm *mm, ulong flags, struct file *file, long pages);
int security_vm_enough_memory(struct mm *mm, long pages);
ulong do_mmap(struct file *file, ulong address, ulong length, ulong prot, ulong flags, ulong pgoff);
int do_munmap(struct mm *mm, ulong start, ulong length);
int expand_stack(struct vma *vma, ulong address);
void exit_mmap(struct mm *mm);

static always_inline ulong vma_pages(const struct vma *vma) { return (vma->end - vma->start) >> PAGE_SHIFT; }
static always_inline ulong linear_index(const struct vma *vma, ulong address)
{
	return ((address - vma->start) >> PAGE_SHIFT) + vma->pgoff;
}

/* memory.c, fault.c, tlb.c, pgalloc.c */
struct mmu_gather {
	struct mm *mm;
	u32 nr;
	bool need_flush, full_mm;
	ulong start, end;
	struct page *pages[48];
};

struct mmu_gather *tlb_gather_mmu(struct mm *mm, bool full);
void tlb_finish_mmu(struct mmu_gather *tlb);
void tlb_remove_page(struct mmu_gather *tlb, struct page *page);
void flush_tlb_mm(struct mm *mm);
void flush_tlb_page(struct vma *vma, ulong address);
void flush_tlb_range(struct vma *vma, ulong start, ulong end);
void switch_mm(struct mm *prev, struct mm *next);
int copy_page_range(struct mm *dst, struct mm *src, struct vma *vma);
void unmap_vmas(struct mmu_gather *tlb, struct vma *vma, ulong start, ulong end);
void unmap_region(struct mm *mm, struct vma *vma, struct vma *prev, ulong start, ulong end);
void free_pgtables(struct mmu_gather *tlb, struct vma *vma, ulong floor, ulong ceiling);
#define VM_FAULT_MINOR 0
#define VM_FAULT_SIGBUS 1
#define VM_FAULT_OOM 2
int handle_mm_fault(struct mm *mm, struct vma *vma, ulong address, bool write);
#if PAGETABLE_LEVELS == 4
pud_t *pud_alloc(struct mm *mm, pgd_t *pgd, ulong address);
pmd_t *pmd_alloc(struct mm *mm, pud_t *pud, ulong address);
#else
#define pud_alloc(mm, pgd, address) pud_offset(pgd, address)
#define pmd_alloc(mm, pud, address) pmd_offset(pud, address)
#endif
pte_t *pte_alloc(struct mm *mm, pmd_t *pmd, ulong address);
pgd_t *pgd_alloc(struct mm *mm);
void pgd_free(struct mm *mm, pgd_t *pgd);
void pgd_clear_bad(pgd_t *pgd);

static always_inline pgd_t *pgd_offset(const struct mm *mm, ulong address)
{
	return mm->pgd + table_index(address, PGDIR_SHIFT);
}

/* rmap.c */
int anon_vma_prepare(struct vma *vma);
void anon_vma_link(struct vma *vma);
void anon_vma_unlink(struct vma *vma);
void page_add_new_anon_rmap(struct page *page, struct vma *vma, ulong address);
void page_add_file_rmap(struct page *page);
void page_dup_rmap(struct page *page);
void page_remove_rmap(struct page *page);

/* mm_life.c */
struct mm *mm_alloc(void);
struct mm *mm_duplicate(struct mm *old);
void mmput(struct mm *mm);
void mmdrop(struct mm *mm);

/* usercopy.S: bytes not copied. */
ulong copy_user(void *dst, const void *src, ulong count);
ulong copy_to_user(void *dst, const void *src, ulong count);
ulong copy_from_user(void *dst, const void *src, ulong count);

static always_inline bool access_ok(ulong address, ulong size)
{
	return address + size >= address && address + size <= USER_LIMIT;
}

#endif
