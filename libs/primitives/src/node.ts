import fs from 'node:fs';
import path from 'node:path';
import { AppError } from './errors.js';

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

/**
 * A file that a variable of the environment names: a secret or a certificate.
 * @throws AppError `config/invalid` naming the variable
 */
export const readConfiguredFile = (variable: string, file: string): Buffer => {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    throw new AppError('config/invalid', `${variable}: ${file} cannot be read`, {}, error);
  }
};
