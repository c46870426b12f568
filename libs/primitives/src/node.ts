import fs from 'node:fs';
import path from 'node:path';

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

/**
 * Makes a folder and those above it, where they are missing. Unlike `fs.mkdir` with `recursive`, it does not try forever where a
 * file system refuses folders by ENOENT, as /proc does.
 * @throws the error of the file system
 */
export const makeFolder = (folder: string): void => {
  const above = path.dirname(folder);
  if (above !== folder && !fs.existsSync(above)) makeFolder(above);
  try {
    fs.mkdirSync(folder);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST' || !fs.statSync(folder).isDirectory()) throw error;
  }
};
