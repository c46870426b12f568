import fs from 'node:fs';
import { parseElf } from '@pvtrail/guests';
import { openKernelImages } from '@pvtrail/kernel-images';
import type { CatalogueSite } from '@pvtrail/pvops';
import { describe, expect, it } from 'vitest';
import { decodeStackInstructions } from '../build/src/index.js';
import { committedKernel, STAGES } from './committed-kernel.js';

const PAGINGS = [
  { folder: 'native-32-pae', paging: 'pae', slots: 107, wide: true },
  { folder: 'native-32-2level', paging: '2level', slots: 101, wide: false },
] as const;
const ALL = ['nopv', ...STAGES] as const;
const DIRECT_MAP = 0xc0000000n;
const PRESENT_LARGE_GLOBAL = 0x1e3n;

const littleEndian = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);

interface Row {
  readonly assembly: boolean;
  readonly source: string;
  readonly mask: number;
  readonly stages: readonly string[];
  readonly bytes: RegExp;
}

/** The table that `call-sites-32.spec.ts` compares single call forms with. */
const ROWS: readonly Row[] = fs
  .readFileSync(new URL('cases/site-bytes-32.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .slice(1)
  .map((line) => {
    const [source = '', , mask = '', stages = '', bytes = ''] = line.split('|').map((cell) => cell.trim());
    const [first = 0, last = 0] = stages.split('..').map((name) => (STAGES as readonly string[]).indexOf(name));
    return {
      assembly: source.startsWith('asm '),
      source,
      mask: Number.parseInt(mask, 16),
      stages: STAGES.slice(first, last + 1),
      bytes: new RegExp(`^${bytes.replaceAll(' ', '').replace('AAAAAAAA', '([0-9a-f]{8})')}$`),
    };
  });

/** The function of the table's C source that calls as this op is called. */
const formOf = ({ op }: CatalogueSite): string =>
  ({
    'irq.save_fl': 'save_flags',
    'irq.restore_fl': 'restore_flags',
    'irq.irq_disable': 'disable',
    'irq.irq_enable': 'enable',
  })[op] ?? (/_val$|^mmu\.make_/.test(op) ? 'entry_value' : 'std_word');

describe.each(PAGINGS)('the image of $folder', ({ folder, paging, slots, wide }) => {
  const kernel = committedKernel(folder);

  it('is found by its guest and lies where docs/adr/006 says', () => {
    const images = openKernelImages(folder);
    for (const stage of ['nopv', 'v2.6.29']) {
      const { bits, entry, segments, symbols } = parseElf(images.elf(stage));
      expect(bits).toBe(32);
      expect(segments.map(({ virt, phys }) => virt - BigInt(phys))).toEqual([DIRECT_MAP, DIRECT_MAP, DIRECT_MAP]);
      expect(segments[0]).toMatchObject({ virt: 0xc0100000n, executable: true, writable: false });
      expect(entry).toBe(symbols.get('_start'));
    }
    for (const stage of ALL) expect(images.catalogue(stage)).toMatchObject({ guest: 'native', bits: 32, stage });
  });

  it('maps the direct map alone, to the first 896 MiB', () => {
    const contents = kernel.contentsOf('v2.6.29');
    const pgd = BigInt(kernel.catalogueOf('v2.6.29').symbols.boot_pgd ?? 0);
    const entries = (address: bigint, count: number, bytes: number): bigint[] =>
      Array.from({ length: count }, (_, index) => littleEndian(contents.read(address + BigInt(index * bytes), bytes)));
    const large = (count: number, size: bigint): bigint[] =>
      Array.from({ length: count }, (_, index) => BigInt(index) * size + PRESENT_LARGE_GLOBAL);
    if (wide) {
      expect(pgd % 32n).toBe(0n);
      const pointers = entries(pgd, 4, 8);
      expect(pointers.slice(0, 3)).toEqual([0n, 0n, 0n]);
      expect((pointers[3] ?? 0n) & 0xfffn).toBe(1n);
      const directory = entries((pointers[3] ?? 0n) - 1n + DIRECT_MAP, 512, 8);
      expect(directory).toEqual([...large(448, 0x200000n), ...Array<bigint>(64).fill(0n)]);
    } else {
      expect(pgd % 4096n).toBe(0n);
      const empty = (count: number) => Array<bigint>(count).fill(0n);
      expect(entries(pgd, 1024, 4)).toEqual([...empty(768), ...large(224, 0x400000n), ...empty(32)]);
    }
  });

  it.each(STAGES)(
    'at %s has the op table of domain.md §1.2, and nothing else in its slots than functions of the kernel',
    (stage) => {
      const { opTable, functions, symbols } = kernel.catalogueOf(stage);
      const starts = new Set(functions.map(({ address }) => BigInt(address)));
      const pointers = opTable.map(({ address }) => littleEndian(kernel.contentsOf(stage).read(BigInt(address), 4)));
      expect(opTable).toHaveLength(slots);
      expect(pointers.filter((pointer) => pointer !== 0n && !starts.has(pointer))).toEqual([]);
      const values = opTable.flatMap(({ op }, type) => (/_val$|^mmu\.make_/.test(op) ? [pointers[type]] : []));
      expect(values).toHaveLength(wide ? 6 : 4);
      const identity = BigInt(symbols[wide ? 'ident_64' : 'ident_32'] ?? 0);
      if (stage === 'v2.6.29') expect(new Set(values).size).toBe(values.length);
      else expect(values).toEqual(values.map(() => identity));
    },
  );

  it.each(STAGES)('at %s has call sites with the bytes and masks of the table, each naming its slot', (stage) => {
    const { sites, opTable } = kernel.catalogueOf(stage);
    const contents = kernel.contentsOf(stage);
    const slotOf = new Map(opTable.map(({ type, address }) => [type, BigInt(address)]));
    expect(sites.length).toBeGreaterThan(150);
    for (const site of sites) {
      const assembly = site.recordType.startsWith('asm');
      const bytes = Buffer.from(contents.read(BigInt(site.address), site.length)).toString('hex');
      const found = ROWS.filter(
        (row) =>
          row.assembly === assembly &&
          (assembly || row.source === formOf(site)) &&
          row.mask === site.clobbers &&
          row.stages.includes(stage),
      ).map(({ bytes: pattern }) => pattern.exec(bytes)?.[1]);
      const target = found.find((slot) => slot !== undefined);
      expect(target && littleEndian(Buffer.from(target, 'hex')), `${site.function} ${site.op}: ${bytes}`).toBe(
        slotOf.get(site.type),
      );
    }
  });

  it('has sites of every assembly form that a native kernel reaches', () => {
    const forms = new Set(
      kernel
        .catalogueOf('v2.6.30')
        .sites.flatMap(({ recordType, op, clobbers }) => (recordType.startsWith('asm') ? [`${op} ${clobbers}`] : [])),
    );
    expect([...forms].toSorted()).toEqual([
      'cpu.iret 0',
      'cpu.irq_enable_sysexit 0',
      'irq.irq_disable 15',
      'irq.irq_enable 0',
      'irq.irq_enable 15',
    ]);
  });

  // The argument words of a system call are the user's registers in its frame, which the way back restores.
  it.each(ALL)('at %s leaves the frame of a system call to its caller', (stage) => {
    const { functions, notSaves } = kernel.catalogueOf(stage);
    const arguments_ = new Set(
      notSaves.flatMap(({ address, reason }) => (reason === 'argument-load' ? [BigInt(address)] : [])),
    );
    const calls = functions.filter(({ name }) => name.startsWith('sys_'));
    const written = calls.flatMap(({ name, address, codeBytes }) =>
      decodeStackInstructions(32, kernel.contentsOf(stage).read(BigInt(address), codeBytes), BigInt(address))
        .filter((instruction) => arguments_.has(instruction.address) && instruction.stackOperand !== 'read')
        .map(() => name),
    );
    expect(calls.length).toBeGreaterThan(20);
    expect(arguments_.size).toBeGreaterThan(20);
    expect(written).toEqual([]);
  });

  it(`has callee-save slots as a ${paging} kernel has them`, () => {
    const count = STAGES.map(
      (stage) => kernel.catalogueOf(stage).opTable.filter(({ calleeSave }) => calleeSave).length,
    );
    expect(count).toEqual([0, 0, 0, 4, wide ? 10 : 8, wide ? 10 : 8]);
  });
});
