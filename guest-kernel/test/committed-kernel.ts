import fs from 'node:fs';
import { digestOf, fromHex } from '@pvtrail/primitives';
import { type KernelCatalogue, type PatchSetFile, patchSetHash } from '@pvtrail/pvops';

const IMAGES = new URL('../images/', import.meta.url);

/** Stages with an image, in the order in which the series leads to them. */
export const STAGES = [
  'v2.6.29',
  'identity',
  'clobber-aware',
  'callee-save-irq',
  'callee-save-pte',
  'v2.6.30',
] as const;
export type PvStage = (typeof STAGES)[number];

/** The committed files of one guest, read by nothing of the project but what the tests themselves have. */
export interface CommittedKernel {
  readonly bits: 32 | 64;
  catalogueOf(stage: string): KernelCatalogue;
  patchSetFile(series?: 'measured' | 'as-posted'): PatchSetFile;
  digests(): Readonly<Record<string, string>>;
  /** A stage's loadable contents, with the sets of the series folded in. */
  contentsOf(stage: string, series?: 'measured' | 'as-posted'): StageContents;
}

export const committedKernel = (folder: string): CommittedKernel => {
  const read = (name: string): Uint8Array => new Uint8Array(fs.readFileSync(new URL(`${folder}/${name}`, IMAGES)));
  const json = <T>(name: string): T => JSON.parse(Buffer.from(read(name)).toString()) as T;
  const patchSetFile: CommittedKernel['patchSetFile'] = (series = 'measured') =>
    json(series === 'measured' ? 'patch-sets.json' : 'patch-sets-as-posted.json');
  return {
    bits: folder.includes('-32-') ? 32 : 64,
    catalogueOf: (stage) => json(`${stage}.catalogue.json`),
    patchSetFile,
    digests: () => json('sha256.json'),
    contentsOf: (stage, series) =>
      stage === 'nopv'
        ? new StageContents(read('nopv.elf'))
        : new StageContents(read('v2.6.29.elf')).foldTo(stage, patchSetFile(series)),
  };
};

const NATIVE_64 = committedKernel('native-64');
export const catalogueOf = (stage: PvStage | 'nopv'): KernelCatalogue => NATIVE_64.catalogueOf(stage);
export const patchSetFile = (): PatchSetFile => NATIVE_64.patchSetFile();
export const digests = (): Readonly<Record<string, string>> => NATIVE_64.digests();
export const contentsOf = (stage: PvStage | 'nopv'): StageContents => NATIVE_64.contentsOf(stage);

interface Segment {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** File bytes of the PT_LOAD segments (gABI, program header) in address order. */
const loadSegments = (elf: Uint8Array): Segment[] => {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const wide = view.getUint8(4) === 2;
  const word = (at: number): bigint => (wide ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)));
  const field = wide
    ? { table: 32, count: 56, bytes: 56, offset: 8, address: 16, fileBytes: 32 }
    : { table: 28, count: 44, bytes: 32, offset: 4, address: 8, fileBytes: 16 };
  const at = (index: number): number => Number(word(field.table)) + index * field.bytes;
  return Array.from({ length: view.getUint16(field.count, true) }, (_, index) => at(index))
    .filter((header) => view.getUint32(header, true) === 1)
    .map((header) => {
      const offset = Number(word(header + field.offset));
      const fileBytes = Number(word(header + field.fileBytes));
      return { address: word(header + field.address), bytes: elf.slice(offset, offset + fileBytes) };
    })
    .sort((a, b) => (a.address < b.address ? -1 : 1));
};

/** The loadable contents of one stage: the committed base with the committed edits written over it, one after the other. */
export class StageContents {
  readonly #segments: Segment[];

  constructor(elf: Uint8Array) {
    this.#segments = loadSegments(elf);
  }

  read(address: bigint, length: number): Uint8Array {
    const segment = this.#segments.find(
      (s) => address >= s.address && address + BigInt(length) <= s.address + BigInt(s.bytes.length),
    );
    if (!segment) throw new Error(`${address.toString(16)} (${length} bytes) is not in the image`);
    const offset = Number(address - segment.address);
    return segment.bytes.subarray(offset, offset + length);
  }

  digest(): string {
    return digestOf(...this.#segments.map((segment) => segment.bytes));
  }

  /** Applies the sets that lead to `stage`, each with the hash that it states and the bytes that it expects. */
  foldTo(stage: string, file: PatchSetFile): this {
    const last = stage === file.base ? -1 : file.sets.findLastIndex((set) => set.stage === stage);
    for (const { optimisation, hash, edits } of file.sets.slice(0, last + 1)) {
      if (patchSetHash(edits) !== hash) throw new Error(`the set '${optimisation}' has another hash than it states`);
      for (const { address, before, after, unit } of edits) {
        const target = this.read(BigInt(address), before.length / 2);
        if (Buffer.from(target).toString('hex') !== before)
          throw new Error(`${optimisation}: ${unit} has other bytes before`);
        target.set(fromHex(after));
      }
    }
    return this;
  }
}
