import type { ErrorCode } from '@pvtrail/primitives';
import type { z } from 'zod';
import * as s from './schemas.js';

/** One operation of the API: what the controller checks against and what the documentation says. */
export interface Operation {
  readonly method: 'get' | 'post' | 'delete';
  /** Parameters in braces, as in OpenAPI. */
  readonly path: string;
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly status: 200 | 202;
  readonly response: z.ZodType;
  /** Also given as server-sent events to who accepts `text/event-stream`. */
  readonly stream?: string;
  /** Beyond those of every operation. */
  readonly errors: readonly ErrorCode[];
}

const operations = <T extends Readonly<Record<string, Operation>>>(all: T): T => all;

export const OPERATIONS = operations({
  submitRun: {
    method: 'post',
    path: '/v1/runs',
    summary: 'Ask for a fleet to be computed; what is stored or under way already is not computed again',
    body: s.runRequest,
    status: 202,
    response: s.submittedRun,
    errors: [
      'input/invalid',
      'input/unknown-stage',
      'input/unknown-workload',
      'input/unsupported-combination',
      'input/too-large',
      'image/missing',
    ],
  },
  listRuns: {
    method: 'get',
    path: '/v1/runs',
    summary: 'Runs, the newest request first',
    query: s.pageQuery,
    status: 200,
    response: s.runList,
    errors: ['input/invalid'],
  },
  getRun: {
    method: 'get',
    path: '/v1/runs/{id}',
    summary: 'How far a run is',
    params: s.runParams,
    status: 200,
    response: s.runStatus,
    errors: ['run/unknown'],
  },
  cancelRun: {
    method: 'delete',
    path: '/v1/runs/{id}',
    summary: 'Cancel a run: guests that have not begun will not; those that run end and are stored',
    params: s.runParams,
    status: 202,
    response: s.runStatus,
    errors: ['run/unknown', 'run/ended'],
  },
  listEvents: {
    method: 'get',
    path: '/v1/runs/{id}/events',
    summary: 'Events of a run and its guests, by time',
    params: s.runParams,
    query: s.eventsQuery,
    status: 200,
    response: s.eventList,
    stream:
      "Every event so far, then each as it is recorded, until the run is over. With `Last-Event-ID` those since a minute before that one: recognise repetitions by the event's `id`.",
    errors: ['run/unknown'],
  },
  listGuests: {
    method: 'get',
    path: '/v1/runs/{id}/guests',
    summary: 'Guests of a run that have finished, in the order of the fleet',
    params: s.runParams,
    query: s.pageQuery,
    status: 200,
    response: s.guestList,
    errors: ['run/unknown'],
  },
  getFootprints: {
    method: 'get',
    path: '/v1/runs/{id}/footprints',
    summary: 'How big and how varied the counted region of each guest was',
    params: s.runParams,
    status: 200,
    response: s.documentOf('`footprints` of `pvtrail run --json`'),
    errors: ['run/unknown'],
  },
  getCycles: {
    method: 'get',
    path: '/v1/runs/{id}/cycles',
    summary: 'Estimated cycles of each guest without and with those of its hypervisor',
    params: s.runParams,
    status: 200,
    response: s.documentOf('`cycles` of `pvtrail run --json`'),
    errors: ['run/unknown'],
  },
  getReport: {
    method: 'get',
    path: '/v1/runs/{id}/report',
    summary: 'What the series did, from a run of the default fleet',
    params: s.runParams,
    status: 200,
    response: s.documentOf('the document of `pvtrail start --json` without its run'),
    errors: ['run/unknown'],
  },
  audit: {
    method: 'get',
    path: '/v1/runs/{id}/audit',
    summary: 'What the guests of a run produced beside what is stored of them at each step; differences by guest',
    params: s.runParams,
    status: 200,
    response: s.documentOf('the document of `pvtrail audit --json`'),
    errors: ['run/unknown'],
  },
  compare: {
    method: 'get',
    path: '/v1/compare',
    summary: 'Metrics of stored guests with overheads over native nopv, or what changed between two stages',
    query: s.compareQuery,
    status: 200,
    response: s.comparison,
    errors: ['input/invalid', 'input/unknown-stage', 'input/not-found', 'input/too-complex'],
  },
  listDeadLetters: {
    method: 'get',
    path: '/v1/dead-letters',
    summary: 'Messages that no retry could handle, with the error that they failed with',
    query: s.pageQuery,
    status: 200,
    response: s.deadLetterList,
    errors: ['input/invalid'],
  },
  redriveDeadLetter: {
    method: 'post',
    path: '/v1/dead-letters/redrive',
    summary: 'Publish such a message to its topic again, once its cause is mended',
    body: s.deadLetterPlace,
    status: 202,
    response: s.deadLetterPlace,
    errors: ['input/invalid', 'input/not-found'],
  },
  listSites: {
    method: 'get',
    path: '/v1/guests/{id}/sites',
    summary: 'Every call site of a guest: bytes before and after patching, how and why, and how often it ran',
    params: s.guestParams,
    status: 200,
    response: s.siteList,
    errors: ['input/not-found'],
  },
  listGuestEvents: {
    method: 'get',
    path: '/v1/guests/{id}/events',
    summary: 'Events of a guest, by time',
    params: s.guestParams,
    status: 200,
    response: s.eventList,
    errors: ['input/not-found'],
  },
});
