// Builds everything that runs from dist/: TypeScript, then the AssemblyScript kernels (only those whose inputs changed).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');

const run = (command, args, cwd = root) => {
  const { status } = spawnSync(command, args, { cwd, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
};

/** Numbers that the kernel shares with the compiled TypeScript: its assembly/constants.mjs gives them by name. */
const constantsOf = async (folder) => {
  const file = path.join(folder, 'assembly/constants.mjs');
  return fs.existsSync(file) ? [...(await import(file)).constants] : [];
};

const digestOf = (folder, options) => {
  const hash = createHash('sha256').update(options.join(' '));
  for (const name of fs.readdirSync(path.join(folder, 'assembly')).sort()) {
    hash.update(name).update(fs.readFileSync(path.join(folder, 'assembly', name)));
  }
  return hash.digest('hex');
};

/** A kernel: a library folder with assembly/index.ts, compiled to dist/kernel.wasm with the flags beside its sources. */
const buildKernel = async (lib) => {
  const folder = path.join(root, lib);
  const constants = (await constantsOf(folder)).flatMap(([name, value]) => ['--use', `${name}=${value}`]);
  const options = [
    'assembly/index.ts',
    '--config',
    'assembly/asconfig.json',
    '--outFile',
    'dist/kernel.wasm',
    ...constants,
  ];
  const stamp = path.join(folder, 'dist/kernel.inputs');
  const digest = digestOf(folder, options);
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === digest) return;
  run(process.execPath, [path.join(root, 'node_modules/assemblyscript/bin/asc.js'), ...options], folder);
  fs.writeFileSync(stamp, digest);
};

run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-b']);
for (const lib of ['libs/trace', 'libs/analysis', 'libs/emulator']) await buildKernel(lib);
