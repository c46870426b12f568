import type { RunProgress } from '@pvtrail/api';
import { MultiBar, Presets } from 'cli-progress';

/** A bar on stderr; silent when that is no terminal. */
export const progressBar = (total: number): { update(progress: RunProgress): void; stop(): void } => {
  const bars = new MultiBar(
    {
      stream: process.stderr,
      noTTYOutput: false,
      clearOnComplete: true,
      hideCursor: true,
      format: 'guests {bar} {value}/{total} · {eta_formatted} left',
    },
    Presets.shades_classic,
  );
  const bar = bars.create(total, 0);
  return {
    update: ({ done }) => bar?.update(done),
    stop: () => bars.stop(),
  };
};
