/* Page tables: entry types, their values through the mmu ops, and walking. Levels that a paging does not have fold into the one above. */
#ifndef PGTABLE_H
#define PGTABLE_H

#include "pv_call.h"
#include "atomic.h"

/* Intel SDM vol. 3, 4.5. The mask of the frame number and the bit against execution differ between the pagings. */
#define _PAGE_BIT_RW 1
#define _PAGE_BIT_ACCESSED 5
#define _PAGE_BIT_DIRTY 6
#define _PAGE_PRESENT ((pteval_t)0x001)
#define _PAGE_RW ((pteval_t)0x002)
#define _PAGE_USER ((pteval_t)0x004)
#define _PAGE_ACCESSED ((pteval_t)0x020)
#define _PAGE_DIRTY ((pteval_t)0x040)
#define _PAGE_PSE ((pteval_t)0x080)
#define _PAGE_GLOBAL ((pteval_t)0x100)
#define PTE_FLAGS_MASK (~PTE_PFN_MASK)
#define _PAGE_CHG_MASK (PTE_PFN_MASK | _PAGE_ACCESSED | _PAGE_DIRTY)
#define _PAGE_TABLE (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY)
#define TABLE_BITS_BAD(flags) (((flags) & PTE_FLAGS_MASK & ~(_PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY)) != (_PAGE_PRESENT | _PAGE_RW))

#define PMD_SIZE (1ul << PMD_SHIFT)
#define PUD_SIZE (1ul << PUD_SHIFT)
#define PGDIR_SIZE (1ul << PGDIR_SHIFT)

struct mm;
struct vma;

#define va(phys) ((void *)((ulong)(phys) + DIRECT_MAP))
#define table_index(address, shift) (((address) >> (shift)) & (PTRS_PER_TABLE - 1))

/*
 * Each paging has: the values of entries through the ops (the flags of a pte need none, its frame number does, domain.md §0.1),
 * native stores, what sets entries through the ops, and how levels are walked.
 */
#if BITS64
#include "pgtable_64.h"
#elif PAE
#include "pgtable_pae.h"
#else
#include "pgtable_2level.h"
#endif

typedef pteval_t pgprot_t;

static always_inline ulong pa(const void *address)
{
	ulong virt = (ulong)address;

#if BITS64
	return virt >= KERNEL_WINDOW ? virt - KERNEL_WINDOW : virt - DIRECT_MAP;
#else
	return virt - DIRECT_MAP;
#endif
}

static always_inline pte_t native_make(pteval_t value)
{
	return (pte_t){ value };
}

static always_inline void native_flush_tlb_one(ulong address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void native_flush_tlb(void);
void native_flush_tlb_global(void);
int native_pgd_alloc(struct mm *mm);

#if CONFIG_PARAVIRT
#define pte_update(mm, a, ptep) ((void)PV_CALL3(pv_mmu_ops.pte_update, mm, a, ptep))
#define pte_update_defer(mm, a, ptep) ((void)PV_CALL3(pv_mmu_ops.pte_update_defer, mm, a, ptep))
#define pv_alloc_pte(mm, pfn) ((void)PV_CALL2(pv_mmu_ops.alloc_pte, mm, pfn))
#define pv_alloc_pmd(mm, pfn) ((void)PV_CALL2(pv_mmu_ops.alloc_pmd, mm, pfn))
#define pv_alloc_pud(mm, pfn) ((void)PV_CALL2(pv_mmu_ops.alloc_pud, mm, pfn))
#define pv_release_pte(pfn) ((void)PV_CALL1(pv_mmu_ops.release_pte, pfn))
#define pv_release_pmd(pfn) ((void)PV_CALL1(pv_mmu_ops.release_pmd, pfn))
#define pv_release_pud(pfn) ((void)PV_CALL1(pv_mmu_ops.release_pud, pfn))
#define pv_pgd_alloc(mm) ((int)PV_CALL1(pv_mmu_ops.pgd_alloc, mm))
#define pv_pgd_free(mm, pgd) ((void)PV_CALL2(pv_mmu_ops.pgd_free, mm, pgd))
#define pv_activate_mm(prev, next) ((void)PV_CALL2(pv_mmu_ops.activate_mm, prev, next))
#define pv_dup_mmap(oldmm, mm) ((void)PV_CALL2(pv_mmu_ops.dup_mmap, oldmm, mm))
#define pv_exit_mmap(mm) ((void)PV_CALL1(pv_mmu_ops.exit_mmap, mm))
#define flush_tlb() ((void)PV_CALL0(pv_mmu_ops.flush_tlb_user))
#define flush_tlb_all() ((void)PV_CALL0(pv_mmu_ops.flush_tlb_kernel))
#define flush_tlb_one(a) ((void)PV_CALL1(pv_mmu_ops.flush_tlb_single, a))
#define enter_lazy_mmu_mode() ((void)PV_CALL0(pv_mmu_ops.lazy_mode.enter))
#define leave_lazy_mmu_mode() ((void)PV_CALL0(pv_mmu_ops.lazy_mode.leave))
#else
#define set_pte(ptep, e) store_pte(ptep, e)
#define set_pte_at(mm, a, ptep, e) ((void)(mm), (void)(a), store_pte(ptep, e))
#define set_pmd(pmdp, e) store_pmd(pmdp, e)
#define set_pud(pudp, e) store_pud(pudp, e)
#define pte_update(mm, a, ptep) ((void)(mm), (void)(a), ((void)0))
#define pte_update_defer(mm, a, ptep) ((void)(mm), (void)(a), ((void)0))
#define ptep_modify_prot_start(mm, a, ptep) ((void)(mm), (void)(a), native_get_and_clear(ptep))
#define ptep_modify_prot_commit(mm, a, ptep, e) ((void)(mm), (void)(a), store_pte(ptep, e))
#define pv_alloc_pte(mm, pfn) ((void)(mm), (void)(pfn), ((void)0))
#define pv_alloc_pmd(mm, pfn) ((void)(mm), (void)(pfn), ((void)0))
#define pv_alloc_pud(mm, pfn) ((void)(mm), (void)(pfn), ((void)0))
#define pv_release_pte(pfn) ((void)(pfn))
#define pv_release_pmd(pfn) ((void)(pfn))
#define pv_release_pud(pfn) ((void)(pfn))
#define pv_pgd_alloc(mm) ((void)(mm), 0)
#define pv_pgd_free(mm, pgd) ((void)(mm), (void)(pgd), ((void)0))
#define pv_activate_mm(prev, next) ((void)(prev), (void)(next), ((void)0))
#define pv_dup_mmap(oldmm, mm) ((void)(mm), (void)(oldmm), ((void)0))
#define pv_exit_mmap(mm) ((void)(mm), ((void)0))
#define flush_tlb() native_flush_tlb()
#define flush_tlb_all() native_flush_tlb_global()
#define flush_tlb_one(a) native_flush_tlb_one(a)
#define enter_lazy_mmu_mode() ((void)0)
#define leave_lazy_mmu_mode() ((void)0)
#endif

static always_inline pteval_t pte_flags(pte_t e) { return e.pte & PTE_FLAGS_MASK; }
static always_inline bool pte_none(pte_t e) { return !e.pte; }
static always_inline bool pte_present(pte_t e) { return e.pte & _PAGE_PRESENT; }
static always_inline bool pte_write(pte_t e) { return e.pte & _PAGE_RW; }
static always_inline bool pte_dirty(pte_t e) { return e.pte & _PAGE_DIRTY; }
static always_inline bool pte_young(pte_t e) { return e.pte & _PAGE_ACCESSED; }
static always_inline pte_t pte_set(pte_t e, pteval_t flags) { return native_make(e.pte | flags); }
static always_inline pte_t pte_without(pte_t e, pteval_t flags) { return native_make(e.pte & ~flags); }
static always_inline ulong pte_pfn(pte_t e) { return (pte_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }
static always_inline pte_t pfn_pte(ulong pfn, pgprot_t prot) { return make_pte((pteval_t)pfn << PAGE_SHIFT | prot); }

static always_inline pte_t pte_modify(pte_t e, pgprot_t prot)
{
	pteval_t value = pte_val(e);

	return make_pte((value & _PAGE_CHG_MASK) | (prot & ~_PAGE_CHG_MASK));
}

static always_inline ulong pmd_pfn(pmd_t e) { return (pmd_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }

static always_inline pte_t *pte_offset(pmd_t *pmd, ulong address)
{
	return (pte_t *)va(pmd_val(*pmd) & PTE_PFN_MASK) + table_index(address, PAGE_SHIFT);
}

/* End of the part of [address, end) that one entry of the level covers; address space ends never wrap here. */
static always_inline ulong level_end(ulong address, ulong end, ulong size)
{
	ulong boundary = (address + size) & ~(size - 1);

	return boundary - 1 < end - 1 ? boundary : end;
}

extern pgd_t boot_pgd[PTRS_PER_PGD];

#endif
