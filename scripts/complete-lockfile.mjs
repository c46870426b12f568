// Adds lock-file entries for optional platform packages that a registry mirror lacks, so that `npm ci` accepts the lock file
// everywhere. Run it after every `npm install` that changes package-lock.json, and commit the result.
import fs from 'node:fs';

const OS_OF_NAME = {
  darwin: 'darwin',
  linux: 'linux',
  win32: 'win32',
  freebsd: 'freebsd',
  android: 'android',
  openharmony: 'openharmony',
};
const CPUS = ['arm64', 'x64', 'ia32', 'ppc64', 's390x', 'riscv64', 'arm'];

const lock = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'));
const present = Object.keys(lock.packages);
let added = 0;
for (const parent of Object.values({ ...lock.packages })) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (!/^\d/.test(version) || present.some((path) => path.endsWith(`node_modules/${name}`))) continue;
    const os = Object.keys(OS_OF_NAME).find((word) => name.includes(word));
    const cpu = CPUS.find((word) => name.includes(word));
    lock.packages[`node_modules/${name}`] ??= {
      version,
      ...(parent.dev ? { dev: true } : {}),
      optional: true,
      ...(os ? { os: [OS_OF_NAME[os]] } : {}),
      ...(cpu ? { cpu: [cpu] } : {}),
    };
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
fs.writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added} entries added\n`);
