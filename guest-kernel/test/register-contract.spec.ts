import {
  type CalleeConvention,
  calleeMayLose,
  isCalleeSave,
  type MeasuredStage,
  optimisationsAt,
  type Pvop,
  pvopOfType,
  registersOf,
  STANDARD_CONVENTION,
  sitePromises,
} from '@pvtrail/pvops';
import { GENERAL_REGISTERS } from '@pvtrail/x86';
import { describe, expect, it } from 'vitest';
import { SiteMachine } from './site-machine.js';
import { catalogueAt, NATIVE_KERNELS, type NativeKernel } from './stage-image.js';

const STAGES = ['v2.6.29', 'identity', 'clobber-aware', 'callee-save-irq', 'callee-save-pte', 'v2.6.30'] as const;

/** What a callee destroys when it uses all that its convention allows; ops that assembly alone calls are assembly and lose nothing. */
const lossesAt =
  (stage: MeasuredStage, { paging }: NativeKernel, calleeSave: CalleeConvention) =>
  (pvop: Pvop): readonly string[] => {
    const code = optimisationsAt(stage, paging);
    if (pvop.caller === 'asm' || pvop.caller === 'jump') return [];
    return calleeMayLose(isCalleeSave(pvop, code) ? calleeSave : 'standard', pvop, paging, code);
  };

/** What the surroundings of a site rely on: what its record or, in C, its macro does not give away, and all that no callee may lose. */
const promisesOf = (
  stage: MeasuredStage,
  { bits, paging }: NativeKernel,
  { type, recordType, clobbers }: Site,
): string[] => {
  const code = optimisationsAt(stage, paging);
  const callerSaved: readonly string[] = STANDARD_CONVENTION[bits].callerSaved;
  const promised: readonly string[] = recordType.startsWith('c')
    ? sitePromises({ form: 'c' }, pvopOfType(type, paging), paging, code)
    : callerSaved.filter((name) => !(registersOf(clobbers, bits, code) as readonly string[]).includes(name));
  return GENERAL_REGISTERS[bits].filter((name) => promised.includes(name) || !callerSaved.includes(name));
};
type Site = ReturnType<typeof catalogueAt>['sites'][number];

/** Sites of the stage's image that lose what they promised. */
const broken = (stage: MeasuredStage, kernel: NativeKernel, convention: CalleeConvention, patched: boolean) => {
  const machine = new SiteMachine(stage, kernel, lossesAt(stage, kernel, convention));
  return catalogueAt(stage, kernel.folder)
    .sites.filter(({ recordType }) => recordType !== 'asm-jump')
    .flatMap((site) => {
      const changed = machine.changedBy(site, patched);
      const lost = promisesOf(stage, kernel, site).filter((name) => changed.includes(name));
      return lost.length === 0 ? [] : [{ function: site.function, op: site.op, lost }];
    });
};

/** Defect B1: the mask of this site keeps RDI, its save set forgets it. */
const B1 = { function: 'native_load_gs_index', op: 'irq.irq_disable', lost: ['rdi'] };

/**
 * Defects B3 and B4: from P6 on the 32-bit convention gives EDX away, and from F2 on thunks make use of that. Sites of values say
 * so from F3 on, irq sites in C never.
 */
const forgetEdx = (stage: MeasuredStage, { folder, bits, paging }: NativeKernel, convention: CalleeConvention) => {
  const code = optimisationsAt(stage, paging);
  if (bits === 64 || !code.has(convention === 'thunk' ? 'F2' : 'callee-save-pte')) return [];
  return catalogueAt(stage, folder)
    .sites.filter(({ recordType }) => recordType === 'c-irq' || (recordType === 'c-callee-save' && !code.has('F3')))
    .map((site) => ({ function: site.function, op: site.op, lost: ['edx'] }));
};

describe.each(NATIVE_KERNELS.flatMap((kernel) => STAGES.map((stage) => ({ kernel, folder: kernel.folder, stage }))))(
  'call sites of $folder at $stage',
  ({ kernel, stage }) => {
    const conventions = ['thunk', 'callee-save'] as const;

    it.each(conventions)('keep what they promise once patched, with callee-save ops of kind %s', (convention) => {
      expect(broken(stage, kernel, convention, true)).toEqual([]);
    });

    // Patched these sites are an instruction each, and nothing is lost.
    it.each(conventions)(
      'keep it unpatched too, but for B1, B3 and B4, with callee-save ops of kind %s',
      (convention) => {
        const b1 = kernel.bits === 64 && stage === 'clobber-aware' ? [B1] : [];
        expect(broken(stage, kernel, convention, false)).toEqual([...b1, ...forgetEdx(stage, kernel, convention)]);
      },
    );
  },
);
