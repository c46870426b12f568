import { performance } from 'node:perf_hooks';

/** How long a task takes. */
export const seconds = (task: () => void): number => {
  const begin = performance.now();
  task();
  return (performance.now() - begin) / 1000;
};
