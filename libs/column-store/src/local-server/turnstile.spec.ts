import { describe, expect, it } from 'vitest';
import { Turnstile } from './turnstile.js';

/** An action that ends when told. */
const pending = () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { action: () => promise, end: resolve };
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the turnstile', () => {
  it('lets so many in at a time, the others in the order in which they came', async () => {
    const turnstile = new Turnstile(2, 10);
    const actions = Array.from({ length: 4 }, pending);
    const entered: number[] = [];
    const passed = actions.map(({ action }, index) =>
      turnstile.pass(() => {
        entered.push(index);
        return action();
      }),
    );
    await turn();
    expect(entered).toEqual([0, 1]);
    actions[1]?.end();
    await turn();
    expect(entered).toEqual([0, 1, 2]);
    for (const { end } of actions) end();
    await Promise.all(passed);
    expect(entered).toEqual([0, 1, 2, 3]);
  });

  it('refuses whom too many wait before', async () => {
    const turnstile = new Turnstile(1, 1);
    const { action, end } = pending();
    const passed = [turnstile.pass(action), turnstile.pass(action)];
    await expect(turnstile.pass(action)).rejects.toMatchObject({ code: 202, status: 503 });
    end();
    await Promise.all(passed);
    expect(await turnstile.pass(async () => 'again')).toBe('again');
  });

  it('a failure inside gives the place to the next, and idle waits for the last', async () => {
    const turnstile = new Turnstile(1, 5);
    const { action, end } = pending();
    const failed = turnstile.pass(async () => {
      throw new Error('inside');
    });
    const next = turnstile.pass(action);
    await expect(failed).rejects.toThrow('inside');
    let idle = false;
    const waited = turnstile.idle().then(() => {
      idle = true;
    });
    await turn();
    expect(idle).toBe(false);
    end();
    await Promise.all([next, waited]);
    await turnstile.idle();
  });
});
