/* The op tables of a Xen guest, as pv/ops.c holds the native ones (domain.md §5.2). */
#include "pv_types.h"
#include "processor.h"
#include "sched.h"

#if GUEST_XEN

void xen_init_irq(void);

#define PV_TABLE __attribute__((section(".data.pv_ops"), aligned(8), no_reorder))

extern char native_flush_tlb_others[], native_halt[], native_read_cr0[], native_read_cr4[], native_read_msr[];
extern char native_read_tsc[], native_wbinvd[], native_write_cr4[], paravirt_nop[], ticket_spin_is_contended[];
extern char ticket_spin_is_locked[], ticket_spin_lock[], ticket_spin_lock_flags[], ticket_spin_trylock[];
extern char ticket_spin_unlock[], xen_activate_mm[], xen_adjust_exception_frame[], xen_alloc_table[], xen_clts[];
extern char xen_cpuid[], xen_dup_mmap[], xen_enter_lazy_cpu[], xen_enter_lazy_mmu[], xen_exit_mmap[], xen_flush_tlb[];
extern char xen_flush_tlb_single[], xen_iret[], xen_leave_lazy_cpu[], xen_leave_lazy_mmu[];
extern char xen_load_gdt[], xen_load_gs_index[], xen_load_idt[], xen_load_sp0[], xen_load_tls[];
extern char xen_modify_prot_commit[], xen_modify_prot_start[], xen_pgd_alloc[], xen_pgd_free[], xen_read_cr2[];
extern char xen_read_cr3[], xen_release_table[], xen_safe_halt[], xen_set_ldt[], xen_set_pgd[], xen_set_pmd[];
extern char xen_set_pte[], xen_set_pte_at[], xen_set_pud[], xen_sysret64[], xen_write_cr0[], xen_write_cr2[];
extern char xen_write_cr3[], xen_write_gdt_entry[], xen_write_idt_entry[], xen_write_msr[];
extern char xen_pte_val[], xen_make_pte[], xen_pgd_val[], xen_make_pgd[], xen_pmd_val[], xen_make_pmd[], xen_pud_val[];
extern char xen_make_pud[];
extern char xen_save_fl[], xen_restore_fl[], xen_irq_disable[], xen_irq_enable[];
extern char __raw_callee_save_xen_pte_val[], __raw_callee_save_xen_make_pte[], __raw_callee_save_xen_pgd_val[];
extern char __raw_callee_save_xen_make_pgd[], __raw_callee_save_xen_pmd_val[], __raw_callee_save_xen_make_pmd[];
extern char __raw_callee_save_xen_pud_val[], __raw_callee_save_xen_make_pud[];
extern char __raw_callee_save_xen_save_fl[], __raw_callee_save_xen_restore_fl[], __raw_callee_save_xen_irq_disable[];
extern char __raw_callee_save_xen_irq_enable[];
extern char xen_save_fl_direct[], xen_restore_fl_direct[], xen_irq_disable_direct[], xen_irq_enable_direct[];

#if PV_CALLEE_SAVE_PTE
#define VALUE(name) PV_PTE_SLOT(__raw_callee_save_##name)
#else
#define VALUE(name) PV_PTE_SLOT(name)
#endif

#if PV_XEN_DIRECT_IRQ
#define IRQ(name) PV_IRQ_SLOT(name##_direct)
#elif PV_CALLEE_SAVE_IRQ
#define IRQ(name) PV_IRQ_SLOT(__raw_callee_save_##name)
#else
#define IRQ(name) PV_IRQ_SLOT(name)
#endif

PV_TABLE struct pv_init_ops pv_init_ops = {
	.arch_setup = paravirt_nop,
};

PV_TABLE struct pv_time_ops pv_time_ops = {
	.sched_clock = native_sched_clock,
};

PV_TABLE struct pv_cpu_ops pv_cpu_ops = {
	.clts = xen_clts,
	.read_cr0 = native_read_cr0,
	.write_cr0 = xen_write_cr0,
	.read_cr4_safe = native_read_cr4,
	.read_cr4 = native_read_cr4,
	.write_cr4 = native_write_cr4,
	.load_tr_desc = paravirt_nop,
	.load_gdt = xen_load_gdt,
	.load_idt = xen_load_idt,
	.set_ldt = xen_set_ldt,
	.load_tls = xen_load_tls,
	.load_gs_index = xen_load_gs_index,
	.write_gdt_entry = xen_write_gdt_entry,
	.write_idt_entry = xen_write_idt_entry,
	.alloc_ldt = paravirt_nop,
	.free_ldt = paravirt_nop,
	.load_sp0 = xen_load_sp0,
	.wbinvd = native_wbinvd,
	.cpuid = xen_cpuid,
	.read_msr = native_read_msr,
	.write_msr = xen_write_msr,
	.read_tsc = native_read_tsc,
	.usergs_sysret64 = xen_sysret64,
	.iret = xen_iret,
	.swapgs = paravirt_nop,
	.lazy_mode = { .enter = xen_enter_lazy_cpu, .leave = xen_leave_lazy_cpu },
};

PV_TABLE struct pv_irq_ops pv_irq_ops = {
	.init_IRQ = xen_init_irq,
	.save_fl = IRQ(xen_save_fl),
	.restore_fl = IRQ(xen_restore_fl),
	.irq_disable = IRQ(xen_irq_disable),
	.irq_enable = IRQ(xen_irq_enable),
	.safe_halt = xen_safe_halt,
	.halt = native_halt,
	.adjust_exception_frame = xen_adjust_exception_frame,
};

PV_TABLE struct pv_apic_ops pv_apic_ops = {
	.startup_ipi_hook = paravirt_nop,
};

PV_TABLE struct pv_mmu_ops pv_mmu_ops = {
	.pagetable_setup_start = (void (*)(void *))paravirt_nop,
	.pagetable_setup_done = (void (*)(void *))paravirt_nop,
	.read_cr2 = xen_read_cr2,
	.write_cr2 = xen_write_cr2,
	.read_cr3 = xen_read_cr3,
	.write_cr3 = xen_write_cr3,
	.activate_mm = xen_activate_mm,
	.dup_mmap = xen_dup_mmap,
	.exit_mmap = xen_exit_mmap,
	.flush_tlb_user = xen_flush_tlb,
	.flush_tlb_kernel = xen_flush_tlb,
	.flush_tlb_single = xen_flush_tlb_single,
	.flush_tlb_others = native_flush_tlb_others,
	.pgd_alloc = xen_pgd_alloc,
	.pgd_free = xen_pgd_free,
	.alloc_pte = xen_alloc_table,
	.alloc_pmd = xen_alloc_table,
	.alloc_pmd_clone = paravirt_nop,
	.alloc_pud = xen_alloc_table,
	.release_pte = xen_release_table,
	.release_pmd = xen_release_table,
	.release_pud = xen_release_table,
	.set_pte = xen_set_pte,
	.set_pte_at = xen_set_pte_at,
	.set_pmd = xen_set_pmd,
	.pte_update = paravirt_nop,
	.pte_update_defer = paravirt_nop,
	.ptep_modify_prot_start = xen_modify_prot_start,
	.ptep_modify_prot_commit = xen_modify_prot_commit,
	.pte_val = VALUE(xen_pte_val),
	.make_pte = VALUE(xen_make_pte),
	.pgd_val = VALUE(xen_pgd_val),
	.make_pgd = VALUE(xen_make_pgd),
	.set_pud = xen_set_pud,
	.pmd_val = VALUE(xen_pmd_val),
	.make_pmd = VALUE(xen_make_pmd),
	.pud_val = VALUE(xen_pud_val),
	.make_pud = VALUE(xen_make_pud),
	.set_pgd = xen_set_pgd,
	.lazy_mode = { .enter = xen_enter_lazy_mmu, .leave = xen_leave_lazy_mmu },
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
