/** Bumped on every change of SCHEMA; a file of another version is refused. */
export const SCHEMA_VERSION = 1;

/**
 * records.id is the offset: one sequence over all topics, so offsets of a topic have gaps; AUTOINCREMENT never gives one twice,
 * also after truncation. streams.version counts the records ever added under a key.
 */
export const SCHEMA = `
  CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE records (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic   INTEGER NOT NULL REFERENCES topics,
    key     TEXT NOT NULL,
    headers TEXT NOT NULL,
    value   BLOB NOT NULL
  );
  CREATE INDEX records_by_topic ON records (topic);
  CREATE INDEX records_by_key ON records (topic, key);
  CREATE TABLE streams (topic INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
  CREATE TABLE offsets (consumers TEXT NOT NULL, topic INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (consumers, topic)) WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
