/* mmap, munmap, stack growth, the end of an address space. */
#include "fs.h"
#include "mm.h"
#include "sched.h"

#define READ_BITS (_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX)
#define EXEC_BITS (_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED)
#define WRITE_BITS (READ_BITS | _PAGE_RW)
#define WRITE_EXEC_BITS (EXEC_BITS | _PAGE_RW)

/* By VM_READ | VM_WRITE | VM_EXEC | VM_SHARED. Private mappings are never writable at first: the fault decides. */
const pgprot_t protection_map[16] = {
	READ_BITS, READ_BITS, READ_BITS, READ_BITS, EXEC_BITS, EXEC_BITS, EXEC_BITS, EXEC_BITS,
	READ_BITS, READ_BITS, WRITE_BITS, WRITE_BITS, EXEC_BITS, EXEC_BITS, WRITE_EXEC_BITS, WRITE_EXEC_BITS,
};

atomic_t committed_space;

/* Refuses what RAM could never back. */
noinline int security_vm_enough_memory(struct mm *mm, long pages)
{
	long allowed = (long)(zone.present - zone.present / 8);

	atomic_add((int)pages, &committed_space);
	if (capable(21))
		allowed += (long)(zone.present / 32);
	if (mm)
		allowed -= (long)(mm->total_vm / 32);
	if (atomic_read(&committed_space) < allowed)
		return 0;
	atomic_add((int)-pages, &committed_space);
	return -ENOMEM;
}

noinline void vm_stat_account(struct mm *mm, ulong flags, struct file *file, long pages)
{
	if (file) {
		mm->shared_vm += (ulong)pages;
		if ((flags & (VM_EXEC | VM_WRITE)) == VM_EXEC)
			mm->exec_vm += (ulong)pages;
	} else if (flags & VM_GROWSDOWN) {
		mm->stack_vm += (ulong)pages;
	} else {
		mm->data_vm += (ulong)pages;
	}
}

/* First hole of `length` at or above the hint. */
static noinline ulong get_unmapped_area(struct mm *mm, ulong address, ulong length, ulong flags)
{
	struct vma *vma;

	if (length > USER_LIMIT)
		return -ENOMEM;
	if (flags & MAP_FIXED) {
		if ((address & ~PAGE_MASK) || address > USER_LIMIT - length)
			return -EINVAL;
		return address;
	}
	if (address) {
		address = PAGE_ALIGN(address);
		vma = find_vma(mm, address);
		if (USER_LIMIT - length >= address && (!vma || address + length <= vma->start))
			return address;
	}
	if (length > mm->cached_hole) {
		address = mm->free_area_cache;
	} else {
		address = MMAP_BASE;
		mm->free_area_cache = MMAP_BASE;
		mm->cached_hole = 0;
	}
	for (vma = find_vma(mm, address);; vma = vma->next) {
		if (USER_LIMIT - length < address)
			return -ENOMEM;
		if (!vma || address + length <= vma->start) {
			mm->free_area_cache = address + length;
			return address;
		}
		if (address + mm->cached_hole < vma->start)
			mm->cached_hole = vma->start - address;
		address = vma->end;
	}
}

static noinline int file_mmap_allowed(struct file *file, ulong prot, ulong flags)
{
	if (!(file->mode & FMODE_READ))
		return -EACCES;
	if ((flags & MAP_SHARED) && (prot & PROT_WRITE) && !(file->mode & FMODE_WRITE))
		return -EACCES;
	return inode_permission(file->inode, prot & PROT_WRITE && flags & MAP_SHARED ? 2 : 4);
}

static always_inline ulong calc_vm_flags(ulong prot, ulong flags)
{
	ulong vm = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;

	vm |= (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0) | (prot & PROT_EXEC ? VM_EXEC : 0);
	if (flags & MAP_SHARED)
		vm |= VM_SHARED;
	return vm;
}

static noinline ulong mmap_region(struct mm *mm, struct file *file, ulong address, ulong length, ulong flags, ulong pgoff)
{
	struct rb_node **link, *parent;
	struct vma *prev, *vma;

	for (;;) {
		vma = find_vma_prepare(mm, address, &prev, &link, &parent);
		if (!vma || vma->start >= address + length)
			break;
		if (do_munmap(mm, address, length))
			return -ENOMEM;
	}
	if ((flags & (VM_SHARED | VM_WRITE)) == VM_WRITE) {
		if (security_vm_enough_memory(mm, (long)(length >> PAGE_SHIFT)))
			return -ENOMEM;
		flags |= VM_ACCOUNT;
		mm->committed += length >> PAGE_SHIFT;
	}
	vma = file ? NULL : vma_merge(mm, prev, address, address + length, flags, NULL, NULL, pgoff);
	if (!vma) {
		vma = kmem_cache_alloc(&vma_cache, GFP_KERNEL);
		if (!vma)
			return -ENOMEM;
		vma->mm = mm;
		vma->start = address;
		vma->end = address + length;
		vma->flags = flags;
		vma->page_prot = protection_map[flags & 15];
		vma->pgoff = pgoff;
		vma->file = file;
		vma->anon_vma = NULL;
		if (file) {
			get_file(file);
			touch_atime(file->inode);
		}
		vma_link(mm, vma, prev, link, parent);
	}
	mm->total_vm += length >> PAGE_SHIFT;
	if (mm->hiwater_vm < mm->total_vm)
		mm->hiwater_vm = mm->total_vm;
	vm_stat_account(mm, flags, file, (long)(length >> PAGE_SHIFT));
	return address;
}

/* Maps `length` bytes; the caller holds mmap_sem for writing. Returns the address or a negative error. */
noinline ulong do_mmap(struct file *file, ulong address, ulong length, ulong prot, ulong flags, ulong pgoff)
{
	struct mm *mm = current->mm;

	length = PAGE_ALIGN(length);
	if (!length)
		return -EINVAL;
	if (mm->map_count > 4096)
		return -ENOMEM;
	address = get_unmapped_area(mm, address, length, flags);
	if (IS_ERR_VALUE(address))
		return address;
	if (file) {
		int error = file_mmap_allowed(file, prot, flags);

		if (error)
			return (ulong)error;
	} else {
		pgoff = address >> PAGE_SHIFT;
	}
	return mmap_region(mm, file, address, length, calc_vm_flags(prot, flags), pgoff);
}

/* Takes the areas of [start, end) out of the list and the tree; returns the first. */
static noinline struct vma *detach_vmas(struct mm *mm, struct vma *vma, struct vma *prev, ulong end)
{
	struct vma *first = vma, *tail = NULL;

	while (vma && vma->start < end) {
		rb_erase(&vma->rb, &mm->rb);
		mm->map_count--;
		tail = vma;
		vma = vma->next;
	}
	if (prev)
		prev->next = vma;
	else
		mm->mmap = vma;
	tail->next = NULL;
	mm->mmap_cache = NULL;
	return first;
}

static noinline void remove_vma_list(struct mm *mm, struct vma *vma)
{
	while (vma) {
		long pages = (long)vma_pages(vma);

		mm->total_vm -= (ulong)pages;
		if (vma->flags & VM_ACCOUNT) {
			atomic_add((int)-pages, &committed_space);
			mm->committed -= (ulong)pages;
		}
		vm_stat_account(mm, vma->flags, vma->file, -pages);
		vma = remove_vma(vma);
	}
}

noinline int do_munmap(struct mm *mm, ulong start, ulong length)
{
	struct vma *vma, *prev, *last;
	ulong end;

	if ((start & ~PAGE_MASK) || start > USER_LIMIT || length > USER_LIMIT - start)
		return -EINVAL;
	length = PAGE_ALIGN(length);
	if (!length)
		return -EINVAL;
	end = start + length;
	vma = find_vma_prev(mm, start, &prev);
	if (!vma || vma->start >= end)
		return 0;
	if (start > vma->start) {
		int error = split_vma(mm, vma, start, false);

		if (error)
			return error;
		prev = vma;
	}
	last = find_vma(mm, end);
	if (last && end > last->start) {
		int error = split_vma(mm, last, end, true);

		if (error)
			return error;
	}
	vma = prev ? prev->next : mm->mmap;
	vma = detach_vmas(mm, vma, prev, end);
	unmap_region(mm, vma, prev, start, end);
	remove_vma_list(mm, vma);
	if (start >= MMAP_BASE && start < mm->free_area_cache) {
		mm->free_area_cache = start;
		mm->cached_hole = ~0ul;
	}
	return 0;
}

/* Grows a stack area down to `address`, within its limit. */
noinline int expand_stack(struct vma *vma, ulong address)
{
	ulong pages;

	address &= PAGE_MASK;
	if (anon_vma_prepare(vma))
		return -ENOMEM;
	spin_lock(&vma->anon_vma->lock);
	if (address < vma->start) {
		pages = (vma->start - address) >> PAGE_SHIFT;
		if (vma->end - address > STACK_LIMIT || pages > vma->pgoff || security_vm_enough_memory(vma->mm, (long)pages)) {
			spin_unlock(&vma->anon_vma->lock);
			return -ENOMEM;
		}
		vma->mm->total_vm += pages;
		vma->mm->committed += pages;
		vm_stat_account(vma->mm, vma->flags, NULL, (long)pages);
		vma->start = address;
		vma->pgoff -= pages;
	}
	spin_unlock(&vma->anon_vma->lock);
	return 0;
}

noinline void exit_mmap(struct mm *mm)
{
	struct mmu_gather *tlb;
	struct vma *vma = mm->mmap;

	pv_exit_mmap(mm);
	if (!vma)
		return;
	lru_add_drain();
	tlb = tlb_gather_mmu(mm, true);
	unmap_vmas(tlb, vma, 0, USER_LIMIT);
	atomic_add(-(int)mm->committed, &committed_space);
	free_pgtables(tlb, vma, 0, 0);
	tlb_finish_mmu(tlb);
	while (vma)
		vma = remove_vma(vma);
	BUG_ON(mm->nr_ptes != 0 || mm->rss[MM_FILE] != 0 || mm->rss[MM_ANON] != 0);
}
