// Builds everything that runs from dist/: the AssemblyScript kernels (only when their sources changed), then TypeScript.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');

/** Each kernel: a library folder with assembly/index.ts, compiled to dist/kernel.wasm with the flags beside its sources. */
const kernels = ['libs/trace', 'libs/analysis'].filter((lib) =>
  fs.existsSync(path.join(root, lib, 'assembly/index.ts')),
);

const run = (command, args, cwd = root) => {
  const { status } = spawnSync(command, args, { cwd, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
};

const newest = (folder) =>
  Math.max(...fs.readdirSync(folder, { recursive: true }).map((name) => fs.statSync(path.join(folder, name)).mtimeMs));

for (const lib of kernels) {
  const out = path.join(root, lib, 'dist/kernel.wasm');
  if (fs.existsSync(out) && fs.statSync(out).mtimeMs > newest(path.join(root, lib, 'assembly'))) continue;
  run(
    process.execPath,
    [
      path.join(root, 'node_modules/assemblyscript/bin/asc.js'),
      'assembly/index.ts',
      '--config',
      'assembly/asconfig.json',
      '--outFile',
      'dist/kernel.wasm',
    ],
    path.join(root, lib),
  );
}
run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-b']);
