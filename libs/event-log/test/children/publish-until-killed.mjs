// Publishes numbered messages and commits of a consumer; prints `acked N` after each acknowledged batch. Never ends by itself.
import { writeSync } from 'node:fs';
import { openSqliteLog } from '@pvtrail/event-log';

const [file] = process.argv.slice(2);
const log = openSqliteLog({ file });
const subscription = {
  group: 'g',
  topics: ['t'],
  maxRecords: 10,
  maxBytes: 1 << 20,
  retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
};
const consumer = log.consume(subscription, async ({ records }) => {
  writeSync(1, `handling ${records.at(-1).headers.number}\n`);
});

for (let number = 0; ; number += 5) {
  const batch = Array.from({ length: 5 }, (_, index) => ({
    key: `k${index}`,
    value: Buffer.alloc(20_000, number + index),
    headers: { number: String(number + index) },
  }));
  await log.publish('t', batch);
  writeSync(1, `acked ${number + 4}\n`);
  if (number % 50 === 0) {
    await consumer.drained();
    writeSync(1, `committed ${number + 4}\n`);
  }
}
