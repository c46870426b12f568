import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { patchRequestTimers } from './kafkajs-internals.js';

type Queue = {
  throttledUntil: number;
  readonly throttleCheckTimeoutId: unknown;
  push(request: {
    entry: { correlationId: number; resolve: () => void };
    expectResponse: boolean;
    sendRequest: () => void;
  }): void;
  checkPendingRequests(): void;
};

patchRequestTimers();
const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as new (
  options: Record<string, unknown>,
) => Queue;

const silent = { debug: () => {}, warn: () => {} };
const createQueue = (): Queue =>
  new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1000,
    enforceRequestTimeout: false,
    clientId: 'test',
    broker: 'test',
    logger: silent,
    isConnected: () => true,
  });

describe('the timers of kafkajs’s request queue', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('none runs while no request waits', () => {
    const queue = createQueue();
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('a request that the broker’s throttling holds back is sent when that is over, and no timer is left', () => {
    const queue = createQueue();
    const sent: number[] = [];
    queue.throttledUntil = Date.now() + 500;
    queue.push({
      entry: { correlationId: 1, resolve: () => {} },
      expectResponse: false,
      sendRequest: () => sent.push(1),
    });
    vi.advanceTimersByTime(400);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(200);
    expect(sent).toEqual([1]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
