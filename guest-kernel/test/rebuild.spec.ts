import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildKernel, compilerMismatch, differingArtefacts } from '../build/src/index.js';
import { committedKernel, contentsOf, digests, patchSetFile, STAGES } from './committed-kernel.js';

const KERNEL = path.join(import.meta.dirname, '..');
const mismatch = await compilerMismatch();
const inCi = process.env.CI === 'true';

describe('the committed images', () => {
  const title = 'equal a rebuild of the committed sources byte for byte';
  if (mismatch !== null && !inCi) {
    it.skip(`${title} (skipped, because ${mismatch})`, () => {});
  } else {
    it(title, async () => {
      const { artefacts } = await buildKernel(KERNEL);
      expect(await differingArtefacts(path.join(KERNEL, 'images'), artefacts)).toEqual([]);
    }, 900_000);
  }

  it.each(STAGES)('give, with the patch sets folded in, the separately linked image of %s', (stage) => {
    expect(contentsOf(stage).digest()).toBe(digests()[stage]);
  });

  it('have a baseline with the contents that its digest states', () => {
    expect(contentsOf('nopv').digest()).toBe(digests().nopv);
  });
});

describe.each(['native-32-pae', 'native-32-2level'])('the images of %s', (folder) => {
  const kernel = committedKernel(folder);

  it.each(STAGES)('give, with the patch sets folded in, the separately linked image of %s', (stage) => {
    expect(kernel.contentsOf(stage).digest()).toBe(kernel.digests()[stage]);
  });

  it('have a baseline with the contents that its digest states', () => {
    expect(kernel.contentsOf('nopv').digest()).toBe(kernel.digests().nopv);
  });
});

// Definitions §1: measured PAE stages fold F1 … F3 into callee-save-pte; the series as posted exists for the defects.
describe('the PAE series as posted', () => {
  const kernel = committedKernel('native-32-pae');
  const editsOf = (series: 'measured' | 'as-posted') =>
    Object.fromEntries(kernel.patchSetFile(series).sets.map(({ optimisation, edits }) => [optimisation, edits.length]));

  it('has an image of its own at callee-save-pte and ends where the measured one ends', () => {
    const posted = (stage: string) => kernel.contentsOf(stage, 'as-posted').digest();
    expect(posted('callee-save-pte-as-posted')).toBe(kernel.digests()['callee-save-pte-as-posted']);
    expect(posted('callee-save-pte-as-posted')).not.toBe(kernel.digests()['callee-save-pte']);
    expect(posted('v2.6.30')).toBe(kernel.digests()['v2.6.30']);
  });

  it('repairs the upper half with F3, which the measured series has folded in', () => {
    expect(editsOf('as-posted').F3).toBeGreaterThan(0);
    expect(editsOf('measured')).toMatchObject({ F1: 0, F2: 0, F3: 0, F4: 0 });
    expect(kernel.digests()['callee-save-pte']).toBe(kernel.digests()['v2.6.30']);
  });
});

describe('the patch sets', () => {
  it('are there for every optimisation of the series, in order, also those that change nothing here', () => {
    expect(patchSetFile().sets.map(({ optimisation, stage }) => `${optimisation} → ${stage}`)).toEqual([
      'identity → identity',
      'clobber-aware → clobber-aware',
      'callee-save-irq → callee-save-irq',
      'callee-save-pte → callee-save-pte',
      'F1 → v2.6.30',
      'F2 → v2.6.30',
      'F3 → v2.6.30',
      'F4 → v2.6.30',
      'xen-direct-irq → v2.6.30',
      'lguest-vmcall → v2.6.30',
      'direct-call → direct-call',
    ]);
  });

  it.each(['F2', 'F3', 'xen-direct-irq', 'lguest-vmcall', 'direct-call'])(
    'of %s changes nothing on native 64 bit',
    (name) => {
      expect(patchSetFile().sets.find((set) => set.optimisation === name)?.edits).toEqual([]);
    },
  );

  it.each(['identity', 'clobber-aware', 'callee-save-irq', 'callee-save-pte', 'F1', 'F4'])(
    'of %s changes the kernel',
    (name) => {
      expect(patchSetFile().sets.find((set) => set.optimisation === name)?.edits.length).toBeGreaterThan(0);
    },
  );

  it('edit the op table first, functions last, and no byte twice', () => {
    for (const { optimisation, edits } of patchSetFile().sets) {
      const firstFunction = edits.findIndex(
        ({ section, unit }) => section === '.text' && !unit.startsWith('__raw_callee_save_'),
      );
      const rest = firstFunction < 0 ? [] : edits.slice(firstFunction);
      expect(
        rest.filter((edit) => edit.section !== '.text'),
        optimisation,
      ).toEqual([]);
      const opTable = edits.findIndex((edit) => edit.unit === 'pv_ops');
      expect([-1, 0], optimisation).toContain(opTable);
      const ranges = edits.map(
        (edit) => [BigInt(edit.address), BigInt(edit.address) + BigInt(edit.before.length / 2)] as const,
      );
      const sorted = ranges.toSorted(([a], [b]) => (a < b ? -1 : 1));
      expect(
        sorted.every(([start], index) => start >= (sorted[index - 1]?.[1] ?? 0n)),
        optimisation,
      ).toBe(true);
    }
  });
});
