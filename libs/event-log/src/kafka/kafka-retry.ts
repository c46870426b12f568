import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@pvtrail/primitives';
import { protocolError, translated } from './kafka-errors.js';

/** Together about 30 s: a broker that was killed needs up to 15 s to come back. */
const DELAYS_MS = [100, 200, 400, 800, ...Array<number>(14).fill(2_000)];

/**
 * Tries again what another leader, a loaded coordinator, a new connection or a broker that comes back can mend.
 * @param recover called before each further attempt
 * @throws AppError `log/*`, `config/invalid`
 */
export const retrying = async <T>(
  action: () => Promise<T>,
  recover?: (error: unknown) => Promise<void>,
): Promise<T> => {
  for (const delayMs of DELAYS_MS) {
    try {
      return await action();
    } catch (error) {
      const ours = translated(error);
      const mendable = ours instanceof AppError && ours.code === 'log/unavailable';
      if (!mendable || protocolError(error) === 'OFFSET_OUT_OF_RANGE') throw ours;
      await delay(delayMs);
      await recover?.(error);
    }
  }
  return action().catch((error: unknown) => {
    throw translated(error);
  });
};
