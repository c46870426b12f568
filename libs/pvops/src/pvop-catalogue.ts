import { AppError } from '@pvtrail/primitives';
import type { Paging } from './registers.js';
import type { OptimisationSet } from './stages.js';

/** none: void. word: one register. u64: EDX:EAX on 32 bit. entry: a page-table value, 64 bits with PAE and on 64 bit. */
export type PvopResult = 'none' | 'word' | 'u64' | 'entry';
/** How callers reach the slot. `pointer`: through a plain pointer, no patch record. `none`: not called by the kernel proper. */
export type PvopCaller = 'c' | 'asm' | 'jump' | 'pointer' | 'none';
/** What the native guest puts in the slot. `nop`: the empty function; `identity`: the function that the patcher recognises. */
export type NativeOp = 'function' | 'nop' | 'identity';

interface PvopTraits {
  readonly caller?: PvopCaller;
  /** With these pagings the op is called through a plain pointer: more than four argument words do not fit the call macro. */
  readonly pointerWith?: readonly Paging[];
  readonly native?: NativeOp;
  /** The empty function with these pagings only. */
  readonly nopWith?: readonly Paging[];
  /** The optimisation that makes the op callee-save. */
  readonly calleeSaveFrom?: 'callee-save-irq' | 'callee-save-pte';
}

/** slots: [4level, 2level, pae], the *type* of patch records (byte offset in the template / pointer size); null where absent. */
const op = <const Name extends string>(
  name: Name,
  slots: readonly [number | null, number | null, number | null],
  args: string,
  result: PvopResult,
  traits: PvopTraits = {},
) => ({ name, slots: { '4level': slots[0], '2level': slots[1], pae: slots[2] }, args, result, traits });

const NOP = { native: 'nop' } as const;
const POINTER = { caller: 'pointer' } as const;
const JUMP = { caller: 'jump' } as const;
const IRQ = { calleeSaveFrom: 'callee-save-irq' } as const;
const VALUE = { native: 'identity', calleeSaveFrom: 'callee-save-pte' } as const;

/** Every slot of the period's op template (domain.md §1.2): LOCAL_APIC on, HIGHPTE off, no pte_flags op. */
const ROWS = [
  op('init.patch', [0, 0, 0], 'type clobbers buffer address length', 'word', { caller: 'none' }),
  op('init.arch_setup', [1, 1, 1], '', 'none', NOP),
  op('init.memory_setup', [2, 2, 2], '', 'word'),
  op('init.post_allocator_init', [3, 3, 3], '', 'none'),
  op('init.banner', [4, 4, 4], '', 'none'),
  op('time.time_init', [5, 5, 5], '', 'none'),
  op('time.get_wallclock', [6, 6, 6], '', 'word'),
  op('time.set_wallclock', [7, 7, 7], 'seconds', 'word'),
  op('time.sched_clock', [8, 8, 8], '', 'u64'),
  op('time.get_tsc_khz', [9, 9, 9], '', 'word'),
  op('cpu.get_debugreg', [10, 10, 10], 'number', 'word'),
  op('cpu.set_debugreg', [11, 11, 11], 'number value', 'none'),
  op('cpu.clts', [12, 12, 12], '', 'none'),
  op('cpu.read_cr0', [13, 13, 13], '', 'word'),
  op('cpu.write_cr0', [14, 14, 14], 'value', 'none'),
  op('cpu.read_cr4_safe', [15, 15, 15], '', 'word'),
  op('cpu.read_cr4', [16, 16, 16], '', 'word'),
  op('cpu.write_cr4', [17, 17, 17], 'value', 'none'),
  op('cpu.read_cr8', [18, null, null], '', 'word'),
  op('cpu.write_cr8', [19, null, null], 'value', 'none'),
  op('cpu.load_tr_desc', [20, 18, 18], '', 'none'),
  op('cpu.load_gdt', [21, 19, 19], 'descriptor', 'none'),
  op('cpu.load_idt', [22, 20, 20], 'descriptor', 'none'),
  op('cpu.store_gdt', [23, 21, 21], 'descriptor', 'none'),
  op('cpu.store_idt', [24, 22, 22], 'descriptor', 'none'),
  op('cpu.set_ldt', [25, 23, 23], 'table entries', 'none'),
  op('cpu.store_tr', [26, 24, 24], '', 'word'),
  op('cpu.load_tls', [27, 25, 25], 'thread cpu', 'none'),
  op('cpu.load_gs_index', [28, null, null], 'selector', 'none'),
  op('cpu.write_ldt_entry', [29, 26, 26], 'table index descriptor', 'none'),
  op('cpu.write_gdt_entry', [30, 27, 27], 'table index descriptor type', 'none'),
  op('cpu.write_idt_entry', [31, 28, 28], 'table index descriptor', 'none'),
  op('cpu.alloc_ldt', [32, 29, 29], 'table entries', 'none', NOP),
  op('cpu.free_ldt', [33, 30, 30], 'table entries', 'none', NOP),
  op('cpu.load_sp0', [34, 31, 31], 'tss thread', 'none'),
  op('cpu.set_iopl_mask', [35, 32, 32], 'mask', 'none'),
  op('cpu.wbinvd', [36, 33, 33], '', 'none'),
  op('cpu.io_delay', [37, 34, 34], '', 'none', POINTER),
  op('cpu.cpuid', [38, 35, 35], 'eax ebx ecx edx', 'none'),
  op('cpu.read_msr_amd', [39, 36, 36], 'msr error', 'u64'),
  op('cpu.read_msr', [40, 37, 37], 'msr error', 'u64'),
  op('cpu.write_msr', [41, 38, 38], 'msr low high', 'word'),
  op('cpu.read_tsc', [42, 39, 39], '', 'u64'),
  op('cpu.read_pmc', [43, 40, 40], 'counter', 'u64'),
  op('cpu.read_tscp', [44, 41, 41], 'aux', 'u64'),
  op('cpu.irq_enable_sysexit', [45, 42, 42], '', 'none', JUMP),
  op('cpu.usergs_sysret64', [46, 43, 43], '', 'none', JUMP),
  op('cpu.usergs_sysret32', [47, 44, 44], '', 'none', JUMP),
  op('cpu.iret', [48, 45, 45], '', 'none', JUMP),
  op('cpu.swapgs', [49, 46, 46], '', 'none', { caller: 'asm' }),
  op('cpu.lazy_mode.enter', [50, 47, 47], '', 'none', NOP),
  op('cpu.lazy_mode.leave', [51, 48, 48], '', 'none', NOP),
  op('irq.init_IRQ', [52, 49, 49], '', 'none', POINTER),
  op('irq.save_fl', [53, 50, 50], '', 'word', IRQ),
  op('irq.restore_fl', [54, 51, 51], 'flags', 'none', IRQ),
  op('irq.irq_disable', [55, 52, 52], '', 'none', IRQ),
  op('irq.irq_enable', [56, 53, 53], '', 'none', IRQ),
  op('irq.safe_halt', [57, 54, 54], '', 'none'),
  op('irq.halt', [58, 55, 55], '', 'none'),
  op('irq.adjust_exception_frame', [59, null, null], '', 'none', { caller: 'asm', native: 'nop' }),
  op('apic.setup_boot_clock', [60, 56, 56], '', 'none'),
  op('apic.setup_secondary_clock', [61, 57, 57], '', 'none'),
  op('apic.startup_ipi_hook', [62, 58, 58], 'apicid eip esp', 'none', NOP),
  op('mmu.pagetable_setup_start', [63, 59, 59], 'pgd', 'none', { caller: 'pointer', nopWith: ['4level'] }),
  op('mmu.pagetable_setup_done', [64, 60, 60], 'pgd', 'none', { caller: 'pointer', nopWith: ['4level'] }),
  op('mmu.read_cr2', [65, 61, 61], '', 'word'),
  op('mmu.write_cr2', [66, 62, 62], 'value', 'none'),
  op('mmu.read_cr3', [67, 63, 63], '', 'word'),
  op('mmu.write_cr3', [68, 64, 64], 'value', 'none'),
  op('mmu.activate_mm', [69, 65, 65], 'previous next', 'none', NOP),
  op('mmu.dup_mmap', [70, 66, 66], 'previous next', 'none', NOP),
  op('mmu.exit_mmap', [71, 67, 67], 'mm', 'none', NOP),
  op('mmu.flush_tlb_user', [72, 68, 68], '', 'none'),
  op('mmu.flush_tlb_kernel', [73, 69, 69], '', 'none'),
  op('mmu.flush_tlb_single', [74, 70, 70], 'address', 'none'),
  op('mmu.flush_tlb_others', [75, 71, 71], 'cpumask mm address', 'none'),
  op('mmu.pgd_alloc', [76, 72, 72], 'mm', 'word'),
  op('mmu.pgd_free', [77, 73, 73], 'mm pgd', 'none', NOP),
  op('mmu.alloc_pte', [78, 74, 74], 'mm pfn', 'none', NOP),
  op('mmu.alloc_pmd', [79, 75, 75], 'mm pfn', 'none', NOP),
  op('mmu.alloc_pmd_clone', [80, 76, 76], 'pfn clonepfn start count', 'none', NOP),
  op('mmu.alloc_pud', [81, 77, 77], 'mm pfn', 'none', NOP),
  op('mmu.release_pte', [82, 78, 78], 'pfn', 'none', NOP),
  op('mmu.release_pmd', [83, 79, 79], 'pfn', 'none', NOP),
  op('mmu.release_pud', [84, 80, 80], 'pfn', 'none', NOP),
  op('mmu.set_pte', [85, 81, 81], 'ptep entry', 'none'),
  op('mmu.set_pte_at', [86, 82, 82], 'mm address ptep entry', 'none', { pointerWith: ['pae'] }),
  op('mmu.set_pmd', [87, 83, 83], 'pmdp entry', 'none'),
  op('mmu.pte_update', [88, 84, 84], 'mm address ptep', 'none', NOP),
  op('mmu.pte_update_defer', [89, 85, 85], 'mm address ptep', 'none', NOP),
  op('mmu.ptep_modify_prot_start', [90, 86, 86], 'mm address ptep', 'entry'),
  op('mmu.ptep_modify_prot_commit', [91, 87, 87], 'mm address ptep entry', 'none', { pointerWith: ['pae'] }),
  op('mmu.pte_val', [92, 88, 88], 'entry', 'entry', VALUE),
  op('mmu.make_pte', [93, 89, 89], 'entry', 'entry', VALUE),
  op('mmu.pgd_val', [94, 90, 90], 'entry', 'entry', VALUE),
  op('mmu.make_pgd', [95, 91, 91], 'entry', 'entry', VALUE),
  op('mmu.set_pte_atomic', [null, null, 92], 'ptep entry', 'none'),
  op('mmu.pte_clear', [null, null, 93], 'mm address ptep', 'none'),
  op('mmu.pmd_clear', [null, null, 94], 'pmdp', 'none'),
  op('mmu.set_pud', [96, null, 95], 'pudp entry', 'none'),
  op('mmu.pmd_val', [97, null, 96], 'entry', 'entry', VALUE),
  op('mmu.make_pmd', [98, null, 97], 'entry', 'entry', VALUE),
  op('mmu.pud_val', [99, null, null], 'entry', 'entry', VALUE),
  op('mmu.make_pud', [100, null, null], 'entry', 'entry', VALUE),
  op('mmu.set_pgd', [101, null, null], 'pgdp entry', 'none'),
  op('mmu.lazy_mode.enter', [102, 92, 98], '', 'none', NOP),
  op('mmu.lazy_mode.leave', [103, 93, 99], '', 'none', NOP),
  op('mmu.set_fixmap', [104, 94, 100], 'index physical protection', 'none', POINTER),
  op('lock.spin_is_locked', [105, 95, 101], 'lock', 'word'),
  op('lock.spin_is_contended', [106, 96, 102], 'lock', 'word'),
  op('lock.spin_lock', [107, 97, 103], 'lock', 'none'),
  op('lock.spin_lock_flags', [108, 98, 104], 'lock flags', 'none'),
  op('lock.spin_trylock', [109, 99, 105], 'lock', 'word'),
  op('lock.spin_unlock', [110, 100, 106], 'lock', 'none'),
] as const;

export type PvopName = (typeof ROWS)[number]['name'];

export interface Pvop {
  readonly name: PvopName;
  /** Slot number by paging, the `type` of patch records; null where the kernel has no such slot. */
  readonly slots: Readonly<Record<Paging, number | null>>;
  /** Argument names in order; `entry` is two words with PAE. */
  readonly args: readonly string[];
  readonly result: PvopResult;
  readonly caller: PvopCaller;
  readonly pointerWith: readonly Paging[];
  readonly native: NativeOp;
  readonly nopWith: readonly Paging[];
  readonly calleeSaveFrom: 'callee-save-irq' | 'callee-save-pte' | null;
}

/** All ops, in slot order. */
export const PVOPS: readonly Pvop[] = ROWS.map(({ name, slots, args, result, traits }) => ({
  name,
  slots,
  args: args === '' ? [] : args.split(' '),
  result,
  caller: traits.caller ?? 'c',
  pointerWith: traits.pointerWith ?? [],
  native: traits.native ?? 'function',
  nopWith: traits.nopWith ?? [],
  calleeSaveFrom: traits.calleeSaveFrom ?? null,
}));

const BY_NAME: ReadonlyMap<string, Pvop> = new Map(PVOPS.map((row) => [row.name, row]));

const byType = (paging: Paging): ReadonlyMap<number, Pvop> =>
  new Map(PVOPS.flatMap((row) => (row.slots[paging] === null ? [] : [[row.slots[paging], row]])));
const BY_TYPE = { '2level': byType('2level'), pae: byType('pae'), '4level': byType('4level') };

/** @throws AppError `patch/rule-violation` when no op is called so */
export const pvopNamed = (name: string): Pvop => {
  const row = BY_NAME.get(name);
  if (row === undefined) throw new AppError('patch/rule-violation', `no op is called '${name}'`);
  return row;
};

/** The op of a patch record's type. @throws AppError `patch/rule-violation` when the template has no such slot */
export const pvopOfType = (type: number, paging: Paging): Pvop => {
  const row = BY_TYPE[paging].get(type);
  if (row === undefined) throw new AppError('patch/rule-violation', `the ${paging} op table has no slot ${type}`);
  return row;
};

/** The record type of an op. @throws AppError `patch/rule-violation` when it has no slot with this paging */
export const typeOf = (name: PvopName, paging: Paging): number => {
  const type = pvopNamed(name).slots[paging];
  if (type === null) throw new AppError('patch/rule-violation', `${name} has no slot with ${paging} paging`);
  return type;
};

/** Number of slots of the template: 111, 101 or 107. */
export const slotCount = (paging: Paging): number => BY_TYPE[paging].size;

/** Whether calls of the op carry a patch record. */
export const hasCallSites = (pvop: Pvop, paging: Paging): boolean =>
  pvop.slots[paging] !== null &&
  pvop.caller !== 'pointer' &&
  pvop.caller !== 'none' &&
  !pvop.pointerWith.includes(paging);

/** Whether the slot holds a callee-save function (domain.md §1.2). */
export const isCalleeSave = (pvop: Pvop, code: OptimisationSet): boolean =>
  pvop.calleeSaveFrom !== null && code.has(pvop.calleeSaveFrom);

/** What the native guest has in the slot (domain.md §1.2). */
export const nativeOp = (pvop: Pvop, paging: Paging): NativeOp => (pvop.nopWith.includes(paging) ? 'nop' : pvop.native);

const IRQ_OPS: readonly PvopName[] = ['irq.save_fl', 'irq.restore_fl', 'irq.irq_disable', 'irq.irq_enable'];
export const isIrqOp = (name: PvopName): boolean => IRQ_OPS.includes(name);
