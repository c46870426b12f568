// Opens the store in FOLDER, prints `held`, and holds it until killed.
import { writeSync } from 'node:fs';
import { openDatabase } from '@pvtrail/column-store';

await openDatabase({ path: process.argv[2] });
writeSync(1, 'held\n');
setInterval(() => {}, 1 << 30);
