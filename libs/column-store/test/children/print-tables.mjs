// Prints every row of every table of the store in FOLDER as JSON lines, sorted, each after its table's name.
import { writeFileSync } from 'node:fs';
import { openDatabase } from '@pvtrail/column-store';

const [folder, output] = process.argv.slice(2);
const database = await openDatabase({ path: folder });
const lines = [];
for (const { name } of await database.query('SELECT name FROM system.tables WHERE database = currentDatabase()')) {
  for (const row of await database.query(`SELECT * FROM ${name}`)) lines.push(`${name} ${JSON.stringify(row)}`);
}
await database.close();
writeFileSync(output, `${lines.sort().join('\n')}\n`);
