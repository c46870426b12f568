/**
 * The slots of the op template on 64 bit (domain.md §1.2): `type` = byte offset / 8. LOCAL_APIC on, HIGHPTE off.
 * Names are `<group>.<op>`; a row that covers several slots of the page is written out here.
 */
export const OP_SLOT_COUNT_64 = 111;

const GROUPS_64: readonly (readonly [group: string, first: number, ops: readonly string[]])[] = [
  ['init', 0, ['patch', 'arch_setup', 'memory_setup', 'post_allocator_init', 'banner']],
  ['time', 5, ['time_init', 'get_wallclock', 'set_wallclock', 'sched_clock', 'get_tsc_khz']],
  [
    'cpu',
    10,
    ['get_debugreg', 'set_debugreg', 'clts', 'read_cr0', 'write_cr0', 'read_cr4_safe', 'read_cr4', 'write_cr4'],
  ],
  ['cpu', 18, ['read_cr8', 'write_cr8', 'load_tr_desc', 'load_gdt', 'load_idt', 'store_gdt', 'store_idt', 'set_ldt']],
  ['cpu', 26, ['store_tr', 'load_tls', 'load_gs_index', 'write_ldt_entry', 'write_gdt_entry', 'write_idt_entry']],
  ['cpu', 32, ['alloc_ldt', 'free_ldt', 'load_sp0', 'set_iopl_mask', 'wbinvd', 'io_delay', 'cpuid']],
  ['cpu', 39, ['read_msr_amd', 'read_msr', 'write_msr', 'read_tsc', 'read_pmc', 'read_tscp']],
  ['cpu', 45, ['irq_enable_sysexit', 'usergs_sysret64', 'usergs_sysret32', 'iret', 'swapgs']],
  ['cpu', 50, ['lazy_mode.enter', 'lazy_mode.leave']],
  ['irq', 52, ['init_IRQ', 'save_fl', 'restore_fl', 'irq_disable', 'irq_enable', 'safe_halt', 'halt']],
  ['irq', 59, ['adjust_exception_frame']],
  ['apic', 60, ['setup_boot_clock', 'setup_secondary_clock', 'startup_ipi_hook']],
  ['mmu', 63, ['pagetable_setup_start', 'pagetable_setup_done', 'read_cr2', 'write_cr2', 'read_cr3', 'write_cr3']],
  ['mmu', 69, ['activate_mm', 'dup_mmap', 'exit_mmap']],
  ['mmu', 72, ['flush_tlb_user', 'flush_tlb_kernel', 'flush_tlb_single', 'flush_tlb_others']],
  ['mmu', 76, ['pgd_alloc', 'pgd_free', 'alloc_pte', 'alloc_pmd', 'alloc_pmd_clone', 'alloc_pud']],
  ['mmu', 82, ['release_pte', 'release_pmd', 'release_pud', 'set_pte', 'set_pte_at', 'set_pmd']],
  ['mmu', 88, ['pte_update', 'pte_update_defer', 'ptep_modify_prot_start', 'ptep_modify_prot_commit']],
  ['mmu', 92, ['pte_val', 'make_pte', 'pgd_val', 'make_pgd', 'set_pud', 'pmd_val', 'make_pmd', 'pud_val', 'make_pud']],
  ['mmu', 101, ['set_pgd', 'lazy_mode.enter', 'lazy_mode.leave', 'set_fixmap']],
  ['lock', 105, ['spin_is_locked', 'spin_is_contended', 'spin_lock', 'spin_lock_flags', 'spin_trylock', 'spin_unlock']],
];

/** Op name by slot type, 0 … 110. */
export const OP_NAMES_64: ReadonlyMap<number, string> = new Map(
  GROUPS_64.flatMap(([group, first, ops]) =>
    ops.map((op, index): [number, string] => [first + index, `${group}.${op}`]),
  ),
);

export const IRQ_FLAG_OPS: ReadonlySet<string> = new Set([
  'irq.save_fl',
  'irq.restore_fl',
  'irq.irq_disable',
  'irq.irq_enable',
]);

const PAGE_ENTRY_VALUE_OPS: ReadonlySet<string> = new Set(
  ['pte', 'pmd', 'pud', 'pgd'].flatMap((level) => [`mmu.${level}_val`, `mmu.make_${level}`]),
);

/** Slots whose functions keep all registers but the result (domain.md §1.2, column CS), by the switches of a stage. */
export const isCalleeSave = (op: string, on: ReadonlySet<string>): boolean =>
  (on.has('PV_CALLEE_SAVE_IRQ') && IRQ_FLAG_OPS.has(op)) ||
  (on.has('PV_CALLEE_SAVE_PTE') && PAGE_ENTRY_VALUE_OPS.has(op));
