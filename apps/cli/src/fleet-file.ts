import fs from 'node:fs';
import { type FleetSpec, parseFleetSpec } from '@pvtrail/contracts';
import { AppError } from '@pvtrail/primitives';
import { parse, YAMLParseError } from 'yaml';

const MAX_BYTES = 4 << 20;

/** A fleet described in a YAML or JSON file (docs/fleets.md). @throws AppError `input/not-found`, `input/too-large`, `input/*` */
export const readFleet = (file: string): FleetSpec => {
  const text = readText(file);
  try {
    return parseFleetSpec(parse(text, { maxAliasCount: 0 }));
  } catch (error) {
    if (error instanceof YAMLParseError) throw new AppError('input/invalid', `${file}: ${error.message}`, {}, error);
    if (error instanceof AppError) throw new AppError(error.code, `${file}: ${error.message}`, error.details);
    throw error;
  }
};

const readText = (file: string): string => {
  if (!fs.existsSync(file)) throw new AppError('input/not-found', `there is no file ${file}`);
  const { size } = fs.statSync(file);
  if (size > MAX_BYTES)
    throw new AppError('input/too-large', `${file} has ${size} bytes; a fleet has at most ${MAX_BYTES}`);
  return fs.readFileSync(file, 'utf8');
};
