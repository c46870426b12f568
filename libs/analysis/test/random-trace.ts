import { fromHex, SeededRandom } from '@pvtrail/primitives';
import type { KernelCatalogue } from '@pvtrail/pvops';
import type { RawColumns } from '@pvtrail/trace';
import { type BlockShape, describeBlock } from '@pvtrail/x86';
import type { TraceBlock } from '../src/block-profile.js';

/** Code of every end kind, with and without references; none of it pushes or moves registers to the stack. */
const CODES = [
  '90', // nop, then the end of a page or a rep string instruction
  '4889f8c3', // mov %rdi,%rax; ret
  '488b07488907c3', // read, write, return
  '48010774f0', // update; je
  '4885c07510', // test; jne
  'f04801074883470801ebfe', // two updates; jmp
  'e800010000', // call
  'ffd0', // call *%rax
  'ff10', // call *(%rax)
  'ffe0', // jmp *%rax
  '0f20c0', // mov %cr0,%rax: falls through
  'fafb', // cli; sti
  '48cf', // iretq: five reads
  '0f05', // syscall
  '480f07', // sysretq
  '0f0b', // ud2
  'f4', // hlt
  'e6e0', // out
  'f348a5', // rep movsq
  'f3a4', // rep movsb
  'f348ab', // rep stosq
  'f3a6', // repe cmpsb
  'f266af', // repne scasw
  `${'488b4708'.repeat(20)}e9000f0000`, // a block of several lines
  `${'0f1f440000'.repeat(30)}c3`,
  `${'66894704'.repeat(9)}4889470874c0`,
];

export interface RandomTrace {
  readonly dictionary: readonly TraceBlock[];
  readonly columns: RawColumns;
}

interface DescribedBlock extends TraceBlock {
  readonly shape: BlockShape;
}

const PAGE_BYTES = 4096;
const KERNEL_TEXT = 0xffffffff81000000n;
const USER_TEXT = 0x400000n;

/** Sixteen functions of 1 KiB from the start of kernel text; nothing else. */
export const functionsOnly = (): KernelCatalogue => ({
  format: 1,
  guest: 'native',
  bits: 64,
  stage: 'v2.6.29',
  symbols: {},
  opTable: [],
  functions: Array.from({ length: 16 }, (_, i) => ({
    name: `function_${i}`,
    address: `0x${(KERNEL_TEXT + BigInt(i * 1024)).toString(16).padStart(16, '0')}`,
    slotBytes: 1024,
    codeBytes: 1000,
    kind: 'c' as const,
  })),
  sites: [],
  thunks: [],
  saves: [],
  notSaves: [],
});

/** Blocks and columns that obey docs/adr/002 in form; where control goes and what is addressed is random. */
export class RandomTraces {
  readonly #random: SeededRandom;
  readonly #partialFirst: boolean;
  readonly #blocks: DescribedBlock[] = [];
  readonly #pages: readonly number[];

  /** `partialFirst`: a partial event stands right behind its block, as the chunk format requires; else before or behind the splits. */
  constructor(seed: number, partialFirst = false) {
    this.#partialFirst = partialFirst;
    this.#random = new SeededRandom(seed);
    this.#pages = Array.from({ length: 6 }, () => this.#random.below(1 << 18) * PAGE_BYTES);
    while (this.#blocks.length < 40) this.#addChain();
  }

  /** A chunk of `length` block executions with markers at the given positions; dictionaries list a part of the blocks in random order. */
  chunk(length: number, markers: ReadonlyMap<number, number> = new Map()): RandomTrace {
    const dictionary = this.#shuffled().slice(0, 10 + this.#random.below(30));
    const writer = new ColumnWriter();
    let previous = dictionary[0];
    for (let i = 0; i < length; i++) {
      const block = this.#successor(dictionary, previous);
      if (block === undefined) break;
      this.#execute(writer, block, dictionary.indexOf(block));
      const marker = markers.get(i);
      if (marker !== undefined) writer.event(3, marker);
      previous = block;
    }
    return { dictionary, columns: writer.columns() };
  }

  #execute(writer: ColumnWriter, block: DescribedBlock, id: number): void {
    writer.events.push(id);
    const { shape } = block;
    if (shape.slots.some((slot) => slot.repeated)) {
      this.#repeat(writer, shape, id);
      return;
    }
    const stopped = this.#random.below(12) === 0 || shape.end.kind === 'undefined';
    const retired = stopped ? this.#random.below(shape.instructions.length) : shape.instructions.length;
    const slots = shape.slots.filter((slot) => slot.instruction < retired);
    const splits = slots.flatMap((slot, i) => this.#address(writer, slot.widthBytes, i));
    if (stopped && (this.#partialFirst || this.#random.below(2) === 0)) writer.event(0, retired);
    for (const slot of splits) writer.event(5, slot, this.#page());
    if (stopped && !writer.endsWith(0)) writer.event(0, retired);
    if (stopped || this.#random.below(10) === 0) this.#interrupt(writer);
    if (this.#random.below(20) === 0) writer.event(7, trapKind(this.#random.below(300)));
  }

  /** One address; the slot's index when the reference crosses a page. */
  #address(writer: ColumnWriter, widthBytes: number, slot: number): number[] {
    if (widthBytes > 1 && this.#random.below(20) === 0) {
      writer.addresses.push(this.#page() + PAGE_BYTES - 1 - this.#random.below(widthBytes - 1));
      return [slot];
    }
    writer.addresses.push(this.#page() + this.#random.below(PAGE_BYTES - widthBytes + 1));
    return [];
  }

  #repeat(writer: ColumnWriter, shape: BlockShape, id: number): void {
    const runs = 1 + this.#random.below(3);
    for (let run = 0; run < runs; run++) {
      if (run > 0) writer.events.push(0x40000000 | id);
      this.#run(writer, shape);
    }
    if (this.#random.below(4) === 0) {
      writer.event(0, 0);
      this.#interrupt(writer);
    }
  }

  #run(writer: ColumnWriter, shape: BlockShape): void {
    const width = shape.slots[0]?.widthBytes ?? 1;
    const backward = this.#random.below(3) === 0;
    const split = width > 1 && this.#random.below(6) === 0;
    const iterations = split ? 1 : this.#random.below(this.#random.below(3) === 0 ? 40 : 4);
    writer.extras.push(((backward ? 0x80000000 : 0) | iterations) >>> 0);
    const room = PAGE_BYTES - width * Math.max(1, iterations);
    for (const [i] of shape.slots.entries()) {
      if (split) this.#crossing(writer, width, i);
      else
        writer.addresses.push(
          this.#page() + this.#random.below(room + 1) + (backward ? width * Math.max(0, iterations - 1) : 0),
        );
    }
  }

  #crossing(writer: ColumnWriter, width: number, slot: number): void {
    writer.addresses.push(this.#page() + PAGE_BYTES - 1 - this.#random.below(width - 1));
    writer.event(5, slot, this.#page());
  }

  #interrupt(writer: ColumnWriter): void {
    const vector = this.#random.pick([3, 8, 13, 14, 32, 33]);
    writer.event(1 + this.#random.below(2), vector, this.#page() + PAGE_BYTES - 8 * this.#random.below(8));
  }

  /** Mostly the block behind the previous one when there is one, else any. */
  #successor(dictionary: readonly DescribedBlock[], previous: DescribedBlock | undefined): DescribedBlock | undefined {
    if (previous === undefined) return undefined;
    const behind = previous.virt + BigInt(previous.bytes.length);
    const following = dictionary.find((block) => block.virt === behind && block.user === previous.user);
    return following !== undefined && this.#random.below(3) > 0 ? following : this.#random.pick(dictionary);
  }

  /** One to four blocks behind each other, the last one perhaps across a page boundary. */
  #addChain(): void {
    const user = this.#random.below(4) === 0;
    const crossing = this.#random.below(4) === 0;
    const codes = Array.from({ length: crossing ? 1 : 1 + this.#random.below(4) }, () =>
      fromHex(this.#random.pick(CODES)),
    );
    let offset = crossing ? this.#crossingOffset(codes[0]) : this.#random.below(2048);
    const virtPage = (user ? USER_TEXT : KERNEL_TEXT) + BigInt(this.#random.below(5) * PAGE_BYTES);
    const physPage = this.#page();
    for (const bytes of codes) {
      const virt = virtPage + BigInt(offset);
      const shape = describeBlock(bytes, virt, 64);
      const crosses = offset + shape.byteLength > PAGE_BYTES;
      const block = {
        virt,
        phys: physPage + offset,
        physNextPage: crosses ? this.#page() : 0,
        user,
        bits: 64 as const,
      };
      this.#blocks.push({
        ...block,
        bytes: bytes.slice(0, shape.byteLength),
        shape: describeBlock(bytes.slice(0, shape.byteLength), virt, 64),
      });
      offset += shape.byteLength;
    }
  }

  /** Where code must begin so that its last instruction lies across the end of the page. */
  #crossingOffset(bytes: Uint8Array | undefined): number {
    const shape = describeBlock(bytes ?? Uint8Array.of(0x90), KERNEL_TEXT, 64);
    const last = shape.instructions.at(-1) ?? { offset: 0, length: 1 };
    return last.length === 1 ? 100 : PAGE_BYTES - last.offset - 1 - this.#random.below(last.length - 1);
  }

  #page(): number {
    return this.#random.pick(this.#pages);
  }

  #shuffled(): DescribedBlock[] {
    return this.#blocks
      .map((block) => ({ block, key: this.#random.nextU32() }))
      .sort((a, b) => a.key - b.key)
      .map(({ block }) => block);
  }
}

/** Mostly a kind that exists. */
const trapKind = (random: number): number => (random < 200 ? random % 9 : random);

class ColumnWriter {
  readonly events: number[] = [];
  readonly addresses: number[] = [];
  readonly extras: number[] = [];

  event(kind: number, payload: number, ...extras: readonly number[]): void {
    this.events.push((0x80000000 | (kind << 24) | payload) >>> 0);
    this.extras.push(...extras);
  }

  /** Whether the last qualifiers already hold an event of this kind. */
  endsWith(kind: number): boolean {
    for (let i = this.events.length - 1; (this.events[i] ?? 0) >= 0x80000000; i--) {
      if ((this.events[i] ?? 0) >>> 24 === (0x80 | kind)) return true;
    }
    return false;
  }

  columns(): RawColumns {
    return {
      events: Uint32Array.from(this.events),
      addresses: Uint32Array.from(this.addresses),
      extras: Uint32Array.from(this.extras),
    };
  }
}
