import { deadTopicOf, type Message, TOPICS } from '@pvtrail/contracts';
import type { EventLog, EventLogReader, LogRecord } from '@pvtrail/event-log';
import { AppError } from '@pvtrail/primitives';

/** Where a message lies that could not be handled. */
export interface DeadLetterPlace {
  /** The topic that it came from. */
  readonly topic: string;
  /** In the dead-letter topic. */
  readonly partition: number;
  readonly offset: number;
}

/** A message that no retry could handle. */
export interface DeadLetter extends DeadLetterPlace {
  readonly key: string;
  /** Of the event, or `ChunkProduced`; null when it says none. */
  readonly type: string | null;
  readonly bytes: number;
  /** Of docs/errors.md. */
  readonly code: string;
  readonly message: string;
  /** It has been published to its topic again. */
  readonly redriven: boolean;
}

const REDRIVEN = 'redriven-offset';

/** All that is in the dead-letter topics, in the order in which it died. */
export const deadLettersOf = async (log: EventLogReader): Promise<DeadLetter[]> => {
  const letters: DeadLetter[] = [];
  for (const topic of Object.values(TOPICS)) {
    const records: LogRecord[] = [];
    const redriven = new Set<string>();
    for await (const record of log.read(deadTopicOf(topic))) {
      const offset = record.headers[REDRIVEN];
      if (offset === undefined) records.push(record);
      else redriven.add(`${record.partition} ${offset}`);
    }
    letters.push(
      ...records.map((record) => letterOf(topic, record, redriven.has(`${record.partition} ${record.offset}`))),
    );
  }
  return letters;
};

const letterOf = (
  topic: string,
  { key, value, headers, partition, offset }: LogRecord,
  redriven: boolean,
): DeadLetter => ({
  topic,
  partition,
  offset,
  key,
  type: headers.ce_type ?? null,
  bytes: value.byteLength,
  code: headers['dead-code'] ?? '',
  message: headers['dead-message'] ?? '',
  redriven,
});

/**
 * Publishes a dead letter to its topic again, and notes that: when what made it fail is mended.
 * @throws AppError `input/not-found`, `log/*`
 */
export const redrive = async (log: EventLog, place: DeadLetterPlace): Promise<void> => {
  const topic = Object.values(TOPICS).find((name) => name === place.topic);
  const dead = topic === undefined ? undefined : await recordAt(log, deadTopicOf(topic), place);
  if (topic === undefined || dead === undefined) {
    throw new AppError(
      'input/not-found',
      `no dead letter of ${place.topic} lies at ${place.partition}/${place.offset}`,
    );
  }
  const { key, value } = dead;
  const headers = Object.fromEntries(Object.entries(dead.headers).filter(([name]) => !name.startsWith('dead-')));
  await log.publish(topic, [{ key, value, headers }]);
  const note: Message = { key, value: new Uint8Array(), headers: { [REDRIVEN]: String(place.offset) } };
  await log.publish(deadTopicOf(topic), [note]);
};

const recordAt = async (
  log: EventLogReader,
  topic: string,
  { partition, offset }: DeadLetterPlace,
): Promise<LogRecord | undefined> => {
  for await (const record of log.read(topic, { from: offset })) {
    if (record.partition === partition && record.offset === offset && !(REDRIVEN in record.headers)) return record;
  }
  return undefined;
};
