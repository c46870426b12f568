#!/usr/bin/env node
if (Number(process.versions.node.split('.')[0]) < 24) {
  process.stderr.write(`pvtrail needs Node.js 24 or newer; this is ${process.version}. Start it with: npx pvtrail …\n`);
  process.exit(2);
}
await import('../dist/main.js');
