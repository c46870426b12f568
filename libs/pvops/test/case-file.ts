import { readFileSync } from 'node:fs';

/**
 * Rows of `cases/<name>.txt`: cells between `|`, `#` starts a comment line. The first row names the columns.
 * A file without rows, or a row with another number of cells, is an error.
 */
export const readCases = <Column extends string>(name: string): readonly Readonly<Record<Column | 'row', string>>[] => {
  const lines = readFileSync(new URL(`cases/${name}.txt`, import.meta.url), 'utf8').split('\n');
  const rows = lines
    .map((text, index) => ({ cells: text.split('|').map((cell) => cell.trim()), text: text.trim(), line: index + 1 }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'));
  const [header, ...body] = rows;
  if (header === undefined || body.length === 0) throw new Error(`${name}.txt has no cases`);
  return body.map(({ cells, text, line }) => {
    if (cells.length !== header.cells.length) throw new Error(`${name}.txt:${line} has ${cells.length} cells: ${text}`);
    const named = header.cells.map((column, index) => [column, cells[index]]);
    return { ...Object.fromEntries(named), row: `${name}.txt:${line} ${text.replaceAll(/\s+/g, ' ')}` };
  });
};

export const words = (cell: string): readonly string[] => (cell === '-' || cell === '' ? [] : cell.split(/\s+/));
