import fs from 'node:fs/promises';
import path from 'node:path';
import { listSources, WIDTH } from './compile.js';
import { type ElfSymbol, readElf } from './elf-file.js';
import { LINKER_MADE } from './linker-script.js';
import { LD_FLAGS, mapParallel, runTool, USER_C_FLAGS } from './toolchain.js';

/** Where user programs are linked; kernels load their segments as the program headers say. */
const USER_SCRIPT = `
OUTPUT_FORMAT("elf64-x86-64")
ENTRY(_start)
PHDRS { text PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); }
SECTIONS {
  .text 0x400000 : { *(SORT_NONE(.text.start)) *(.text .text.*) *(.rodata .rodata.*) } :text
  .data ALIGN(0x1000) : { *(.data .data.*) } :data
  .bss ALIGN(0x1000) : { *(.bss .bss.*) } :data
  /DISCARD/ : { *(.eh_frame .comment .note .note.* ${LINKER_MADE}) }
}
`;

/** The name under which a kernel source embeds the program: `.incbin "user.elf"`. */
export const USER_IMAGE = 'user.elf';

/**
 * Compiles and links the user program once for all stages and leaves its stripped image in `workFolder`.
 * @returns its functions, for the catalogue; none when there is no user program
 */
export const buildUserProgram = async (userFolder: string, workFolder: string): Promise<readonly ElfSymbol[]> => {
  const sources = await listSources(userFolder, ['.c', '.S']).catch(() => []);
  if (sources.length === 0) return [];
  const objectFolder = path.join(workFolder, 'user');
  await fs.mkdir(objectFolder, { recursive: true });
  const objects = await mapParallel(sources, WIDTH, async (source) => {
    const object = `${source.replaceAll('/', '_')}.o`;
    const flags = [...USER_C_FLAGS, '-ffile-prefix-map=.=', '-I', 'include', '-I', '../src/include'];
    await runTool('gcc', ['-c', ...flags, source, '-o', path.join(objectFolder, object)], userFolder);
    return object;
  });
  await fs.writeFile(path.join(objectFolder, 'user.lds'), USER_SCRIPT);
  const link = (extra: readonly string[], output: string): Promise<string> =>
    runTool(
      'ld',
      [...LD_FLAGS, ...extra, '--orphan-handling=error', '-T', 'user.lds', '-o', output, ...objects],
      objectFolder,
    );
  await link([], 'symbols.elf');
  await link(['--strip-all'], path.join(workFolder, USER_IMAGE));
  const { symbols } = readElf(await fs.readFile(path.join(objectFolder, 'symbols.elf')));
  return symbols.filter((symbol) => symbol.kind === 'function').sort((a, b) => (a.value < b.value ? -1 : 1));
};
