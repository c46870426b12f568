/** The hot loop (assembly/index.ts) seen from TypeScript. All arguments are byte offsets into the memory, or counts. */
export interface Kernel {
  configureCaches(
    logLine: number,
    l1iFront: number,
    l1iBase: number,
    l1iSets: number,
    l1iLogSet: number,
    l1dFront: number,
    l1dBase: number,
    l1dSets: number,
    l1dLogSet: number,
    l2Base: number,
    l2Sets: number,
    l2LogSet: number,
    queues: number,
  ): void;
  configurePredictor(
    counterBase: number,
    counterCount: number,
    historyBits: number,
    targetBase: number,
    targetSets: number,
    targetWays: number,
    returnBase: number,
    returnDepth: number,
  ): void;
  configureFrames(words: number, wordBytes: number, cpuCold: number, eventCounts: number): void;
  setPredictorState(history: number, returnTop: number, returnCount: number): void;
  setPosition(block: number, kind: number, end: number, line: number): void;
  setColumns(
    events: number,
    eventsEnd: number,
    addresses: number,
    addressesEnd: number,
    extras: number,
    extrasEnd: number,
    blocks: number,
    blockCount: number,
  ): void;
  /** DONE, MARKER or CORRUPT of the layout. */
  run(): number;
}

const STATE_NAMES = [
  'eventCursor',
  'addressCursor',
  'extraCursor',
  'previous',
  'pendingKind',
  'pendingEnd',
  'lastLine',
  'iterationsSeen',
  'markerCode',
  'history',
  'returnTop',
  'returnCount',
] as const;
type StateName = (typeof STATE_NAMES)[number];

const LAYOUT_NAMES = [
  'LINE',
  'START',
  'END',
  'SHAPE',
  'EXECUTIONS',
  'L1I_REFERENCES',
  'BRANCH',
  'SLOTS',
  'COLD',
  'INLINE_SLOTS',
  'HOT_BYTES',
  'L1I_MISSES',
  'L1D_MISSES',
  'L2_INSTRUCTION_MISSES',
  'L2_DATA_MISSES',
  'L1D_WRITE_BACKS',
  'L2_WRITE_BACKS',
  'CONDITIONAL_MISPREDICTIONS',
  'INDIRECT_MISPREDICTIONS',
  'RETURN_MISPREDICTIONS',
  'UNSCORED_BRANCHES',
  'EXTRA_READS',
  'EXTRA_WRITES',
  'REP_ITERATIONS',
  'THUNK_ENTRIES',
  'COLD_COUNT_BYTES',
  'LINES_IN_FIRST_PAGE',
  'SECOND_PAGE_LINE',
  'INSTRUCTIONS',
  'PARTIALS',
  'COLD_BYTES',
  'PARTIAL_EXECUTIONS',
  'PARTIAL_BYTES',
  'PARTIAL_SLOTS',
  'PARTIAL_LINES',
  'FAULTING_LINES',
  'PARTIAL_ROW_BYTES',
  'READ',
  'WRITE',
  'SLOTS_SHIFT',
  'KIND_SHIFT',
  'REPEATED',
  'TWO_PAGES',
  'THUNK',
  'FALL',
  'JUMP',
  'CONDITIONAL',
  'CALL',
  'INDIRECT_JUMP',
  'INDIRECT_CALL',
  'RETURN',
  'TRANSFER',
  'DONE',
  'MARKER',
  'CORRUPT',
  'DIRTY',
  'EMPTY',
  'EVENT_COUNTS',
  'QUEUE_BYTES',
] as const;
export type Layout = Readonly<Record<(typeof LAYOUT_NAMES)[number], number>>;

/** What `run` leaves behind: where it stopped, and the small state of predictor and fetch. */
type KernelState = Readonly<Record<StateName, number>>;

export interface BoundKernel {
  readonly calls: Kernel;
  readonly layout: Layout;
  state(): KernelState;
}

/** Instantiates the compiled hot loop over a memory. @throws WebAssembly.LinkError for another module */
export const bindKernel = (module: WebAssembly.Module, memory: WebAssembly.Memory): BoundKernel => {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return {
    calls: exports as unknown as Kernel,
    layout: readGlobals(exports, LAYOUT_NAMES),
    state: () => readGlobals(exports, STATE_NAMES),
  };
};

const readGlobals = <Name extends string>(
  exports: WebAssembly.Exports,
  names: readonly Name[],
): Readonly<Record<Name, number>> =>
  Object.fromEntries(names.map((name) => [name, (exports[name] as WebAssembly.Global).value >>> 0])) as Record<
    Name,
    number
  >;
