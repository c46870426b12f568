// Runs a fleet (JSON in the second argument) over the data folder in the first; prints how the run and its guests ended.
import { parseFleetSpec } from '@pvtrail/contracts';
import { openEmbeddedSystem } from '../../apps/cli/dist/embedded-system.js';

const [dataFolder, fleet] = process.argv.slice(2);
const system = await openEmbeddedSystem({ dataFolder, guestWorkers: 2, analysisWorkers: 1, keepTrace: false });
const plan = system.coordinator.plan(parseFleetSpec(JSON.parse(fleet)));
await system.coordinator.submit(plan, false);
const { state } = await Promise.race([system.coordinator.follow(plan.runId), system.failed]);
const guests = await system.store.guests(plan.runId);
await system.close();
process.stdout.write(
  JSON.stringify({
    state,
    guests: guests.map((guest) => [guest.spec.stage, guest.state, guest.errorCode ?? guest.digest]),
  }),
);
