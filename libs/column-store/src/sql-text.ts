import { AppError } from '@pvtrail/primitives';

/** A ClickHouse string literal: backslash and quote are escaped by a backslash. */
export const text = (value: string): string => `'${value.replace(/[\\']/g, '\\$&')}'`;

export const texts = (values: readonly string[]): string => values.map(text).join(', ');

/**
 * One of the allowed names, for places where no literal can stand.
 * @throws AppError `input/invalid` naming the allowed ones
 */
export const nameAmong = <T extends string>(what: string, name: string, allowed: readonly T[]): T => {
  const found = allowed.find((candidate) => candidate === name);
  if (found === undefined) {
    throw new AppError('input/invalid', `unknown ${what} '${name}'; valid: ${allowed.join(', ')}`);
  }
  return found;
};

export const indented = (lines: readonly string[]): string => lines.map((line) => `  ${line}`).join(',\n');
