import type { RunPlan } from '@pvtrail/api';
import type { ColumnStore } from '@pvtrail/column-store';
import { type FleetSpec, TOPICS } from '@pvtrail/contracts';
import type { EventLog } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';
import { lastEvent, redrive } from '@pvtrail/reporting';
import Table from 'cli-table3';
import type { EmbeddedSystem } from './embedded-system.js';
import { onInterruption } from './interruption.js';
import { progressBar } from './progress.js';
import type { ComputedRun, Pvtrail } from './pvtrail.js';

/** The pvtrail in this process. @param note is told when a run goes on that was interrupted */
export const embeddedPvtrail = (system: EmbeddedSystem, note: (line: string) => void): Pvtrail => ({
  answers: system.answers,
  compute: (fleet, force) => computeRun(system, fleet, force, note),
  redrive: (place) => redrive(system.log, place),
});

const computeRun = async (
  system: EmbeddedSystem,
  fleet: FleetSpec,
  force: boolean,
  note: (line: string) => void,
): Promise<ComputedRun> => {
  const plan = system.coordinator.plan(fleet);
  if (!force && (await wasRequested(system.log, plan))) await noteResumption(system.store, plan, note);
  const bar = progressBar(plan.guests.length);
  const uninterrupted = onInterruption(() => {
    bar.stop();
    note('interrupted; the same command goes on where the stored units end');
  });
  try {
    const { resumed, ...submitted } = await system.coordinator.submit(plan, force);
    const ended =
      submitted.state === 'running' ? system.coordinator.follow(plan.runId, (status) => bar.update(status)) : submitted;
    const { state } = await Promise.race([ended, system.failed]);
    if (state === 'failed') throw await failureOf(system, plan);
    return { runId: plan.runId, guests: await system.answers.guests(plan.runId), resumed };
  } finally {
    uninterrupted();
    bar.stop();
  }
};

const wasRequested = async (log: EventLog, { runId }: RunPlan): Promise<boolean> => {
  for await (const _ of log.read(TOPICS.runs, { key: runId })) return true;
  return false;
};

const noteResumption = async (store: ColumnStore, plan: RunPlan, note: (line: string) => void): Promise<void> => {
  const ended = new Set((await store.guests(plan.runId)).map(({ guestId }) => guestId));
  const open = plan.guests.filter(({ guestId }) => !ended.has(guestId));
  if (open.length === 0) return;
  let units = 0;
  for (const { guestId } of open) units += (await store.committedUnits(guestId)).length;
  if (ended.size + units === 0) return;
  note(
    `going on with an interrupted run: ${ended.size} of ${plan.guests.length} guests are stored, and ${units} units of the others; ` +
      'what they had not stored is computed again',
  );
};

const failureOf = async ({ log, store }: EmbeddedSystem, { runId, guests: planned }: RunPlan): Promise<AppError> => {
  const failed = (await store.guests(runId)).filter((guest) => guest.state === 'failed');
  const [first] = failed;
  const reason = first && (await lastEvent(log, TOPICS.guests, first.guestId, 'GuestFailed'))?.payload;
  const why = reason === undefined ? '' : `; the first, ${first?.guestId}: ${reason.code}: ${reason.message}`;
  return new AppError(
    'run/failed',
    `${failed.length} of ${planned.length} guests failed${why}; \`pvtrail events GUEST --json\` shows registers and last blocks`,
  );
};

/** The document of `run --json` (docs/cli.md). */
export const runDocument = ({ runId, guests, resumed }: ComputedRun) => ({ runId, resumedGuests: resumed, guests });

export const runTable = (run: ComputedRun): string => {
  const table = new Table({
    head: ['guest', 'bits', 'stage', 'workload', 'footprint', 'seed', 'instructions', 'chunks', 'bytes', 'digest'],
    style: { head: [], border: [] },
  });
  for (const guest of run.guests) {
    const { guest: type, bits, stage, workload, footprint, seed, instructions, chunks, bytes, digest } = guest;
    table.push([type, bits, stage, workload, footprint, seed, instructions, chunks, bytes, digest.slice(0, 12)]);
  }
  return `run ${run.runId}\n${table.toString()}\n`;
};
