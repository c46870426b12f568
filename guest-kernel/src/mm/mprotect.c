/* mprotect. */
#include "fs.h"
#include "mm.h"
#include "sched.h"

static noinline void change_pte_range(struct mm *mm, pmd_t *pmd, ulong address, ulong end, pgprot_t prot, bool dirty_accountable)
{
	pte_t *pte = pte_offset(pmd, address);

	spin_lock(&mm->page_table_lock);
	enter_lazy_mmu_mode();
	do {
		pte_t old = *pte;

		if (pte_present(old)) {
			pte_t entry = ptep_modify_prot_start(mm, address, pte);

			entry = pte_modify(entry, prot);
			/* A dirty page of a shared mapping needs no fault to be known as dirty. */
			if (dirty_accountable && pte_dirty(entry))
				entry = pte_set(entry, _PAGE_RW);
			ptep_modify_prot_commit(mm, address, pte, entry);
		}
	} while (pte++, address += PAGE_SIZE, address != end);
	leave_lazy_mmu_mode();
	spin_unlock(&mm->page_table_lock);
}

static noinline void change_pmd_range(struct mm *mm, pud_t *pud, ulong address, ulong end, pgprot_t prot, bool dirty_accountable)
{
	pmd_t *pmd = pmd_offset(pud, address);
	ulong next;

	do {
		next = level_end(address, end, PMD_SIZE);
		if (pmd_none(*pmd))
			continue;
		if (unlikely(pmd_bad(*pmd)))
			pgd_clear_bad((pgd_t *)pmd);
		change_pte_range(mm, pmd, address, next, prot, dirty_accountable);
	} while (pmd++, address = next, address != end);
}

static noinline void change_pud_range(struct mm *mm, pgd_t *pgd, ulong address, ulong end, pgprot_t prot, bool dirty_accountable)
{
	pud_t *pud = pud_offset(pgd, address);
	ulong next;

	do {
		next = level_end(address, end, PUD_SIZE);
		if (pud_none(*pud))
			continue;
		if (unlikely(pud_bad(*pud)))
			pgd_clear_bad((pgd_t *)pud);
		change_pmd_range(mm, pud, address, next, prot, dirty_accountable);
	} while (pud++, address = next, address != end);
}

static noinline void change_protection(struct vma *vma, ulong address, ulong end, pgprot_t prot, bool dirty_accountable)
{
	ulong start = address, next;
	pgd_t *pgd = pgd_offset(vma->mm, address);

	do {
		next = level_end(address, end, PGDIR_SIZE);
		if (pgd_none(*pgd))
			continue;
		if (unlikely(pgd_bad(*pgd)))
			pgd_clear_bad(pgd);
		change_pud_range(vma->mm, pgd, address, next, prot, dirty_accountable);
	} while (pgd++, address = next, address != end);
	flush_tlb_range(vma, start, end);
}

static noinline int mprotect_fixup(struct vma *vma, struct vma **prev, ulong start, ulong end, ulong flags)
{
	struct mm *mm = vma->mm;
	ulong old_flags = vma->flags;
	long pages = (long)((end - start) >> PAGE_SHIFT);
	ulong charged = 0;
	struct vma *merged;

	if (flags == old_flags) {
		*prev = vma;
		return 0;
	}
	if ((flags & VM_WRITE) && !(old_flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED))) {
		if (security_vm_enough_memory(mm, pages))
			return -ENOMEM;
		charged = (ulong)pages;
		flags |= VM_ACCOUNT;
	}
	merged = vma_merge(mm, *prev, start, end, flags, vma->anon_vma, vma->file,
	                   vma->pgoff + ((start - vma->start) >> PAGE_SHIFT));
	if (merged) {
		*prev = vma = merged;
	} else {
		*prev = vma;
		if ((start != vma->start && split_vma(mm, vma, start, true)) || (end != vma->end && split_vma(mm, vma, end, false))) {
			atomic_add(-(int)charged, &committed_space);
			return -ENOMEM;
		}
	}
	mm->committed += charged;
	vma->flags = flags;
	vma->page_prot = protection_map[flags & 15];
	change_protection(vma, start, end, vma->page_prot, (flags & (VM_SHARED | VM_WRITE)) == (VM_SHARED | VM_WRITE));
	vm_stat_account(mm, old_flags, vma->file, -pages);
	vm_stat_account(mm, flags, vma->file, pages);
	return 0;
}

asmlinkage long sys_mprotect(ulong start, ulong length, ulong prot);

noinline asmlinkage long sys_mprotect(ulong start, ulong length, ulong prot)
{
	struct mm *mm = current->mm;
	ulong end, next, wanted;
	struct vma *vma, *prev;
	long error = -ENOMEM;

	if (start & ~PAGE_MASK)
		return -EINVAL;
	length = PAGE_ALIGN(length);
	end = start + length;
	if (!length || end <= start || end > USER_LIMIT)
		return length ? -ENOMEM : 0;
	wanted = (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0) | (prot & PROT_EXEC ? VM_EXEC : 0);
	down_write(&mm->mmap_sem);
	vma = find_vma_prev(mm, start, &prev);
	if (!vma || vma->start > start)
		goto out;
	if (start > vma->start)
		prev = vma;
	for (;;) {
		ulong flags = wanted | (vma->flags & ~(VM_READ | VM_WRITE | VM_EXEC));

		/* What the mapping may ever allow lies four bits above what it allows now. */
		if (flags & ~(flags >> 4) & (VM_READ | VM_WRITE | VM_EXEC)) {
			error = -EACCES;
			goto out;
		}
		next = min(vma->end, end);
		error = mprotect_fixup(vma, &prev, start, next, flags);
		if (error)
			goto out;
		start = max(next, prev->end);
		if (start >= end)
			goto out;
		vma = prev->next;
		if (!vma || vma->start != start) {
			error = -ENOMEM;
			goto out;
		}
	}
out:
	up_write(&mm->mmap_sem);
	return error;
}
