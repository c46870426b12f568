// Installs the locked dependencies when they are missing or older than the lock file. Runs on any Node that npm runs on.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
const stamp = path.join(root, 'node_modules', '.pvtrail-installed');
const wanted = createHash('sha256')
  .update(fs.readFileSync(path.join(root, 'package-lock.json')))
  .digest('hex');
const installed = fs.existsSync(stamp) ? fs.readFileSync(stamp, 'utf8') : '';

if (installed !== wanted) {
  process.stderr.write('pvtrail: installing dependencies (once, about half a minute)…\n');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    process.stderr.write('pvtrail: `npm ci` failed; its messages are above. Is a package registry reachable?\n');
    process.exit(status ?? 1);
  }
  fs.writeFileSync(stamp, wanted);
}
