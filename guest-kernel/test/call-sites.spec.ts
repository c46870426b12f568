import fs from 'node:fs';
import type { CatalogueSite, KernelCatalogue } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { catalogueOf, contentsOf, type PvStage, STAGES, type StageContents } from './committed-kernel.js';

interface SiteCase {
  readonly row: string;
  readonly code: string;
  readonly ops: readonly string[];
  readonly mask: number;
  readonly stages: readonly PvStage[];
  readonly bytes: readonly string[];
}

const stageRange = (text: string): readonly PvStage[] => {
  const [first, last] = text.split('..').map((name) => (STAGES as readonly string[]).indexOf(name));
  if (first === undefined || last === undefined || first < 0 || last < first) throw new Error(`no stages: ${text}`);
  return STAGES.slice(first, last + 1);
};

const CASES: readonly SiteCase[] = fs
  .readFileSync(new URL('cases/site-bytes.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('#'))
  .slice(1)
  .map((row) => {
    const [code = '', ops = '', mask = '', stages = '', bytes = ''] = row.split('|').map((cell) => cell.trim());
    return {
      row,
      code,
      ops: ops.split(/\s+/),
      mask: Number.parseInt(mask, 16),
      stages: stageRange(stages),
      bytes: bytes.split(' '),
    };
  });

const NAMED_C_OPS = new Set(CASES.filter(({ code }) => code === 'c').flatMap(({ ops }) => ops));

const isAssemblySite = (site: CatalogueSite): boolean => site.recordType.startsWith('asm');

/** Little-endian 32 bits at the place of the wildcard, sign-extended: a distance or, for AA, an absolute address. */
const targetOf = (pattern: readonly string[], bytes: Uint8Array, address: bigint): bigint | undefined => {
  const at = pattern.findIndex((byte) => byte === 'RR' || byte === 'AA');
  if (at < 0) return undefined;
  const value = BigInt(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getInt32(at, true));
  return BigInt.asUintN(64, pattern[at] === 'RR' ? address + BigInt(at + 4) + value : value);
};

const hasBytes = (pattern: readonly string[], bytes: Uint8Array): boolean =>
  pattern.length === bytes.length &&
  pattern.every((byte, index) => byte === 'RR' || byte === 'AA' || Number.parseInt(byte, 16) === bytes[index]);

const matches =
  (site: CatalogueSite, stage: PvStage, bytes: Uint8Array) =>
  (row: SiteCase): boolean =>
    row.code === (isAssemblySite(site) ? 'asm' : 'c') &&
    (row.ops.includes(site.op) || (row.ops[0] === 'std' && !NAMED_C_OPS.has(site.op))) &&
    row.mask === site.clobbers &&
    row.stages.includes(stage) &&
    hasBytes(row.bytes, bytes);

interface SectionRecord {
  readonly address: bigint;
  readonly type: number;
  readonly length: number;
  readonly clobbers: number;
  readonly padding: Uint8Array;
}

/** Record layout of domain.md §2.3: pointer, u8 type, u8 length, u16 clobbers, aligned to 8 before each record. */
const recordsOf = (catalogue: KernelCatalogue, contents: StageContents): SectionRecord[] => {
  const start = BigInt(catalogue.symbols.__parainstructions ?? 0);
  const end = BigInt(catalogue.symbols.__parainstructions_end ?? 0);
  const records: SectionRecord[] = [];
  for (let at = start; at < end; at += 16n) {
    const used = contents.read(at, 12);
    const view = new DataView(used.buffer, used.byteOffset, used.byteLength);
    records.push({
      address: view.getBigUint64(0, true),
      type: view.getUint8(8),
      length: view.getUint8(9),
      clobbers: view.getUint16(10, true),
      padding: at + 16n <= end ? contents.read(at + 12n, 4) : new Uint8Array(4),
    });
  }
  return records;
};

describe.each(STAGES)('call sites of %s', (stage) => {
  const catalogue = catalogueOf(stage);
  const contents = contentsOf(stage);

  it('have the bytes and the mask of exactly one row of the table, and call through the slot of their type', () => {
    for (const site of catalogue.sites) {
      const address = BigInt(site.address);
      const bytes = contents.read(address, site.length);
      const rows = CASES.filter(matches(site, stage, bytes));
      const where = `${site.function} ${site.op} mask ${site.clobbers.toString(16)}: ${Buffer.from(bytes).toString('hex')}`;
      expect(rows.length, where).toBe(1);
      const target = targetOf(rows[0]?.bytes ?? [], bytes, address);
      const slot = catalogue.opTable.find(({ type }) => type === site.type);
      if (target !== undefined) expect(`0x${target.toString(16)}`, where).toBe(slot?.address);
    }
  });

  it('have a record each, 8-aligned with stride 16 and zero padding, the last without its tail', () => {
    const start = BigInt(catalogue.symbols.__parainstructions ?? 0);
    const end = BigInt(catalogue.symbols.__parainstructions_end ?? 0);
    expect(start % 8n).toBe(0n);
    expect((end - start) % 16n).toBe(12n);
    const records = recordsOf(catalogue, contents);
    expect(records.every(({ padding }) => padding.every((byte) => byte === 0))).toBe(true);
    const named = (list: readonly { address: bigint; type: number; length: number; clobbers: number }[]) =>
      list
        .map(({ address, type, length, clobbers }) => `${address.toString(16)} ${type} ${length} ${clobbers}`)
        .toSorted();
    expect(named(records)).toEqual(named(catalogue.sites.map((site) => ({ ...site, address: BigInt(site.address) }))));
  });

  it('lie in a function each and do not overlap', () => {
    const sites = catalogue.sites
      .map((site) => ({ ...site, start: BigInt(site.address) }))
      .toSorted((a, b) => (a.start < b.start ? -1 : 1));
    for (const [index, site] of sites.entries()) {
      const owner = catalogue.functions.find(
        (fn) =>
          site.start >= BigInt(fn.address) &&
          site.start + BigInt(site.length) <= BigInt(fn.address) + BigInt(fn.codeBytes),
      );
      expect(owner?.name).toBe(site.function);
      const next = sites[index + 1];
      if (next) expect(site.start + BigInt(site.length) <= next.start).toBe(true);
    }
  });
});

describe('the table of site bytes', () => {
  it.each(CASES)('has a site for the row $row', (row) => {
    const stage = row.stages[0] ?? 'v2.6.29';
    const contents = contentsOf(stage);
    const found = catalogueOf(stage).sites.filter((site) =>
      matches(site, stage, contents.read(BigInt(site.address), site.length))(row),
    );
    expect(found.length).toBeGreaterThan(0);
  });
});

describe('defect B1', () => {
  const RDI_FROM_P3 = 1 << 3;
  const site = (stage: PvStage): CatalogueSite | undefined =>
    catalogueOf(stage).sites.find(
      ({ function: name, op }) => name === 'native_load_gs_index' && op === 'irq.irq_disable',
    );

  it('at clobber-aware the mask of the site in native_load_gs_index protects RDI, and the site saves nothing', () => {
    expect((site('clobber-aware')?.clobbers ?? 0xffff) & RDI_FROM_P3).toBe(0);
    expect(site('clobber-aware')?.innerSaves).toEqual([]);
  });

  it('before it the site saves RDI; after it the callee keeps RDI, because the op is callee-save', () => {
    expect(site('identity')?.innerSaves.some(({ kind, register }) => kind === 'save' && register === 'rdi')).toBe(true);
    const calleeSave = (stage: PvStage) =>
      catalogueOf(stage).opTable.find(({ op }) => op === 'irq.irq_disable')?.calleeSave;
    expect([calleeSave('clobber-aware'), calleeSave('callee-save-irq')]).toEqual([false, true]);
  });
});

describe('the footprint (definitions §3)', () => {
  it.each(STAGES)('of %s has at least 150 C and 40 assembly sites in at least 80 functions', (stage) => {
    const { sites } = catalogueOf(stage);
    expect(sites.filter((candidate) => !isAssemblySite(candidate)).length).toBeGreaterThanOrEqual(150);
    expect(sites.filter(isAssemblySite).length).toBeGreaterThanOrEqual(40);
    expect(new Set(sites.map((candidate) => candidate.function)).size).toBeGreaterThanOrEqual(80);
  });

  it('of nopv has no call sites and no op table', () => {
    expect([catalogueOf('nopv').sites, catalogueOf('nopv').opTable]).toEqual([[], []]);
  });
});
