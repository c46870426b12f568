import { delivering, type MessagingSystem, sending } from '@pvtrail/telemetry';
import type { Transport } from './memory/memory-transport.js';
import type { EventLog } from './port.js';

/** A transport whose messages carry the trace of whoever sends them, in their header `traceparent`. */
export const tracedTransport = (transport: Transport, system: MessagingSystem): Transport => ({
  publish: (topic, messages) => sending(system, topic, messages, (carried) => transport.publish(topic, carried)),
  consume: (subscription, handler) =>
    transport.consume(subscription, (batch) => delivering(system, () => handler(batch))),
});

/** A log whose messages carry the trace of whoever sends them, in their header `traceparent`. */
export const tracedLog = (log: EventLog, system: MessagingSystem): EventLog => ({
  ...tracedTransport(log, system),
  append: (topic, key, messages, expectedVersion) =>
    sending(
      system,
      topic,
      messages.map((message) => ({ ...message, key })),
      (carried) => log.append(topic, key, carried, expectedVersion),
    ),
  read: (topic, range) => log.read(topic, range),
  truncate: (topic, partition, before) => log.truncate(topic, partition, before),
  close: () => log.close(),
});
