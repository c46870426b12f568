/* The op tables, consecutive in one section as the patch template (domain.md §1.2). A null slot has no native function here. */
#include "pv_types.h"
#include "processor.h"
#include "sched.h"

#if CONFIG_PARAVIRT && GUEST_NATIVE

#define PV_TABLE __attribute__((section(".data.pv_ops"), aligned(sizeof(void *)), no_reorder))

extern char paravirt_nop[], ident_32[], ident_64[];
extern char native_save_fl[], native_restore_fl[], native_irq_disable[], native_irq_enable[];
extern char native_iret[], native_usergs_sysret64[], native_swapgs[], native_irq_enable_sysexit[];
extern char native_read_cr0[], native_write_cr0[], native_read_cr4[], native_write_cr4[], native_clts[], native_read_tsc[];
extern char native_read_msr[], native_write_msr[], native_cpuid[], native_load_gdt[], native_load_idt[], native_load_tr_desc[];
extern char native_load_sp0[], native_write_gdt_entry[], native_write_idt_entry[];
extern char native_safe_halt[], native_halt[], native_wbinvd[];
extern char ticket_spin_is_locked[], ticket_spin_is_contended[], ticket_spin_lock[], ticket_spin_lock_flags[];
extern char ticket_spin_trylock[], ticket_spin_unlock[];
extern char native_read_cr2[], native_write_cr2[], native_read_cr3[], native_write_cr3[];
extern char native_set_pte[], native_set_pte_at[], native_set_pmd[], native_set_pud[], native_set_pgd[];
extern char native_ptep_modify_prot_start[], native_ptep_modify_prot_commit[];
extern char native_set_pte_atomic[], native_pte_clear[], native_pmd_clear[];
extern char native_flush_tlb_single[], native_flush_tlb_others[];
extern char native_pte_val[], native_pmd_val[], native_pud_val[], native_pgd_val[];
extern char native_make_pte[], native_make_pmd[], native_make_pud[], native_make_pgd[];

#if PV_IDENTITY && (BITS64 || PAE)
#define VALUE(name) PV_PTE_SLOT(ident_64)
#elif PV_IDENTITY
#define VALUE(name) PV_PTE_SLOT(ident_32)
#else
#define VALUE(name) PV_PTE_SLOT(name)
#endif

PV_TABLE struct pv_init_ops pv_init_ops = {
	.arch_setup = paravirt_nop,
};

PV_TABLE struct pv_time_ops pv_time_ops = {
	.sched_clock = native_sched_clock,
};

PV_TABLE struct pv_cpu_ops pv_cpu_ops = {
	.clts = native_clts,
	.read_cr0 = native_read_cr0,
	.write_cr0 = native_write_cr0,
	.read_cr4_safe = native_read_cr4,
	.read_cr4 = native_read_cr4,
	.write_cr4 = native_write_cr4,
	.load_tr_desc = native_load_tr_desc,
	.load_gdt = native_load_gdt,
	.load_idt = native_load_idt,
	.set_ldt = native_set_ldt,
	.load_tls = native_load_tls,
#if BITS64
	.load_gs_index = native_load_gs_index,
#endif
	.write_gdt_entry = native_write_gdt_entry,
	.write_idt_entry = native_write_idt_entry,
	.alloc_ldt = paravirt_nop,
	.free_ldt = paravirt_nop,
	.load_sp0 = native_load_sp0,
	.wbinvd = native_wbinvd,
	.cpuid = native_cpuid,
	.read_msr = native_read_msr,
	.write_msr = native_write_msr,
	.read_tsc = native_read_tsc,
	.iret = native_iret,
#if BITS64
	.usergs_sysret64 = native_usergs_sysret64,
	.swapgs = native_swapgs,
#else
	.irq_enable_sysexit = native_irq_enable_sysexit,
#endif
	.lazy_mode = { .enter = paravirt_nop, .leave = paravirt_nop },
};

PV_TABLE struct pv_irq_ops pv_irq_ops = {
	.init_IRQ = irq_init,
	.save_fl = PV_IRQ_SLOT(native_save_fl),
	.restore_fl = PV_IRQ_SLOT(native_restore_fl),
	.irq_disable = PV_IRQ_SLOT(native_irq_disable),
	.irq_enable = PV_IRQ_SLOT(native_irq_enable),
	.safe_halt = native_safe_halt,
	.halt = native_halt,
#if BITS64
	.adjust_exception_frame = paravirt_nop,
#endif
};

PV_TABLE struct pv_apic_ops pv_apic_ops = {
	.startup_ipi_hook = paravirt_nop,
};

PV_TABLE struct pv_mmu_ops pv_mmu_ops = {
	.pagetable_setup_start = (void (*)(void *))paravirt_nop,
	.pagetable_setup_done = (void (*)(void *))paravirt_nop,
	.read_cr2 = native_read_cr2,
	.write_cr2 = native_write_cr2,
	.read_cr3 = native_read_cr3,
	.write_cr3 = native_write_cr3,
	.activate_mm = paravirt_nop,
	.dup_mmap = paravirt_nop,
	.exit_mmap = paravirt_nop,
	.flush_tlb_user = native_flush_tlb,
	.flush_tlb_kernel = native_flush_tlb_global,
	.flush_tlb_single = native_flush_tlb_single,
	.flush_tlb_others = native_flush_tlb_others,
	.pgd_alloc = native_pgd_alloc,
	.pgd_free = paravirt_nop,
	.alloc_pte = paravirt_nop,
	.alloc_pmd = paravirt_nop,
	.alloc_pmd_clone = paravirt_nop,
	.alloc_pud = paravirt_nop,
	.release_pte = paravirt_nop,
	.release_pmd = paravirt_nop,
	.release_pud = paravirt_nop,
	.set_pte = native_set_pte,
	.set_pte_at = native_set_pte_at,
	.set_pmd = native_set_pmd,
	.pte_update = paravirt_nop,
	.pte_update_defer = paravirt_nop,
	.ptep_modify_prot_start = native_ptep_modify_prot_start,
	.ptep_modify_prot_commit = native_ptep_modify_prot_commit,
	.pte_val = VALUE(native_pte_val),
	.make_pte = VALUE(native_make_pte),
	.pgd_val = VALUE(native_pgd_val),
	.make_pgd = VALUE(native_make_pgd),
#if PAE
	.set_pte_atomic = native_set_pte_atomic,
	.pte_clear = native_pte_clear,
	.pmd_clear = native_pmd_clear,
#endif
#if BITS64 || PAE
	.set_pud = native_set_pud,
	.pmd_val = VALUE(native_pmd_val),
	.make_pmd = VALUE(native_make_pmd),
#endif
#if BITS64
	.pud_val = VALUE(native_pud_val),
	.make_pud = VALUE(native_make_pud),
	.set_pgd = native_set_pgd,
#endif
	.lazy_mode = { .enter = paravirt_nop, .leave = paravirt_nop },
};

PV_TABLE struct pv_lock_ops pv_lock_ops = {
#if PV_LOCKS
	.spin_is_locked = ticket_spin_is_locked,
	.spin_is_contended = ticket_spin_is_contended,
	.spin_lock = ticket_spin_lock,
	.spin_lock_flags = ticket_spin_lock_flags,
	.spin_trylock = ticket_spin_trylock,
	.spin_unlock = ticket_spin_unlock,
#endif
};

asm(".globl pv_ops\n\t.set pv_ops, pv_init_ops");

#endif
