SELECT
  guests.guest AS guest,
  statistics.mode AS mode,
  uniqExact(statistics.guest) AS guests,
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
  sum(statistics.ledgerSaves) AS ledgerSaves,
  sum(statistics.ledgerRestores) AS ledgerRestores,
  sum(statistics.ledgerNotSaves) AS ledgerNotSaves,
  sum(statistics.ledgerFoldedSaves) AS ledgerFoldedSaves,
  sum(statistics.ledgerStackMoves) AS ledgerStackMoves,
  sumMap(statistics.privileged) AS privileged,
  sumMap(statistics.interrupts) AS interrupts,
  sumMap(statistics.exceptions) AS exceptions,
  sumMap(statistics.traps) AS traps
FROM unit_totals AS statistics
INNER JOIN guests ON guests.guest = statistics.guest
WHERE guests.run IN ('9474c8d9a2e3d71d058361390b771e68')
  AND guests.type IN ('native')
  AND guests.bits = 64
  AND guests.stage IN ('nopv', 'v2.6.30')
  AND guests.workload IN ('fork')
  AND guests.footprint IN ('mixed')
  AND guests.state = 'finished'
GROUP BY guest, mode
ORDER BY guest, mode
