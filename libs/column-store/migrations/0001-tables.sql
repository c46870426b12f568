-- An insert unit, one row: it is there with everything or not at all. Arrays of one group have an element per chunk, mode, function,
-- call site, pvop or cause; the views below unfold them.
CREATE TABLE IF NOT EXISTS units (
  guest         FixedString(32) COMMENT 'guest id',
  unit          UInt32          COMMENT 'number of the insert unit, from 0',
  schemaVersion UInt32          COMMENT 'version of the tables\' meaning',
  firstChunk    UInt32          COMMENT 'sequence of the unit\'s first chunk',
  chunks        UInt32          COMMENT 'number of chunks',
  instructions  UInt64          COMMENT 'retired instructions of its chunks',
  last          Bool            COMMENT 'whether the guest ends with it',
  checkpoint    String          COMMENT 'simulator state at the end of the unit, base64' CODEC(ZSTD(1)),
  -- per analysed chunk
  `perChunk.sequence`     Array(UInt32)          COMMENT 'place in the guest\'s trace, from 0',
  `perChunk.instructions` Array(UInt64)          COMMENT 'retired instructions',
  `perChunk.rawBytes`     Array(UInt64)          COMMENT 'canonical uncompressed columns, bytes',
  `perChunk.bytes`        Array(UInt64)          COMMENT 'compressed chunk, bytes',
  `perChunk.digest`       Array(FixedString(64)) COMMENT 'SHA-256 of the canonical uncompressed columns',
  -- per mode; the ledger and the machine's events stand with the kernel's
  `perMode.mode`                      Array(LowCardinality(String))              COMMENT 'kernel or user',
  `perMode.instructions`              Array(UInt64)                              COMMENT 'retired instructions; a nop and a rep string instruction are one each',
  `perMode.nops`                      Array(UInt64)                              COMMENT 'retired nops, instructions',
  `perMode.repInstructions`           Array(UInt64)                              COMMENT 'retired rep string instructions',
  `perMode.repIterations`             Array(UInt64)                              COMMENT 'iterations of rep string instructions',
  `perMode.dataReads`                 Array(UInt64)                              COMMENT 'data references that read: one per element accessed and line touched',
  `perMode.dataWrites`                Array(UInt64)                              COMMENT 'data references that write, frame pushes of the CPU included',
  `perMode.repReferences`             Array(UInt64)                              COMMENT 'data references made by rep string instructions',
  `perMode.frameReferences`           Array(UInt64)                              COMMENT 'data writes of the CPU when it delivered an interrupt or exception',
  `perMode.l1iReferences`             Array(UInt64)                              COMMENT 'L1I references: fetches that enter a line or follow a taken transfer',
  `perMode.l1iMisses`                 Array(UInt64)                              COMMENT 'L1I references that missed',
  `perMode.l1dMisses`                 Array(UInt64)                              COMMENT 'data references that missed L1D',
  `perMode.l2InstructionMisses`       Array(UInt64)                              COMMENT 'L2 references of fetches that missed',
  `perMode.l2DataMisses`              Array(UInt64)                              COMMENT 'L2 references of data that missed',
  `perMode.l1dWriteBacks`             Array(UInt64)                              COMMENT 'dirty lines written back by L1D',
  `perMode.l2WriteBacks`              Array(UInt64)                              COMMENT 'dirty lines written back by L2',
  `perMode.conditionalBranches`       Array(UInt64)                              COMMENT 'executed conditional branches',
  `perMode.indirectBranches`          Array(UInt64)                              COMMENT 'executed indirect jumps and calls',
  `perMode.returns`                   Array(UInt64)                              COMMENT 'executed returns',
  `perMode.conditionalMispredictions` Array(UInt64)                              COMMENT 'mispredicted conditional branches',
  `perMode.indirectMispredictions`    Array(UInt64)                              COMMENT 'mispredicted indirect jumps and calls',
  `perMode.returnMispredictions`      Array(UInt64)                              COMMENT 'mispredicted returns',
  `perMode.unscoredBranches`          Array(UInt64)                              COMMENT 'branches followed at once by an interrupt or exception, not scored',
  `perMode.newTextBytes`              Array(UInt64)                              COMMENT 'bytes of text executed for the first time in the measured region',
  `perMode.privileged`                Array(Map(LowCardinality(String), UInt64)) COMMENT 'privileged instructions by kind, executions',
  `perMode.interrupts`                Array(Map(UInt16, UInt64))                 COMMENT 'external interrupts by vector',
  `perMode.exceptions`                Array(Map(UInt16, UInt64))                 COMMENT 'exceptions and software interrupts by vector',
  `perMode.traps`                     Array(Map(UInt16, UInt64))                 COMMENT 'traps to the hypervisor by trap kind',
  `perMode.ledgerSaves`               Array(UInt64)                              COMMENT 'saves of all causes',
  `perMode.ledgerRestores`            Array(UInt64)                              COMMENT 'restores of all causes',
  `perMode.ledgerNotSaves`            Array(UInt64)                              COMMENT 'pushes, pops and stack moves that save nothing',
  `perMode.ledgerFoldedSaves`         Array(UInt64)                              COMMENT 'saves and restores folded into another instruction',
  `perMode.ledgerStackMoves`          Array(UInt64)                              COMMENT 'pushes, pops and stack moves, counted by a separate decoder',
  -- per function and mode
  `perFunction.function`                  Array(LowCardinality(String)) COMMENT 'name; empty for code outside of the catalogue',
  `perFunction.functionKind`              Array(LowCardinality(String)) COMMENT 'c, asm, op, thunk, entry, user, unknown or cpu',
  `perFunction.mode`                      Array(LowCardinality(String)) COMMENT 'kernel or user',
  `perFunction.entries`                   Array(UInt64)                 COMMENT 'executions of the first instruction',
  `perFunction.instructions`              Array(UInt64)                 COMMENT 'retired instructions; a nop and a rep string instruction are one each',
  `perFunction.nops`                      Array(UInt64)                 COMMENT 'retired nops, instructions',
  `perFunction.repInstructions`           Array(UInt64)                 COMMENT 'retired rep string instructions',
  `perFunction.repIterations`             Array(UInt64)                 COMMENT 'iterations of rep string instructions',
  `perFunction.dataReads`                 Array(UInt64)                 COMMENT 'data references that read: one per element accessed and line touched',
  `perFunction.dataWrites`                Array(UInt64)                 COMMENT 'data references that write, frame pushes of the CPU included',
  `perFunction.repReferences`             Array(UInt64)                 COMMENT 'data references made by rep string instructions',
  `perFunction.frameReferences`           Array(UInt64)                 COMMENT 'data writes of the CPU when it delivered an interrupt or exception',
  `perFunction.l1iReferences`             Array(UInt64)                 COMMENT 'L1I references: fetches that enter a line or follow a taken transfer',
  `perFunction.l1iMisses`                 Array(UInt64)                 COMMENT 'L1I references that missed',
  `perFunction.l1dMisses`                 Array(UInt64)                 COMMENT 'data references that missed L1D',
  `perFunction.l2InstructionMisses`       Array(UInt64)                 COMMENT 'L2 references of fetches that missed',
  `perFunction.l2DataMisses`              Array(UInt64)                 COMMENT 'L2 references of data that missed',
  `perFunction.l1dWriteBacks`             Array(UInt64)                 COMMENT 'dirty lines written back by L1D',
  `perFunction.l2WriteBacks`              Array(UInt64)                 COMMENT 'dirty lines written back by L2',
  `perFunction.conditionalBranches`       Array(UInt64)                 COMMENT 'executed conditional branches',
  `perFunction.indirectBranches`          Array(UInt64)                 COMMENT 'executed indirect jumps and calls',
  `perFunction.returns`                   Array(UInt64)                 COMMENT 'executed returns',
  `perFunction.conditionalMispredictions` Array(UInt64)                 COMMENT 'mispredicted conditional branches',
  `perFunction.indirectMispredictions`    Array(UInt64)                 COMMENT 'mispredicted indirect jumps and calls',
  `perFunction.returnMispredictions`      Array(UInt64)                 COMMENT 'mispredicted returns',
  `perFunction.unscoredBranches`          Array(UInt64)                 COMMENT 'branches followed at once by an interrupt or exception, not scored',
  `perFunction.newTextBytes`              Array(UInt64)                 COMMENT 'bytes of text executed for the first time in the measured region',
  `perFunction.calleeFrameSaves`          Array(UInt64)                 COMMENT 'saves of the callee frame',
  `perFunction.calleeFrameRestores`       Array(UInt64)                 COMMENT 'restores of the callee frame',
  `perFunction.spillSaves`                Array(UInt64)                 COMMENT 'compiler spills stored',
  `perFunction.spillRestores`             Array(UInt64)                 COMMENT 'compiler spills loaded',
  `perFunction.entryFrameSaves`           Array(UInt64)                 COMMENT 'saves of system call, interrupt and exception entry',
  `perFunction.entryFrameRestores`        Array(UInt64)                 COMMENT 'restores of their exit',
  -- per call site
  `perSite.address`      Array(LowCardinality(String)) COMMENT 'guest-virtual address, 0x and 16 digits',
  `perSite.function`     Array(LowCardinality(String)) COMMENT 'function that holds the site',
  `perSite.op`           Array(LowCardinality(String)) COMMENT 'pvop',
  `perSite.executions`   Array(UInt64)                 COMMENT 'executions of the first byte',
  `perSite.instructions` Array(UInt64)                 COMMENT 'retired instructions within the site, nops included',
  `perSite.nops`         Array(UInt64)                 COMMENT 'retired nops within the site',
  `perSite.saves`        Array(UInt64)                 COMMENT 'saves within the site',
  `perSite.restores`     Array(UInt64)                 COMMENT 'restores within the site',
  `perSite.thunkEntries` Array(UInt64)                 COMMENT 'calls from the site into a callee-save thunk',
  -- per pvop: its sites, and its callee-save thunks
  `perOp.op`                Array(LowCardinality(String)) COMMENT 'pvop',
  `perOp.executions`        Array(UInt64)                 COMMENT 'executions of its sites',
  `perOp.siteInstructions`  Array(UInt64)                 COMMENT 'retired instructions within its sites',
  `perOp.siteNops`          Array(UInt64)                 COMMENT 'retired nops within its sites',
  `perOp.siteSaves`         Array(UInt64)                 COMMENT 'saves within its sites',
  `perOp.siteRestores`      Array(UInt64)                 COMMENT 'restores within its sites',
  `perOp.thunkEntries`      Array(UInt64)                 COMMENT 'entries of its thunks',
  `perOp.thunkInstructions` Array(UInt64)                 COMMENT 'retired instructions of its thunks',
  `perOp.thunkSaves`        Array(UInt64)                 COMMENT 'saves in its thunks',
  `perOp.thunkRestores`     Array(UInt64)                 COMMENT 'restores in its thunks',
  -- register saves per cause
  `perCause.cause`    Array(LowCardinality(String)) COMMENT 'in-site, thunk, callee-frame, spill or entry-frame',
  `perCause.saves`    Array(UInt64)                 COMMENT 'executed saves',
  `perCause.restores` Array(UInt64)                 COMMENT 'executed restores'
) ENGINE = MergeTree ORDER BY (guest, unit)
SETTINGS non_replicated_deduplication_window = 10000;

-- One row per analysed chunk.
CREATE VIEW IF NOT EXISTS chunks AS
SELECT
  guest,
  unit,
  perChunk.sequence AS sequence,
  perChunk.instructions AS instructions,
  perChunk.rawBytes AS rawBytes,
  perChunk.bytes AS bytes,
  perChunk.digest AS digest
FROM units
ARRAY JOIN perChunk;

-- Counts of a whole unit, one row per mode. The ledger and the machine's events stand in the kernel row.
CREATE VIEW IF NOT EXISTS unit_totals AS
SELECT
  guest,
  unit,
  perMode.mode AS mode,
  perMode.instructions AS instructions,
  perMode.nops AS nops,
  perMode.repInstructions AS repInstructions,
  perMode.repIterations AS repIterations,
  perMode.dataReads AS dataReads,
  perMode.dataWrites AS dataWrites,
  perMode.repReferences AS repReferences,
  perMode.frameReferences AS frameReferences,
  perMode.l1iReferences AS l1iReferences,
  perMode.l1iMisses AS l1iMisses,
  perMode.l1dMisses AS l1dMisses,
  perMode.l2InstructionMisses AS l2InstructionMisses,
  perMode.l2DataMisses AS l2DataMisses,
  perMode.l1dWriteBacks AS l1dWriteBacks,
  perMode.l2WriteBacks AS l2WriteBacks,
  perMode.conditionalBranches AS conditionalBranches,
  perMode.indirectBranches AS indirectBranches,
  perMode.returns AS returns,
  perMode.conditionalMispredictions AS conditionalMispredictions,
  perMode.indirectMispredictions AS indirectMispredictions,
  perMode.returnMispredictions AS returnMispredictions,
  perMode.unscoredBranches AS unscoredBranches,
  perMode.newTextBytes AS newTextBytes,
  perMode.privileged AS privileged,
  perMode.interrupts AS interrupts,
  perMode.exceptions AS exceptions,
  perMode.traps AS traps,
  perMode.ledgerSaves AS ledgerSaves,
  perMode.ledgerRestores AS ledgerRestores,
  perMode.ledgerNotSaves AS ledgerNotSaves,
  perMode.ledgerFoldedSaves AS ledgerFoldedSaves,
  perMode.ledgerStackMoves AS ledgerStackMoves
FROM units
ARRAY JOIN perMode;

-- Counts of a unit by function.
CREATE VIEW IF NOT EXISTS function_statistics AS
SELECT
  guest,
  unit,
  perFunction.function AS function,
  perFunction.functionKind AS functionKind,
  perFunction.mode AS mode,
  perFunction.entries AS entries,
  perFunction.instructions AS instructions,
  perFunction.nops AS nops,
  perFunction.repInstructions AS repInstructions,
  perFunction.repIterations AS repIterations,
  perFunction.dataReads AS dataReads,
  perFunction.dataWrites AS dataWrites,
  perFunction.repReferences AS repReferences,
  perFunction.frameReferences AS frameReferences,
  perFunction.l1iReferences AS l1iReferences,
  perFunction.l1iMisses AS l1iMisses,
  perFunction.l1dMisses AS l1dMisses,
  perFunction.l2InstructionMisses AS l2InstructionMisses,
  perFunction.l2DataMisses AS l2DataMisses,
  perFunction.l1dWriteBacks AS l1dWriteBacks,
  perFunction.l2WriteBacks AS l2WriteBacks,
  perFunction.conditionalBranches AS conditionalBranches,
  perFunction.indirectBranches AS indirectBranches,
  perFunction.returns AS returns,
  perFunction.conditionalMispredictions AS conditionalMispredictions,
  perFunction.indirectMispredictions AS indirectMispredictions,
  perFunction.returnMispredictions AS returnMispredictions,
  perFunction.unscoredBranches AS unscoredBranches,
  perFunction.newTextBytes AS newTextBytes,
  perFunction.calleeFrameSaves AS calleeFrameSaves,
  perFunction.calleeFrameRestores AS calleeFrameRestores,
  perFunction.spillSaves AS spillSaves,
  perFunction.spillRestores AS spillRestores,
  perFunction.entryFrameSaves AS entryFrameSaves,
  perFunction.entryFrameRestores AS entryFrameRestores
FROM units
ARRAY JOIN perFunction;

-- Counts of a unit by call site.
CREATE VIEW IF NOT EXISTS site_statistics AS
SELECT
  guest,
  unit,
  perSite.address AS address,
  perSite.function AS function,
  perSite.op AS op,
  perSite.executions AS executions,
  perSite.instructions AS instructions,
  perSite.nops AS nops,
  perSite.saves AS saves,
  perSite.restores AS restores,
  perSite.thunkEntries AS thunkEntries
FROM units
ARRAY JOIN perSite;

-- Counts of a unit by pvop: its sites, and its callee-save thunks.
CREATE VIEW IF NOT EXISTS op_statistics AS
SELECT
  guest,
  unit,
  perOp.op AS op,
  perOp.executions AS executions,
  perOp.siteInstructions AS siteInstructions,
  perOp.siteNops AS siteNops,
  perOp.siteSaves AS siteSaves,
  perOp.siteRestores AS siteRestores,
  perOp.thunkEntries AS thunkEntries,
  perOp.thunkInstructions AS thunkInstructions,
  perOp.thunkSaves AS thunkSaves,
  perOp.thunkRestores AS thunkRestores
FROM units
ARRAY JOIN perOp;

-- Register saves of a unit by cause.
CREATE VIEW IF NOT EXISTS cause_statistics AS
SELECT
  guest,
  unit,
  perCause.cause AS cause,
  perCause.saves AS saves,
  perCause.restores AS restores
FROM units
ARRAY JOIN perCause;

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
