import { AppError } from '@pvtrail/primitives';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  annotate,
  currentTraceparent,
  delivering,
  linksHere,
  processing,
  processingBatch,
  sending,
  withSpan,
} from '../src/index.js';
import { type Recording, startRecording, traceFaults } from '../src/testing/index.js';

type Message = { key: string; value: Uint8Array; headers: Record<string, string> };

const message = (id: string, headers: Record<string, string> = {}): Message => ({
  key: 'key',
  value: Uint8Array.of(1, 2),
  headers: { ce_id: id, ce_type: 'Something', ...headers },
});

let recording: Recording;

beforeEach(() => {
  recording = startRecording();
});

afterEach(() => recording.stop());

const only = (name: string) => {
  const found = recording.spans.filter((span) => span.name === name);
  expect(found).toHaveLength(1);
  return found[0] as (typeof found)[number];
};
const linkTo = ({ traceId, spanId }: { traceId: string; spanId: string }) => ({ traceId, spanId });

/** Publishes over a wire that keeps what was sent, as records of partition 3. */
const send = async (topic: string, messages: Message[]) => {
  let sent: readonly Message[] = [];
  await sending('kafka', topic, messages, async (carried) => {
    sent = carried;
  });
  return sent.map((carried, offset) => ({ ...carried, topic, partition: 3, offset }));
};

describe('spans', () => {
  it('are nested as the work is, with their attributes', async () => {
    await withSpan('run', { runId: 'r' }, async () => {
      annotate({ guests: 2 });
      await withSpan('guest', { guestId: 'g' }, async () => {});
    });
    expect(only('run')).toMatchObject({ parentSpanId: undefined, failed: false });
    expect(only('run').attributes).toEqual({ 'pvtrail.run.id': 'r', 'pvtrail.guests': 2 });
    expect(only('guest')).toMatchObject({ parentSpanId: only('run').spanId, traceId: only('run').traceId });
  });

  it('note what failed, by its code, and let it go on', async () => {
    const error = new AppError('store/unavailable', 'no store');
    await expect(withSpan('insert', {}, () => Promise.reject(error))).rejects.toBe(error);
    expect(only('insert')).toMatchObject({ failed: true, attributes: { 'error.type': 'store/unavailable' } });
    expect(await recording.measured('pvtrail.step.duration')).toBe(1);
  });
});

describe('messages', () => {
  it('carry the span that sent them; processing goes on below it and is linked to it', async () => {
    await withSpan('run', {}, async () => {
      const [record] = await send('topic', [message('m')]);
      if (record) await delivering('kafka', () => processing(record, () => withSpan('decide', {}, async () => {})));
    });
    const [producer, consumer] = [only('send topic'), only('process topic')];
    expect(producer).toMatchObject({ kind: 'producer', parentSpanId: only('run').spanId });
    expect(consumer).toMatchObject({ kind: 'consumer', parentSpanId: producer.spanId, links: [linkTo(producer)] });
    expect(only('decide').parentSpanId).toBe(consumer.spanId);
    expect(consumer.attributes).toMatchObject({
      'messaging.system': 'kafka',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'topic',
      'messaging.destination.partition.id': '3',
      'messaging.kafka.offset': 0,
      'messaging.kafka.message.key': 'key',
      'messaging.message.id': 'm',
      'messaging.message.body.size': 2,
      'cloudevents.event_type': 'Something',
    });
    expect(traceFaults(recording.spans, producer.traceId)).toEqual([]);
  });

  it('several at once have a span each, linked by the one that sends them', async () => {
    const records = await send('topic', [message('a'), message('b')]);
    const created = recording.spans.filter(({ name }) => name === 'create topic');
    expect(created.map(({ kind }) => kind)).toEqual(['producer', 'producer']);
    expect(records.map(({ headers }) => headers.traceparent)).toEqual(
      created.map(({ traceId, spanId }) => `00-${traceId}-${spanId}-01`),
    );
    expect(only('send topic')).toMatchObject({ kind: 'client', links: created.map(linkTo) });
    expect(only('send topic').attributes).toMatchObject({ 'messaging.batch.message_count': 2 });
  });

  it('one that knows its origin keeps it', async () => {
    let origin: string | undefined;
    await withSpan('execute', {}, async () => {
      origin = currentTraceparent();
    });
    await send('topic', [message('m', { traceparent: origin as string })]);
    expect(only('send topic').parentSpanId).toBe(only('execute').spanId);
  });

  it('a malformed traceparent counts as none', async () => {
    const record = { ...message('m', { traceparent: '00-nonsense' }), topic: 'topic', partition: 0, offset: 0 };
    await processing(record, async () => {});
    expect(only('process topic')).toMatchObject({ parentSpanId: undefined, links: [] });
  });

  it('in a batch are linked with the batch both ways, in a trace of its own', async () => {
    const records = [...(await send('one', [message('a')])), ...(await send('two', [message('b')]))];
    const here: unknown[] = [];
    await processingBatch(records, async () => {
      for (const record of records) {
        await processing({ ...record, topic: 'topic' }, async () => void here.push(...linksHere()));
      }
    });
    const batch = only('process one');
    const processed = recording.spans.filter(({ name }) => name === 'process topic');
    const sent = [only('send one'), only('send two')];
    expect(batch).toMatchObject({ parentSpanId: undefined, links: sent.map(linkTo) });
    expect(processed.map(({ links }) => links)).toEqual(sent.map((span) => [linkTo(span), linkTo(batch)]));
    expect(here).toMatchObject(processed.map((span) => ({ context: linkTo(span) })));
  });

  it('are counted and timed, also those that fail', async () => {
    const [record] = await send('topic', [message('m')]);
    await send('topic', [message('a'), message('b')]);
    await expect(processing(record as never, () => Promise.reject(new RangeError()))).rejects.toThrow(RangeError);
    expect(await recording.measured('messaging.client.sent.messages')).toBe(3);
    expect(await recording.measured('messaging.client.operation.duration')).toBe(2);
    expect(await recording.measured('messaging.client.consumed.messages')).toBe(1);
    expect(await recording.measured('messaging.process.duration')).toBe(1);
  });
});

describe('traceFaults', () => {
  it('finds a second root, a missing parent and a repeated id', async () => {
    await withSpan('run', {}, () => withSpan('guest', {}, async () => {}));
    const [guest, run] = recording.spans;
    if (guest === undefined || run === undefined) throw new Error('two spans were expected');
    expect(traceFaults([run, guest], run.traceId)).toEqual([]);
    expect(traceFaults([guest], run.traceId)).toHaveLength(2);
    expect(traceFaults([run, guest, guest], run.traceId)).toHaveLength(1);
    expect(traceFaults([run, { ...guest, parentSpanId: undefined }], run.traceId)).toHaveLength(1);
  });
});
