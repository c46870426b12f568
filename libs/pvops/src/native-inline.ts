import { fromHex } from '@pvtrail/primitives';
import type { PvopName } from './pvop-catalogue.js';
import type { Bits } from './registers.js';

/** The native patch bytes (domain.md §1.3); an op without an entry for the bitness takes the default rule. */
const SNIPPETS: Partial<Record<PvopName, { readonly [bits in Bits]?: string }>> = {
  'irq.irq_disable': { 32: 'fa', 64: 'fa' },
  'irq.irq_enable': { 32: 'fb', 64: 'fb' },
  'irq.save_fl': { 32: '9c58', 64: '9c58' },
  'irq.restore_fl': { 32: '509d', 64: '579d' },
  'cpu.iret': { 32: 'cf', 64: '48cf' },
  'cpu.irq_enable_sysexit': { 32: 'fb0f35', 64: '0f01f8fb0f35' },
  'cpu.usergs_sysret64': { 64: '0f01f8480f07' },
  'cpu.usergs_sysret32': { 64: '0f01f80f07' },
  'cpu.swapgs': { 64: '0f01f8' },
  'mmu.read_cr2': { 32: '0f20d0', 64: '0f20d0' },
  'mmu.read_cr3': { 32: '0f20d8', 64: '0f20d8' },
  'mmu.write_cr3': { 32: '0f22d8', 64: '0f22df' },
  'mmu.flush_tlb_single': { 64: '0f013f' },
  'cpu.clts': { 32: '0f06', 64: '0f06' },
  'cpu.wbinvd': { 64: '0f09' },
  'cpu.read_tsc': { 32: '0f31' },
};

export const nativeSnippet = (pvop: PvopName, bits: Bits): Uint8Array | undefined => {
  const hex = SNIPPETS[pvop]?.[bits];
  return hex === undefined ? undefined : fromHex(hex);
};

/** mov edi,eax and mov rdi,rax; nothing on 32 bit, where argument and result are the same registers (domain.md §1.3). */
const IDENTITY: Record<Bits, Record<'ident32' | 'ident64', string>> = {
  32: { ident32: '', ident64: '' },
  64: { ident32: '89f8', ident64: '4889f8' },
};

export const identitySnippet = (width: 'ident32' | 'ident64', bits: Bits): Uint8Array => fromHex(IDENTITY[bits][width]);

/** ud2: what a site of a missing op becomes. */
export const MISSING_OP: Uint8Array = fromHex('0f0b');
