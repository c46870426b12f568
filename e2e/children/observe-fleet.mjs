// Runs a fleet (JSON in the second argument) over the data folder in the first; with a third argument telemetry is on.
// Prints what the run left: its guests, its events, and what telemetry recorded.
import { parseFleetSpec, TOPICS } from '@pvtrail/contracts';
import { startRecording } from '@pvtrail/telemetry/testing';
import { openEmbeddedSystem } from '../../apps/cli/dist/embedded-system.js';

const [dataFolder, fleet, traced] = process.argv.slice(2);
const INSTRUMENTS = [
  'chunks.produced',
  'chunks.analysed',
  'chunk.lag',
  'instructions.produced',
  'instructions.analysed',
];
const recording = traced === undefined ? undefined : startRecording();
const system = await openEmbeddedSystem({ dataFolder, guestWorkers: 2, analysisWorkers: 1, keepTrace: false });
const plan = system.coordinator.plan(parseFleetSpec(JSON.parse(fleet)));
await system.coordinator.submit(plan, false);
await Promise.race([system.coordinator.follow(plan.runId), system.failed]);
const guests = await system.store.guests(plan.runId);
const events = [];
for (const topic of [TOPICS.runs, TOPICS.guests, TOPICS.patches]) {
  for await (const { headers, value } of system.log.read(topic)) events.push([headers.ce_id, value.toString()]);
}
await system.close();
const measured = {};
for (const name of [...INSTRUMENTS, 'units.inserted']) measured[name] = await recording?.measured(`pvtrail.${name}`);
await recording?.stop();
process.stdout.write(JSON.stringify({ guests, events: events.sort(), spans: recording?.spans ?? [], measured }));
