import { type EventOf, type EventTypeName, fromMessage, type GuestId, type RunId } from '@pvtrail/contracts';
import type { EventLogReader } from '@pvtrail/event-log';

/** The last event of a type of a guest or run. */
export const lastEvent = async <T extends EventTypeName>(
  log: EventLogReader,
  topic: string,
  subject: GuestId | RunId,
  type: T,
): Promise<EventOf<T> | undefined> => {
  let found: EventOf<T> | undefined;
  for await (const record of log.read(topic, { key: subject })) {
    const event = fromMessage(record);
    if (event.type === type) found = event as EventOf<T>;
  }
  return found;
};
