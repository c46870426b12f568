export { Delivery, type DeliveryPorts } from './delivery.js';
export { openKafkaLog } from './kafka/kafka-event-log.js';
export {
  DEFAULT_GROUP_SETTINGS,
  DEFAULT_TOPIC_SETTINGS,
  type GroupSettings,
  type KafkaLogEntry,
  type KafkaLogOptions,
  type SaslOptions,
  type TlsOptions,
  type TopicSettings,
} from './kafka/kafka-options.js';
export { MemoryTransport, type Transport } from './memory/memory-transport.js';
export type {
  Batch,
  Consumer,
  EventLog,
  EventLogReader,
  Handler,
  LogRecord,
  ReadRange,
  RetryPolicy,
  Subscription,
  TopicPartition,
} from './port.js';
export { openSqliteLog, openSqliteLogReader, type SqliteLogOptions } from './sqlite/sqlite-event-log.js';
export { tracedLog, tracedTransport } from './traced-log.js';
