/** gshare for conditional branches, a target buffer for indirect jumps and calls, a return stack (definitions §4). */
import { add } from './caches';
import {
  BRANCH,
  CALL,
  COLD,
  CONDITIONAL,
  CONDITIONAL_MISPREDICTIONS,
  FALL,
  INDIRECT_CALL,
  INDIRECT_JUMP,
  INDIRECT_MISPREDICTIONS,
  JUMP,
  RETURN,
  RETURN_MISPREDICTIONS,
  UNSCORED_BRANCHES,
} from './layout';

let counters: usize = 0;
let counterMask: u32 = 0;
let historyMask: u32 = 0;
let targets: usize = 0;
let targetMask: u32 = 0;
let targetSetBytes: u32 = 0;
let returns: usize = 0;
let returnMask: u32 = 0;

export let history: u32 = 0;
export let returnTop: u32 = 0;
export let returnCount: u32 = 0;

export function configurePredictor(
  counterBase: usize,
  counterCount: u32,
  historyBits: u32,
  targetBase: usize,
  targetSets: u32,
  targetWays: u32,
  returnBase: usize,
  returnDepth: u32,
): void {
  counters = counterBase;
  counterMask = counterCount - 1;
  historyMask = (1 << historyBits) - 1;
  targets = targetBase;
  targetMask = targetSets - 1;
  targetSetBytes = targetWays << 3;
  returns = returnBase;
  returnMask = returnDepth - 1;
}

export function setPredictorState(newHistory: u32, newReturnTop: u32, newReturnCount: u32): void {
  history = newHistory;
  returnTop = newReturnTop;
  returnCount = newReturnCount;
}

function predictDirection(block: usize, taken: u32): void {
  const counter = counters + ((load<u32>(block, BRANCH) ^ history) & counterMask);
  const state = <u32>load<u8>(counter);
  history = ((history << 1) | taken) & historyMask;
  add(load<u32>(block, COLD), CONDITIONAL_MISPREDICTIONS, (state >> 1) ^ taken);
  store<u8>(counter, taken ? min<u32>(state + 1, 3) : state - <u32>(state != 0));
}

/** Sets hold (branch, target) pairs, most recently used first. */
function predictTarget(block: usize, target: u32): void {
  const branch = load<u32>(block, BRANCH);
  const set = targets + (branch & targetMask) * targetSetBytes;
  const end = set + targetSetBytes;
  let carriedBranch = branch;
  let carriedTarget = target;
  for (let way = set; way < end; way += 8) {
    const knownBranch = load<u32>(way);
    const knownTarget = load<u32>(way, 4);
    store<u32>(way, carriedBranch);
    store<u32>(way, carriedTarget, 4);
    if (knownBranch == branch) {
      if (knownTarget != target) add(load<u32>(block, COLD), INDIRECT_MISPREDICTIONS, 1);
      return;
    }
    carriedBranch = knownBranch;
    carriedTarget = knownTarget;
  }
  add(load<u32>(block, COLD), INDIRECT_MISPREDICTIONS, 1);
}

function pushReturn(address: u32): void {
  returnTop = (returnTop + 1) & returnMask;
  store<u32>(returns + (returnTop << 2), address);
  returnCount = min<u32>(returnCount + 1, returnMask + 1);
}

/** Whether the popped entry is `address`; an empty stack predicts nothing. */
function popReturn(address: u32): bool {
  if (returnCount == 0) return false;
  const predicted = load<u32>(returns + (returnTop << 2));
  returnTop = (returnTop - 1) & returnMask;
  returnCount--;
  return predicted == address;
}

function transfer(kind: u32, block: usize, end: u32, start: u32): void {
  if (kind == RETURN) {
    if (!popReturn(start)) add(load<u32>(block, COLD), RETURN_MISPREDICTIONS, 1);
    return;
  }
  if (kind == INDIRECT_JUMP || kind == INDIRECT_CALL) predictTarget(block, start);
  if (kind == CALL || kind == INDIRECT_CALL) pushReturn(end);
}

/** Control went from `block` to `start`: predicts, learns, and says whether the transfer was taken. */
// @ts-ignore: decorator
@inline
export function arrive(kind: u32, block: usize, end: u32, start: u32): bool {
  const elsewhere = start != end;
  if (kind == FALL) return elsewhere;
  if (kind == CONDITIONAL) {
    predictDirection(block, <u32>elsewhere);
    return elsewhere;
  }
  if (kind != JUMP) transfer(kind, block, end, start);
  return true;
}

/** An interrupt or exception came before the target of `block`'s transfer was seen: the return stack moves, nothing is scored. */
export function arriveInHandler(kind: u32, block: usize, end: u32): void {
  if (kind == CALL || kind == INDIRECT_CALL) pushReturn(end);
  if (kind == RETURN) popReturn(0);
  if (kind == CONDITIONAL || kind == INDIRECT_JUMP || kind == INDIRECT_CALL || kind == RETURN) {
    add(load<u32>(block, COLD), UNSCORED_BRANCHES, 1);
  }
}
