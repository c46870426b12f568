import cliProgress, { type GenericFormatter, Presets, SingleBar } from 'cli-progress';

/** So many guests must have ended before their pace says anything. */
const FEWEST_GUESTS = 4;
const MINUTE_SECONDS = 60;

/** `about 40 s left`, in steps that do not flicker; nothing while too few guests have ended. */
export const timeLeft = (seconds: number, ended: number, open: number): string => {
  if (ended < FEWEST_GUESTS || open === 0) return '';
  const left = (seconds / ended) * open;
  if (left > 1.5 * MINUTE_SECONDS) return `about ${Math.round(left / MINUTE_SECONDS)} min left`;
  return left > 5 ? `about ${10 * Math.ceil(left / 10)} s left` : 'nearly done';
};

/** A bar on stderr; silent when that is no terminal. */
export const progressBar = (total: number): { update(progress: { readonly done: number }): void; stop(): void } => {
  let first: { readonly done: number; readonly at: number } | undefined;
  const format: GenericFormatter = (options, { progress, value }) => {
    const seconds = first === undefined ? 0 : (Date.now() - first.at) / 1000;
    const left = timeLeft(seconds, value - (first?.done ?? value), total - value);
    return `${cliProgress.Format.BarFormat(progress, options)} ${value} of ${total} guests  ${left}`;
  };
  const bar = new SingleBar(
    { stream: process.stderr, noTTYOutput: false, clearOnComplete: true, hideCursor: true, format },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  return {
    update: ({ done }) => {
      first ??= { done, at: Date.now() };
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
};
