/* Address spaces: making, duplicating for fork, dropping. */
#include "fs.h"
#include "mm.h"
#include "sched.h"

struct kmem_cache mm_cache;
spinlock_t mmlist_lock;
struct mm init_mm = {
	.pgd = boot_pgd,
	.users = { 2 },
	.count = { 2 },
	.mmlist = LIST_HEAD_INIT(init_mm.mmlist),
};

static noinline struct mm *mm_init(struct mm *mm)
{
	memset(mm, 0, sizeof(*mm));
	atomic_set(&mm->users, 1);
	atomic_set(&mm->count, 1);
	init_rwsem(&mm->mmap_sem);
	spin_lock_init(&mm->page_table_lock);
	list_init(&mm->mmlist);
	mm->free_area_cache = MMAP_BASE;
	mm->cached_hole = ~0ul;
	if (!pgd_alloc(mm)) {
		kmem_cache_free(&mm_cache, mm);
		return NULL;
	}
	return mm;
}

noinline struct mm *mm_alloc(void)
{
	struct mm *mm = kmem_cache_alloc(&mm_cache, GFP_KERNEL);

	return mm ? mm_init(mm) : NULL;
}

static noinline int dup_mmap(struct mm *mm, struct mm *old)
{
	struct rb_node **link = &mm->rb.node, *parent = NULL;
	struct vma **list = &mm->mmap;
	int error = 0;

	down_write(&old->mmap_sem);
	down_write(&mm->mmap_sem);
	for (struct vma *area = old->mmap; area; area = area->next) {
		struct vma *copy;

		if (area->flags & VM_ACCOUNT) {
			error = security_vm_enough_memory(mm, (long)vma_pages(area));
			if (error)
				break;
			mm->committed += vma_pages(area);
		}
		copy = kmem_cache_alloc(&vma_cache, GFP_KERNEL);
		if (!copy) {
			error = -ENOMEM;
			break;
		}
		*copy = *area;
		copy->mm = mm;
		copy->next = NULL;
		anon_vma_link(copy);
		if (copy->file) {
			get_file(copy->file);
			vma_link_file(copy);
		}
		*list = copy;
		list = &copy->next;
		rb_link_node(&copy->rb, parent, link);
		link = &copy->rb.right;
		parent = &copy->rb;
		rb_insert_colour(&copy->rb, &mm->rb);
		mm->map_count++;
		error = copy_page_range(mm, old, area);
		if (error)
			break;
	}
	pv_dup_mmap(old, mm);
	up_write(&mm->mmap_sem);
	/* The parent's writable translations became read-only. */
	flush_tlb_mm(old);
	up_write(&old->mmap_sem);
	return error;
}

/* A copy on write of `old`, or null. */
noinline struct mm *mm_duplicate(struct mm *old)
{
	struct mm *mm = kmem_cache_alloc(&mm_cache, GFP_KERNEL);

	if (!mm || !mm_init(mm))
		return NULL;
	mm->total_vm = old->total_vm;
	mm->shared_vm = old->shared_vm;
	mm->exec_vm = old->exec_vm;
	mm->stack_vm = old->stack_vm;
	mm->data_vm = old->data_vm;
	mm->start_code = old->start_code;
	mm->end_code = old->end_code;
	mm->start_data = old->start_data;
	mm->end_data = old->end_data;
	mm->start_brk = old->start_brk;
	mm->brk = old->brk;
	mm->start_stack = old->start_stack;
	mm->free_area_cache = old->free_area_cache;
	mm->cached_hole = old->cached_hole;
	if (dup_mmap(mm, old)) {
		mmput(mm);
		return NULL;
	}
	mm->hiwater_rss = (ulong)(mm->rss[MM_FILE] + mm->rss[MM_ANON]);
	mm->hiwater_vm = mm->total_vm;
	spin_lock(&mmlist_lock);
	list_add_tail(&mm->mmlist, &init_mm.mmlist);
	spin_unlock(&mmlist_lock);
	return mm;
}

noinline void mmdrop(struct mm *mm)
{
	if (atomic_dec_and_test(&mm->count)) {
		BUG_ON(mm == &init_mm);
		pgd_free(mm, mm->pgd);
		kmem_cache_free(&mm_cache, mm);
	}
}

noinline void mmput(struct mm *mm)
{
	if (atomic_dec_and_test(&mm->users)) {
		exit_mmap(mm);
		spin_lock(&mmlist_lock);
		list_del_init(&mm->mmlist);
		spin_unlock(&mmlist_lock);
		mmdrop(mm);
	}
}
