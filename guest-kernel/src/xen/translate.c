/* Frames of the guest and of the machine, and page-table values made of the one and the other (domain.md §5.2). */
#include "xen.h"

#if GUEST_XEN

#define LEAF_FRAMES 512
#define LEAVES 512

static const ulong *p2m_leaf[LEAVES];

/* The loader's list is used in place. */
noinline void xen_p2m_init(const struct start_info *info)
{
	const ulong *list = (const ulong *)info->mfn_list;

	for (ulong pfn = 0; pfn < info->nr_pages; pfn += LEAF_FRAMES)
		p2m_leaf[pfn / LEAF_FRAMES] = list + pfn;
}

noinline ulong pfn_to_mfn(ulong pfn)
{
	const ulong *leaf;

	if (unlikely(pfn >= LEAVES * LEAF_FRAMES))
		return INVALID_FRAME;
	leaf = p2m_leaf[pfn / LEAF_FRAMES];
	return likely(leaf) ? leaf[pfn % LEAF_FRAMES] & ~FOREIGN_FRAME : INVALID_FRAME;
}

/* A frame that the table has no entry for gives garbage, not a crash: the load may fault. */
static noinline ulong mfn_to_pfn(ulong mfn)
{
	ulong pfn = 0;

	asm volatile(".globl xen_m2p_load, xen_m2p_loaded\n"
	             "xen_m2p_load:\n\t"
	             "movq (%1), %0\n"
	             "xen_m2p_loaded:"
	             : "+r"(pfn)
	             : "r"(MACHINE_TO_PHYS + mfn));
	return pfn;
}

static always_inline ulong value_of_entry(ulong entry)
{
	if (!(entry & _PAGE_PRESENT) || xen_feature(FEATURE_AUTO_TRANSLATED))
		return entry;
	return mfn_to_pfn((entry & PTE_PFN_MASK) >> PAGE_SHIFT) << PAGE_SHIFT | (entry & PTE_FLAGS_MASK);
}

static always_inline ulong entry_of_value(ulong value)
{
	if (!(value & _PAGE_PRESENT) || xen_feature(FEATURE_AUTO_TRANSLATED))
		return value;
	return pfn_to_mfn((value & PTE_PFN_MASK) >> PAGE_SHIFT) << PAGE_SHIFT | (value & PTE_FLAGS_MASK);
}

ulong xen_pte_val(ulong entry);
ulong xen_pmd_val(ulong entry);
ulong xen_pud_val(ulong entry);
ulong xen_pgd_val(ulong entry);
ulong xen_make_pte(ulong value);
ulong xen_make_pmd(ulong value);
ulong xen_make_pud(ulong value);
ulong xen_make_pgd(ulong value);

noinline ulong xen_pte_val(ulong entry) { return value_of_entry(entry); }
noinline ulong xen_pmd_val(ulong entry) { return value_of_entry(entry); }
noinline ulong xen_pud_val(ulong entry) { return value_of_entry(entry); }
noinline ulong xen_pgd_val(ulong entry) { return value_of_entry(entry); }
noinline ulong xen_make_pte(ulong value) { return entry_of_value(value); }
noinline ulong xen_make_pmd(ulong value) { return entry_of_value(value); }
noinline ulong xen_make_pud(ulong value) { return entry_of_value(value); }
noinline ulong xen_make_pgd(ulong value) { return entry_of_value(value); }

#if PV_CALLEE_SAVE_PTE
PV_CALLEE_SAVE_REGS_THUNK(xen_pte_val);
PV_CALLEE_SAVE_REGS_THUNK(xen_pmd_val);
PV_CALLEE_SAVE_REGS_THUNK(xen_pud_val);
PV_CALLEE_SAVE_REGS_THUNK(xen_pgd_val);
PV_CALLEE_SAVE_REGS_THUNK(xen_make_pte);
PV_CALLEE_SAVE_REGS_THUNK(xen_make_pmd);
PV_CALLEE_SAVE_REGS_THUNK(xen_make_pud);
PV_CALLEE_SAVE_REGS_THUNK(xen_make_pgd);
#endif

#endif
