import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Bits } from '@pvtrail/pvops';
import { type AssemblyNotes, annotateAssembly, readNotes } from './assembly-notes.js';
import { type ElfFile, readElf } from './elf-file.js';
import { MACHINES, type Machine } from './machine.js';
import { defines, type GuestConfiguration, type Link } from './stages.js';
import { kernelCFlags, mapParallel, runTool } from './toolchain.js';

/** One source file compiled for one link. */
export interface KernelObject {
  /** Path of the source below `guest-kernel/src`: the name of the object in scripts and messages. */
  readonly source: string;
  readonly path: string;
  readonly elf: ElfFile;
  readonly notes: AssemblyNotes;
}

/** The tools work on two sources at a time: enough for two cores, and memory stays small. */
export const WIDTH = 2;

/** Paths below `folder` with one of the endings, sorted, so that no directory order reaches the image. */
export const listSources = async (folder: string, endings: readonly string[]): Promise<string[]> =>
  (await fs.readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && endings.includes(path.extname(entry.name)))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort((a, b) => (a < b ? -1 : 1));

/** Sources of a bitness: on 32 bit `name_32.c` stands for `name.c`, on 64 bit it is left out. */
export const sourcesOf = (sources: readonly string[], bits: Bits): string[] => {
  const is32 = (source: string): boolean => /_32\.[cS]$/.test(source);
  if (bits === 64) return sources.filter((source) => !is32(source));
  const replaced = new Set(sources.filter(is32).map((source) => source.replace('_32.', '.')));
  return sources.filter((source) => !replaced.has(source));
};

/** Where the memory image of a bitness's user program lies, for `.incbin`. */
export const userImageFolder = (workFolder: string, { bits }: Machine): string => path.join(workFolder, `user-${bits}`);

/**
 * Compiles kernel sources link by link, for several guests. Sources that are the same after preprocessing are compiled once: their objects are equal
 * by construction, which also keeps a switch without effect from costing time.
 */
export class KernelCompiler {
  readonly #sourceFolder: string;
  readonly #workFolder: string;
  readonly #objects = new Map<string, Promise<Omit<KernelObject, 'source'>>>();

  /** `workFolder` receives objects; files to be embedded with `.incbin` are looked up in its `userImageFolder`. */
  constructor(sourceFolder: string, workFolder: string) {
    this.#sourceFolder = sourceFolder;
    this.#workFolder = workFolder;
  }

  /** All objects of a link, in the order of the sorted sources. @throws AppError `input/invalid` with the compiler's message */
  async compile(guest: GuestConfiguration, link: Link): Promise<KernelObject[]> {
    const machine = MACHINES[guest.bits];
    const sources = sourcesOf(await listSources(this.#sourceFolder, ['.c', '.S']), machine.bits);
    return mapParallel(sources, WIDTH, async (source) => {
      const preprocessed = await this.#preprocess(source, machine, defines(guest, link));
      const text = `${machine.bits}\0${source}\0${preprocessed}`;
      const key = createHash('sha256').update(text).digest('hex').slice(0, 32);
      const known = this.#objects.get(key) ?? this.#build(source, machine, preprocessed, key);
      this.#objects.set(key, known);
      return { source, ...(await known) };
    });
  }

  #preprocess(source: string, machine: Machine, definitions: readonly string[]): Promise<string> {
    const flags = source.endsWith('.S') ? ['-D__ASSEMBLY__'] : kernelCFlags(machine);
    return runTool('gcc', ['-E', ...flags, ...definitions, '-I', 'include', source], this.#sourceFolder);
  }

  async #build(
    source: string,
    machine: Machine,
    preprocessed: string,
    key: string,
  ): Promise<Omit<KernelObject, 'source'>> {
    const file = (ending: string): string => path.join(this.#workFolder, `${key}${ending}`);
    const assembly = source.endsWith('.S')
      ? preprocessed
      : await this.#toAssembly(preprocessed, machine, file('.i'), file('.raw'));
    await fs.writeFile(file('.s'), annotateAssembly(assembly, machine.wordBytes));
    const include = userImageFolder(this.#workFolder, machine);
    await runTool('as', [machine.assemblerFlag, '-I', include, '-o', file('.o'), file('.s')], this.#workFolder);
    const elf = readElf(await fs.readFile(file('.o')));
    return { path: file('.o'), elf, notes: readNotes(elf) };
  }

  async #toAssembly(preprocessed: string, machine: Machine, input: string, output: string): Promise<string> {
    await fs.writeFile(input, preprocessed);
    await runTool(
      'gcc',
      ['-S', '-fverbose-asm', '-fpreprocessed', ...kernelCFlags(machine), '-o', output, input],
      this.#workFolder,
    );
    return fs.readFile(output, 'utf8');
  }
}
