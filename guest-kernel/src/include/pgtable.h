/* Four-level page tables: entry types, their values through the mmu ops, and walking. */
#ifndef PGTABLE_H
#define PGTABLE_H

#include "pv_call.h"
#include "atomic.h"

typedef struct { ulong pte; } pte_t;
typedef struct { ulong pmd; } pmd_t;
typedef struct { ulong pud; } pud_t;
typedef struct { ulong pgd; } pgd_t;
typedef ulong pgprot_t;

/* Intel SDM vol. 3, 4.5. */
#define _PAGE_BIT_RW 1
#define _PAGE_BIT_ACCESSED 5
#define _PAGE_BIT_DIRTY 6
#define _PAGE_PRESENT 0x001ul
#define _PAGE_RW 0x002ul
#define _PAGE_USER 0x004ul
#define _PAGE_ACCESSED 0x020ul
#define _PAGE_DIRTY 0x040ul
#define _PAGE_PSE 0x080ul
#define _PAGE_GLOBAL 0x100ul
#define _PAGE_NX (1ul << 63)
#define PTE_PFN_MASK 0x00003ffffffff000ul
#define PTE_FLAGS_MASK (~PTE_PFN_MASK)
#define _PAGE_CHG_MASK (PTE_PFN_MASK | _PAGE_ACCESSED | _PAGE_DIRTY)
#define _PAGE_TABLE (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY)

#define PMD_SHIFT 21
#define PUD_SHIFT 30
#define PGDIR_SHIFT 39
#define PMD_SIZE (1ul << PMD_SHIFT)
#define PUD_SIZE (1ul << PUD_SHIFT)
#define PGDIR_SIZE (1ul << PGDIR_SHIFT)
#define PTRS_PER_TABLE 512
#define KERNEL_PGD_FIRST 256

struct mm;
struct vma;

#define va(phys) ((void *)((ulong)(phys) + DIRECT_MAP))

static always_inline ulong pa(const void *address)
{
	ulong virt = (ulong)address;

	return virt >= KERNEL_WINDOW ? virt - KERNEL_WINDOW : virt - DIRECT_MAP;
}

static always_inline pte_t native_make(ulong value)
{
	return (pte_t){ value };
}

/* Values of entries. The flags of a pte need no op, its frame number does (domain.md §0.1). */
#if !CONFIG_PARAVIRT
static always_inline ulong pte_val(pte_t e) { return e.pte; }
static always_inline ulong pmd_val(pmd_t e) { return e.pmd; }
static always_inline ulong pud_val(pud_t e) { return e.pud; }
static always_inline ulong pgd_val(pgd_t e) { return e.pgd; }
static always_inline pte_t make_pte(ulong v) { return (pte_t){ v }; }
static always_inline pmd_t make_pmd(ulong v) { return (pmd_t){ v }; }
static always_inline pud_t make_pud(ulong v) { return (pud_t){ v }; }
static always_inline pgd_t make_pgd(ulong v) { return (pgd_t){ v }; }
#else
#if PV_CALLEE_SAVE_PTE
#define PV_PTE_CALL(op, v) PV_CALLEE1(op.func, CLBR_RET, v)
#else
#define PV_PTE_CALL(op, v) PV_CALL1(op, v)
#endif
static always_inline ulong pte_val(pte_t e) { return PV_PTE_CALL(pv_mmu_ops.pte_val, e.pte); }
static always_inline ulong pmd_val(pmd_t e) { return PV_PTE_CALL(pv_mmu_ops.pmd_val, e.pmd); }
/* The conversion to callee-save missed this one until F1. */
#if PV_CALLEE_SAVE_PTE && !PV_F1
static always_inline ulong pud_val(pud_t e) { return PV_CALL1(pv_mmu_ops.pud_val.func, e.pud); }
#else
static always_inline ulong pud_val(pud_t e) { return PV_PTE_CALL(pv_mmu_ops.pud_val, e.pud); }
#endif
static always_inline ulong pgd_val(pgd_t e) { return PV_PTE_CALL(pv_mmu_ops.pgd_val, e.pgd); }
static always_inline pte_t make_pte(ulong v) { return (pte_t){ PV_PTE_CALL(pv_mmu_ops.make_pte, v) }; }
static always_inline pmd_t make_pmd(ulong v) { return (pmd_t){ PV_PTE_CALL(pv_mmu_ops.make_pmd, v) }; }
static always_inline pud_t make_pud(ulong v) { return (pud_t){ PV_PTE_CALL(pv_mmu_ops.make_pud, v) }; }
static always_inline pgd_t make_pgd(ulong v) { return (pgd_t){ PV_PTE_CALL(pv_mmu_ops.make_pgd, v) }; }
#endif

/* Native stores and read-modify-writes. */
static always_inline pte_t native_get_and_clear(pte_t *ptep)
{
	return native_make(exchange(&ptep->pte, 0));
}

static always_inline void native_flush_tlb_one(ulong address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void native_flush_tlb(void);
void native_flush_tlb_global(void);
int native_pgd_alloc(struct mm *mm);

#if CONFIG_PARAVIRT
#define set_pte(ptep, e) ((void)PV_CALL2(pv_mmu_ops.set_pte, ptep, (e).pte))
#define set_pte_at(mm, a, ptep, e) ((void)PV_CALL4(pv_mmu_ops.set_pte_at, mm, a, ptep, (e).pte))
#define set_pmd(pmdp, e) ((void)PV_CALL2(pv_mmu_ops.set_pmd, pmdp, (e).pmd))
#define set_pud(pudp, e) ((void)PV_CALL2(pv_mmu_ops.set_pud, pudp, (e).pud))
#define set_pgd(pgdp, e) ((void)PV_CALL2(pv_mmu_ops.set_pgd, pgdp, (e).pgd))
#define pte_update(mm, a, ptep) ((void)PV_CALL3(pv_mmu_ops.pte_update, mm, a, ptep))
#define pte_update_defer(mm, a, ptep) ((void)PV_CALL3(pv_mmu_ops.pte_update_defer, mm, a, ptep))
#define ptep_modify_prot_start(mm, a, ptep) ((pte_t){ PV_CALL3(pv_mmu_ops.ptep_modify_prot_start, mm, a, ptep) })
#define ptep_modify_prot_commit(mm, a, ptep, e) ((void)PV_CALL4(pv_mmu_ops.ptep_modify_prot_commit, mm, a, ptep, (e).pte))
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
#define set_pte(ptep, e) ((void)(*(ptep) = (e)))
#define set_pte_at(mm, a, ptep, e) ((void)(mm), (void)(a), ((void)(*(ptep) = (e))))
#define set_pmd(pmdp, e) ((void)(*(pmdp) = (e)))
#define set_pud(pudp, e) ((void)(*(pudp) = (e)))
#define set_pgd(pgdp, e) ((void)(*(pgdp) = (e)))
#define pte_update(mm, a, ptep) ((void)(mm), (void)(a), ((void)0))
#define pte_update_defer(mm, a, ptep) ((void)(mm), (void)(a), ((void)0))
#define ptep_modify_prot_start(mm, a, ptep) ((void)(mm), (void)(a), native_get_and_clear(ptep))
#define ptep_modify_prot_commit(mm, a, ptep, e) ((void)(mm), (void)(a), ((void)(*(ptep) = (e))))
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

static always_inline ulong pte_flags(pte_t e) { return e.pte & PTE_FLAGS_MASK; }
static always_inline bool pte_none(pte_t e) { return !e.pte; }
static always_inline bool pte_present(pte_t e) { return e.pte & _PAGE_PRESENT; }
static always_inline bool pte_write(pte_t e) { return e.pte & _PAGE_RW; }
static always_inline bool pte_dirty(pte_t e) { return e.pte & _PAGE_DIRTY; }
static always_inline bool pte_young(pte_t e) { return e.pte & _PAGE_ACCESSED; }
static always_inline pte_t pte_set(pte_t e, ulong flags) { return native_make(e.pte | flags); }
static always_inline pte_t pte_clear(pte_t e, ulong flags) { return native_make(e.pte & ~flags); }
static always_inline ulong pte_pfn(pte_t e) { return (pte_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }
static always_inline pte_t pfn_pte(ulong pfn, pgprot_t prot) { return make_pte(pfn << PAGE_SHIFT | prot); }

static always_inline pte_t pte_modify(pte_t e, pgprot_t prot)
{
	ulong value = pte_val(e);

	return make_pte((value & _PAGE_CHG_MASK) | (prot & ~_PAGE_CHG_MASK));
}

static always_inline bool pmd_none(pmd_t e) { return !e.pmd; }
static always_inline bool pud_none(pud_t e) { return !e.pud; }
static always_inline bool pgd_none(pgd_t e) { return !e.pgd; }

#define TABLE_BITS_BAD(flags) (((flags) & PTE_FLAGS_MASK & ~(_PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY)) != (_PAGE_PRESENT | _PAGE_RW))
static always_inline bool pmd_bad(pmd_t e) { return TABLE_BITS_BAD(e.pmd); }
static always_inline bool pud_bad(pud_t e) { return TABLE_BITS_BAD(e.pud); }
static always_inline bool pgd_bad(pgd_t e) { return TABLE_BITS_BAD(e.pgd); }

static always_inline ulong pmd_pfn(pmd_t e) { return (pmd_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }
static always_inline ulong pud_pfn(pud_t e) { return (pud_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }
static always_inline ulong pgd_pfn(pgd_t e) { return (pgd_val(e) & PTE_PFN_MASK) >> PAGE_SHIFT; }

static always_inline ulong table_index(ulong address, int shift)
{
	return (address >> shift) & (PTRS_PER_TABLE - 1);
}

static always_inline pud_t *pud_offset(pgd_t *pgd, ulong address)
{
	return (pud_t *)va(pgd_val(*pgd) & PTE_PFN_MASK) + table_index(address, PUD_SHIFT);
}

static always_inline pmd_t *pmd_offset(pud_t *pud, ulong address)
{
	return (pmd_t *)va(pud_val(*pud) & PTE_PFN_MASK) + table_index(address, PMD_SHIFT);
}

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

extern pgd_t boot_pgd[PTRS_PER_TABLE];

#endif
