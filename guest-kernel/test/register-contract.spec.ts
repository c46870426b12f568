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
import { describe, expect, it } from 'vitest';
import { REGISTERS, SiteMachine } from './site-machine.js';
import { catalogueAt } from './stage-image.js';

const STAGES = ['v2.6.29', 'identity', 'clobber-aware', 'callee-save-irq', 'callee-save-pte', 'v2.6.30'] as const;
const PAGING = '4level';
const callerSaved: readonly string[] = STANDARD_CONVENTION[64].callerSaved;

/** What a callee destroys when it uses all that its convention allows; ops that assembly alone calls are assembly and lose nothing. */
const lossesAt =
  (stage: MeasuredStage, calleeSave: CalleeConvention) =>
  (pvop: Pvop): readonly string[] => {
    const code = optimisationsAt(stage, PAGING);
    if (pvop.caller === 'asm' || pvop.caller === 'jump') return [];
    return calleeMayLose(isCalleeSave(pvop, code) ? calleeSave : 'standard', pvop, PAGING, code);
  };

/** What the surroundings of a site rely on: what its record or, in C, its macro does not give away, and all that no callee may lose. */
const promisesOf = (stage: MeasuredStage, { type, recordType, clobbers }: Site): string[] => {
  const code = optimisationsAt(stage, PAGING);
  const promised: readonly string[] = recordType.startsWith('c')
    ? sitePromises({ form: 'c' }, pvopOfType(type, PAGING), PAGING, code)
    : callerSaved.filter((name) => !(registersOf(clobbers, 64, code) as readonly string[]).includes(name));
  return REGISTERS.filter((name) => promised.includes(name) || !callerSaved.includes(name));
};
type Site = ReturnType<typeof catalogueAt>['sites'][number];

/** Sites of the stage's image that lose what they promised. */
const broken = (stage: MeasuredStage, convention: CalleeConvention, patched: boolean) => {
  const machine = new SiteMachine(stage, lossesAt(stage, convention));
  return catalogueAt(stage)
    .sites.filter(({ recordType }) => recordType !== 'asm-jump')
    .flatMap((site) => {
      const changed = machine.changedBy(site, patched);
      const lost = promisesOf(stage, site).filter((name) => changed.includes(name));
      return lost.length === 0 ? [] : [{ function: site.function, op: site.op, lost }];
    });
};

describe.each(STAGES)('call sites of %s', (stage) => {
  const conventions = ['thunk', 'callee-save'] as const;

  it.each(conventions)('keep what they promise once patched, with callee-save ops of kind %s', (convention) => {
    expect(broken(stage, convention, true)).toEqual([]);
  });

  // Defect B1: the mask of this site keeps RDI, its save set forgets it. Patched it is `cli`, and nothing is lost.
  it.each(conventions)('keep it unpatched too, but for defect B1, with callee-save ops of kind %s', (convention) => {
    const b1 = { function: 'native_load_gs_index', op: 'irq.irq_disable', lost: ['rdi'] };
    expect(broken(stage, convention, false)).toEqual(stage === 'clobber-aware' ? [b1] : []);
  });
});
