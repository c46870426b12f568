import {
  type Attributes,
  type Counter,
  type Histogram,
  type MeterProvider,
  metrics,
  type ObservableCallback,
} from '@opentelemetry/api';
import { errorAttributes } from './error-attributes.js';
import { INSTRUMENTS, type Instrument, MESSAGING, type SpanName, STEP } from './names.js';

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

  /** @returns ends that */
  observe([name, unit, description]: Instrument, callback: ObservableCallback): () => void {
    const gauge = this.#meter.createObservableGauge(name, { unit, description });
    gauge.addCallback(callback);
    return () => gauge.removeCallback(callback);
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

type Chunk = { readonly instructions: number; readonly bytes: number; readonly time?: string | undefined };

/** A chunk has been sent. */
export const chunkProduced = ({ instructions, bytes }: Chunk): void => {
  count(INSTRUMENTS.producedChunks, 1);
  count(INSTRUMENTS.producedInstructions, instructions);
  count(INSTRUMENTS.producedBytes, bytes);
};

/** A chunk went through the simulator. */
export const chunkAnalysed = ({ instructions }: Chunk): void => {
  count(INSTRUMENTS.analysedChunks, 1);
  count(INSTRUMENTS.analysedInstructions, instructions);
};

/** An insert unit of these chunks is in the store. */
export const unitStored = (chunks: readonly Chunk[]): void => {
  count(INSTRUMENTS.insertedUnits, 1);
  const now = Date.now();
  for (const { time } of chunks) {
    if (time !== undefined) record(INSTRUMENTS.chunkLag, Math.max(0, now - Date.parse(time)) / 1000);
  }
};

/** Measures a step, with the error that ended it. */
export const measureStep = async <T>(name: SpanName, work: () => Promise<T>): Promise<T> => {
  const start = performance.now();
  const measured = (outcome: Attributes): void =>
    record(INSTRUMENTS.stepDuration, secondsSince(start), { [STEP]: name, ...outcome });
  return ending(work, measured);
};

/** How many messages of a partition a consumer group has not handled. */
export type Lag = {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly messages: number;
};

/** Reports lags whenever metrics are collected. @returns ends that */
export const observeLag = (read: () => readonly Lag[]): (() => void) =>
  instruments().observe(INSTRUMENTS.consumerLag, (result) => {
    for (const { group, topic, partition, messages } of read()) {
      result.observe(messages, {
        [MESSAGING.group]: group,
        [MESSAGING.destination]: topic,
        [MESSAGING.partition]: String(partition),
      });
    }
  });

/** An HTTP request that began at `start` of `performance.now()` has its response. */
export const measureRequest = (start: number, attributes: Attributes): void =>
  record(INSTRUMENTS.requestDuration, secondsSince(start), attributes);

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
  return ending(work, measured);
};

/** Says how work ended: nothing more, or the error. */
const ending = async <T>(work: () => Promise<T>, ended: (outcome: Attributes) => void): Promise<T> => {
  try {
    const result = await work();
    ended({});
    return result;
  } catch (error) {
    ended(errorAttributes(error));
    throw error;
  }
};
