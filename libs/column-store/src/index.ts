export {
  type ByStatistics,
  type Comparison,
  type Contribution,
  DIMENSIONS,
  type Dimension,
  type DimensionValues,
  type FootprintRow,
  type StatisticsRow,
  type StoredGuest,
} from './answers.js';
export { createColumnStore, openColumnStore } from './clickhouse-column-store.js';
export type { Database } from './database.js';
export { openDatabase, type StoreLocation } from './open-database.js';
export type { ChunkRow, ColumnStore, CommittedUnit, EndedGuest, ResumePoint, RunRow, Unit } from './port.js';
export type { ComparisonQuery, ContributionQuery, GuestFilter, StatisticsQuery } from './queries.js';
export { type ServerLocation, serverLocationFrom } from './server-location.js';
export type { Counts, UnitStatistics } from './statistics.js';
