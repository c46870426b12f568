import { z } from 'zod';
import { eventType } from '../event.js';
import { count, failure } from '../fields.js';
import { fleetSpecSchema } from '../fleet.js';
import { guestIdSchema, runIdSchema } from '../ids.js';
import { TOPICS } from '../topics.js';

/** Somebody wants this fleet computed; the guests' ids are in the order of the expanded fleet. */
const runRequested = eventType(
  'RunRequested',
  TOPICS.runs,
  z.strictObject({ runId: runIdSchema, fleet: z.unknown().pipe(fleetSpecSchema), guests: z.array(guestIdSchema) }),
);

/** Every guest of the run has finished and all of its statistics are stored. */
const runCompleted = eventType(
  'RunCompleted',
  TOPICS.runs,
  z.strictObject({ runId: runIdSchema, guests: count, instructions: count, chunks: count, bytes: count }),
);

/** The run ended without all of its guests. */
const runFailed = eventType(
  'RunFailed',
  TOPICS.runs,
  z.strictObject({ runId: runIdSchema, ...failure, failedGuests: z.array(guestIdSchema) }),
);

/** The user withdrew the run; guests that had finished stay stored. */
const runCancelled = eventType('RunCancelled', TOPICS.runs, z.strictObject({ runId: runIdSchema }));

export const RUN_EVENTS = [runRequested, runCompleted, runFailed, runCancelled] as const;
