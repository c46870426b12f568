-- One row per analysed chunk.
CREATE TABLE IF NOT EXISTS chunks (
  guest        FixedString(32) COMMENT 'guest id',
  unit         UInt32          COMMENT 'number of the insert unit, from 0',
  sequence     UInt32          COMMENT 'place in the guest\'s trace, from 0',
  instructions UInt64          COMMENT 'retired instructions',
  rawBytes     UInt64          COMMENT 'canonical uncompressed columns, bytes',
  bytes        UInt64          COMMENT 'compressed chunk, bytes',
  digest       FixedString(64) COMMENT 'SHA-256 of the canonical uncompressed columns'
) ENGINE = MergeTree ORDER BY (guest, unit, sequence)
SETTINGS non_replicated_deduplication_window = 10000;

-- Counts of a whole unit, one row per mode. The ledger and the machine's events stand in the kernel row.
CREATE TABLE IF NOT EXISTS unit_totals (
  guest                     FixedString(32)                     COMMENT 'guest id',
  unit                      UInt32                              COMMENT 'number of the insert unit, from 0',
  mode                      LowCardinality(String)              COMMENT 'kernel or user',
  instructions              UInt64                              COMMENT 'retired instructions; a nop and a rep string instruction are one each',
  nops                      UInt64                              COMMENT 'retired nops, instructions',
  repInstructions           UInt64                              COMMENT 'retired rep string instructions',
  repIterations             UInt64                              COMMENT 'iterations of rep string instructions',
  dataReads                 UInt64                              COMMENT 'data references that read: one per element accessed and line touched',
  dataWrites                UInt64                              COMMENT 'data references that write, frame pushes of the CPU included',
  repReferences             UInt64                              COMMENT 'data references made by rep string instructions',
  frameReferences           UInt64                              COMMENT 'data writes of the CPU when it delivered an interrupt or exception',
  l1iReferences             UInt64                              COMMENT 'L1I references: fetches that enter a line or follow a taken transfer',
  l1iMisses                 UInt64                              COMMENT 'L1I references that missed',
  l1dMisses                 UInt64                              COMMENT 'data references that missed L1D',
  l2InstructionMisses       UInt64                              COMMENT 'L2 references of fetches that missed',
  l2DataMisses              UInt64                              COMMENT 'L2 references of data that missed',
  l1dWriteBacks             UInt64                              COMMENT 'dirty lines written back by L1D',
  l2WriteBacks              UInt64                              COMMENT 'dirty lines written back by L2',
  conditionalBranches       UInt64                              COMMENT 'executed conditional branches',
  indirectBranches          UInt64                              COMMENT 'executed indirect jumps and calls',
  returns                   UInt64                              COMMENT 'executed returns',
  conditionalMispredictions UInt64                              COMMENT 'mispredicted conditional branches',
  indirectMispredictions    UInt64                              COMMENT 'mispredicted indirect jumps and calls',
  returnMispredictions      UInt64                              COMMENT 'mispredicted returns',
  unscoredBranches          UInt64                              COMMENT 'branches followed at once by an interrupt or exception, not scored',
  newTextBytes              UInt64                              COMMENT 'bytes of text executed for the first time in the measured region',
  privileged                Map(LowCardinality(String), UInt64) COMMENT 'privileged instructions by kind, executions',
  interrupts                Map(UInt16, UInt64)                 COMMENT 'external interrupts by vector',
  exceptions                Map(UInt16, UInt64)                 COMMENT 'exceptions and software interrupts by vector',
  traps                     Map(UInt16, UInt64)                 COMMENT 'traps to the hypervisor by trap kind',
  ledgerSaves               UInt64                              COMMENT 'saves of all causes',
  ledgerRestores            UInt64                              COMMENT 'restores of all causes',
  ledgerNotSaves            UInt64                              COMMENT 'pushes, pops and stack moves that save nothing',
  ledgerFoldedSaves         UInt64                              COMMENT 'saves and restores folded into another instruction',
  ledgerStackMoves          UInt64                              COMMENT 'pushes, pops and stack moves, counted by a separate decoder'
) ENGINE = MergeTree ORDER BY (guest, unit, mode)
SETTINGS non_replicated_deduplication_window = 10000;

-- Counts of a unit by function.
CREATE TABLE IF NOT EXISTS function_statistics (
  guest                     FixedString(32)        COMMENT 'guest id',
  unit                      UInt32                 COMMENT 'number of the insert unit, from 0',
  function                  LowCardinality(String) COMMENT 'name; empty for code outside of the catalogue',
  functionKind              LowCardinality(String) COMMENT 'c, asm, op, thunk, entry, user, unknown or cpu',
  mode                      LowCardinality(String) COMMENT 'kernel or user',
  entries                   UInt64                 COMMENT 'executions of the first instruction',
  instructions              UInt64                 COMMENT 'retired instructions; a nop and a rep string instruction are one each',
  nops                      UInt64                 COMMENT 'retired nops, instructions',
  repInstructions           UInt64                 COMMENT 'retired rep string instructions',
  repIterations             UInt64                 COMMENT 'iterations of rep string instructions',
  dataReads                 UInt64                 COMMENT 'data references that read: one per element accessed and line touched',
  dataWrites                UInt64                 COMMENT 'data references that write, frame pushes of the CPU included',
  repReferences             UInt64                 COMMENT 'data references made by rep string instructions',
  frameReferences           UInt64                 COMMENT 'data writes of the CPU when it delivered an interrupt or exception',
  l1iReferences             UInt64                 COMMENT 'L1I references: fetches that enter a line or follow a taken transfer',
  l1iMisses                 UInt64                 COMMENT 'L1I references that missed',
  l1dMisses                 UInt64                 COMMENT 'data references that missed L1D',
  l2InstructionMisses       UInt64                 COMMENT 'L2 references of fetches that missed',
  l2DataMisses              UInt64                 COMMENT 'L2 references of data that missed',
  l1dWriteBacks             UInt64                 COMMENT 'dirty lines written back by L1D',
  l2WriteBacks              UInt64                 COMMENT 'dirty lines written back by L2',
  conditionalBranches       UInt64                 COMMENT 'executed conditional branches',
  indirectBranches          UInt64                 COMMENT 'executed indirect jumps and calls',
  returns                   UInt64                 COMMENT 'executed returns',
  conditionalMispredictions UInt64                 COMMENT 'mispredicted conditional branches',
  indirectMispredictions    UInt64                 COMMENT 'mispredicted indirect jumps and calls',
  returnMispredictions      UInt64                 COMMENT 'mispredicted returns',
  unscoredBranches          UInt64                 COMMENT 'branches followed at once by an interrupt or exception, not scored',
  newTextBytes              UInt64                 COMMENT 'bytes of text executed for the first time in the measured region',
  calleeFrameSaves          UInt64                 COMMENT 'saves of the callee frame',
  calleeFrameRestores       UInt64                 COMMENT 'restores of the callee frame',
  spillSaves                UInt64                 COMMENT 'compiler spills stored',
  spillRestores             UInt64                 COMMENT 'compiler spills loaded',
  entryFrameSaves           UInt64                 COMMENT 'saves of system call, interrupt and exception entry',
  entryFrameRestores        UInt64                 COMMENT 'restores of their exit'
) ENGINE = MergeTree ORDER BY (guest, unit, function, functionKind, mode)
SETTINGS non_replicated_deduplication_window = 10000;

-- Counts of a unit by call site.
CREATE TABLE IF NOT EXISTS site_statistics (
  guest        FixedString(32)        COMMENT 'guest id',
  unit         UInt32                 COMMENT 'number of the insert unit, from 0',
  address      LowCardinality(String) COMMENT 'guest-virtual address, 0x and 16 digits',
  function     LowCardinality(String) COMMENT 'function that holds the site',
  op           LowCardinality(String) COMMENT 'pvop',
  executions   UInt64                 COMMENT 'executions of the first byte',
  instructions UInt64                 COMMENT 'retired instructions within the site, nops included',
  nops         UInt64                 COMMENT 'retired nops within the site',
  saves        UInt64                 COMMENT 'saves within the site',
  restores     UInt64                 COMMENT 'restores within the site',
  thunkEntries UInt64                 COMMENT 'calls from the site into a callee-save thunk'
) ENGINE = MergeTree ORDER BY (guest, unit, address)
SETTINGS non_replicated_deduplication_window = 10000;

-- Counts of a unit by pvop: its sites, and its callee-save thunks.
CREATE TABLE IF NOT EXISTS op_statistics (
  guest             FixedString(32)        COMMENT 'guest id',
  unit              UInt32                 COMMENT 'number of the insert unit, from 0',
  op                LowCardinality(String) COMMENT 'pvop',
  executions        UInt64                 COMMENT 'executions of its sites',
  siteInstructions  UInt64                 COMMENT 'retired instructions within its sites',
  siteNops          UInt64                 COMMENT 'retired nops within its sites',
  siteSaves         UInt64                 COMMENT 'saves within its sites',
  siteRestores      UInt64                 COMMENT 'restores within its sites',
  thunkEntries      UInt64                 COMMENT 'entries of its thunks',
  thunkInstructions UInt64                 COMMENT 'retired instructions of its thunks',
  thunkSaves        UInt64                 COMMENT 'saves in its thunks',
  thunkRestores     UInt64                 COMMENT 'restores in its thunks'
) ENGINE = MergeTree ORDER BY (guest, unit, op)
SETTINGS non_replicated_deduplication_window = 10000;

-- Register saves of a unit by cause.
CREATE TABLE IF NOT EXISTS cause_statistics (
  guest    FixedString(32)        COMMENT 'guest id',
  unit     UInt32                 COMMENT 'number of the insert unit, from 0',
  cause    LowCardinality(String) COMMENT 'in-site, thunk, callee-frame, spill or entry-frame',
  saves    UInt64                 COMMENT 'executed saves',
  restores UInt64                 COMMENT 'executed restores'
) ENGINE = MergeTree ORDER BY (guest, unit, cause)
SETTINGS non_replicated_deduplication_window = 10000;

-- The commit row of a unit, written last: rows of the other tables count only when it is there.
CREATE TABLE IF NOT EXISTS units (
  guest         FixedString(32)       COMMENT 'guest id',
  unit          UInt32                COMMENT 'number of the insert unit, from 0',
  schemaVersion UInt32                COMMENT 'version of the tables\' meaning',
  firstChunk    UInt32                COMMENT 'sequence of the unit\'s first chunk',
  chunks        UInt32                COMMENT 'number of chunks',
  instructions  UInt64                COMMENT 'retired instructions of its chunks',
  last          Bool                  COMMENT 'whether the guest ends with it',
  checkpoint    String                COMMENT 'simulator state at the end of the unit, base64' CODEC(ZSTD(1))
) ENGINE = MergeTree ORDER BY (guest, unit)
SETTINGS non_replicated_deduplication_window = 10000;

-- A guest that has ended, one row.
CREATE TABLE IF NOT EXISTS guests (
  run          FixedString(32)        COMMENT 'run id',
  guest        FixedString(32)        COMMENT 'guest id',
  fleetIndex   UInt32                 COMMENT 'place in the expanded fleet, from 0',
  type         LowCardinality(String) COMMENT 'guest type',
  bits         UInt8                  COMMENT '32 or 64',
  paging       LowCardinality(String) COMMENT '4level, pae or 2level',
  stage        LowCardinality(String) COMMENT 'stage of the series',
  workload     LowCardinality(String) COMMENT 'workload',
  footprint    LowCardinality(String) COMMENT 'hot or mixed',
  iterations   UInt32                 COMMENT 'counted iterations of the workload',
  seed         UInt32                 COMMENT 'seed',
  cpu          LowCardinality(String) COMMENT 'intel or amd: decides the nops',
  spec         String                 COMMENT 'whole specification, JSON with sorted keys',
  image        FixedString(64)        COMMENT 'SHA-256 of the ELF image',
  state        LowCardinality(String) COMMENT 'finished or failed',
  errorCode    LowCardinality(String) COMMENT 'code of docs/errors.md; empty when finished',
  digest       String                 COMMENT 'digest over the chunks\' digests; empty when failed',
  instructions UInt64                 COMMENT 'retired instructions from boot to exit',
  chunks       UInt32                 COMMENT 'chunks of the trace',
  bytes        UInt64                 COMMENT 'compressed trace, bytes',
  rawBytes     UInt64                 COMMENT 'uncompressed trace columns, bytes'
) ENGINE = MergeTree ORDER BY (run, guest)
SETTINGS non_replicated_deduplication_window = 10000;

-- A copy of the event topics for queries; the log is the source.
CREATE TABLE IF NOT EXISTS events (
  id      FixedString(32)        COMMENT 'event id',
  type    LowCardinality(String) COMMENT 'event type',
  version UInt16                 COMMENT 'version of the payload',
  time    DateTime64(3, 'UTC')   COMMENT 'when it was recorded, UTC, milliseconds',
  run     FixedString(32)        COMMENT 'run id',
  subject FixedString(32)        COMMENT 'run id or guest id',
  payload String                  COMMENT 'JSON with sorted keys' CODEC(ZSTD(1))
) ENGINE = MergeTree ORDER BY (run, subject, id)
SETTINGS non_replicated_deduplication_window = 10000;

-- How often a guest's rows were removed to be computed again; keeps later deduplication tokens apart.
CREATE TABLE IF NOT EXISTS removals (
  guest      FixedString(32) COMMENT 'guest id',
  generation UInt32          COMMENT 'removals so far'
) ENGINE = MergeTree ORDER BY (guest, generation)
SETTINGS non_replicated_deduplication_window = 10000;
