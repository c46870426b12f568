import type { RawBlock } from '@pvtrail/trace';
import { Mnemonic } from 'iced-x86';
import type { DecodedBlock } from './decode.js';
import { dominates, type Fragment, type Node, registersOfLoop } from './fragment.js';
import { type Exits, endBlock, exitIndirect, liftedByEnd } from './lift/control.js';
import { LIFTERS } from './lift/families.js';
import type { FunctionEmitter } from './lift/function-emitter.js';
import { Op } from './wasm-writer.js';

/** How a fragment reaches an address outside of itself. */
export type Target =
  | { readonly kind: 'function'; readonly index: number }
  | { readonly kind: 'slot'; readonly slot: number }
  /** Only the jump cache knows whether the address is still mapped as it was. */
  | { readonly kind: 'lookup' };

export interface Linker {
  resolve(from: number, address: number): Target;
  rawBlock(block: DecodedBlock): RawBlock;
}

/** A label of the structured code that surrounds the current place. */
type Label =
  /** `registers` are in locals wherever control comes back to the loop's begin. */
  | { readonly kind: 'loop'; readonly node: Node; readonly registers: number }
  | { readonly kind: 'before'; readonly node: Node }
  | { readonly kind: 'if' };

/**
 * Writes a fragment as structured code: each node inside the code of its dominator, loops as loops (Ramsey, "Beyond Relooper",
 * 2022). An edge back to a node that does not dominate its source leaves the fragment instead.
 */
export class FragmentWriter {
  readonly #e: FunctionEmitter;
  readonly #fragment: Fragment;
  readonly #linker: Linker;
  readonly #labels: Label[] = [];
  /** Registers available on all edges so far that reach a node where paths meet. */
  readonly #meeting = new Map<Node, number>();

  constructor(e: FunctionEmitter, fragment: Fragment, linker: Linker) {
    this.#e = e;
    this.#fragment = fragment;
    this.#linker = linker;
  }

  write(): void {
    this.#e.loadUserFuel();
    this.#tree(this.#fragment.entry);
    this.#e.code.op(Op.unreachable);
  }

  #tree(node: Node): void {
    const meeting = node.dominated
      .filter((child) => child.forwardPredecessors.length > 1)
      .sort((a, b) => b.order - a.order);
    if (node.backEdges.length === 0) {
      this.#within(node, meeting);
      return;
    }
    const e = this.#e;
    e.makeFlagsDynamic();
    const used = registersOfLoop(node, this.#fragment.nodes.values());
    e.ensureAll(used);
    e.continueFromMany(e.available);
    e.code.loop();
    this.#labels.push({ kind: 'loop', node, registers: e.available });
    this.#within(node, meeting);
    this.#labels.pop();
    e.code.end();
  }

  #within(node: Node, meeting: readonly Node[]): void {
    const [outermost, ...inner] = meeting;
    if (outermost === undefined) {
      this.#body(node);
      return;
    }
    const e = this.#e;
    e.code.block();
    this.#labels.push({ kind: 'before', node: outermost });
    this.#within(node, inner);
    this.#labels.pop();
    e.code.end();
    e.continueFromMany(this.#meeting.get(outermost) ?? 0);
    this.#tree(outermost);
  }

  #body(node: Node): void {
    const raw = this.#linker.rawBlock(node.block);
    this.#e.checkTimer(node.block.address);
    writeBlock(this.#e, node.block, raw, {
      jump: (target) => this.#edge(node, target),
      call: (target) => exitTo(this.#e, this.#linker, node.block, target),
      enterIf: () => this.#labels.push({ kind: 'if' }),
      leaveIf: () => this.#labels.pop(),
    });
  }

  #edge(from: Node, address: number): void {
    const e = this.#e;
    const known = this.#fragment.nodes.get(address);
    const to = known !== undefined && from.successors.includes(known) ? known : undefined;
    const back = to !== undefined && to.order <= from.order;
    if (to === undefined || (back && !dominates(to, from))) {
      exitTo(e, this.#linker, from.block, address);
      return;
    }
    if (back) {
      e.makeFlagsDynamic();
      for (const label of this.#labels) if (label.kind === 'loop' && label.node === to) e.ensureAll(label.registers);
      e.checkpoint(() => e.storeRip(address));
      e.code.br(this.#depth('loop', to));
      return;
    }
    if (to.forwardPredecessors.length === 1) {
      this.#tree(to);
      return;
    }
    e.makeFlagsDynamic();
    this.#meeting.set(to, (this.#meeting.get(to) ?? -1) & e.available);
    e.code.br(this.#depth('before', to));
  }

  #depth(kind: 'loop' | 'before', node: Node): number {
    const found = this.#labels.findLastIndex((label) => label.kind === kind && label.node === node);
    if (found < 0) throw new Error('a branch goes to a label that does not surround it');
    return this.#labels.length - 1 - found;
  }
}

/** Leaves a function for the entry of another one at a known address. */
const exitTo = (e: FunctionEmitter, linker: Linker, from: DecodedBlock, address: number): void => {
  const target = linker.resolve(from.address, address);
  if (target.kind === 'lookup') {
    e.code.i64(BigInt(address));
    exitIndirect(e, e.keep(64));
    return;
  }
  e.prepareExit();
  if (address <= from.address) e.checkpoint(() => e.storeRip(address));
  e.pushParameters();
  if (target.kind === 'function') e.code.returnCall(target.index);
  else e.code.i32(target.slot).returnCallIndirect(e.context.fragmentType);
};

/** Lifts one instruction that does not transfer control. Unknown ones raise #UD. */
const liftInstruction = (e: FunctionEmitter, isSystem: boolean): void => {
  const lifter = LIFTERS.get(e.insn.mnemonic);
  if (lifter !== undefined) lifter(e);
  else if (isSystem || SYSTEM_WITHIN_BLOCK.has(e.insn.mnemonic)) e.endInSystem();
  else e.endInFault(UNDEFINED_OPCODE);
};

const UNDEFINED_OPCODE = 6;

/** System instructions that do not end a block (ADR 002); the run loop does them and goes on behind them. */
const SYSTEM_WITHIN_BLOCK = new Set<Mnemonic>([
  Mnemonic.Sgdt,
  Mnemonic.Sidt,
  Mnemonic.Sldt,
  Mnemonic.Str,
  Mnemonic.Smsw,
]);

const writeBlock = (e: FunctionEmitter, block: DecodedBlock, raw: RawBlock, exits: Exits): void => {
  e.beginBlock(raw, block);
  e.recordBlock(raw);
  const last = block.instructions.length - 1;
  for (const insn of block.instructions) {
    e.beginInstruction(insn);
    const isLast = insn.index === last;
    if (!isLast || !liftedByEnd(block)) {
      liftInstruction(e, isLast && block.shape.end.kind === 'system');
    }
    if (e.ended) return;
    // Before the end: what follows continues with the values that are there after the instruction. A transfer reads them first.
    if (!liftedByEnd(block) || !isLast) e.endInstruction(insn);
    if (isLast) endBlock(e, block, exits);
  }
};

/** A part of a block, each access by itself: from instruction `first`, `count` of them. */
export const writeCareful = (
  e: FunctionEmitter,
  block: DecodedBlock,
  raw: RawBlock,
  linker: Linker,
  first: number,
  count: number,
): void => {
  e.loadUserFuel();
  e.beginBlock(raw, block);
  const exits: Exits = {
    jump: (target) => exitTo(e, linker, block, target),
    call: (target) => exitTo(e, linker, block, target),
    enterIf: () => {},
    leaveIf: () => {},
  };
  const end = Math.min(first + count, block.instructions.length);
  const last = block.instructions.length - 1;
  for (const insn of block.instructions.slice(first, end)) {
    e.beginInstruction(insn);
    const isLast = insn.index === last;
    if (!isLast || !liftedByEnd(block)) liftInstruction(e, isLast && block.shape.end.kind === 'system');
    if (e.ended) break;
    if (isLast) endBlock(e, block, exits);
    else e.leaveIfAsked(insn.index === end - 1);
    e.endInstruction(insn);
  }
  e.code.op(Op.unreachable);
};
