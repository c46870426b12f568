// Takes part in a group and prints `handled N` for every record, in the way of a handler whose work is durable then. Never ends by itself.
import { writeSync } from 'node:fs';
import { openKafkaLog } from '@pvtrail/event-log';

const [options, group, topic] = process.argv.slice(2);
const log = await openKafkaLog(JSON.parse(options));
const subscription = {
  group,
  topics: [topic],
  maxRecords: 5,
  maxBytes: 1 << 20,
  retry: { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 },
};
log.consume(subscription, async ({ records }) => {
  for (const { headers } of records) writeSync(1, `handled ${headers.number}\n`);
});
