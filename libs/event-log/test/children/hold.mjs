// Opens the log for writing, prints `held`, and holds it until killed.
import { writeSync } from 'node:fs';
import { openSqliteLog } from '@pvtrail/event-log';

openSqliteLog({ file: process.argv[2] });
writeSync(1, 'held\n');
setInterval(() => {}, 1 << 30);
