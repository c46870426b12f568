import type { CatalogueFunction, KernelCatalogue } from '@pvtrail/pvops';
import iced from 'iced-x86';
import { describe, expect, it } from 'vitest';
import { decodeStackInstructions } from '../build/src/index.js';
import { catalogueOf, committedKernel, contentsOf, STAGES, type StageContents } from './committed-kernel.js';

const ALL = ['nopv', ...STAGES] as const;

const kernelFunctions = ({ functions }: KernelCatalogue) => functions.filter(({ kind }) => kind !== 'user');

/** Address ranges whose instructions count by range: call sites and thunks. */
const ranges = ({ sites, thunks }: KernelCatalogue) => [
  ...sites.map(({ address, length }) => ({ from: BigInt(address), to: BigInt(address) + BigInt(length) })),
  ...thunks.map(({ address, bytes }) => ({ from: BigInt(address), to: BigInt(address) + BigInt(bytes) })),
];

/** True when a function returns or jumps to another one; the exit of a task does neither. */
const ends = (bits: 32 | 64, contents: StageContents, { address, codeBytes }: CatalogueFunction): boolean => {
  const start = BigInt(address);
  const decoder = new iced.Decoder(bits, contents.read(start, codeBytes), iced.DecoderOptions.None);
  decoder.ip = start;
  const inside = (target: bigint): boolean => target >= start && target < start + BigInt(codeBytes);
  let found = false;
  while (decoder.canDecode && !found) {
    const instruction = decoder.decode();
    const flow = instruction.flowControl;
    found = flow === iced.FlowControl.Return || flow === iced.FlowControl.IndirectBranch;
    if (flow === iced.FlowControl.UnconditionalBranch || flow === iced.FlowControl.ConditionalBranch) {
      found ||= !inside(instruction.nearBranchTarget);
    }
    instruction.free();
  }
  decoder.free();
  return found;
};

const FOLDERS = ['native-64', 'native-32-pae', 'native-32-2level'] as const;

describe.each(FOLDERS.flatMap((folder) => ALL.map((stage) => ({ folder, stage }))))(
  'the save catalogue of $folder at $stage',
  ({ folder, stage }) => {
    const kernel = committedKernel(folder);
    const { bits } = kernel;
    const catalogue = kernel.catalogueOf(stage);
    const contents = kernel.contentsOf(stage);

    it('has every push, pop and stack move of kernel text in exactly one class', () => {
      const inRanges = ranges(catalogue);
      const outside = kernelFunctions(catalogue)
        .flatMap(({ address, codeBytes }) =>
          decodeStackInstructions(bits, contents.read(BigInt(address), codeBytes), BigInt(address)),
        )
        .filter((found) => !inRanges.some(({ from, to }) => found.address >= from && found.address < to))
        .map(({ address }) => `0x${address.toString(16).padStart(16, '0')}`);
      const saves = new Set(catalogue.saves.map(({ address }) => address));
      const notSaves = catalogue.notSaves.map(({ address }) => address);
      expect(notSaves.filter((address) => saves.has(address))).toEqual([]);
      expect([...saves, ...notSaves].toSorted()).toEqual(outside.toSorted());
    });

    it('restores in each function that ends what the function saves in its frame, register by register', () => {
      const ending = new Set(
        kernelFunctions(catalogue)
          .filter((fn) => ends(bits, contents, fn))
          .map(({ name }) => name),
      );
      const registers = (kind: 'save' | 'restore'): string[] => {
        const own = catalogue.saves.filter(
          (save) => save.cause === 'callee-frame' && save.kind === kind && ending.has(save.function),
        );
        return [...new Set(own.map((save) => `${save.function} ${save.register}`))].toSorted();
      };
      expect(registers('restore')).toEqual(registers('save'));
    });

    it('has all causes that compiled code and entry code have', () => {
      expect(new Set(catalogue.saves.map(({ cause }) => cause))).toEqual(
        new Set(['callee-frame', 'spill', 'entry-frame']),
      );
    });
  },
);

describe.each(FOLDERS)('function slots of %s', (folder) => {
  const kernel = committedKernel(folder);

  it('are 16-byte aligned, hold their code and do not overlap', () => {
    for (const stage of ALL) {
      const slots = kernelFunctions(kernel.catalogueOf(stage)).toSorted((a, b) => (a.address < b.address ? -1 : 1));
      for (const [index, { name, address, slotBytes, codeBytes }] of slots.entries()) {
        expect(codeBytes, name).toBeLessThanOrEqual(slotBytes);
        const next = slots[index + 1];
        if (next) expect(BigInt(address) + BigInt(slotBytes) <= BigInt(next.address), name).toBe(true);
      }
    }
  });

  it('have the same address and size in all stages', () => {
    const known = new Map<string, string>();
    for (const stage of ALL) {
      for (const { name, address, slotBytes } of kernelFunctions(kernel.catalogueOf(stage))) {
        const place = `${name} ${slotBytes}`;
        expect(known.get(address) ?? place, stage).toBe(place);
        known.set(address, place);
      }
    }
  });

  it('are filled with int3 after the code', () => {
    for (const stage of ALL) {
      const contents = kernel.contentsOf(stage);
      for (const { name, address, slotBytes, codeBytes } of kernelFunctions(kernel.catalogueOf(stage))) {
        const rest = contents.read(BigInt(address) + BigInt(codeBytes), slotBytes - codeBytes);
        expect(
          rest.every((byte) => byte === 0xcc),
          name,
        ).toBe(true);
      }
    }
  });
});

describe('the op table', () => {
  it.each(STAGES)('of %s has the 111 slots of domain.md §1.2 at 8 bytes each', (stage) => {
    const { opTable } = catalogueOf(stage);
    expect(opTable.map(({ type }) => type)).toEqual(Array.from({ length: 111 }, (_, type) => type));
    const base = BigInt(opTable[0]?.address ?? 0);
    expect(opTable.every(({ type, address }) => BigInt(address) === base + BigInt(type * 8))).toBe(true);
    const named = (type: number) => opTable[type]?.op;
    expect([named(12), named(49), named(53), named(85), named(92), named(101), named(110)]).toEqual([
      'cpu.clts',
      'cpu.swapgs',
      'irq.save_fl',
      'mmu.set_pte',
      'mmu.pte_val',
      'mmu.set_pgd',
      'lock.spin_unlock',
    ]);
  });

  it('points at the identity function for page-table values from stage identity on', () => {
    const pointer = (stage: (typeof STAGES)[number], type: number): bigint => {
      const bytes = contentsOf(stage).read(BigInt(catalogueOf(stage).opTable[type]?.address ?? 0), 8);
      return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
    };
    for (const stage of STAGES.slice(1)) {
      const identity = BigInt(catalogueOf(stage).symbols.ident_64 ?? 0);
      for (const type of [92, 93, 94, 95, 97, 98, 99, 100])
        expect(pointer(stage, type), `${stage} ${type}`).toBe(identity);
    }
    expect(catalogueOf('v2.6.29').symbols).not.toHaveProperty('ident_64');
  });

  it('has 4 callee-save slots from callee-save-irq and 12 from callee-save-pte on', () => {
    const count = STAGES.map((stage) => catalogueOf(stage).opTable.filter(({ calleeSave }) => calleeSave).length);
    expect(count).toEqual([0, 0, 0, 4, 12, 12]);
  });
});
