import fs from 'node:fs';
import { digestOf, fromHex } from '@pvtrail/primitives';
import { type KernelCatalogue, type PatchSetFile, patchSetHash } from '@pvtrail/pvops';

const FOLDER = new URL('../images/native-64/', import.meta.url);

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

export const readImageFile = (name: string): Uint8Array => new Uint8Array(fs.readFileSync(new URL(name, FOLDER)));
const readJson = <T>(name: string): T => JSON.parse(Buffer.from(readImageFile(name)).toString()) as T;

export const catalogueOf = (stage: PvStage | 'nopv'): KernelCatalogue => readJson(`${stage}.catalogue.json`);
export const patchSetFile = (): PatchSetFile => readJson('patch-sets.json');
export const digests = (): Readonly<Record<string, string>> => readJson('sha256.json');

interface Segment {
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** File bytes of the PT_LOAD segments (gABI, program header) in address order. */
const loadSegments = (elf: Uint8Array): Segment[] => {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const at = (index: number): number => Number(view.getBigUint64(32, true)) + index * 56;
  return Array.from({ length: view.getUint16(56, true) }, (_, index) => at(index))
    .filter((header) => view.getUint32(header, true) === 1)
    .map((header) => {
      const offset = Number(view.getBigUint64(header + 8, true));
      const fileBytes = Number(view.getBigUint64(header + 32, true));
      return { address: view.getBigUint64(header + 16, true), bytes: elf.slice(offset, offset + fileBytes) };
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
  foldTo(stage: PvStage, file: PatchSetFile): this {
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

export const contentsOf = (stage: PvStage | 'nopv'): StageContents =>
  stage === 'nopv'
    ? new StageContents(readImageFile('nopv.elf'))
    : new StageContents(readImageFile('v2.6.29.elf')).foldTo(stage, patchSetFile());
