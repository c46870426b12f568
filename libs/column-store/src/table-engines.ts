import { text } from './sql-text.js';

/**
 * What the tables on a server are made of. The migrations are written for `merge-tree`; a cluster's shards keep a guest's rows
 * together, so that joins and subqueries stay within a shard (`distributed_product_mode`).
 * - `merge-tree`: one server.
 * - `replicated`: one shard, a copy on every server of the cluster.
 * - `distributed`: replicated tables named `…_local` on each shard, and Distributed tables over them under the plain names.
 *
 * Paths and names of replicas are the server's `default_replica_path` and `default_replica_name`.
 */
export type TableEngines =
  | { readonly kind: 'merge-tree' }
  | { readonly kind: 'replicated'; readonly cluster: string }
  | { readonly kind: 'distributed'; readonly cluster: string };

/** How many tokens a table remembers. */
export const DEDUPLICATION_WINDOW = 10_000;
/** Replicated tables forget tokens by age too; a month is longer than any run is away. */
const DEDUPLICATION_WINDOW_SECONDS = 30 * 24 * 3600;

const LOCAL = '_local';
const CREATE = /\bCREATE TABLE IF NOT EXISTS (\w+) \(/;
const VIEW = /\bCREATE VIEW IF NOT EXISTS (\w+)/;
const ALTER = /\bALTER TABLE (\w+)/;
const ORDER_BY = /\bENGINE = MergeTree ORDER BY \(?(\w+)/;
const WINDOW = /\bnon_replicated_deduplication_window = \d+/;

/** A guest's rows are on one shard; tables without a guest spread by the first column of their order. */
const shardingColumn = (create: string): string => {
  const [, first] = ORDER_BY.exec(create) ?? [];
  if (first === undefined) throw new RangeError(`no MergeTree with an order: ${create}`);
  return /^ {2}guest\s/m.test(create) ? 'guest' : first;
};

const replicatedCreate = (create: string, cluster: string, window: number, suffix: string): string =>
  create
    .replace(CREATE, `CREATE TABLE IF NOT EXISTS $1${suffix} ON CLUSTER ${text(cluster)} (`)
    .replace('ENGINE = MergeTree', 'ENGINE = ReplicatedMergeTree')
    .replace(
      WINDOW,
      `replicated_deduplication_window = ${window}, replicated_deduplication_window_seconds = ${DEDUPLICATION_WINDOW_SECONDS}`,
    );

const distributedCreate = (create: string, table: string, cluster: string): string =>
  [
    `CREATE TABLE IF NOT EXISTS ${table} ON CLUSTER ${text(cluster)} AS ${table}${LOCAL}`,
    `ENGINE = Distributed(${text(cluster)}, currentDatabase(), ${table}${LOCAL}, cityHash64(${shardingColumn(create)}))`,
  ].join('\n');

/**
 * The statements that do on these engines what a migration's statement does on MergeTree.
 * @param window how many tokens a table remembers
 * @throws RangeError for a statement that is neither CREATE TABLE IF NOT EXISTS, CREATE VIEW IF NOT EXISTS nor ALTER TABLE
 */
export const definitionsFor = (statement: string, engines: TableEngines, window = DEDUPLICATION_WINDOW): string[] => {
  const [, created] = CREATE.exec(statement) ?? [];
  const [, altered] = ALTER.exec(statement) ?? [];
  const view = VIEW.test(statement);
  if (!view && created === undefined && altered === undefined) {
    throw new RangeError(`no CREATE TABLE, CREATE VIEW or ALTER TABLE: ${statement}`);
  }
  if (engines.kind === 'merge-tree') {
    return [statement.replace(WINDOW, `non_replicated_deduplication_window = ${window}`)];
  }
  const { kind, cluster } = engines;
  const distributed = kind === 'distributed';
  const suffix = distributed ? LOCAL : '';
  if (view) return [statement.replace(VIEW, `CREATE VIEW IF NOT EXISTS $1 ON CLUSTER ${text(cluster)}`)];
  if (created !== undefined) {
    const tables = [replicatedCreate(statement, cluster, window, suffix)];
    return distributed ? [...tables, distributedCreate(statement, created, cluster)] : tables;
  }
  const alter = (table: string) => statement.replace(ALTER, `ALTER TABLE ${table} ON CLUSTER ${text(cluster)}`);
  return distributed ? [alter(`${altered}${LOCAL}`), alter(`${altered}`)] : [alter(`${altered}`)];
};

/** The table that rows are deleted from, with its cluster: a Distributed one has no rows of its own. */
export const deletableTable = (table: string, engines: TableEngines): string => {
  if (engines.kind === 'merge-tree') return table;
  return `${table}${engines.kind === 'distributed' ? LOCAL : ''} ON CLUSTER ${text(engines.cluster)}`;
};
