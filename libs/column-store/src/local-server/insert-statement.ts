import { text } from '../sql-text.js';

/** An insert whose rows come in the body; settings stand between the table and the format. */
const INSERT =
  /^\s*INSERT\s+INTO\s+(?<into>.+?)(?<settings>\s+SETTINGS\s+.+?)?(?:\s+FORMAT\s+(?<format>\w+)|\s+(?<values>VALUES))\s*;?\s*$/is;
/** Of which the rows do not come with the statement. */
const SELECT = /\b(?:SELECT|WITH|FROM\s+INFILE)\b/i;

/**
 * The statement that inserts the rows of a file as the given one would insert the rows that follow it; the embedded engine takes
 * statements as text only, and rows may be binary. undefined for anything else than such an insert.
 */
export const insertFromFile = (statement: string, file: string): string | undefined => {
  const groups = INSERT.exec(statement)?.groups;
  const { into, settings = '', format = 'Values' } = groups ?? {};
  if (into === undefined || SELECT.test(into)) return undefined;
  return `INSERT INTO ${into} FROM INFILE ${text(file)}${settings} FORMAT ${format}`;
};
