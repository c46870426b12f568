/*
 * The op structures in template order: slot type = byte offset in struct paravirt_patch_template / pointer size (domain.md §1.2).
 * A slot of the callee-save convention is wrapped in a structure of one pointer, so that the layout never changes.
 */
#ifndef PV_TYPES_H
#define PV_TYPES_H

#include "types.h"

struct paravirt_callee_save {
	void *func;
};

#if PV_CALLEE_SAVE_IRQ
typedef struct paravirt_callee_save pv_irq_slot;
#define PV_IRQ_FUNC(op) op.func
#define PV_IRQ_SLOT(f) { (void *)(f) }
#else
typedef void *pv_irq_slot;
#define PV_IRQ_FUNC(op) op
#define PV_IRQ_SLOT(f) (void *)(f)
#endif

#if PV_CALLEE_SAVE_PTE
typedef struct paravirt_callee_save pv_pte_slot;
#define PV_PTE_FUNC(op) op.func
#define PV_PTE_SLOT(f) { (void *)(f) }
#else
typedef void *pv_pte_slot;
#define PV_PTE_FUNC(op) op
#define PV_PTE_SLOT(f) (void *)(f)
#endif

typedef void *pv_slot;

struct pv_init_ops {
	pv_slot patch, arch_setup, memory_setup, post_allocator_init, banner;
};

struct pv_time_ops {
	pv_slot time_init;
	ulong (*get_wallclock)(void);
	pv_slot set_wallclock, sched_clock;
	ulong (*get_tsc_khz)(void);
};

struct pv_lazy_ops {
	pv_slot enter, leave;
};

struct pv_cpu_ops {
	pv_slot get_debugreg, set_debugreg, clts, read_cr0, write_cr0, read_cr4_safe, read_cr4, write_cr4;
#if BITS64
	pv_slot read_cr8, write_cr8;
#endif
	pv_slot load_tr_desc, load_gdt, load_idt, store_gdt, store_idt, set_ldt, store_tr, load_tls;
#if BITS64
	pv_slot load_gs_index;
#endif
	pv_slot write_ldt_entry, write_gdt_entry, write_idt_entry, alloc_ldt, free_ldt, load_sp0, set_iopl_mask, wbinvd;
	void (*io_delay)(void);
	pv_slot cpuid, read_msr_amd, read_msr, write_msr, read_tsc, read_pmc, read_tscp;
	pv_slot irq_enable_sysexit, usergs_sysret64, usergs_sysret32, iret, swapgs;
	struct pv_lazy_ops lazy_mode;
};

struct pv_irq_ops {
	void (*init_IRQ)(void);
	pv_irq_slot save_fl, restore_fl, irq_disable, irq_enable;
	pv_slot safe_halt, halt;
#if BITS64
	pv_slot adjust_exception_frame;
#endif
};

struct pv_apic_ops {
	pv_slot setup_boot_clock, setup_secondary_clock, startup_ipi_hook;
};

struct pv_mmu_ops {
	void (*pagetable_setup_start)(void *pgd);
	void (*pagetable_setup_done)(void *pgd);
	pv_slot read_cr2, write_cr2, read_cr3, write_cr3, activate_mm, dup_mmap, exit_mmap;
	pv_slot flush_tlb_user, flush_tlb_kernel, flush_tlb_single, flush_tlb_others, pgd_alloc, pgd_free;
	pv_slot alloc_pte, alloc_pmd, alloc_pmd_clone, alloc_pud, release_pte, release_pmd, release_pud;
	pv_slot set_pte, set_pte_at, set_pmd, pte_update, pte_update_defer, ptep_modify_prot_start, ptep_modify_prot_commit;
	pv_pte_slot pte_val, make_pte, pgd_val, make_pgd;
#if PAE
	pv_slot set_pte_atomic, pte_clear, pmd_clear;
#endif
#if BITS64 || PAE
	pv_slot set_pud;
	pv_pte_slot pmd_val, make_pmd;
#endif
#if BITS64
	pv_pte_slot pud_val, make_pud;
	pv_slot set_pgd;
#endif
	struct pv_lazy_ops lazy_mode;
	void (*set_fixmap)(ulong index, ulong phys, ulong prot);
};

struct pv_lock_ops {
	pv_slot spin_is_locked, spin_is_contended, spin_lock, spin_lock_flags, spin_trylock, spin_unlock;
};

struct paravirt_patch_template {
	struct pv_init_ops pv_init_ops;
	struct pv_time_ops pv_time_ops;
	struct pv_cpu_ops pv_cpu_ops;
	struct pv_irq_ops pv_irq_ops;
	struct pv_apic_ops pv_apic_ops;
	struct pv_mmu_ops pv_mmu_ops;
	struct pv_lock_ops pv_lock_ops;
};

#define PV_TYPE(op) (offsetof(struct paravirt_patch_template, op) / sizeof(void *))

extern struct pv_init_ops pv_init_ops;
extern struct pv_time_ops pv_time_ops;
extern struct pv_cpu_ops pv_cpu_ops;
extern struct pv_irq_ops pv_irq_ops;
extern struct pv_apic_ops pv_apic_ops;
extern struct pv_mmu_ops pv_mmu_ops;
extern struct pv_lock_ops pv_lock_ops;

#endif
