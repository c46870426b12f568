import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { deadTopicOf } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import type { Batch, EventLog, KafkaLogOptions, LogRecord, Subscription } from '../../src/index.js';
import { ownPrefix, skipped, useBroker } from './use-broker.js';

const TOPIC = 'faults.v1';

const numbered = (number: number, bytes = 100) => ({
  key: `k${number % 7}`,
  value: Buffer.alloc(bytes, number),
  headers: { number: String(number) },
});
const numberOf = ({ headers }: LogRecord): number => Number(headers.number);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, number) => number);
const distinct = (numbers: readonly number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b);

const subscription = (change: Partial<Subscription> = {}): Subscription => ({
  group: 'faults',
  topics: [TOPIC],
  maxRecords: 10,
  maxBytes: 1 << 20,
  retry: { attempts: 3, firstDelayMs: 50, maxDelayMs: 200 },
  ...change,
});

describe.skipIf(skipped !== '')(`faults of Kafka and its clients ${skipped}`, () => {
  const kafka = useBroker();

  const openOwn = async (options: Partial<KafkaLogOptions> = {}) => {
    const all = kafka.options({ prefix: ownPrefix(), ...options });
    return { options: all, log: await kafka.open(all) };
  };

  it('after kill -9 of a consumer another member handles the rest, and again only what was not committed', async () => {
    const { options, log } = await openOwn();
    const count = 300;
    for (const number of upTo(count)) await log.publish(TOPIC, [numbered(number)]);
    const script = path.join(import.meta.dirname, '../children/consume-until-killed.mjs');
    const child = spawn(process.execPath, [script, JSON.stringify(options), 'faults', TOPIC], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const first: number[] = [];
    for await (const line of readline.createInterface({ input: child.stdout })) {
      first.push(Number(line.split(' ')[1]));
      if (first.length === 100) child.kill('SIGKILL');
    }
    const second: number[] = [];
    const consumer = log.consume(subscription(), async ({ records }) => {
      second.push(...records.map(numberOf));
      return undefined;
    });
    await consumer.drained();
    await consumer.stop();
    expect(first.length).toBeLessThan(count);
    expect(distinct([...first, ...second])).toEqual(upTo(count));
    expect(second.length).toBe(distinct(second).length);
    expect(second.length).toBeLessThan(count);
  });

  it('kill -9 of the broker and its return lose nothing that was acknowledged, and need no one’s help', async () => {
    const { log } = await openOwn();
    const seen: number[] = [];
    const consumer = log.consume(subscription(), async ({ records }) => {
      seen.push(...records.map(numberOf));
      return undefined;
    });
    const acknowledged: number[] = [];
    let publishing = true;
    const publisher = (async () => {
      for (let number = 0; publishing; number++) {
        await log.publish(TOPIC, [numbered(number, 10_000)]);
        acknowledged.push(number);
      }
    })();
    while (seen.length < 100) await delay(10);
    await kafka.broker.kill();
    await kafka.broker.restart();
    const atReturn = acknowledged.length;
    while (acknowledged.length < atReturn + 100) await delay(10);
    publishing = false;
    await publisher;
    await consumer.drained();
    await consumer.stop();
    expect(distinct(seen)).toEqual(acknowledged);
    for (const key of upTo(7)) {
      const ofKey = seen.filter((number) => number % 7 === key);
      const firsts = ofKey.filter((number, index) => ofKey.indexOf(number) === index);
      expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
    }
    // a broker alone takes half a minute to come back on a busy machine
  }, 180_000);

  it('a broker that freezes is noticed, and the member replaced', async () => {
    const replaced: string[] = [];
    const { log } = await openOwn({
      groups: { sessionTimeoutMs: 2_000, heartbeatIntervalMs: 300, stallMs: 1_500 },
      onLog: ({ message, details }) => {
        if (message === 'the member of the group is replaced') replaced.push(String(details.error));
      },
    });
    await log.publish(TOPIC, [numbered(0)]);
    const seen: number[] = [];
    const consumer = log.consume(subscription(), async ({ records }) => {
      seen.push(...records.map(numberOf));
      return undefined;
    });
    await consumer.drained();
    process.kill(kafka.broker.pid, 'SIGSTOP');
    while (replaced.length === 0) await delay(50);
    process.kill(kafka.broker.pid, 'SIGCONT');
    await log.publish(TOPIC, [numbered(1)]);
    await consumer.drained();
    await consumer.stop();
    expect(replaced[0]).toContain('nothing was heard of the broker');
    expect(distinct(seen)).toEqual([0, 1]);
  });

  it('a poison message holds up no other partition while it is tried again, and is dead then', async () => {
    const { log } = await openOwn();
    const others = upTo(50).map((number) => numbered(number));
    await log.publish(TOPIC, [{ ...numbered(0), key: 'poison', headers: { number: '-1' } }]);
    const seen: number[] = [];
    const order: string[] = [];
    const picky = async ({ records }: Batch): Promise<undefined> => {
      if (records.some(({ key }) => key === 'poison')) {
        order.push('tried');
        throw new TypeError('cannot be handled');
      }
      seen.push(...records.map(numberOf));
      order.push('handled');
    };
    const retry = { attempts: 4, firstDelayMs: 300, maxDelayMs: 300 };
    const consumer = log.consume(subscription({ retry }), picky);
    while (order.length === 0) await delay(10);
    const [{ partition: poisoned } = { partition: -1 }] = await readAll(log, TOPIC);
    await log.publish(TOPIC, others);
    await consumer.drained();
    await consumer.stop();
    expect(distinct(seen)).toEqual(upTo(50));
    const elsewhere = (await readAll(log, TOPIC)).filter(({ partition }) => partition !== poisoned);
    expect(elsewhere.length).toBeGreaterThan(0);
    expect(order.indexOf('handled')).toBeLessThan(order.lastIndexOf('tried'));
    const [dead, ...more] = await readAll(log, deadTopicOf(TOPIC));
    expect(more).toEqual([]);
    expect(dead).toMatchObject({
      key: 'poison',
      headers: { number: '-1', 'dead-code': 'log/unhandled', 'dead-topic': TOPIC },
    });
  });
});

const readAll = async (log: EventLog, topic: string): Promise<LogRecord[]> => {
  const records: LogRecord[] = [];
  for await (const record of log.read(topic)) records.push(record);
  return records;
};
