import { Mnemonic } from 'iced-x86';
import type { DecodedBlock } from './decode.js';

const MAX_BLOCKS = 64;
const MAX_INSTRUCTIONS = 400;
const PAGE_BYTES = 4096;

/** Gives the block at an address as it is mapped now; undefined when it cannot be fetched. */
export type FetchBlock = (address: number) => DecodedBlock | undefined;

/** One block of a fragment and its place in the fragment's flow graph. */
export interface Node {
  readonly block: DecodedBlock;
  /** Position in reverse postorder. */
  order: number;
  successors: Node[];
  /** Edges from nodes earlier in the order. */
  forwardPredecessors: Node[];
  dominator: Node | undefined;
  /** Nodes that this one dominates immediately. */
  readonly dominated: Node[];
  /** Sources of edges back to this node, which dominates them. */
  readonly backEdges: Node[];
}

/** The blocks reachable from an entry by direct jumps and branches: one WebAssembly function. */
export interface Fragment {
  readonly entry: Node;
  readonly nodes: ReadonlyMap<number, Node>;
  /** Addresses at which control may arrive from outside once this fragment has run: call targets, return sites. */
  readonly roots: readonly number[];
}

const INLINE_ANYWHERE = new Set<Mnemonic>([Mnemonic.Popf, Mnemonic.Popfd, Mnemonic.Popfq]);
const INLINE_IN_KERNEL = new Set<Mnemonic>([Mnemonic.Sti, Mnemonic.Swapgs]);

/** Whether a block that ends with a system instruction goes on in the same fragment. */
const continuesInline = (block: DecodedBlock, user: boolean): boolean => {
  const last = block.instructions.at(-1);
  if (last === undefined) return false;
  if (INLINE_ANYWHERE.has(last.mnemonic)) return true;
  if (last.bits === 32 && last.operands[0]?.kind === 'segment') return true;
  if (user) return false;
  if (last.mnemonic === Mnemonic.Mov) return last.operands[1]?.kind === 'control';
  return INLINE_IN_KERNEL.has(last.mnemonic);
};

/** Where a block goes by direct transfers within its mode. */
const directSuccessors = (block: DecodedBlock, user: boolean): readonly number[] => {
  const target = block.target === undefined ? [] : [block.target];
  switch (block.shape.end.kind) {
    case 'jump':
      return target;
    case 'conditional':
      return [...target, block.next];
    case 'system':
      return continuesInline(block, user) ? [block.next] : [];
    case 'rep':
    case 'before-rep':
    case 'size':
    case 'page':
    case 'bytes':
      return [block.next];
    default:
      return [];
  }
};

const rootsAfter = (block: DecodedBlock, user: boolean): readonly number[] => {
  switch (block.shape.end.kind) {
    case 'call':
      return [...(block.target === undefined ? [] : [block.target]), block.next];
    case 'indirect-call':
    case 'system-call':
    case 'software-interrupt':
    case 'halt':
      return [block.next];
    case 'system':
      return continuesInline(block, user) ? [] : [block.next];
    default:
      return [];
  }
};

export const pageOf = (address: number): number => Math.floor(address / PAGE_BYTES);

/** Whether user code at `to` may be entered from `from` without looking at the page tables again. */
export const samePage = (from: number, to: number): boolean => pageOf(from) === pageOf(to);

const newNode = (block: DecodedBlock): Node => ({
  block,
  order: -1,
  successors: [],
  forwardPredecessors: [],
  dominator: undefined,
  dominated: [],
  backEdges: [],
});

/** Collects a fragment. Direct jumps to an address for which `isRoot` holds leave it. */
export const discoverFragment = (
  entry: DecodedBlock,
  user: boolean,
  fetch: FetchBlock,
  isRoot: (address: number) => boolean,
): Fragment => {
  const first = newNode(entry);
  const nodes = new Map<number, Node>([[entry.address, first]]);
  const roots: number[] = [];
  const waiting = [first];
  let instructions = entry.instructions.length;
  for (let node = waiting.shift(); node !== undefined; node = waiting.shift()) {
    const { block } = node;
    roots.push(...rootsAfter(block, user));
    for (const address of directSuccessors(block, user)) {
      const known = nodes.get(address);
      if (known !== undefined) continue;
      const full = nodes.size >= MAX_BLOCKS || instructions >= MAX_INSTRUCTIONS;
      const leaves = full || isRoot(address) || (user && !samePage(entry.address, address));
      const found = leaves ? undefined : fetch(address);
      if (found === undefined || (user && found.physNextPage !== 0)) {
        roots.push(address);
        continue;
      }
      const added = newNode(found);
      nodes.set(address, added);
      instructions += found.instructions.length;
      waiting.push(added);
    }
  }
  for (const node of nodes.values()) {
    node.successors = directSuccessors(node.block, user).flatMap((address) => nodes.get(address) ?? []);
  }
  analyse(first);
  return { entry: first, nodes, roots };
};

const reversePostorder = (entry: Node): Node[] => {
  const finished: Node[] = [];
  const seen = new Set<Node>([entry]);
  const stack: { node: Node; next: number }[] = [{ node: entry, next: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const successor = top.node.successors[top.next++];
    if (successor === undefined) {
      finished.push(top.node);
      stack.pop();
    } else if (!seen.has(successor)) {
      seen.add(successor);
      stack.push({ node: successor, next: 0 });
    }
  }
  finished.reverse();
  for (const [order, node] of finished.entries()) node.order = order;
  return finished;
};

const commonDominator = (a: Node, b: Node): Node => {
  let [left, right] = [a, b];
  while (left !== right) {
    if (left.order > right.order) left = left.dominator ?? right;
    else right = right.dominator ?? left;
  }
  return left;
};

export const dominates = (a: Node, b: Node): boolean => {
  let node: Node | undefined = b;
  while (node !== undefined && node.order > a.order) node = node.dominator;
  return node === a;
};

/** Order, dominators (Cooper, Harvey and Kennedy 2001) and loops. */
const analyse = (entry: Node): void => {
  const nodes = reversePostorder(entry);
  const predecessors = new Map<Node, Node[]>(nodes.map((node) => [node, []]));
  for (const node of nodes) for (const successor of node.successors) predecessors.get(successor)?.push(node);
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of nodes.slice(1)) {
      const done = (predecessors.get(node) ?? []).filter((p) => p === entry || p.dominator !== undefined);
      const dominator = done.reduce<Node | undefined>(
        (a, b) => (a === undefined ? b : commonDominator(a, b)),
        undefined,
      );
      if (dominator !== undefined && dominator !== node.dominator) {
        node.dominator = dominator;
        changed = true;
      }
    }
  }
  for (const node of nodes) {
    node.dominator?.dominated.push(node);
    for (const predecessor of predecessors.get(node) ?? []) {
      if (predecessor.order < node.order) node.forwardPredecessors.push(predecessor);
      else if (dominates(node, predecessor)) node.backEdges.push(predecessor);
    }
  }
};

/** Bit set of the registers that the loop with this header uses. */
export const registersOfLoop = (header: Node, nodes: Iterable<Node>): number => {
  const predecessors = new Map<Node, Node[]>();
  for (const node of nodes) {
    for (const successor of node.successors) {
      const list = predecessors.get(successor) ?? [];
      list.push(node);
      predecessors.set(successor, list);
    }
  }
  const body = new Set<Node>([header]);
  const waiting = [...header.backEdges];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (body.has(node)) continue;
    body.add(node);
    waiting.push(...(predecessors.get(node) ?? []));
  }
  let used = 0;
  for (const { block } of body) for (const insn of block.instructions) used |= insn.used;
  return used;
};
