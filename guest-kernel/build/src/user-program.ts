import fs from 'node:fs/promises';
import path from 'node:path';
import { listSources, sourcesOf, userImageFolder, WIDTH } from './compile.js';
import { type ElfSymbol, type LoadSegment, readElf } from './elf-file.js';
import { LINKER_MADE } from './linker-script.js';
import type { Machine } from './machine.js';
import { linkerFlags, mapParallel, runTool, userCFlags } from './toolchain.js';

/** One program at one address; `_etext`, `_edata` and `_end` tell the kernel's loader about its parts. */
const userScript = ({ outputFormat, userBase }: Machine): string => `
OUTPUT_FORMAT("${outputFormat}")
ENTRY(_start)
PHDRS { text PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); }
SECTIONS {
  .text 0x${userBase.toString(16)} : { *(SORT_NONE(.text.start)) *(.text .text.*) *(.rodata .rodata.*) _etext = .; } :text
  .data ALIGN(0x1000) : { *(.data .data.*) _edata = .; } :data
  .bss ALIGN(0x1000) : { *(.bss .bss.*) _end = .; } :data
  /DISCARD/ : { *(.eh_frame .comment .note .note.* ${LINKER_MADE}) }
}
`;

/** The file that a kernel source embeds by `.incbin`: the program's memory from the link address to the end of its data. */
const USER_IMAGE = 'user.bin';

/**
 * Compiles and links the user program of a bitness once for all stages and leaves its memory image in `userImageFolder`.
 * @returns its functions, for the catalogue; none when there is no user program
 */
export const buildUserProgram = async (
  userFolder: string,
  workFolder: string,
  machine: Machine,
): Promise<readonly ElfSymbol[]> => {
  const sources = sourcesOf(await listSources(userFolder, ['.c', '.S']).catch(() => []), machine.bits);
  if (sources.length === 0) return [];
  const objectFolder = userImageFolder(workFolder, machine);
  await fs.mkdir(objectFolder, { recursive: true });
  const objects = await mapParallel(sources, WIDTH, async (source) => {
    const object = `${source.replaceAll('/', '_')}.o`;
    const flags = [...userCFlags(machine), '-ffile-prefix-map=.=', '-I', 'include', '-I', '../src/include'];
    await runTool('gcc', ['-c', ...flags, source, '-o', path.join(objectFolder, object)], userFolder);
    return object;
  });
  await fs.writeFile(path.join(objectFolder, 'user.lds'), userScript(machine));
  const flags = [...linkerFlags(machine), '--orphan-handling=error', '-T', 'user.lds'];
  await runTool('ld', [...flags, '-o', 'user.elf', ...objects], objectFolder);
  const { symbols, segments } = readElf(await fs.readFile(path.join(objectFolder, 'user.elf')));
  await fs.writeFile(path.join(objectFolder, USER_IMAGE), memoryImage(segments));
  return symbols.filter((symbol) => symbol.kind === 'function').sort((a, b) => (a.value < b.value ? -1 : 1));
};

const memoryImage = (segments: readonly LoadSegment[]): Uint8Array => {
  const loaded = segments.filter((segment) => segment.bytes.length > 0);
  const start = loaded[0]?.address ?? 0n;
  const last = loaded.at(-1);
  const image = new Uint8Array(last ? Number(last.address - start) + last.bytes.length : 0);
  for (const { address, bytes } of loaded) image.set(bytes, Number(address - start));
  return image;
};
