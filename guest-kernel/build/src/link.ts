import fs from 'node:fs/promises';
import path from 'node:path';
import type { KernelObject } from './compile.js';
import { type ElfFile, readElf } from './elf-file.js';
import { linkerScript, objectName } from './linker-script.js';
import type { Machine } from './machine.js';
import { type SlotLayout, unitKey } from './slots.js';
import { linkerFlags, runTool } from './toolchain.js';

export interface LinkedImage {
  readonly bytes: Uint8Array;
  readonly elf: ElfFile;
}

/** Links one stage's objects into the fixed slots. @throws AppError `input/invalid` with ld's message */
export const linkImage = async (
  objects: readonly KernelObject[],
  layout: SlotLayout,
  machine: Machine,
  folder: string,
): Promise<LinkedImage> => {
  const sources = objects.map((object) => object.source);
  const present = new Set(
    objects.flatMap(({ source, elf }) =>
      elf.sections.filter((s) => s.sizeBytes > 0).map((s) => unitKey(source, s.name)),
    ),
  );
  for (const object of objects) {
    const target = path.join(folder, objectName(object.source));
    await fs.mkdir(path.dirname(target), { recursive: true });
    await fs.copyFile(object.path, target);
  }
  await fs.writeFile(path.join(folder, 'kernel.lds'), linkerScript(layout, machine, present, sources));
  const inputs = sources.map(objectName);
  const flags = [...linkerFlags(machine), '--orphan-handling=error', '-T', 'kernel.lds'];
  await runTool('ld', [...flags, '-o', 'kernel.elf', ...inputs], folder);
  const bytes = await fs.readFile(path.join(folder, 'kernel.elf'));
  return { bytes, elf: readElf(bytes) };
};
