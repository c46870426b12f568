import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const architecture = fs.readFileSync(path.join(root, 'docs/architecture.md'), 'utf8');

describe('docs/architecture.md', () => {
  const named = [...architecture.matchAll(/`((?:apps|libs|guest-kernel)\/[\w./-]+)`/g)].map(([, file]) => file ?? '');

  it('names files', () => {
    expect(named.length).toBeGreaterThan(15);
  });

  it.each(named)('%s exists', (file) => {
    expect(fs.existsSync(path.join(root, file))).toBe(true);
  });
});
