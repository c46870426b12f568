import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type AssemblyNotes, annotateAssembly, readNotes } from './assembly-notes.js';
import { type ElfFile, readElf } from './elf-file.js';
import { defines, type GuestConfiguration, type Link } from './stages.js';
import { KERNEL_C_FLAGS, mapParallel, runTool } from './toolchain.js';

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

/**
 * Compiles kernel sources link by link, for several guests. Sources that are the same after preprocessing are compiled once: their objects are equal
 * by construction, which also keeps a switch without effect from costing time.
 */
export class KernelCompiler {
  readonly #sourceFolder: string;
  readonly #workFolder: string;
  readonly #objects = new Map<string, Promise<Omit<KernelObject, 'source'>>>();

  /** `workFolder` receives objects; files to be embedded with `.incbin` are looked up there. */
  constructor(sourceFolder: string, workFolder: string) {
    this.#sourceFolder = sourceFolder;
    this.#workFolder = workFolder;
  }

  /** All objects of a link, in the order of the sorted sources. @throws AppError `input/invalid` with the compiler's message */
  async compile(guest: GuestConfiguration, link: Link): Promise<KernelObject[]> {
    const sources = await listSources(this.#sourceFolder, ['.c', '.S']);
    return mapParallel(sources, WIDTH, async (source) => {
      const preprocessed = await this.#preprocess(source, defines(guest, link));
      const key = createHash('sha256').update(source).update('\0').update(preprocessed).digest('hex').slice(0, 32);
      const known = this.#objects.get(key) ?? this.#build(source, preprocessed, key);
      this.#objects.set(key, known);
      return { source, ...(await known) };
    });
  }

  #preprocess(source: string, definitions: readonly string[]): Promise<string> {
    const flags = source.endsWith('.S') ? ['-D__ASSEMBLY__'] : KERNEL_C_FLAGS;
    return runTool('gcc', ['-E', ...flags, ...definitions, '-I', 'include', source], this.#sourceFolder);
  }

  async #build(source: string, preprocessed: string, key: string): Promise<Omit<KernelObject, 'source'>> {
    const file = (ending: string): string => path.join(this.#workFolder, `${key}${ending}`);
    const assembly = source.endsWith('.S')
      ? preprocessed
      : await this.#toAssembly(preprocessed, file('.i'), file('.raw'));
    await fs.writeFile(file('.s'), annotateAssembly(assembly));
    await runTool('as', ['--64', '-I', this.#workFolder, '-o', file('.o'), file('.s')], this.#workFolder);
    const elf = readElf(await fs.readFile(file('.o')));
    return { path: file('.o'), elf, notes: readNotes(elf) };
  }

  async #toAssembly(preprocessed: string, input: string, output: string): Promise<string> {
    await fs.writeFile(input, preprocessed);
    await runTool(
      'gcc',
      ['-S', '-fverbose-asm', '-fpreprocessed', ...KERNEL_C_FLAGS, '-o', output, input],
      this.#workFolder,
    );
    return fs.readFile(output, 'utf8');
  }
}
