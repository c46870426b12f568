/* The areas of an address space: a sorted list and a tree. */
#include "fs.h"
#include "mm.h"

struct kmem_cache vma_cache;

/* First area that ends above `address`, or null. */
noinline struct vma *find_vma(struct mm *mm, ulong address)
{
	struct vma *vma = mm->mmap_cache;
	struct rb_node *node;

	if (vma && vma->end > address && vma->start <= address)
		return vma;
	node = mm->rb.node;
	vma = NULL;
	while (node) {
		struct vma *candidate = rb_entry(node, struct vma, rb);

		if (candidate->end > address) {
			vma = candidate;
			if (candidate->start <= address)
				break;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	if (vma)
		mm->mmap_cache = vma;
	return vma;
}

noinline struct vma *find_vma_prev(struct mm *mm, ulong address, struct vma **prev)
{
	struct rb_node *node = mm->rb.node;
	struct vma *before = NULL;

	while (node) {
		struct vma *candidate = rb_entry(node, struct vma, rb);

		if (address < candidate->end) {
			node = node->left;
		} else {
			before = candidate;
			if (!before->next || address < before->next->end)
				break;
			node = node->right;
		}
	}
	*prev = before;
	return before ? before->next : mm->mmap;
}

/* Where an area at `address` would be linked; returns an area that already covers it or lies above. */
noinline struct vma *find_vma_prepare(struct mm *mm, ulong address, struct vma **prev, struct rb_node ***link,
                                      struct rb_node **parent)
{
	struct rb_node **at = &mm->rb.node, *up = NULL, *before = NULL;
	struct vma *vma = NULL;

	while (*at) {
		struct vma *candidate = rb_entry(*at, struct vma, rb);

		up = *at;
		if (candidate->end > address) {
			vma = candidate;
			if (candidate->start <= address)
				break;
			at = &up->left;
		} else {
			before = up;
			at = &up->right;
		}
	}
	*prev = before ? rb_entry(before, struct vma, rb) : NULL;
	*link = at;
	*parent = up;
	return vma;
}

noinline void vma_link_file(struct vma *vma)
{
	if (vma->file) {
		struct address_space *mapping = &vma->file->inode->data;

		spin_lock(&mapping->mmap_lock);
		if (vma->flags & VM_SHARED)
			mapping->writable_mappings++;
		list_add(&vma->shared, &mapping->mappings);
		spin_unlock(&mapping->mmap_lock);
	}
}

noinline void vma_unlink_file(struct vma *vma)
{
	if (vma->file) {
		struct address_space *mapping = &vma->file->inode->data;

		spin_lock(&mapping->mmap_lock);
		if (vma->flags & VM_SHARED)
			mapping->writable_mappings--;
		list_del(&vma->shared);
		spin_unlock(&mapping->mmap_lock);
	}
}

noinline void vma_link_list_rb(struct mm *mm, struct vma *vma, struct vma *prev, struct rb_node **link, struct rb_node *parent)
{
	if (prev) {
		vma->next = prev->next;
		prev->next = vma;
	} else {
		vma->next = mm->mmap;
		mm->mmap = vma;
	}
	rb_link_node(&vma->rb, parent, link);
	rb_insert_colour(&vma->rb, &mm->rb);
	mm->map_count++;
}

noinline void vma_link(struct mm *mm, struct vma *vma, struct vma *prev, struct rb_node **link, struct rb_node *parent)
{
	if (vma->anon_vma)
		anon_vma_link(vma);
	vma_link_list_rb(mm, vma, prev, link, parent);
	vma_link_file(vma);
}

static noinline void vma_insert_sorted(struct mm *mm, struct vma *vma)
{
	struct rb_node **link, *parent;
	struct vma *prev, *above;

	above = find_vma_prepare(mm, vma->start, &prev, &link, &parent);
	BUG_ON(above && above->start < vma->end);
	vma_link_list_rb(mm, vma, prev, link, parent);
}

/* Moves the bounds of an area; `insert`, if any, is a piece split off it that becomes an area of its own. */
noinline void vma_adjust(struct vma *vma, ulong start, ulong end, ulong pgoff, struct vma *insert)
{
	struct mm *mm = vma->mm;
	struct vma *next = vma->next;
	struct vma *removed = NULL;
	struct address_space *mapping = vma->file ? &vma->file->inode->data : NULL;

	if (next && !insert && end >= next->end) {
		BUG_ON(end != next->end);
		removed = next;
		if (!vma->anon_vma && next->anon_vma) {
			vma->anon_vma = next->anon_vma;
			anon_vma_link(vma);
		}
	}
	if (mapping)
		spin_lock(&mapping->mmap_lock);
	vma->start = start;
	vma->end = end;
	vma->pgoff = pgoff;
	if (removed) {
		vma->next = removed->next;
		rb_erase(&removed->rb, &mm->rb);
		mm->mmap_cache = vma;
	} else if (next && !insert && end > next->start) {
		next->pgoff += (end - next->start) >> PAGE_SHIFT;
		next->start = end;
	}
	if (mapping)
		spin_unlock(&mapping->mmap_lock);
	if (insert) {
		if (insert->anon_vma)
			anon_vma_link(insert);
		vma_insert_sorted(mm, insert);
		vma_link_file(insert);
	}
	if (removed) {
		vma_unlink_file(removed);
		anon_vma_unlink(removed);
		if (removed->file)
			fput(removed->file);
		mm->map_count--;
		kmem_cache_free(&vma_cache, removed);
	}
}

static always_inline bool same_kind(struct vma *vma, ulong flags, struct file *file)
{
	return vma->flags == flags && vma->file == file;
}

static always_inline bool anon_compatible(struct anon_vma *a, struct anon_vma *b)
{
	return !a || !b || a == b;
}

/* The area takes over pages that belong to `anon`. */
static always_inline void adopt_anon(struct vma *vma, struct anon_vma *anon)
{
	if (!vma->anon_vma && anon) {
		vma->anon_vma = anon;
		anon_vma_link(vma);
	}
}

/* Extends a neighbour over [start, end) when it may hold it: `prev`, its successor or both. Null when none may. */
noinline struct vma *vma_merge(struct mm *mm, struct vma *prev, ulong start, ulong end, ulong flags, struct anon_vma *anon,
                               struct file *file, ulong pgoff)
{
	ulong pages = (end - start) >> PAGE_SHIFT;
	struct vma *area, *next;

	area = prev ? prev->next : mm->mmap;
	next = area;
	if (next && next->end == end)
		next = next->next;
	if (prev && prev->end == start && same_kind(prev, flags, file) && anon_compatible(anon, prev->anon_vma) &&
	    prev->pgoff + vma_pages(prev) == pgoff) {
		adopt_anon(prev, anon);
		if (next == area && next && next->start == end && same_kind(next, flags, file) &&
		    anon_compatible(prev->anon_vma, next->anon_vma) && next->pgoff == pgoff + pages)
			vma_adjust(prev, prev->start, next->end, prev->pgoff, NULL);
		else
			vma_adjust(prev, prev->start, end, prev->pgoff, NULL);
		return prev;
	}
	if (next && next->start == end && same_kind(next, flags, file) && anon_compatible(anon, next->anon_vma) &&
	    next->pgoff == pgoff + pages) {
		if (area != next)
			return NULL;
		adopt_anon(next, anon);
		if (prev && start < prev->end)
			vma_adjust(prev, prev->start, start, prev->pgoff, NULL);
		vma_adjust(next, start, next->end, pgoff, NULL);
		return next;
	}
	return NULL;
}

/* Cuts an area in two at `address`; the new one takes the lower part if asked. */
noinline int split_vma(struct mm *mm, struct vma *vma, ulong address, bool new_below)
{
	struct vma *new = kmem_cache_alloc(&vma_cache, GFP_KERNEL);

	(void)mm;
	if (!new)
		return -ENOMEM;
	*new = *vma;
	if (new_below) {
		new->end = address;
	} else {
		new->start = address;
		new->pgoff += (address - vma->start) >> PAGE_SHIFT;
	}
	if (new->file)
		get_file(new->file);
	if (new_below)
		vma_adjust(vma, address, vma->end, vma->pgoff + ((address - new->start) >> PAGE_SHIFT), new);
	else
		vma_adjust(vma, vma->start, address, vma->pgoff, new);
	return 0;
}

/* Frees an area that is in no list any more; returns its successor. */
noinline struct vma *remove_vma(struct vma *vma)
{
	struct vma *next = vma->next;

	if (vma->file)
		fput(vma->file);
	kmem_cache_free(&vma_cache, vma);
	return next;
}
