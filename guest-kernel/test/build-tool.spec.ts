import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { KernelCatalogue, PatchSetFile } from '@pvtrail/pvops';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotateAssembly } from '../build/src/assembly-notes.js';
import { sourcesOf } from '../build/src/compile.js';
import { buildKernel, compilerMismatch, decodeStackInstructions, type KernelBuild } from '../build/src/index.js';
import { mergeOrder } from '../build/src/slots.js';
import { NATIVE_32_PAE, NATIVE_64 } from '../build/src/stages.js';
import { mapParallel } from '../build/src/toolchain.js';

const FIXTURE = path.join(import.meta.dirname, 'fixture');
const mismatch = await compilerMismatch();
const withCompiler = mismatch === null || process.env.CI === 'true' ? describe : describe.skip;
const because = mismatch === null ? '' : ` (skipped, because ${mismatch})`;

describe('links', () => {
  it('are nopv, the base, and one per optimisation with code, each with all switches before its own', () => {
    const { links } = NATIVE_64;
    expect(links.map(({ name }) => name)).toEqual([
      'nopv',
      'v2.6.29',
      'identity',
      'clobber-aware',
      'callee-save-irq',
      'callee-save-pte',
      'F1',
      'F2',
      'F3',
      'F4',
    ]);
    for (const [index, link] of links.entries()) {
      expect([...(links[index - 1]?.on ?? [])].filter((name) => !link.on.has(name))).toEqual([]);
    }
  });
});

describe('links of a PAE guest', () => {
  const names = (links: readonly { readonly name: string }[] | null) => links?.map(({ name }) => name);

  it('have the fixes of the upper half in the stage that needs them, and the series as posted beside them', () => {
    const { links, asPosted } = NATIVE_32_PAE;
    expect(names(links)).toEqual([
      'nopv',
      'v2.6.29',
      'identity',
      'clobber-aware',
      'callee-save-irq',
      'callee-save-pte',
      'F4',
    ]);
    expect(names(asPosted)).toEqual([
      ...[
        'v2.6.29',
        'identity',
        'clobber-aware',
        'callee-save-irq',
        'callee-save-pte-as-posted',
        'F1',
        'F2',
        'F3',
        'F4',
      ],
    ]);
    const on = (list: typeof asPosted, name: string) => list?.find((link) => link.name === name)?.on;
    expect(on(links, 'callee-save-pte')).toEqual(on(asPosted, 'F3'));
    expect(on(links, 'F4')).toEqual(on(asPosted, 'F4'));
    expect(on(asPosted, 'callee-save-pte-as-posted')?.has('PV_F3')).toBe(false);
  });
});

describe('sources', () => {
  const all = ['cpu/setup.c', 'cpu/setup_32.c', 'mm/vma.c', 'pv/native.S', 'pv/native_32.S'];

  it('of 32 bit stand for those of the same name', () => {
    expect(sourcesOf(all, 32)).toEqual(['cpu/setup_32.c', 'mm/vma.c', 'pv/native_32.S']);
    expect(sourcesOf(all, 64)).toEqual(['cpu/setup.c', 'mm/vma.c', 'pv/native.S']);
  });
});

describe('slot order', () => {
  it('keeps the first order and puts a newcomer after the function that it follows', () => {
    expect(mergeOrder(['a', 'b', 'c'], ['a', 'x', 'c', 'y'])).toEqual(['a', 'x', 'b', 'c', 'y']);
    expect(mergeOrder(['a'], ['x', 'a'])).toEqual(['x', 'a']);
  });
});

describe('parallel work', () => {
  it('fails with the first failure, after what was under way has ended, and starts nothing more', async () => {
    const ended: number[] = [];
    const work = async (item: number): Promise<void> => {
      await Promise.resolve();
      if (item === 0) throw new Error('first');
      await Promise.resolve();
      ended.push(item);
    };
    await expect(mapParallel([0, 1, 2, 3], 2, work)).rejects.toThrow('first');
    expect(ended).toEqual([1]);
  });
});

describe('annotated assembly', () => {
  it('labels lines with a spill slot and inline assembly, and turns off merging', () => {
    const annotated = annotateAssembly(
      [
        '\tmovq\t%rdi, 8(%rsp)\t# a, %sfp',
        '#APP',
        '\tcli',
        '#NO_APP',
        '\t.section\t.rodata.str1.1,"aMS",@progbits,1',
      ].join('\n'),
      8,
    );
    expect(annotated.split('\n')).toEqual([
      '.Lpvtrail_note_0:',
      '\tmovq\t%rdi, 8(%rsp)\t# a, %sfp',
      '.Lpvtrail_note_2:',
      '#APP',
      '\tcli',
      '.Lpvtrail_note_5:',
      '#NO_APP',
      '\t.section\t.rodata.str1.1,"a",@progbits',
      '\t.section .pvtrail.notes,"",@progbits',
      '\t.quad 1, .Lpvtrail_note_0, .Lpvtrail_note_0',
      '\t.quad 2, .Lpvtrail_note_2, .Lpvtrail_note_5',
      '',
    ]);
  });
});

describe('stack instructions', () => {
  const decode = (hex: string, bits: 32 | 64 = 64) =>
    decodeStackInstructions(bits, Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')), 0x1000n).map(
      ({ form, stackOperand, register, base, displacement }) =>
        `${form} ${stackOperand} ${register} ${base}${displacement}`,
    );

  it.each([
    ['53', ['push write rbx sp-8']],
    ['41 5f', ['pop read r15 sp0']],
    ['9c 58', ['push-flags write memory sp-8', 'pop read rax sp0']],
    ['48 89 7c 24 08', ['move write rdi sp8']],
    ['8b 44 24 10', ['move read rax sp16']],
    ['48 03 44 24 08', ['move read rax sp8']],
    ['48 ff 44 24 08', ['read-modify-write read-write memory sp8']],
    ['48 c7 04 24 05 00 00 00', ['move write constant sp0']],
    ['55 48 89 e5 48 89 7d f8', ['push write rbp sp-8', 'move write rdi bp-8']],
  ])('%s is %j', (hex, expected) => expect(decode(hex)).toEqual(expected));

  it.each([
    ['0f a0', ['push write fs sp-4']],
    ['9c 58', ['push-flags write memory sp-4', 'pop read eax sp0']],
    ['89 54 24 08', ['move write edx sp8']],
    ['8b 44 24 f8', ['move read eax sp-8']],
    ['55 89 e5 89 7d f8', ['push write ebp sp-4', 'move write edi bp-8']],
  ])('%s is %j on 32 bit', (hex, expected) => expect(decode(hex, 32)).toEqual(expected));

  it.each([
    ['a call', 'e8 00 00 00 00'],
    ['a return', 'c3'],
    ['an address', '48 8d 44 24 08'],
    ['a new stack pointer', '48 83 ec 28'],
    ['memory through RBP where it is no frame pointer', '48 89 7d f8'],
  ])('%s is none', (_, hex) => expect(decode(hex)).toEqual([]));
});

withCompiler(`the fixture kernel${because}`, () => {
  let built: KernelBuild;
  const json = <T>(name: string): T =>
    JSON.parse(Buffer.from(built.artefacts.get(`native-64/${name}`) ?? []).toString()) as T;
  const catalogue = (stage: string): KernelCatalogue => json(`${stage}.catalogue.json`);

  beforeAll(async () => {
    built = await buildKernel(FIXTURE, [NATIVE_64]);
  });

  it('has the stack instructions of each function classified as its assembly shows', async () => {
    const listing = listSaves(catalogue('v2.6.29'));
    await expect(listing).toMatchFileSnapshot('golden/fixture-saves.txt');
  });

  it('knows a thunk by its range and the op whose slot points to it', () => {
    expect(catalogue('callee-save-irq').thunks).toMatchObject([
      { name: '__raw_callee_save_native_irq_disable', bytes: 30, op: 'irq.irq_disable' },
    ]);
    expect(catalogue('clobber-aware').thunks).toEqual([]);
  });

  it('has the record type that code, op and mask give', () => {
    const types = (stage: string) => [
      ...new Set(catalogue(stage).sites.map(({ op, recordType, length }) => `${op} ${recordType} ${length}`)),
    ];
    expect(types('v2.6.29')).toEqual(['mmu.pte_val c 6', 'irq.irq_disable c-irq 8']);
    expect(types('v2.6.30')).toEqual(['mmu.pte_val c-callee-save 7', 'irq.irq_disable c-irq 7']);
  });

  it('lists the saves inside of a site by offset', () => {
    expect(catalogue('v2.6.29').sites.find(({ op }) => op === 'irq.irq_disable')?.innerSaves).toEqual([
      { kind: 'save', offset: 0, register: 'rdi' },
      { kind: 'restore', offset: 7, register: 'rdi' },
    ]);
  });

  it('orders edits: op table, thunks, data, functions', () => {
    const sections = json<PatchSetFile>('patch-sets.json')
      .sets.find(({ optimisation }) => optimisation === 'callee-save-irq')
      ?.edits.map(({ unit }) => unit);
    expect(sections).toEqual(['pv_ops', '__raw_callee_save_native_irq_disable', '.parainstructions', 'flags_when_off']);
  });

  it('lists the functions of the user program', () => {
    expect(catalogue('nopv').functions.filter(({ kind }) => kind === 'user')).toMatchObject([
      { name: '_start', address: '0x0000000000400000' },
      { name: 'count' },
    ]);
  });

  it('is the same from another folder', async () => {
    const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'fixture-'));
    await fs.cp(FIXTURE, folder, { recursive: true });
    const again = await buildKernel(folder, [NATIVE_64]).finally(() => fs.rm(folder, { recursive: true }));
    expect([...again.artefacts]).toEqual([...built.artefacts]);
  });
});

withCompiler(`a source that breaks a rule${because}`, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), 'fixture-'));
    await fs.cp(FIXTURE, folder, { recursive: true });
  });
  afterAll(() => fs.rm(folder, { recursive: true }));

  const buildWith = async (source: string, text: string): Promise<KernelBuild> => {
    const file = path.join(folder, 'src', source);
    await fs.writeFile(file, text);
    return buildKernel(folder, [NATIVE_64]).finally(() => fs.rm(file));
  };

  it('with a push in inline assembly outside of a site is refused with its place', async () => {
    const source = 'void bad(void) { asm volatile("push %rbx; pop %rbx"); }';
    await expect(buildWith('bad.c', source)).rejects.toMatchObject({
      code: 'analysis/unclassified-save',
      message: expect.stringContaining('bad.c: bad+0x0: push rbx'),
    });
  });

  it('with a save of a register that assembly functions may lose is refused', async () => {
    const source = '.section .text.bad, "ax"\n.type bad, @function\nbad: push %rcx; pop %rcx; ret\n';
    await expect(buildWith('bad.S', source)).rejects.toMatchObject({ code: 'analysis/unclassified-save' });
  });

  it('with an object that is data in one stage and bss in another is refused', async () => {
    const source =
      '#if PV_F4\n.section .counter, "aw", @nobits\n.skip 8\n#else\n.section .counter, "aw", @progbits\n.quad 1\n#endif\n';
    await expect(buildWith('bad.S', source)).rejects.toMatchObject({
      code: 'input/unsupported-combination',
      message: expect.stringContaining('bad.S:.counter is data in one stage and bss in another'),
    });
  });

  it("that does not compile is refused with the compiler's message", async () => {
    await expect(buildWith('bad.c', 'int f(void) { return missing; }')).rejects.toMatchObject({
      code: 'input/invalid',
      message: expect.stringContaining("'missing' undeclared"),
    });
  });

  it("that refers to nothing is refused with the linker's message", async () => {
    await expect(buildWith('bad.c', 'void g(void); void f(void) { g(); }')).rejects.toMatchObject({
      message: expect.stringContaining('undefined reference to `g'),
    });
  });
});

/** One line per stack instruction of kernel functions: offset in the function, what it is. */
const listSaves = ({ functions, saves, notSaves }: KernelCatalogue): string => {
  const lines = functions
    .filter(({ kind }) => kind !== 'user')
    .flatMap(({ name, address, codeBytes }) => {
      const start = BigInt(address);
      const own = [
        ...saves.map((save) => ({
          at: BigInt(save.address) - start,
          text: `${save.cause} ${save.kind} ${save.register}`,
        })),
        ...notSaves.map((none) => ({ at: BigInt(none.address) - start, text: `no save: ${none.reason}` })),
      ].filter(({ at }) => at >= 0n && at < BigInt(codeBytes));
      return [
        name,
        ...own.toSorted((a, b) => Number(a.at - b.at)).map(({ at, text }) => `  +${at.toString(16)} ${text}`),
      ];
    });
  return `${lines.join('\n')}\n`;
};
