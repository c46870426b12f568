import { FOOTPRINTS } from '@pvtrail/contracts';
import type { RawBlock } from '@pvtrail/trace';
import { describeBlock, type ReferenceSlot } from '@pvtrail/x86';
import { describe, expect, it } from 'vitest';
import { observe } from './observed-guest.js';
import { catalogueAt, NATIVE_KERNELS } from './stage-image.js';

const STAGE = 'v2.6.29';
const KIB = 1024;

/** C functions that no workload reaches, each kept because what calls it would be wrong without it. */
const UNREACHED: Readonly<Record<string, string>> = {
  bad_area: 'a fault outside of any area: a program that goes wrong',
  console_write: 'panic says what happened',
  console_write_hex: 'panic says what happened',
  do_trap: 'an exception other than a page fault: a program that goes wrong',
  kernel_fault: 'a kernel that goes wrong, or an address that copy_user may be given',
  panic: 'a kernel that goes wrong',
  pgd_clear_bad: 'a table entry that is neither empty nor a table',
  search_exception_table: 'an address that copy_user may be given',
  slab_destroy: 'memory given back when a cache shrinks below a third of what it was',
  sys_missing: 'the system call table has a target for every number',
  user_fault_signal: 'a program that goes wrong',
};

const mixes = NATIVE_KERNELS.flatMap(({ folder, bits, paging }) =>
  FOOTPRINTS.map((footprint) => ({
    folder,
    footprint,
    seen: observe({ stage: STAGE, bits, paging, workload: 'mix', footprint }),
  })),
);

const textBytes = (blocks: Iterable<RawBlock>): number => {
  const bytes = new Set<bigint>();
  for (const { virt, bytes: text } of blocks) for (let at = 0; at < text.length; at++) bytes.add(virt + BigInt(at));
  return bytes.size;
};

const referencesOf = (slot: ReferenceSlot): number => (slot.direction === 'update' ? 2 : 1);

/** Data references of kernel code in the measured region: of rep string instructions and of all others. */
const dataReferences = ({ blocks, repIterations }: (typeof mixes)[number]['seen']) => {
  const references = { repeated: 0, other: 0 };
  for (const [block, executions] of blocks) {
    if (block.user) continue;
    for (const slot of describeBlock(block.bytes, block.virt, block.bits).slots) {
      if (slot.repeated) references.repeated += referencesOf(slot) * (repIterations.get(block) ?? 0);
      else references.other += referencesOf(slot) * executions;
    }
  }
  return references;
};

describe.each(NATIVE_KERNELS)('the kernel of $folder', ({ folder }) => {
  // An op fills its slot, an entry its gate of the interrupt table, whether or not a workload comes there.
  it.each(['c', 'asm', 'thunk'])('has no function of kind %s that neither boot nor the mix executes', (wanted) => {
    const own = mixes.filter((mix) => mix.folder === folder);
    const executed = own.flatMap(({ seen }) => seen.kernelBlocks.map(({ virt }) => virt));
    const unreached = catalogueAt(STAGE, folder).functions.filter(({ kind, address, codeBytes }) => {
      const first = BigInt(address);
      return kind === wanted && !executed.some((virt) => virt >= first && virt < first + BigInt(codeBytes));
    });
    expect(unreached.map(({ name }) => name).sort()).toEqual(wanted === 'c' ? Object.keys(UNREACHED) : []);
  });
});

describe.each(mixes)('the $footprint mix of $folder', ({ seen }) => {
  it('executes at least 24 KiB of distinct kernel text', () => {
    const kernel = [...seen.blocks.keys()].filter(({ user }) => !user);
    expect(textBytes(kernel)).toBeGreaterThanOrEqual(24 * KIB);
  });

  it('makes at most a fifth of its data references by rep string instructions', () => {
    const { repeated, other } = dataReferences(seen);
    expect(repeated).toBeGreaterThan(0);
    expect(repeated / (repeated + other)).toBeLessThanOrEqual(0.2);
  });
});
