import { type Attributes, type Counter, type Histogram, type MeterProvider, metrics } from '@opentelemetry/api';
import { INSTRUMENTS, type Instrument } from './names.js';
import { errorAttributes } from './spans.js';

/** Seconds; from a quick event to a guest of many minutes. */
const DURATION_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800];

/** Instruments of one provider, each made on first use. */
class Instruments {
  readonly provider: MeterProvider = metrics.getMeterProvider();
  readonly #meter = this.provider.getMeter('pvtrail');
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();

  counter([name, unit, description]: Instrument): Counter {
    const counter = this.#counters.get(name) ?? this.#meter.createCounter(name, { unit, description });
    this.#counters.set(name, counter);
    return counter;
  }

  histogram([name, unit, description]: Instrument): Histogram {
    const options = { unit, description, advice: { explicitBucketBoundaries: DURATION_BUCKETS } };
    const histogram = this.#histograms.get(name) ?? this.#meter.createHistogram(name, options);
    this.#histograms.set(name, histogram);
    return histogram;
  }
}

let latest: Instruments | undefined;

/** Of the provider that is registered now: unlike a tracer, a meter does not learn of a provider that comes later. */
const instruments = (): Instruments => {
  if (latest?.provider !== metrics.getMeterProvider()) latest = new Instruments();
  return latest;
};

const count = (instrument: Instrument, value: number, attributes: Attributes = {}): void =>
  instruments().counter(instrument).add(value, attributes);

const record = (instrument: Instrument, seconds: number, attributes: Attributes = {}): void =>
  instruments().histogram(instrument).record(seconds, attributes);

/** Seconds since a reading of `performance.now()`. */
const secondsSince = (start: number): number => (performance.now() - start) / 1000;

/** A chunk has been sent. */
export const chunkProduced = ({ instructions, bytes }: { instructions: number; bytes: number }): void => {
  count(INSTRUMENTS.producedChunks, 1);
  count(INSTRUMENTS.producedInstructions, instructions);
  count(INSTRUMENTS.producedBytes, bytes);
};

/** Measures the analysis of a chunk. */
export const measureAnalysis = async <T>(instructions: number, work: () => Promise<T>): Promise<T> => {
  const start = performance.now();
  const result = await work();
  record(INSTRUMENTS.analysisDuration, secondsSince(start));
  count(INSTRUMENTS.analysedChunks, 1);
  count(INSTRUMENTS.analysedInstructions, instructions);
  return result;
};

/** Measures the storing of an insert unit. */
export const measureInsert = async (work: () => Promise<void>): Promise<void> => {
  const start = performance.now();
  await work();
  record(INSTRUMENTS.insertDuration, secondsSince(start));
  count(INSTRUMENTS.insertedUnits, 1);
};

/** Measures a guest in its worker. */
export const measureGuest = <State extends string>(work: () => Promise<State>): Promise<State> =>
  measureEnd(INSTRUMENTS.guestDuration, work, (state) => state);

/** Measures a run from its request to the last guest stored. */
export const measureRun = <T extends { readonly state: string }>(work: () => Promise<T>): Promise<T> =>
  measureEnd(INSTRUMENTS.runDuration, work, ({ state }) => state);

const measureEnd = async <T>(of: Instrument, work: () => Promise<T>, stateOf: (result: T) => string): Promise<T> => {
  const start = performance.now();
  const result = await work();
  record(of, secondsSince(start), { 'pvtrail.state': stateOf(result) });
  return result;
};

/** Measures the sending of messages. */
export const measureSending = <T>(attributes: Attributes, messages: number, work: () => Promise<T>): Promise<T> =>
  measureMessages(INSTRUMENTS.sentMessages, INSTRUMENTS.sendDuration, attributes, messages, work);

/** Measures the processing of a message. */
export const measureProcessing = <T>(attributes: Attributes, work: () => Promise<T>): Promise<T> =>
  measureMessages(INSTRUMENTS.consumedMessages, INSTRUMENTS.processDuration, attributes, 1, work);

/** How many messages, how long, and which error. */
const measureMessages = async <T>(
  counter: Instrument,
  duration: Instrument,
  attributes: Attributes,
  messages: number,
  work: () => Promise<T>,
): Promise<T> => {
  const start = performance.now();
  const measured = (outcome: Attributes): void => {
    count(counter, messages, { ...attributes, ...outcome });
    record(duration, secondsSince(start), { ...attributes, ...outcome });
  };
  try {
    const result = await work();
    measured({});
    return result;
  } catch (error) {
    measured(errorAttributes(error));
    throw error;
  }
};
