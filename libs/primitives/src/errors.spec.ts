import fs from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from './errors.js';

const page = fs.readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');

/** Heading → text of each section. */
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const [heading = '', ...text] = section.split('\n');
      return [heading.trim(), text.join('\n').trim()] as const;
    }),
);

describe('docs/errors.md', () => {
  it('has a heading for each code, in the order of the table, and none besides', () => {
    expect([...sections.keys()]).toEqual(Object.keys(ERROR_CODES));
  });

  it.each(Object.entries(ERROR_CODES))('%s is described with its status and whether it is retriable', (code, row) => {
    const first = `Status ${row.status}${row.retriable ? ', retriable' : ''}.`;
    expect(sections.get(code)?.startsWith(first)).toBe(true);
    expect(sections.get(code)?.length).toBeGreaterThan(first.length + 40);
  });
});
