import { type GuestVirt, parseVirt, toHex } from '@pvtrail/primitives';
import {
  type CallSite,
  type CatalogueSite,
  type PatchContext,
  type PvopName,
  patchSites,
  type SiteOutcome,
  type Stage,
  segmentsAsText,
  templateAt,
  xenIrqTemplates,
} from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { catalogueAt, imageOf } from './stage-image.js';
import { VCPU_INFO, xenContext } from './xen-context.js';

const FOLDER = 'xen-64';
const STAGES = [
  'v2.6.29',
  'identity',
  'clobber-aware',
  'callee-save-irq',
  'callee-save-pte',
  'v2.6.30',
  'direct-call',
] as const satisfies readonly Stage[];
type XenStage = (typeof STAGES)[number];

const BEFORE_P6: readonly XenStage[] = ['v2.6.29', 'identity', 'clobber-aware', 'callee-save-irq'];

const readerOf = (stage: XenStage) => {
  const text = segmentsAsText(imageOf(stage, FOLDER).segments);
  return (address: GuestVirt, length: number): Uint8Array => text.view(address, length);
};

const functionAt = (stage: XenStage, address: bigint): string | undefined =>
  catalogueAt(stage, FOLDER).functions.find((fn) => parseVirt(fn.address) === address)?.name;

const addressOf = (stage: XenStage, name: string): GuestVirt => {
  const found = catalogueAt(stage, FOLDER).functions.find((fn) => fn.name === name);
  if (found === undefined) throw new Error(`no function ${name}`);
  return parseVirt(found.address);
};

const contextOf = (stage: XenStage): PatchContext => xenContext(stage, readerOf(stage));

const isAssembly = ({ recordType }: CatalogueSite): boolean => recordType.startsWith('asm');

/** Outcomes of the sites that `chosen` picks, each once. */
const outcomesOf = (stage: XenStage, chosen: (site: CatalogueSite) => boolean): readonly SiteOutcome[] => {
  const read = readerOf(stage);
  const sites = catalogueAt(stage, FOLDER)
    .sites.filter(chosen)
    .map(({ address, type, length, clobbers }): CallSite => {
      const at = parseVirt(address);
      return { address: at, type, length, clobbers, bytesBefore: read(at, length) };
    });
  return [...new Set(patchSites(contextOf(stage), sites).map(({ outcome }) => outcome))];
};

const targetOf = (stage: XenStage, op: PvopName): string | undefined => {
  const slot = catalogueAt(stage, FOLDER).opTable.find((candidate) => candidate.op === op);
  return functionAt(stage, contextOf(stage).opTable.get(slot?.type ?? -1) ?? 0n);
};

describe.each(STAGES)('call sites of the Xen kernel at %s (domain.md §3.6)', (stage) => {
  const fixed = stage === 'direct-call';

  it('keep their indirect call for irq ops in C and where nothing may be lost, until B0 is lifted', () => {
    const expected = [fixed ? 'direct-call' : 'unchanged'];
    expect(outcomesOf(stage, (site) => site.op.startsWith('irq.') && site.clobbers === 1)).toEqual(expected);
    expect(
      outcomesOf(stage, (site) => /irq_(en|dis)able/.test(site.op) && isAssembly(site) && site.clobbers === 0),
    ).toEqual(expected);
    expect(outcomesOf(stage, (site) => site.op === 'irq.adjust_exception_frame')).toEqual(expected);
  });

  it('have direct calls for irq ops where everything may be lost', () => {
    expect(outcomesOf(stage, (site) => site.op === 'irq.irq_disable' && site.clobbers === 0x1ff)).toEqual([
      'direct-call',
    ]);
  });

  it.each(['mmu.pte_val', 'mmu.make_pte'])('have direct calls to %s before P6 and, by B0, not from P6 on', (op) => {
    const direct = fixed || BEFORE_P6.includes(stage);
    expect(outcomesOf(stage, (site) => site.op === op)).toEqual([direct ? 'direct-call' : 'unchanged']);
  });

  it('jump to the hypervisor ways out, lose swapgs and empty ops, and call the others directly', () => {
    const outcomes = (...ops: readonly string[]) => outcomesOf(stage, (site) => ops.includes(site.op));
    expect(outcomes('cpu.iret', 'cpu.usergs_sysret64')).toEqual(['direct-jump']);
    expect(outcomes('cpu.swapgs', 'mmu.pte_update', 'cpu.load_tr_desc')).toEqual(['nop']);
    expect(outcomes('mmu.set_pte_at', 'mmu.set_pmd', 'mmu.write_cr3', 'cpu.load_sp0')).toEqual(['direct-call']);
  });

  it('lead page-table values to the translators: through thunks from P6 on', () => {
    const prefix = BEFORE_P6.includes(stage) ? '' : '__raw_callee_save_';
    expect(targetOf(stage, 'mmu.pte_val')).toBe(`${prefix}xen_pte_val`);
    expect(targetOf(stage, 'mmu.make_pgd')).toBe(`${prefix}xen_make_pgd`);
  });
});

describe('the irq ops of the Xen kernel', () => {
  it('are in C, thunked from P4 on, and direct only where the direct ones came to 64 bit', () => {
    expect(STAGES.map((stage) => targetOf(stage, 'irq.irq_disable'))).toEqual([
      'xen_irq_disable',
      'xen_irq_disable',
      'xen_irq_disable',
      '__raw_callee_save_xen_irq_disable',
      '__raw_callee_save_xen_irq_disable',
      'xen_irq_disable_direct',
      'xen_irq_disable_direct',
    ]);
  });

  it.each([
    ['irq.irq_enable', 25],
    ['irq.irq_disable', 9],
    ['irq.save_fl', 14],
    ['irq.restore_fl', 31],
  ] as const)('have for %s the code of its template, %i bytes, in front of the return', (op, bytes) => {
    const name = `xen_${op.slice('irq.'.length)}_direct`;
    const address = addressOf('v2.6.30', name);
    const template = xenIrqTemplates(64, VCPU_INFO, addressOf('v2.6.30', 'xen_check_events'))[op];
    if (template === undefined) throw new Error(`no template for ${op}`);
    const placed = templateAt(template, address);
    expect(placed).toHaveLength(bytes);
    expect(toHex(readerOf('v2.6.30')(address, bytes + 1))).toBe(`${toHex(placed)}c3`);
  });
});

describe('the hypercall page', () => {
  it('has a stub of 32 bytes for each number; that of iret does not return (domain.md §5.2)', () => {
    const page = readerOf('v2.6.29')(addressOf('v2.6.29', 'hypercall_page'), 64 * 32);
    const stub = (number: number): string => toHex(page.subarray(32 * number, 32 * number + 14));
    expect(stub(14)).toBe('514153b80e0000000f05415b59c3');
    expect(stub(23).startsWith('51415350b8170000000f05')).toBe(true);
    expect(addressOf('v2.6.29', 'hypercall_page') % 4096n).toBe(0n);
  });
});
