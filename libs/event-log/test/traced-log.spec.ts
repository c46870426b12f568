import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { processing, withSpan } from '@pvtrail/telemetry';
import { startRecording, traceFaults } from '@pvtrail/telemetry/testing';
import { describe, expect, it } from 'vitest';
import { describeEventLogContract } from '../src/contract/index.js';
import { MemoryTransport, openSqliteLog, tracedLog, tracedTransport } from '../src/index.js';

const temporaryFolder = (): string => fs.mkdtempSync(path.join(os.tmpdir(), 'pvtrail-traced-'));

// telemetry is off: the log is as it was
describeEventLogContract('traced sqlite', async () => {
  const folder = temporaryFolder();
  return {
    open: async () => tracedLog(openSqliteLog({ file: path.join(folder, 'log.db') }), 'sqlite'),
    dispose: async () => fs.rmSync(folder, { recursive: true }),
  };
});

const message = (key: string) => ({ key, value: Uint8Array.of(1), headers: {} });
const subscription = {
  group: 'g',
  topics: ['t'],
  maxRecords: 8,
  maxBytes: 100,
  retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
};

describe('a traced log', () => {
  it('lets a consumer go on with the trace of the producer, whether appended or published', async () => {
    const recording = startRecording();
    const folder = temporaryFolder();
    const log = tracedLog(openSqliteLog({ file: path.join(folder, 'log.db') }), 'sqlite');
    const consumer = log.consume(subscription, async ({ records }) => {
      for (const record of records) await processing(record, () => withSpan('decide', {}, async () => {}));
      return undefined;
    });
    await withSpan('run', {}, async () => {
      await log.publish('t', [message('a')]);
      await log.append('t', 'b', [message('b'), message('b')], 0);
    });
    await consumer.drained();
    await log.close();
    await recording.stop();
    fs.rmSync(folder, { recursive: true });
    const { spans } = recording;
    const root = spans.find(({ name }) => name === 'run');
    expect(traceFaults(spans, root?.traceId ?? '')).toEqual([]);
    expect(spans.every(({ traceId }) => traceId === root?.traceId)).toBe(true);
    expect(spans.filter(({ name }) => name === 'decide')).toHaveLength(3);
    expect(spans.find(({ name }) => name === 'process t')?.attributes['messaging.system']).toBe('sqlite');
  });

  it('a transport that hands over in the producer’s own call does not mix the two', async () => {
    const recording = startRecording();
    const transport = tracedTransport(new MemoryTransport(), 'memory');
    const consumer = transport.consume(subscription, () => withSpan('insert', {}, async () => undefined));
    await withSpan('run', {}, () => transport.publish('t', [message('a')]));
    await consumer.stop();
    await recording.stop();
    const parents = recording.spans.map(({ name, parentSpanId }) => [name, parentSpanId !== undefined]);
    expect(parents.sort()).toEqual([
      ['insert', false],
      ['run', false],
      ['send t', true],
    ]);
  });
});
