import { spawn } from 'node:child_process';
import { AppError } from '@pvtrail/primitives';
import type { Machine } from './machine.js';

/** The compiler whose output the committed images are: gcc of Debian 12 (definitions §1). */
const REQUIRED_GCC = { version: '12.2.0', distribution: 'Debian' } as const;

/** Code generation of kernel C, exactly as definitions §1 lists it. */
export const kernelCFlags = ({ kernelFlags }: Machine): readonly string[] => [...SHARED_KERNEL_C_FLAGS, ...kernelFlags];

const SHARED_KERNEL_C_FLAGS = [
  '-O2',
  '-ffreestanding',
  '-fno-ident',
  '-fno-pic',
  '-fcf-protection=none',
  '-fno-stack-protector',
  '-fno-jump-tables',
  '-ffunction-sections',
  '-fdata-sections',
  '-fno-ipa-cp',
  '-fno-ipa-sra',
  '-fno-ipa-icf',
  '-fno-partial-inlining',
  '-fno-reorder-blocks-and-partition',
  '-mgeneral-regs-only',
] as const;

/** User programs keep the stack alignment and code model of user space; nothing in them differs between stages. */
export const userCFlags = ({ userFlags }: Machine): readonly string[] => [...SHARED_USER_C_FLAGS, ...userFlags];

const SHARED_USER_C_FLAGS = [
  '-O2',
  '-ffreestanding',
  '-fno-ident',
  '-fno-pic',
  '-fcf-protection=none',
  '-fno-stack-protector',
  '-fno-jump-tables',
  '-fno-asynchronous-unwind-tables',
  '-mgeneral-regs-only',
] as const;

/** Linking without anything that depends on the host, the day or a path. */
export const linkerFlags = ({ linkerEmulation }: Machine): readonly string[] => [
  '-m',
  linkerEmulation,
  ...SHARED_LD_FLAGS,
];

const SHARED_LD_FLAGS = [
  '-static',
  '-nostdlib',
  '--build-id=none',
  '--no-relax',
  '--discard-locals',
  '--no-warn-rwx-segments',
  '-z',
  'noexecstack',
  '-z',
  'max-page-size=4096',
] as const;

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

/** Null when the gcc found is the one that the images are built with, else the reason to print. */
export const compilerMismatch = async (): Promise<string | null> => {
  let banner: string;
  try {
    banner = firstLine(await runTool('gcc', ['--version'], '.'));
  } catch {
    return 'no gcc was found';
  }
  return banner.includes(REQUIRED_GCC.distribution) && banner.endsWith(REQUIRED_GCC.version)
    ? null
    : `gcc is '${banner}', not ${REQUIRED_GCC.version} of ${REQUIRED_GCC.distribution} 12`;
};

/**
 * Runs a tool in a folder and returns what it printed; of the environment only PATH, so that no variable changes what gcc makes.
 * @throws AppError `input/invalid` with the tool's own message when it fails
 */
export const runTool = (tool: string, args: readonly string[], folder: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(tool, args, {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    const problems: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => problems.push(chunk));
    child.on('error', (cause) => reject(new AppError('input/invalid', `${tool} could not be started`, {}, cause)));
    child.on('close', (status) => {
      if (status === 0) resolve(Buffer.concat(out).toString());
      else reject(new AppError('input/invalid', `${tool} failed:\n${Buffer.concat(problems).toString()}`));
    });
  });

/**
 * Maps with at most `width` calls under way; results keep the order of the items. After a failure no new call starts, and the
 * first failure is thrown once none is under way.
 */
export const mapParallel = async <T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> => {
  const results: R[] = [];
  const failures: unknown[] = [];
  const queue = [...items.entries()];
  const worker = async (): Promise<void> => {
    for (let entry = queue.shift(); entry && failures.length === 0; entry = queue.shift()) {
      const [index, item] = entry;
      try {
        results[index] = await work(item);
      } catch (failure) {
        failures.push(failure);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
};
