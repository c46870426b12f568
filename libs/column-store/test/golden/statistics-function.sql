SELECT
  guests.type AS type,
  guests.bits AS bits,
  guests.stage AS stage,
  guests.workload AS workload,
  statistics.function AS function,
  statistics.functionKind AS functionKind,
  statistics.mode AS mode,
  sum(statistics.entries) AS entries,
  sum(statistics.instructions) AS instructions,
  sum(statistics.nops) AS nops,
  sum(statistics.repInstructions) AS repInstructions,
  sum(statistics.repIterations) AS repIterations,
  sum(statistics.dataReads) AS dataReads,
  sum(statistics.dataWrites) AS dataWrites,
  sum(statistics.repReferences) AS repReferences,
  sum(statistics.frameReferences) AS frameReferences,
  sum(statistics.l1iReferences) AS l1iReferences,
  sum(statistics.l1iMisses) AS l1iMisses,
  sum(statistics.l1dMisses) AS l1dMisses,
  sum(statistics.l2InstructionMisses) AS l2InstructionMisses,
  sum(statistics.l2DataMisses) AS l2DataMisses,
  sum(statistics.l1dWriteBacks) AS l1dWriteBacks,
  sum(statistics.l2WriteBacks) AS l2WriteBacks,
  sum(statistics.conditionalBranches) AS conditionalBranches,
  sum(statistics.indirectBranches) AS indirectBranches,
  sum(statistics.returns) AS returns,
  sum(statistics.conditionalMispredictions) AS conditionalMispredictions,
  sum(statistics.indirectMispredictions) AS indirectMispredictions,
  sum(statistics.returnMispredictions) AS returnMispredictions,
  sum(statistics.unscoredBranches) AS unscoredBranches,
  sum(statistics.newTextBytes) AS newTextBytes,
  sum(statistics.calleeFrameSaves) AS calleeFrameSaves,
  sum(statistics.calleeFrameRestores) AS calleeFrameRestores,
  sum(statistics.spillSaves) AS spillSaves,
  sum(statistics.spillRestores) AS spillRestores,
  sum(statistics.entryFrameSaves) AS entryFrameSaves,
  sum(statistics.entryFrameRestores) AS entryFrameRestores
FROM function_statistics AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.state = 'finished'
GROUP BY type, bits, stage, workload, function, functionKind, mode
ORDER BY type, bits, stage, workload, function, functionKind, mode
