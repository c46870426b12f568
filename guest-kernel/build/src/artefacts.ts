import fs from 'node:fs/promises';
import path from 'node:path';
import { canonicalJson } from '@pvtrail/primitives';

/** Files of a build by their path below `guest-kernel/images`. */
export type Artefacts = ReadonlyMap<string, Uint8Array>;

/** JSON with sorted keys; members that are arrays or objects have one entry a line, so that a diff can be read. */
export const readableJson = (value: object): Uint8Array => {
  const members = Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}: ${entryPerLine(member)}`);
  return Buffer.from(`{\n${members.join(',\n')}\n}\n`);
};

const entryPerLine = (value: unknown): string => {
  if (Array.isArray(value))
    return bracket(
      '[',
      ']',
      value.map((entry) => withEdits(entry)),
    );
  if (value === null || typeof value !== 'object') return canonicalJson(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return bracket(
    '{',
    '}',
    entries.map(([key, entry]) => `${JSON.stringify(key)}: ${canonicalJson(entry)}`),
  );
};

/** A patch set is an entry with entries of its own: its edits. */
const withEdits = (entry: unknown): string => {
  if (entry === null || typeof entry !== 'object' || !('edits' in entry) || !Array.isArray(entry.edits))
    return canonicalJson(entry);
  const { edits, ...head } = entry;
  const text = canonicalJson(head);
  return `${text.slice(0, -1)},"edits":${bracket(
    '[',
    ']',
    edits.map((edit) => canonicalJson(edit)),
  )}}`;
};

const bracket = (open: string, close: string, entries: readonly string[]): string =>
  entries.length === 0 ? `${open}${close}` : `${open}\n${entries.join(',\n')}\n${close}`;

/** Replaces the files of `folder` by the artefacts. */
export const writeArtefacts = async (folder: string, artefacts: Artefacts): Promise<void> => {
  for (const [name, bytes] of artefacts) {
    const target = path.join(folder, name);
    await fs.mkdir(path.dirname(target), { recursive: true });
    await fs.writeFile(target, bytes);
  }
};

/** Names of files that are missing, or differ, in `folder`. */
export const differingArtefacts = async (folder: string, artefacts: Artefacts): Promise<string[]> => {
  const differing: string[] = [];
  for (const [name, bytes] of artefacts) {
    const committed = await fs.readFile(path.join(folder, name)).catch(() => undefined);
    if (!committed || Buffer.compare(committed, bytes) !== 0) differing.push(name);
  }
  return differing;
};
