export { Delivery, type DeliveryPorts } from './delivery.js';
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
} from './port.js';
export { openSqliteLog, openSqliteLogReader, type SqliteLogOptions } from './sqlite/sqlite-event-log.js';
