import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AppError } from '@pvtrail/primitives';

const POM = path.join(import.meta.dirname, '../../../deploy/kafka-local/pom.xml');

const cacheRoot = (): string => process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache');

const kafkaVersion = (): string => {
  const [, version] = /<kafka\.version>([\d.]+)</.exec(fs.readFileSync(POM, 'utf8')) ?? [];
  if (version === undefined) throw new Error(`${POM} names no kafka.version`);
  return version;
};

const resolveInto = async (folder: string): Promise<void> => {
  const options = [
    '-q',
    '-B',
    '-f',
    POM,
    // A repository of its own: two Maven processes may damage a shared one.
    `-Dmaven.repo.local=${path.join(folder, 'repository')}`,
    'dependency:copy-dependencies',
    '-DincludeScope=runtime',
    `-DoutputDirectory=${path.join(folder, 'lib')}`,
  ];
  const maven = spawn('mvn', options, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [maven.stdout, maven.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const [code] = await once(maven, 'close');
  if (code !== 0) {
    throw new AppError('broker/not-started', `Maven could not fetch the broker: ${output.trim().slice(0, 2000)}`);
  }
};

/**
 * The folder with the broker's jars, fetched by Maven the first time (45 jars, 43 MB) into `$XDG_CACHE_HOME` or `~/.cache`.
 * Processes that fetch at the same time do not meet: each fills a folder of its own, and the first to rename it wins.
 * @throws AppError `broker/not-started`
 */
export const brokerJars = async (): Promise<string> => {
  const folder = path.join(cacheRoot(), 'pvtrail', `kafka-${kafkaVersion()}`);
  if (fs.existsSync(folder)) return folder;
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const staging = fs.mkdtempSync(`${folder}.part-`);
  try {
    await resolveInto(staging);
    fs.renameSync(path.join(staging, 'lib'), folder);
  } catch (error) {
    if (!fs.existsSync(folder)) throw error;
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
  return folder;
};
