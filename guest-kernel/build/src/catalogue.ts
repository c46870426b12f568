import { AppError, formatVirt } from '@pvtrail/primitives';
import {
  type Bits,
  type CatalogueFunction,
  type CatalogueNotSave,
  type CatalogueOp,
  type CatalogueSave,
  type CatalogueSite,
  type CatalogueThunk,
  isCalleeSave,
  type KernelCatalogue,
  pvopOfType,
  slotCount,
} from '@pvtrail/pvops';
import { readSites } from './call-sites.js';
import { type ClassifiedInstruction, classifySaves } from './classify-saves.js';
import type { KernelObject } from './compile.js';
import type { ElfSymbol } from './elf-file.js';
import { functionKind, isAssembly, type KernelFunction, listFunctions, THUNK_PREFIX } from './kernel-functions.js';
import type { LinkedImage } from './link.js';
import { readLoadable } from './loadable.js';
import { MACHINES } from './machine.js';
import { OP_TABLE_SECTION, type SlotLayout } from './slots.js';
import type { GuestConfiguration, Link } from './stages.js';

/** Symbols that the loader, the patcher and the analysis look up (docs/adr/004); absent ones are left out. */
const CATALOGUED_SYMBOLS = [
  'boot_pgd',
  'boot_stack_top',
  '_start',
  '__parainstructions',
  '__parainstructions_end',
  'paravirt_nop',
  'ident_32',
  'ident_64',
] as const;

const RECORDS_SECTION = '.parainstructions';

export interface StageBuild {
  readonly guest: GuestConfiguration;
  readonly link: Link;
  readonly objects: readonly KernelObject[];
  readonly image: LinkedImage;
}

/**
 * Everything that the other parts must know about one stage's image.
 * @throws AppError `analysis/unclassified-save` naming every push, pop and stack move that is in no class
 */
export const makeCatalogue = (
  { guest, link, objects, image }: StageBuild,
  layout: SlotLayout,
  userFunctions: readonly ElfSymbol[],
): KernelCatalogue => {
  const read = (address: bigint, length: number) => readLoadable(image.elf.segments, address, length);
  const { wordBytes } = MACHINES[guest.bits];
  const functions = listFunctions(objects, layout);
  const symbols = catalogueSymbols(image);
  const opTable = readOpTable(guest, link, layout);
  const pointers = new Map(opTable.map(({ op, address }) => [op, pointerAt(read(BigInt(address), wordBytes))]));
  const sites = readSites(guest.paging, recordBytes(symbols, read), read, ownerIn(functions));
  const thunks = functions.filter((fn) => fn.name.startsWith(THUNK_PREFIX));
  const classified = classifyAll(guest.bits, functions, read, sites, thunks);
  failOnUnclassified(link, classified);
  const opTargets = new Set(pointers.values());
  return {
    format: 1,
    guest: guest.guest,
    bits: guest.bits,
    stage: link.stage,
    symbols,
    opTable,
    functions: [...functions.map((fn) => kernelFunction(fn, opTargets)), ...userFunctions.map(userFunction)],
    sites,
    thunks: thunks.map((thunk) => catalogueThunk(thunk, pointers)),
    saves: classified.flatMap(savesOf),
    notSaves: classified.flatMap(notSavesOf),
  };
};

const catalogueSymbols = (image: LinkedImage): Record<string, string> => {
  const addresses = new Map(image.elf.symbols.map((symbol) => [symbol.name, symbol.value]));
  return Object.fromEntries(
    CATALOGUED_SYMBOLS.flatMap((name) => {
      const address = addresses.get(name);
      return address === undefined ? [] : [[name, formatVirt(address)]];
    }),
  );
};

const readOpTable = ({ bits, paging }: GuestConfiguration, link: Link, layout: SlotLayout): CatalogueOp[] => {
  const { wordBytes } = MACHINES[bits];
  const table = layout.units.find((unit) => unit.section === OP_TABLE_SECTION);
  if (!link.on.has('CONFIG_PARAVIRT')) return [];
  const count = slotCount(paging);
  if (!table || table.slotBytes !== count * wordBytes) {
    throw new AppError(
      'image/corrupt',
      `${OP_TABLE_SECTION} has ${table?.slotBytes ?? 0} bytes, not ${count} slots of ${wordBytes}`,
    );
  }
  return Array.from({ length: count }, (_, type) => {
    const pvop = pvopOfType(type, paging);
    const address = formatVirt(table.address + BigInt(type * wordBytes));
    return { op: pvop.name, type, address, calleeSave: isCalleeSave(pvop, link.optimisations) };
  });
};

const pointerAt = (bytes: Uint8Array): bigint => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.length === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
};

const recordBytes = (
  symbols: Readonly<Record<string, string>>,
  read: (address: bigint, length: number) => Uint8Array,
) => {
  const start = BigInt(symbols[RECORDS_SECTION.replace('.', '__')] ?? 0);
  const end = BigInt(symbols.__parainstructions_end ?? 0);
  return end > start ? read(start, Number(end - start)) : new Uint8Array(0);
};

const ownerIn = (functions: readonly KernelFunction[]) => (address: bigint) => {
  const owner = functions.find((fn) => address >= fn.address && address < fn.address + BigInt(fn.codeBytes));
  return owner && { name: owner.name, assembly: isAssembly(owner.source) };
};

const classifyAll = (
  bits: Bits,
  functions: readonly KernelFunction[],
  read: (address: bigint, length: number) => Uint8Array,
  sites: readonly CatalogueSite[],
  thunks: readonly KernelFunction[],
): ClassifiedInstruction[] => {
  const excluded = [
    ...sites.map((site) => ({ from: BigInt(site.address), to: BigInt(site.address) + BigInt(site.length) })),
    ...thunks.map((thunk) => ({ from: thunk.address, to: thunk.address + BigInt(thunk.codeBytes) })),
  ];
  return functions.flatMap((fn) => {
    const end = fn.address + BigInt(fn.codeBytes);
    const own = excluded.filter((range) => range.from < end && range.to > fn.address);
    return classifySaves(bits, fn, read(fn.address, fn.codeBytes), own);
  });
};

const failOnUnclassified = (link: Link, classified: readonly ClassifiedInstruction[]): void => {
  const unknown = classified.filter(({ verdict }) => verdict.kind === 'unclassified');
  if (unknown.length === 0) return;
  const places = unknown.map(({ instruction, fn }) => {
    const offset = (instruction.address - fn.address).toString(16);
    return `  ${fn.source}: ${fn.name}+0x${offset}: ${instruction.mnemonic} ${instruction.register}, [${instruction.base}${instruction.displacement}]`;
  });
  throw new AppError(
    'analysis/unclassified-save',
    `${link.name}: ${unknown.length} pushes, pops or stack moves are in no class; add a rule to save-rules.ts:\n${places.join('\n')}`,
  );
};

const kernelFunction = (fn: KernelFunction, opTargets: ReadonlySet<bigint>): CatalogueFunction => ({
  name: fn.name,
  address: formatVirt(fn.address),
  slotBytes: fn.slotBytes,
  codeBytes: fn.codeBytes,
  kind: functionKind(fn, opTargets),
});

const userFunction = ({ name, value, sizeBytes }: ElfSymbol): CatalogueFunction => ({
  name,
  address: formatVirt(value),
  slotBytes: sizeBytes,
  codeBytes: sizeBytes,
  kind: 'user',
});

const catalogueThunk = (thunk: KernelFunction, pointers: ReadonlyMap<string, bigint>): CatalogueThunk => ({
  name: thunk.name,
  address: formatVirt(thunk.address),
  bytes: thunk.codeBytes,
  op: [...pointers].find(([, target]) => target === thunk.address)?.[0] ?? '',
});

const savesOf = ({ instruction, fn, verdict }: ClassifiedInstruction): CatalogueSave[] =>
  verdict.kind === 'saves'
    ? verdict.directions.map((kind) => ({
        address: formatVirt(instruction.address),
        kind,
        cause: verdict.cause,
        function: fn.name,
        register: instruction.register,
      }))
    : [];

const notSavesOf = ({ instruction, verdict }: ClassifiedInstruction): CatalogueNotSave[] =>
  verdict.kind === 'no-save' ? [{ address: formatVirt(instruction.address), reason: verdict.reason }] : [];
