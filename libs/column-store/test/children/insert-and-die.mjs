// Inserts the units of two guests, going on where an earlier process died, and dies by SIGKILL at the first insert into TABLE:
//   node insert-and-die.mjs FOLDER before|during|after|never TABLE
// `during`: the statement is running when the process dies.
import { createColumnStore, openDatabase } from '@pvtrail/column-store';
import { endedGuest, guestIdNumber, unitOf } from '@pvtrail/column-store/contract';

const [folder, when, fatalTable] = process.argv.slice(2);
const die = () => process.kill(process.pid, 'SIGKILL');
const inner = await openDatabase({ path: folder });
const database = {
  insert: async (table, rows, token) => {
    const now = table === fatalTable;
    if (now && when === 'before') die();
    const inserted = inner.insert(table, rows, token);
    // Two turns of the event loop: the statement has been handed to the engine's thread by then.
    if (now && when === 'during') setImmediate(() => setImmediate(die));
    await inserted;
    if (now && when === 'after') die();
  },
  query: (sql) => inner.query(sql),
  define: (statement) => inner.define(statement),
  deleteRows: (table, condition) => inner.deleteRows(table, condition),
  close: () => inner.close(),
};

const store = await createColumnStore(database);
const UNITS = 6;
for (let number = 0; number < UNITS; number++) {
  for (const guest of [1, 2]) {
    const point = await store.resumePoint(guestIdNumber(guest));
    const next = point.kind === 'beginning' ? 0 : point.kind === 'complete' ? UNITS : point.unit + 1;
    if (number >= next) await store.insertUnit(unitOf(guest, number, number === UNITS - 1));
  }
}
for (const guest of [1, 2]) await store.insertGuest(endedGuest(guest));
await store.close();
