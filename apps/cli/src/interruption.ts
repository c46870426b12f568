const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Calls `farewell` when a signal asks this process to end, then lets the signal end it: units are stored whole or not at all, and leaving
 * by `process.exit` would run into queries under way. @returns stops waiting for signals
 */
export const onInterruption = (farewell: () => void): (() => void) => {
  const end = (signal: NodeJS.Signals): void => {
    stop();
    farewell();
    process.kill(process.pid, signal);
  };
  const stop = (): void => {
    for (const signal of SIGNALS) process.off(signal, end);
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return stop;
};
