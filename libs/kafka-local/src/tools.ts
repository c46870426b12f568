import { spawnSync } from 'node:child_process';
import { AppError } from '@pvtrail/primitives';

/** Kafka 4 brokers need this version of Java or a later one. */
const JAVA_VERSION = 17;

const versionOf = (command: string, pattern: RegExp): number | undefined => {
  const { stdout, stderr, error } = spawnSync(command, ['-version'], { encoding: 'utf8' });
  if (error) return undefined;
  const [, major] = pattern.exec(`${stdout}${stderr}`) ?? [];
  return major === undefined ? undefined : Number(major);
};

/** What is to be installed before a broker can run here; undefined when nothing is. Starts Java and Maven to ask them. */
const missingBrokerTool = (): string | undefined => {
  const java = versionOf('java', /version "(\d+)/);
  if (java === undefined || java < JAVA_VERSION) {
    return `Java ${JAVA_VERSION} or later (Debian: apt-get install openjdk-17-jre-headless)`;
  }
  if (versionOf('mvn', /Apache Maven (\d+)/) === undefined) return 'Maven (Debian: apt-get install maven)';
  return undefined;
};

/** Why tests that need a broker cannot run here, for their titles; empty where they can, and in CI, where they must. */
export const skippedWithoutBroker = (): string => {
  const missing = process.env.CI === undefined ? missingBrokerTool() : undefined;
  return missing === undefined ? '' : `skipped, because there is no ${missing}`;
};

/** @throws AppError `broker/missing-tool` */
export const requireBrokerTools = (): void => {
  const missing = missingBrokerTool();
  if (missing !== undefined) throw new AppError('broker/missing-tool', `a local Kafka broker needs ${missing}`);
};
