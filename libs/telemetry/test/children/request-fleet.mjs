// Sends as many messages as the requests of a fleet of 10,240 guests, 256 at once; prints what telemetry warns of.
import { sending, startTelemetry } from '../../dist/index.js';

const telemetry = await startTelemetry('fleet', process.env, (warning) => process.stdout.write(`${warning}\n`));
const requests = Array.from({ length: 256 }, (_, guest) => ({
  key: `guest-${guest}`,
  value: new Uint8Array(500),
  headers: { ce_id: `request-${guest}`, ce_type: 'GuestRequested' },
}));
for (let batch = 0; batch < 40; batch++) {
  await sending('kafka', 'topic', requests, () => new Promise((resolve) => setImmediate(resolve)));
}
await telemetry.stop(30_000);
