import { parseInput } from '@pvtrail/contracts';
import { pageQuery } from './schemas.js';

/** The part of a list that a request asks for. @throws AppError `input/invalid` */
export const page = <T>(
  all: readonly T[],
  query: unknown,
): { readonly items: readonly T[]; readonly total: number } => {
  const { offset, limit } = parseInput(pageQuery, query);
  return { items: all.slice(offset, offset + limit), total: all.length };
};
