import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const fixtures = path.join(root, 'libs/trace/test/fixtures');
const chunks = [2, 0, 1].map((index) => path.join(fixtures, `version-1-chunk-${index}.pvtrace`));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-verify-'));

const verify = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(root, 'apps/cli/bin/pvtrail.js'), 'verify', ...args],
    { encoding: 'utf8', timeout: 50_000, killSignal: 'SIGKILL' },
  );
  return { status, stdout, stderr };
};

afterAll(() => fs.rmSync(folder, { recursive: true }));

describe('pvtrail verify', () => {
  it('accepts the chunks of a trace in any order', () => {
    const { status, stdout, stderr } = verify(...chunks, '--json');
    expect([status, stderr]).toEqual([0, '']);
    const { traces } = JSON.parse(stdout);
    expect(traces).toMatchObject([{ chunks: 3, firstSequence: 0, executions: 1010, complete: true }]);
  });

  it('says when a trace is no whole one', () => {
    const { status, stdout } = verify(...chunks.slice(1));
    expect(status).toBe(0);
    expect(stdout).toMatch(/│ 2 +│ 0 .* no +│/);
  });

  it('refuses a damaged file by its name, with a code and a status', () => {
    const damaged = path.join(folder, 'damaged.pvtrace');
    const bytes = fs.readFileSync(path.join(fixtures, 'version-1-chunk-0.pvtrace'));
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    fs.writeFileSync(damaged, bytes);
    const { status, stdout, stderr } = verify(damaged, '--json');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toBe(`pvtrail: trace/corrupt-chunk: ${damaged}: the chunk does not meet its digest\n`);
  });

  it('refuses a gap, a cut, another file and a missing one', () => {
    const [last = '', first = ''] = chunks;
    const cut = path.join(folder, 'cut.pvtrace');
    fs.writeFileSync(cut, fs.readFileSync(first).subarray(0, 500));
    const codes = [[first, last], [cut], [path.join(root, 'README.md')], [path.join(folder, 'none')]].map((files) => {
      const { status, stderr } = verify(...files);
      return [status, stderr.split(': ')[1]];
    });
    expect(codes).toEqual([
      [1, 'trace/discontinuous'],
      [1, 'trace/truncated-chunk'],
      [1, 'trace/corrupt-chunk'],
      [1, 'input/not-found'],
    ]);
  });
});
